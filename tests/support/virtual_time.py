"""A simulated device on a clock of its own: the same law as `SimDevice`, computed and not spent.

Every stamp follows from the plan, the law and a seed. So what is made of the stamps can be compared with the law to the
last microsecond, on a machine that is as busy as it likes. What the runner itself does is tested elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from syncnas_bench import BenchPlan, Call, Job, JobRun, Lane, LaneRun, Launch, Output, PhaseRun, Run, SimDevice, SimUnit
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
        return Launch(str(self._launch), "virtual", None, (), "0")

    def _once(self, plan: BenchPlan, job: Job, clock_us: float) -> list[list[float]]:
        """One run: begin, end, arrival and wait of every call, by lane and then phase, microseconds."""
        calls: dict[tuple[int, int], list[float]] = {}
        ready_us = [0.0] * len(job.lanes)
        for phase in range(job.phases):
            now = {i: call for i, lane in enumerate(job.lanes) if (call := lane.call_at(phase)) is not None}
            begins = {i: ready_us[i] + _upload_us(call) for i, call in now.items()}
            laws = {i: self._law(plan.units[job.lanes[i].unit_index]) for i in now}
            left_us = {i: self._taken_us(plan, job.lanes[i], call, clock_us + begins[i]) for i, call in now.items()}
            slow = {i: 1 + (law.vices.slowdown - 1) * _shared(now.values()) for i, law in laws.items()}
            ends = _ends(begins, left_us, slow)
            for i, call in now.items():
                arrive_us = ends[i] + (_spend(call).download_us if _is_read(job, i, call) else 0.0)
                calls[i, phase] = [begins[i], ends[i], arrive_us, 0.0]
            released_us = max(calls[i, phase][2] for i in now)
            for i in range(len(job.lanes)):
                earlier = [p for lane, p in calls if lane == i]
                if phase < job.phases - 1 and earlier:
                    calls[i, max(earlier)][3] = released_us - calls[i, max(earlier)][2]
                if len(job.lanes) == 2 or i in now:
                    ready_us[i] = released_us
        return [calls[key] for key in sorted(calls)]

    def _taken_us(self, plan: BenchPlan, lane: Lane, call: Call, at_us: float) -> float:
        law = self._law(plan.units[lane.unit_index])
        noise = float(np.clip(self._rng.normal(), -3, 3)) * law.vices.noise
        return _spend(call).run_us * (1 + noise) * self._pace(self._launch, lane.unit_index, at_us / 1e6)


def _spend(call: Call):  # type: ignore[no-untyped-def]
    assert call.spend is not None, "the plan is timed"
    return call.spend


def _upload_us(call: Call) -> float:
    return float(_spend(call).upload_us) * ("partner" in call.inputs)


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


def _ends(begins: dict[int, float], left_us: dict[int, float], slow: dict[int, float]) -> dict[int, float]:
    """When one or two calls end that slow each other while both run."""
    if len(begins) == 1:
        return {i: begins[i] + left_us[i] for i in begins}
    alone = min(begins, key=lambda i: begins[i])
    other = 1 - alone
    head_us = min(begins[other] - begins[alone], left_us[alone])
    left = {alone: left_us[alone] - head_us, other: left_us[other]}
    both_from_us = begins[other]
    if left[alone] <= 0:
        return {alone: begins[alone] + left_us[alone], other: begins[other] + left_us[other]}
    done = min((left[i] * slow[i], i) for i in (0, 1))[1]
    until_us = both_from_us + left[done] * slow[done]
    last = 1 - done
    rest_us = left[last] - left[done] * slow[done] / slow[last]
    return {done: until_us, last: until_us + rest_us}


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
