"""A GPU that is none, crashes, hangs or computes nonsense, on a device over ADB: no row of it is ever accepted.

The device's GPU is a LiteRT library of our own (see `litert_stub`), which computes on the CPU; the runner is the
real one.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from syncnas_bench import BenchPlan, Job, Launch, RunnerCrashed, RunnerHung, Step, UnitUnavailable
from syncnas_bench.adb.device import AdbDevice
from syncnas_bench.environment import DEVICE_LITERT_VARIABLE
from syncnas_deploy import pipeline
from syncnas_deploy.errors import WrongOutput
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import config_text
from syncnas_deploy.profiling.experiment import ProfileSettings
from tests.support.adb_cases import QUICK, device_of, no_server_env
from tests.support.adb_daemon import AdbDaemon
from tests.support.bench_cases import Collector, branches, plan_of, write_branches
from tests.support.configs import parse_config
from tests.support.litert_stub import lying_litert


class GpuBoard(AdbDevice):
    """A board whose GPU may be used: on Linux boards it may not, and what this machine runs is no Android runner."""

    def _why_no_gpu(self) -> str:
        return ""


def board_of(phone: AdbDaemon, home: Path, lie: str) -> AdbDevice:
    """The device with that library."""
    env = no_server_env(home) | {DEVICE_LITERT_VARIABLE: str(lying_litert(lie).parent)}
    serial = phone.address
    board: GpuBoard = device_of(serial, env, QUICK, GpuBoard)
    return board


def launch(phone: AdbDaemon, home: Path, lie: str, plan: BenchPlan, runs: Collector, **limits: float) -> Launch:
    """One launch on it."""
    device = board_of(phone, home, lie)
    try:
        return device.run(plan, on_run=runs, **limits)
    finally:
        device.close()
        left = {path.name for path in (phone.root / "data/local/tmp").iterdir()}
        assert left <= {"syncnas.lease"}, "the runner's folder was left behind"


@pytest.fixture
def plan(tmp_path: Path) -> BenchPlan:
    """One branch on the CPU, one on the GPU."""
    step = Step("net", (Job("j", branches()),), rounds=2)
    return plan_of("cpu:1 gpu", step, files=(write_branches(tmp_path / "m.tflite"),))


def test_a_gpu_that_takes_the_whole_model_is_accepted(phone: AdbDaemon, plan: BenchPlan, tmp_path: Path) -> None:
    runs = Collector()
    found = launch(phone, tmp_path, "HONEST", plan, runs)
    assert [unit.fully_accelerated for unit in found.units] == [True, True]
    assert len(runs) == 1 and runs[0].jobs[0].output.finite


def test_a_silent_fallback_is_refused(phone: AdbDaemon, plan: BenchPlan, tmp_path: Path) -> None:
    runs = Collector()
    with pytest.raises(UnitUnavailable, match="is not fully accelerated on the GPU"):
        launch(phone, tmp_path, "FALLBACK", plan, runs)
    assert runs == []


def test_crash_and_hang_of_a_gpu_are_told_apart_and_the_next_process_is_new(
    phone: AdbDaemon, plan: BenchPlan, tmp_path: Path
) -> None:
    runs = Collector()
    with pytest.raises(RunnerCrashed, match=r"died .SIGSEGV. after 0 of 1 rows") as caught:
        launch(phone, tmp_path, "CRASH", plan, runs)
    assert caught.value.signal_name == "SIGSEGV"
    with pytest.raises(RunnerHung, match="for one step and was killed"):
        launch(phone, tmp_path, "HANG", plan, runs, stall_s=0.5)
    assert runs == []
    launch(phone, tmp_path, "HONEST", plan, runs)
    assert len(runs) == 1


@pytest.mark.parametrize(("lie", "says"), [("NANS", "NaN or infinity"), ("ONE_WRONG", "differ from this host's")])
def test_wrong_outputs_of_a_phone_give_no_profile(
    phone: AdbDaemon, mobilenet: ModelConfig, tmp_path: Path, lie: str, says: str
) -> None:
    base = parse_config(json.dumps(json.loads(config_text(mobilenet)) | {"input_size": 32}), "tiny")
    settings = ProfileSettings(launches=1, rounds=3, discard=1, repeats=1, networks=1)
    before = len(phone.counts.services)
    with pytest.raises(WrongOutput, match=says):
        pipeline.profile(base, board_of(phone, tmp_path, lie), out=tmp_path / "p.json", settings=settings)
    assert list(tmp_path.glob("p.json*")) == []
    assert sum("echo $$" in service for service in phone.counts.services[before:]) == 3, "tried three times"
