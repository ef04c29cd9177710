"""What both units do over one inference: slices without gaps, predicted or measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.prediction.predict import Prediction

SliceKind = Literal["work", "crossing", "wait", "idle"]


@dataclass(frozen=True)
class Slice:
    """What a unit does for a while; it may last no time at all.

    Attributes:
        kind: work on a segment; a crossing, its part on this unit; a wait for the other unit at a barrier; or idle,
            where the unit has nothing to do in a phase.
        name: the segment's; in words for the others.
        phase: the segment's; of a crossing or a wait the one before it.
        begin_us, end_us: microseconds after the start of the run.
    """

    unit: int
    kind: SliceKind
    name: str
    phase: int
    begin_us: float
    end_us: float

    @property
    def duration_us(self) -> float:
        """How long it lasts, microseconds."""
        return self.end_us - self.begin_us


@dataclass(frozen=True)
class Timeline:
    """One inference.

    Attributes:
        slices: of all units; those of a unit follow each other from 0 to the makespan.
        makespan_us: of this run.
        run: which of the measured runs it is; None of a prediction, and where it is made of medians.
    """

    slices: tuple[Slice, ...]
    makespan_us: float
    run: int | None = None

    def of_unit(self, unit: int) -> list[Slice]:
        """A unit's slices in order, those without a duration included."""
        return [piece for piece in self.slices if piece.unit == unit]

    def spent_us(self, unit: int, kind: SliceKind) -> float:
        """How long a unit does one kind of thing, microseconds."""
        return sum(piece.duration_us for piece in self.of_unit(unit) if piece.kind == kind)


@dataclass(frozen=True)
class _StampedCall:
    """A segment's stamps, microseconds after the start of the run."""

    branch: int
    phase: int
    name: str
    begin_us: float
    end_us: float
    arrive_us: float
    leave_us: float


def timeline_of_prediction(prediction: Prediction) -> Timeline:
    """The predicted inference."""
    calls = [
        _StampedCall(
            segment.branch,
            number,
            segment.name,
            segment.begin_us,
            segment.begin_us + segment.concurrent_us,
            segment.arrive_us,
            phase.released_us,
        )
        for number, phase in enumerate(prediction.phases)
        for segment in phase.segments
    ]
    return _laid(calls, prediction.makespan_us, None)


def measured_timelines(result: BenchResult) -> list[Timeline]:
    """The runs whose stamps were kept, from the fastest to the slowest.

    A result of before 0.3 has none. Then it is one timeline, made of the segments' times in the median run; it need
    not end with the makespan to the microsecond.
    """
    if not result.stamps:
        return [_from_samples(result)]
    timelines = []
    for stamps in result.stamps:
        rows = zip(stamps.begin_us, stamps.end_us, stamps.arrive_us, stamps.leave_us, strict=True)
        calls = [_StampedCall(s.branch, s.phase, s.name, *row) for s, row in zip(result.segments, rows, strict=True)]
        timelines.append(_laid(calls, result.makespan.samples_us[stamps.run], stamps.run))
    return sorted(timelines, key=lambda timeline: timeline.makespan_us)


def median_timeline(result: BenchResult) -> Timeline:
    """The run whose makespan is nearest to the median."""
    median_us, chosen = result.makespan.median_us, result.median_run
    return min(measured_timelines(result), key=lambda t: (t.run != chosen, abs(t.makespan_us - median_us)))


def _from_samples(result: BenchResult) -> Timeline:
    """A result's median run, phase by phase, from samples that need not be of one length."""
    run, at_us, calls = result.median_run, 0.0, []
    for phase in range(result.segments[-1].phase + 1):
        members = [segment for segment in result.segments if segment.phase == phase]
        ends = [at_us + _sample(segment.concurrent.samples_us, run) for segment in members]
        for segment, end_us in zip(members, ends, strict=True):
            calls.append(_StampedCall(segment.branch, phase, segment.name, at_us, end_us, end_us, max(ends)))
        sync_us = max(0.0, _sample(result.syncs[phase].samples_us, run)) if phase < len(result.syncs) else 0.0
        at_us = max(ends) + sync_us
    return _laid(calls, at_us, None)


def _sample(samples_us: Sequence[float], run: int) -> float:
    return samples_us[min(run, len(samples_us) - 1)]


def _laid(calls: Sequence[_StampedCall], makespan_us: float, run: int | None) -> Timeline:
    """The slices of each unit, one after the other. Their number and names depend on the network alone."""
    last = max(call.phase for call in calls)
    arrived = {phase: max(c.arrive_us for c in calls if c.phase == phase) for phase in {c.phase for c in calls}}
    slices: list[Slice] = []
    for unit in sorted({call.branch for call in calls}):
        at_us = 0.0

        def add(kind: SliceKind, name: str, phase: int, end_us: float, unit: int = unit) -> None:
            nonlocal at_us
            end_us = min(max(at_us, end_us), makespan_us)
            slices.append(Slice(unit, kind, name, phase, at_us, end_us))
            at_us = end_us

        mine = sorted((call for call in calls if call.branch == unit), key=lambda call: call.phase)
        for place, call in enumerate(mine):
            if place == 0 and call.phase > 0:
                add("idle", "nothing to do", 0, arrived[call.phase - 1])
            add("crossing", _crossing_name(call.phase - 1, last), call.phase - 1, call.begin_us)
            add("work", call.name, call.phase, call.end_us)
            add("crossing", _crossing_name(call.phase, last), call.phase, call.arrive_us)
            add("wait", "waits for the other unit", call.phase, call.leave_us)
        add("idle", "nothing to do", last, makespan_us)
    return Timeline(tuple(slices), makespan_us, run)


def _crossing_name(phase: int, last: int) -> str:
    """What the crossing after a phase is called; before phase 0 it is the input's way to the unit."""
    if phase < 0:
        return "input"
    if phase >= last:
        return "output"
    return "fork" if phase == 0 else "join" if phase == last - 1 else f"sync after phase {phase}"
