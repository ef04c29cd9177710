"""Whether a unit is faster with large depthwise kernels as sums of smaller ones: the base both ways, in one launch.

Beyond 25 taps XNNPACK is many times slower on x86; elsewhere it need not be, so each CPU unit is asked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from syncnas_bench import BenchPlan, Call, Device, Job, Run, Step, Unit, run_with_retries
from syncnas_bench.work_folder import work_folder
from syncnas_deploy.measuring.jobs import DISCARD, REPEATS, SPIN_US
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.lowering import network_graph
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.precision import FileFormat
from syncnas_deploy.profiling.timing_files import write_formats, write_to
from syncnas_exporters import has_large_kernels

ROUNDS = 3
LEAST_GAIN = 0.05
"""By how much sums of smaller kernels must be faster to be chosen, relative: they are more operators."""

KernelTimes = Mapping[Unit, tuple[float, float]]
"""By unit: microseconds of the base with whole kernels, and with split ones."""


def kernel_times(base: ModelConfig, device: Device, units: Sequence[Unit]) -> KernelTimes:
    """Measure the CPU units among some that have whole kernels; none where the base has no large ones.

    Raises:
        BenchError: the device could not measure.
    """
    asked = [unit for unit in units if unit.kind == "cpu" and not unit.split]
    graph = network_graph(base, random_weights(parameter_shapes(base), 0), "whole")
    if not asked or not has_large_kernels(graph):
        return {}
    forms = [FileFormat(FileFormat.of(unit).precision, split) for unit in asked for split in (False, True)]
    runs: list[Run] = []
    with work_folder("kernels") as folder:
        files: list[Path] = []
        written = write_formats("base", [graph], forms, write_to(folder, files))
        jobs = [Job.solo(f"kernels{at}", at // 2, Call(0, written[form], "whole")) for at, form in enumerate(forms)]
        step = Step("kernels", tuple(jobs), rounds=ROUNDS, discard=DISCARD, repeats=REPEATS)
        plan = BenchPlan(tuple(asked), tuple(files), (step,), seed=0, spin_us=SPIN_US)
        run_with_retries(device, plan, on_run=runs.append)
    us = [float(np.median(runs[-1].job(job.name).makespan_us)) for job in jobs]
    return {unit: (us[2 * at], us[2 * at + 1]) for at, unit in enumerate(asked)}


def with_faster_kernels(unit: Unit, times: KernelTimes) -> Unit:
    """The unit, with split kernels where they were faster."""
    whole_us, split_us = times.get(unit, (0.0, 0.0))
    return dataclasses.replace(unit, split=True) if split_us < (1 - LEAST_GAIN) * whole_us else unit
