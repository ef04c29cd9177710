"""A lane waits for what it reads, and for nothing else. What needs nothing of its partner it does ahead.

A busy machine may let a slow unit be first now and then. So what must be seen need not be seen in every run.
"""

from __future__ import annotations

import numpy as np
import pytest

from syncnas_bench import Call, InputSource, Job, JobRun, Lane, Spend, Step, run_plan
from syncnas_bench.device import runner_program
from tests.support.bench_cases import Collector, plan_of

SLOW_US, FAST_US = 3000.0, 500.0
LATE_US = 20_000.0
"""Longer than a busy machine keeps the other unit from its core in each of twenty runs."""
Inputs = tuple[InputSource, ...]


def measured(lanes: tuple[Lane, ...], *, spin_us: int = 1_000_000) -> JobRun:
    """Twenty runs of two lanes."""
    runs = Collector()
    plan = plan_of("sim:a sim:b", Step("s", (Job("net", lanes),), rounds=20, discard=1), spin_us=spin_us)
    run_plan(plan, command=[str(runner_program())], on_run=runs, deadline_s=120)
    return runs[0].jobs[0]


def lane(unit: int, times_us: tuple[float, ...], *inputs: Inputs, open_us: float = 0.0) -> Lane:
    """One call a phase, each with what it reads; the first one reads from outside."""
    sources: tuple[Inputs, ...] = (("external",), *inputs)
    calls = (
        Call(phase, 0, "c", source, spend=Spend(us, open_us=open_us))
        for phase, (us, source) in enumerate(zip(times_us, sources, strict=True))
    )
    return Lane(unit, tuple(calls))


@pytest.mark.parametrize(
    ("slow_reads", "fast_reads", "waiting"),
    [
        ((("own",),), (("own",),), 0),  # a stem on each branch
        ((("own", "partner"),), (("own",),), 0),  # only the slower one needs the other
        ((("own",),), (("own", "partner"),), 1),
        ((("own", "partner"),), (("own", "partner"),), 1),
        ((("own",), ("own",)), (("own",), ("partner",)), 1),  # two phases until they meet
    ],
)
def test_a_unit_goes_on_where_nothing_that_it_reads_is_missing(
    slow_reads: tuple[Inputs, ...], fast_reads: tuple[Inputs, ...], waiting: int
) -> None:
    times = len(slow_reads) + 1
    job = measured((lane(0, (SLOW_US,) * times, *slow_reads), lane(1, (FAST_US,) * times, *fast_reads)))
    fast = job.lanes[1].phases
    waited_us = sum(np.maximum.reduce(phase.wait_ns) for phase in fast) / 1e3
    if waiting:
        source = job.call(0, times - 2)
        assert (fast[-1].begin_ns >= source.arrive_ns).all(), "it began before its partner's features were there"
        assert waited_us > SLOW_US - FAST_US - 100
        return
    assert waited_us == 0
    assert (fast[-1].end_ns < job.call(0, 0).end_ns).any(), "it was done before its slow partner's first call"


@pytest.mark.parametrize("first_us", [FAST_US, LATE_US])
def test_what_needs_nothing_of_the_partner_is_done_ahead(first_us: float) -> None:
    """A unit that comes first has opened its inputs when the other one comes; one that comes last has still to."""
    other_us, open_us = LATE_US + FAST_US - first_us, 400.0
    meets: Inputs = ("own", "partner")
    lanes = (lane(0, (first_us, 100), meets, open_us=open_us), lane(1, (other_us, 100), ("own",)))
    job = measured(lanes)
    mine, other = (job.call(unit, 0).arrive_ns for unit in (0, 1))
    after_us = (job.call(0, 1).begin_ns - np.maximum(mine, other)) / 1e3
    if first_us == FAST_US:
        assert after_us.min() < 100
    else:
        assert after_us[mine > other].min() >= open_us


@pytest.mark.parametrize(("spin_us", "asleep"), [(1_000_000, False), (0, True), (100, True)])
def test_a_row_says_whether_a_waiting_unit_polled_or_slept(spin_us: int, asleep: bool) -> None:
    meets: Inputs = ("own", "partner")
    job = measured((lane(0, (SLOW_US, 100), meets), lane(1, (FAST_US, 100), meets)), spin_us=spin_us)
    assert (job.call(1, 0).sleeps > 0) == asleep
    assert job.call(1, 1).sleeps == 0, "nothing comes after the last call"
