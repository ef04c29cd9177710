"""Simulated phones: what their table says of them is what their law gives."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from syncnas_bench import SIM_DEVICES, BenchPlan, Job, SimDevice, SimUnit, Step
from syncnas_bench.simulated.phones import PHONES
from syncnas_bench.simulated.work import Kernel, Work, read_works
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.lowering import network_graph
from syncnas_deploy.networks.weights import parameter_shapes
from syncnas_exporters.tflite import write_tflite
from tests.support.bench_cases import branches, write_branches

MILLISECONDS = {"midrange": (30, 10), "flagship": (8, 3.5), "mali": (7, 2.8), "shared": (8, 3.5)}
CROSSING_US = {"midrange": (970, 60), "flagship": (400, 400), "mali": (400, 400), "shared": (20, 20)}


@pytest.fixture(scope="module")
def whole(mobilenet: ModelConfig) -> Work:
    weights = {name: np.zeros(shape, np.float32) for name, shape in parameter_shapes(mobilenet).items()}
    return read_works(write_tflite([network_graph(mobilenet, weights, "whole")]))["whole"]


@pytest.mark.parametrize("name", list(PHONES))
def test_a_phone_takes_as_long_as_its_table_says(name: str, whole: Work) -> None:
    cpu, gpu = SIM_DEVICES[name]
    for law, milliseconds in zip((cpu, gpu), MILLISECONDS[name], strict=True):
        assert law.run_us(whole) == pytest.approx(1e3 * milliseconds, rel=0.01)
    assert cpu.move_us(10**6) == 0
    for moved in (4, 10**7):
        assert (gpu.move_us(moved), gpu.move_us(moved, back=True)) == CROSSING_US[name]


def test_kernels_that_are_over_early_wait_for_the_next_submission() -> None:
    law = SimUnit("gpu", "", 75.0, 2.0, 100.0, 1e9, submit_us=15.0)
    long, short = Kernel("other", 4_000, 4), Kernel("other", 0, 4)  # 42 and 2 us

    def taken_us(*kernels: Kernel) -> float:
        return law.run_us(Work(sum(k.macs for k in kernels), 0, len(kernels), kernels))

    assert taken_us(long) == 75 + 42
    assert taken_us(short, short, short) == 75 + 15 + 15 + 2
    # While a long kernel runs, the next ones are submitted.
    assert taken_us(long, short, short) == 75 + 42 + 2 + 2
    assert taken_us(short, long, long) == 75 + 15 + 42 + 42


def test_a_gpu_takes_what_it_dispatches(whole: Work) -> None:
    gpu = SIM_DEVICES["midrange"][1]
    thrifty = dataclasses.replace(gpu, groups=None)

    def block_us(law: SimUnit, channels: int) -> float:
        return law.run_us(Work(0, 0, 1, (Kernel("conv", 49 * 160 * channels, channels, 7),)))

    # 708 channels are 3 x 59 slices. On a unit without work groups they take less than 1 % longer than 704.
    assert block_us(gpu, 708) / block_us(gpu, 704) > 2
    assert block_us(thrifty, 708) / block_us(thrifty, 704) < 1.01


def test_a_crossing_costs_the_same_whatever_crosses_and_another_way_back(tmp_path: Path) -> None:
    device, model = SimDevice("midrange", by_runner=True), write_branches(tmp_path / "m.tflite")
    timed = device.timed(BenchPlan(device.default_units(), (model,), (Step("s", (Job("net", branches()),)),)))
    (cpu, gpu) = (lane.calls[1].spend for lane in timed.steps[0].jobs[0].lanes)
    assert cpu is not None and (cpu.download_us, cpu.upload_us) == (0, 0)
    assert gpu is not None and (gpu.download_us, gpu.upload_us) == CROSSING_US["midrange"]
