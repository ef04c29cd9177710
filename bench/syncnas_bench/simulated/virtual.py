"""A plan on a virtual clock: the stamps of all calls follow from the plan, the law and a seed, and take no time.

So a simulated device reads the same on every computer, however busy it is, and is done in an instant. The native runner
can spend the same times on the clock of this computer instead (`SimDevice.by_runner`); its executor is tested so.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from syncnas_bench.errors import PlanError
from syncnas_bench.plan import BenchPlan, Call, Job, Step
from syncnas_bench.runs import JobRun, LaneRun, Output, PhaseRun, Run
from syncnas_bench.simulated.law import Vices
from syncnas_bench.simulated.spend import Spend

Pace = Callable[[int, int, float], float]
"""How much longer a call takes than by its law: by launch, unit and seconds since the launch began."""

_Stamps = list[float]
"""Begin, end, arrival and wait of one call, microseconds since the run began."""

MOST_SIGMAS = 3.0
LONGEST_TAIL = 10.0


def steady(launch: int, unit: int, elapsed_s: float) -> float:
    """Always as the law says."""
    return 1.0


class VirtualLaunch:
    """One launch of a plan.

    Args:
        plan: each call says what it spends.
        vices: of each unit.
        pace: see `Pace`.
        launch: its number.
        seed: of the noise. With the plan's seed and a step's name it decides the step's noise, so a step reads the same
            alone as after others.
    """

    def __init__(self, plan: BenchPlan, vices: Sequence[Vices], *, pace: Pace, launch: int, seed: int) -> None:
        self._plan, self._vices, self._pace, self._launch, self._seed = plan, vices, pace, launch, seed
        # As on a device, the clock does not begin with the launch.
        self._begun_us = self._clock_us = 1e6 * float(np.random.default_rng([seed, plan.seed]).uniform(0.0, 1000.0))
        self._heat_s = [0.0] * len(vices)
        self._left_us = [self._begun_us] * len(vices)
        self._rng = np.random.default_rng()

    def runs(self) -> Iterator[Run]:
        """The row of each step, in order."""
        for row, step in enumerate(self._plan.steps):
            self._rng = np.random.default_rng([self._seed, self._plan.seed, zlib.crc32(step.name.encode())])
            stamps = self._step(step)
            jobs = tuple(_job_run(job, stamps[job.name]) for job in step.jobs)
            yield Run(row, step.name, tuple(map(str, self._plan.units)), jobs, {"launch_id": str(self._launch)})

    def _step(self, step: Step) -> dict[str, list[tuple[float, list[_Stamps]]]]:
        """By job, when each recorded run began, and its calls' stamps by lane and phase."""
        kept: dict[str, list[tuple[float, list[_Stamps]]]] = {job.name: [] for job in step.jobs}
        for _ in range(step.rounds):
            for job in step.jobs:
                for turn in range(step.discard + step.repeats):
                    self._clock_us += step.gap_us
                    once = self._once(job)
                    if turn >= step.discard:
                        kept[job.name].append((self._clock_us, once))
                    self._clock_us += max(call[1] for call in once)
        return kept

    def _once(self, job: Job) -> list[_Stamps]:
        """One run. From event to event, a call's begin or end: while two calls run, each is slowed."""
        vices = [self._vices[lane.unit_index] for lane in job.lanes]
        stamps: dict[tuple[int, int], _Stamps] = {}
        waiting = [list(lane.calls) for lane in job.lanes]
        left_us: dict[int, float] = {}  # by lane, of the call that runs
        now_us = 0.0
        while any(waiting):
            shared = _shared([calls[0] for i, calls in enumerate(waiting) if i in left_us]) if len(left_us) == 2 else 0
            slow = {i: 1 + (vices[i].slowdown - 1) * shared for i in left_us}
            events = {i: now_us + us * slow[i] for i, us in left_us.items()}
            events |= {
                i: begin_us
                for i, calls in enumerate(waiting)
                if calls and i not in left_us and (begin_us := _begin_us(job, i, calls[0], stamps)) is not None
            }
            i = min(events, key=lambda lane: (events[lane], lane))
            left_us = {j: us - (events[i] - now_us) / slow[j] for j, us in left_us.items()}
            now_us, call, unit = events[i], waiting[i][0], job.lanes[i].unit_index
            if i in left_us:
                del left_us[i], waiting[i][0]
                down_us = _spend(call).download_us if _is_read(job, i, call) else 0.0
                stamps[i, call.phase][1:3] = now_us, now_us + down_us
                self._left_us[unit] = self._clock_us + now_us
                self._heat_s[unit] += (now_us - stamps[i, call.phase][0]) / 1e6
            else:
                left_us[i] = _spend(call).run_us * self._stretched(unit, self._clock_us + now_us)
                stamps[i, call.phase] = [now_us, 0.0, 0.0, 0.0]
        return [stamps[place] for place in sorted(stamps)]

    def _stretched(self, unit: int, time_us: float) -> float:
        """How much longer than by the law a call takes, other units left aside; as in bench/native/simulated.c."""
        vices, rng = self._vices[unit], self._rng
        factor = self._pace(self._launch, unit, (time_us - self._begun_us) / 1e6)
        factor *= 1 + vices.noise * float(np.clip(rng.normal(), -MOST_SIGMAS, MOST_SIGMAS))
        factor *= 1 + vices.drift * _swing(time_us / 1e6 / vices.period_s)
        if vices.tail and rng.random() < vices.tail:
            factor *= min(LONGEST_TAIL, 1 / (1 - rng.random()))
        rested_s = (time_us - self._left_us[unit]) / 1e6
        self._heat_s[unit] = max(0.0, self._heat_s[unit] - rested_s)
        return factor * vices.throttle if self._heat_s[unit] > vices.heat_s else factor


