"""Where the time of an inference goes: predicted or measured, the same parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.prediction.predict import Circumstances, Prediction, predict
from syncnas_deploy.prediction.profile import DeviceProfile

FAST_CROSSING_US = 10.0
"""About what a crossing takes where both units see the same memory."""


@dataclass(frozen=True)
class SegmentTime:
    """A segment: its stretch and branch, and its latency alone and beside its partner, microseconds.

    A stretch is what lies between two points where the branches meet: a phase, or two after stems on both branches.
    """

    stretch: int
    branch: int
    solo_us: float
    concurrent_us: float


@dataclass(frozen=True)
class Breakdown:
    """Parts of a makespan, microseconds; all but the last add up to it.

    Attributes:
        alone_us: segments in whose stretch the other unit has nothing to do, such as stem and head.
        work_us: the longer branch of each other stretch, at the pace that it has alone.
        contention_us: how much longer that branch takes since the other unit works, too.
        crossings_us: from the later branch's end to the later begin of the next phase.
        waiting_us: how much later than in the median the later of two branches ends.
        idle_us: by branch, how long it waits for the other one. It is no part of the sum.
    """

    alone_us: float
    work_us: float
    contention_us: float
    crossings_us: float
    waiting_us: float
    idle_us: tuple[float, float]


def breakdown(
    segments: Sequence[SegmentTime], crossings_us: Sequence[float], makespan_us: float, waiting_us: float = 0.0
) -> Breakdown:
    """The parts of a makespan.

    Args:
        segments: of the network.
        crossings_us: of each crossing.
        makespan_us: the whole.
        waiting_us: expected waits of the later branch, as far as they are told apart.
    """
    alone_us = contention_us = 0.0
    idle_us = [0.0, 0.0]
    for stretch in {segment.stretch for segment in segments}:
        members = [segment for segment in segments if segment.stretch == stretch]
        busy_us = [sum(s.concurrent_us for s in members if s.branch == branch) for branch in (0, 1)]
        longest_us = max(busy_us)
        if min(busy_us) == 0:
            alone_us += longest_us
        else:
            longer = busy_us.index(longest_us)
            contention_us += longest_us - sum(s.solo_us for s in members if s.branch == longer)
        for branch in (0, 1):
            idle_us[branch] += longest_us - busy_us[branch]
    rest_us = makespan_us - alone_us - contention_us - sum(crossings_us) - waiting_us
    return Breakdown(alone_us, rest_us, contention_us, sum(crossings_us), waiting_us, (idle_us[0], idle_us[1]))


def of_prediction(prediction: Prediction) -> Breakdown:
    """The parts of a predicted makespan."""
    segments = [
        SegmentTime(number + (not phase.meet), segment.branch, segment.solo_us, segment.concurrent_us)
        for number, phase in enumerate(prediction.phases)
        for segment in phase.segments
    ]
    waiting_us = sum(phase.wait_us for phase in prediction.phases)
    return breakdown(segments, prediction.crossings_us, prediction.makespan_us, waiting_us)


def outlook(config: ModelConfig, profile: DeviceProfile) -> tuple[float, float]:
    """What a network would take with crossings of `FAST_CROSSING_US` at most, and without contention. Microseconds."""
    fast, free = Circumstances(crossing_us=FAST_CROSSING_US), Circumstances(contention=False)
    return predict(config, profile, fast).makespan_us, predict(config, profile, free).makespan_us
