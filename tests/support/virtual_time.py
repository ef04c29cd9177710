"""A simulated device on a clock of its own: the same law as `SimDevice`, computed and not spent.

Every stamp follows from the plan, the law and a seed. So what is made of the stamps can be compared with the law to the
last microsecond, on a machine that is as busy as it likes. What the runner itself does is tested elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from syncnas_bench import BenchPlan, Call, Job, JobRun, LaneRun, Launch, Output, PhaseRun, Run, SimDevice, SimUnit
from syncnas_bench.conditions import Condition
from syncnas_bench.device import OnRun, with_conditions
from syncnas_bench.simulated.power import simulated_power

Pace = Callable[[int, int, float], float]
"""How much longer a call takes than by its law: by launch, unit and seconds since the launch began."""


def steady(launch: int, unit: int, elapsed_s: float) -> float:
    """Always as the law says."""
    return 1.0


class VirtualDevice(SimDevice):
    """`SimDevice` whose runs take no time.

    Args:
        name, laws: see `SimDevice`. Of the vices noise and slowdown count.
        pace: see `Pace`.
        seed: of the noise.
    """

    def __init__(
        self, name: str, laws: tuple[SimUnit, SimUnit] | None = None, *, pace: Pace = steady, seed: int = 0
    ) -> None:
        super().__init__(name, laws)
        self._pace, self._rng, self._launch = pace, np.random.default_rng(seed), -1

    def condition(self) -> Condition:
        """That of an idle computer."""
        return dataclasses.replace(super().condition(), load_1min=0.0)

    def run(self, plan: BenchPlan, *, on_run: OnRun, deadline_s: float = 60.0, stall_s: float = 60.0) -> Launch:
        """See `Device.run`; each call is a launch."""
        self._launch += 1
        keep = with_conditions(on_run, self.facts(), self.condition)
        timed, clock_us = self.timed(plan), 0.0
        for row, step in enumerate(timed.steps):
            stamps: dict[str, list[tuple[float, list[list[float]]]]] = {job.name: [] for job in step.jobs}
            for _ in range(step.rounds):
                for job in step.jobs:
                    for turn in range(step.discard + step.repeats):
                        clock_us += step.gap_us
                        once = self._once(timed, job, clock_us)
                        if turn >= step.discard:
                            stamps[job.name].append((clock_us, once))
                        clock_us += max(call[1] for call in once)
            jobs = tuple(_job_run(job, stamps[job.name]) for job in step.jobs)
            run = Run(row, step.name, tuple(str(unit) for unit in plan.units), jobs, {"launch_id": str(self._launch)})
            if plan.power is not None:
                run = dataclasses.replace(run, power=simulated_power(run, [self._law(u).watts for u in plan.units]))
            keep(run)
        return Launch(str(self._launch), None, (), "0")

    def _once(self, plan: BenchPlan, job: Job, clock_us: float) -> list[list[float]]:
        """One run: begin, end, arrival and wait of every call, by lane and then phase, microseconds.

        From event to event, a call's begin or end: while two calls run, each is slowed.
        """
        laws = [self._law(plan.units[lane.unit_index]) for lane in job.lanes]
        places = [(i, call.phase) for i, lane in enumerate(job.lanes) for call in lane.calls]
        normal = {place: float(np.clip(self._rng.normal(), -3, 3)) for place in sorted(places, key=lambda p: p[::-1])}
        stamps: dict[tuple[int, int], list[float]] = {}
        waiting = [list(lane.calls) for lane in job.lanes]
        left_us: dict[int, float] = {}  # by lane, of the call that runs
        now_us = 0.0
        while any(waiting):
            shared = _shared([calls[0] for i, calls in enumerate(waiting) if i in left_us]) if len(left_us) == 2 else 0
            slow = {i: 1 + (laws[i].vices.slowdown - 1) * shared for i in left_us}
            events = {i: now_us + us * slow[i] for i, us in left_us.items()}
            events |= {
                i: begin_us
                for i, calls in enumerate(waiting)
                if calls and i not in left_us and (begin_us := _begin_us(job, i, calls[0], stamps)) is not None
            }
            i = min(events, key=lambda lane: (events[lane], lane))
            left_us = {j: us - (events[i] - now_us) / slow[j] for j, us in left_us.items()}
            now_us, call = events[i], waiting[i][0]
            if i in left_us:
                del left_us[i], waiting[i][0]
                down_us = _spend(call).download_us if _is_read(job, i, call) else 0.0
                stamps[i, call.phase][1:3] = now_us, now_us + down_us
            else:
                pace = self._pace(self._launch, job.lanes[i].unit_index, (clock_us + now_us) / 1e6)
                left_us[i] = _spend(call).run_us * (1 + normal[i, call.phase] * laws[i].vices.noise) * pace
                stamps[i, call.phase] = [now_us, 0.0, 0.0, 0.0]
        return [stamps[place] for place in sorted(stamps)]


def _spend(call: Call):  # type: ignore[no-untyped-def]
    assert call.spend is not None, "the plan is timed"
    return call.spend


def _shared(calls: object) -> float:
    """How much two calls slow each other: the product of what both share."""
    product = 1.0
    for call in calls:  # type: ignore[attr-defined]
        product *= float(_spend(call).shared)
    return product


def _is_read(job: Job, lane: int, call: Call) -> bool:
    """Whether the partner reads a call's output."""
    if len(job.lanes) == 1:
        return False
    readers = (other for other in job.lanes[1 - lane].calls if "partner" in other.inputs)
    return any(job.lanes[lane].latest_before(reader.phase) is call for reader in readers)


def _begin_us(job: Job, i: int, call: Call, stamps: dict[tuple[int, int], list[float]]) -> float | None:
    """When a lane's next call begins; None where what it reads of its partner is not there. Tells the wait for it."""
    before = job.lanes[i].latest_before(call.phase)
    arrived_us = stamps[i, before.phase][2] if before is not None else 0.0
    if "partner" not in call.inputs:
        return arrived_us
    source = job.lanes[1 - i].latest_before(call.phase)
    assert source is not None, "the job is checked"
    there_us = stamps.get((1 - i, source.phase), [0.0, 0.0, 0.0])[2]
    if there_us == 0.0:
        return None
    if before is not None:
        stamps[i, before.phase][3] = max(0.0, there_us - arrived_us)
    return max(there_us, arrived_us + _spend(call).open_us) + _spend(call).upload_us


def _job_run(job: Job, runs: list[tuple[float, list[list[float]]]]) -> JobRun:
    ns = np.round(1e3 * np.array([once for _, once in runs])).astype(np.int64)
    t0_ns = np.round(1e3 * np.array([t0_us for t0_us, _ in runs])).astype(np.int64)
    lanes, at = [], 0
    for lane in job.lanes:
        phases = []
        for call in lane.calls:
            phases.append(PhaseRun(call.phase, *(ns[:, at, column] for column in range(4))))
            at += 1
        lanes.append(LaneRun(lane.unit_index, 0, tuple(phases)))
    makespan_ns = np.maximum.reduce([lane.phases[-1].end_ns for lane in lanes])
    return JobRun(job.name, t0_ns, makespan_ns, tuple(lanes), Output(4, "0" * 64, True))