def _swing(turns: float) -> float:
    """From -1 to 1 and back within a turn."""
    phase = turns % 1
    return 4 * phase - 1 if phase < 0.5 else 3 - 4 * phase


def _spend(call: Call) -> Spend:
    if call.spend is None:
        raise PlanError(f"call {call.signature!r} does not say what it spends.")
    return call.spend


def _shared(calls: Sequence[Call]) -> float:
    """How much two calls slow each other: the product of what both share."""
    first, second = calls
    return _spend(first).shared * _spend(second).shared


def _is_read(job: Job, lane: int, call: Call) -> bool:
    """Whether the partner reads a call's output."""
    if len(job.lanes) == 1:
        return False
    readers = (other for other in job.lanes[1 - lane].calls if "partner" in other.inputs)
    return any(job.lanes[lane].latest_before(reader.phase) is call for reader in readers)


def _begin_us(job: Job, i: int, call: Call, stamps: dict[tuple[int, int], _Stamps]) -> float | None:
    """When a lane's next call begins; None where its partner is not as far as it must be. Tells the wait for it."""
    before, spend = job.lanes[i].latest_before(call.phase), _spend(call)
    arrived_us = stamps[i, before.phase][2] if before is not None else 0.0
    open_us, upload_us = (spend.open_us, spend.upload_us) if "partner" in call.inputs else (0.0, 0.0)
    source = None
    if len(job.lanes) == 2 and (job.serial or "partner" in call.inputs):
        # In turns, lane 0 is first in every phase.
        source = job.lanes[1 - i].latest_before(call.phase + (i if job.serial else 0))
    if source is None:
        return arrived_us + open_us + upload_us
    there = stamps.get((1 - i, source.phase))
    if there is None or there[2] == 0.0:
        return None
    if before is not None:
        stamps[i, before.phase][3] = max(0.0, there[2] - arrived_us)
    opened_us = max(there[2], arrived_us) + open_us if job.serial else max(there[2], arrived_us + open_us)
    return opened_us + upload_us


def _job_run(job: Job, runs: list[tuple[float, list[_Stamps]]]) -> JobRun:
    ns = np.round(1e3 * np.array([once for _, once in runs])).astype(np.int64)
    t0_ns = np.round(1e3 * np.array([t0_us for t0_us, _ in runs])).astype(np.int64)
    lanes, at = [], 0
    for lane in job.lanes:
        phases = []
        for call in lane.calls:
            begin_ns, end_ns, arrive_ns, wait_ns = ns[:, at].T
            phases.append(PhaseRun(call.phase, begin_ns, end_ns, arrive_ns, wait_ns))
            at += 1
        lanes.append(LaneRun(lane.unit_index, 0, tuple(phases)))
    makespan_ns = np.maximum.reduce([lane.phases[-1].end_ns for lane in lanes])
    return JobRun(job.name, t0_ns, makespan_ns, tuple(lanes), Output(4, "0" * 64, True))
