"""Reading the power: jobs that run for some seconds while a meter measures what the device draws."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass

from syncnas_bench import BenchPlan, Job, PowerMeter, Run, Step
from syncnas_deploy.errors import MeasurementError
from syncnas_deploy.prediction.rows import PowerRow, PowerState

SETTLE_S = 2.0
"""Seconds before readings count, since gauges give a mean of the last second or so."""
MEASURED_S = 6.0
_IDLE_GAP_US = 400_000
_LONGEST_GAP_US = 10_000_000
_IDLE_DUTY = 0.05
"""A nearly idle device works for less than this share of the time."""
_LEAST_READINGS = 5


@dataclass(frozen=True)
class PowerLoop:
    """A job that is run for some seconds while the power is read.

    Attributes:
        name: the name of its step.
        us: duration of one run, microseconds.
        resting: whether it runs with long gaps, so that the device is nearly idle.
    """

    name: str
    job: Job
    us: float
    resting: bool = False

    def step(self) -> Step:
        """The step that runs it. Every run is recorded, and none writes an output."""
        gap_us = min(_LONGEST_GAP_US, max(_IDLE_GAP_US, math.ceil(self.us / _IDLE_DUTY))) if self.resting else 0
        rounds = math.ceil((SETTLE_S + MEASURED_S) * 1e6 / (self.us + gap_us))
        return Step(self.name, (dataclasses.replace(self.job, output=None),), rounds=max(3, rounds), gap_us=gap_us)


def power_plan(plan: BenchPlan, meter: PowerMeter, loops: Sequence[PowerLoop]) -> BenchPlan:
    """A launch with a plan's units and files that reads the power in one loop after another."""
    return dataclasses.replace(plan, steps=tuple(loop.step() for loop in loops), power=meter)


def power_row(state: PowerState, run: Run) -> PowerRow:
    """Mean power of a loop, and how busy the plan's first two units were.

    Raises:
        MeasurementError: the meter gave too few values.
    """
    (job,) = run.jobs
    begin_ns, end_ns = _span(run)
    busy_us = {lane.unit_index: float(job.busy_us(number).sum()) for number, lane in enumerate(job.lanes)}
    first, second = (round(1e3 * busy_us.get(unit, 0.0) / (end_ns - begin_ns), 6) for unit in (0, 1))
    return PowerRow(state, round(_mean_w(run), 6), (first, second))


def idle_w(rest: Run, loop: Run) -> float:
    """What the device draws at rest, in watts.

    Args:
        rest: a run of a step that is nearly idle.
        loop: a run of a step with the same job all the time.

    Raises:
        MeasurementError: the meter gave too few values.
    """
    watts, shares = [], []
    for run in (rest, loop):
        (job,) = run.jobs
        begin_ns, end_ns = _span(run)
        watts.append(_mean_w(run))
        shares.append(float(job.makespan_ns.sum()) / (end_ns - begin_ns))
    return round((watts[0] * shares[1] - watts[1] * shares[0]) / (shares[1] - shares[0]), 6)


def inference_mj(run: Run, at_rest_w: float) -> float:
    """Energy of one inference besides the idle device's, in millijoules. The step has one job.

    Raises:
        MeasurementError: the meter gave too few values.
    """
    begin_ns, end_ns = _span(run)
    return round((_mean_w(run) - at_rest_w) * (end_ns - begin_ns) / len(run.jobs[0].t0_ns) / 1e6, 6)


def _span(run: Run) -> tuple[int, int]:
    """First begin and last end of a step's one job, in nanoseconds."""
    (job,) = run.jobs
    return int(job.t0_ns[0]), int(job.t0_ns[-1] + job.makespan_ns[-1])


def _mean_w(run: Run) -> float:
    begin_ns, end_ns = _span(run)
    if run.unusable_reason:
        raise MeasurementError(
            f"The device was not fit while its power was read ({run.unusable_reason}); measure it again."
        )
    begin_ns += round(min(SETTLE_S * 1e9, 0.3 * (end_ns - begin_ns)))
    assert run.power is not None
    told = int(((run.power.time_ns >= begin_ns) & (run.power.time_ns <= end_ns)).sum())
    mean_w = run.power.mean_w(begin_ns, end_ns)
    if mean_w is None or told < _LEAST_READINGS:
        raise MeasurementError(
            f"The power meter gave {told} values during {run.step}, too few for a mean; check that its files "
            "can be read."
        )
    return mean_w
