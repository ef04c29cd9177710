"""Rows of a device profile. Each row is what was measured of one thing. The classes are the file's schema.

All latencies are microseconds of one inference of batch 1. Units are 0 and 1, as in `DeviceProfile.units`.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta, Struct
from numpy.typing import NDArray

from syncnas_deploy.networks.config import MAX_BLOCKS, MAX_CHANNELS, MAX_STAGES, ModelConfig, SyncOp, branched
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.widths import BlockKey, Widths
from syncnas_deploy.prediction.curves import Curve, CurveShape

Part = Literal["stem", "block", "sync", "head", "invocation"]
SyncPlace = Literal["fork", "sync", "join"]
Place = Literal["stage", "stem", "head"]
PowerState = Literal["idle", "unit_0", "unit_1", "both"]

INVOCATION_OPS = (1, 9)
"""Numbers of trivial operations in two graphs. Their times, extrapolated to no operation, are the invocation."""

LAUNCH_DISAGREEMENT = 0.25
"""Relative range of medians over launches. A larger one makes a profile carry a warning."""
MAX_US = 1e9
LEAST_US = 1e-3
"""No latency is shorter: the clock of the runner tells nanoseconds."""
MAX_ROWS = 100_000
MAX_UNITS = 8
"""Units of a profile, those that run whole networks alone included."""

_RowCount = Meta(max_length=MAX_ROWS)
_Jitter = Annotated[float, Meta(ge=0, le=100)]
UnitIndex = Annotated[int, Meta(ge=0, le=1)]
StageIndex = Annotated[int, Meta(ge=-1, le=MAX_STAGES)]
BlockIndex = Annotated[int, Meta(ge=-1, le=MAX_BLOCKS)]
Width = Annotated[int, Meta(ge=0, le=MAX_CHANNELS)]
Microseconds = Annotated[float, Meta(ge=0, le=MAX_US)]
Share = Annotated[float, Meta(ge=0, le=1)]
FlatWidths = Annotated[
    tuple[Annotated[int, Meta(ge=1, le=MAX_CHANNELS)], ...], Meta(min_length=1, max_length=MAX_STAGES * MAX_BLOCKS)
]
SignedMicroseconds = Annotated[float, Meta(ge=-MAX_US, le=MAX_US)]


class LaunchSample(Struct, frozen=True, forbid_unknown_fields=True):
    """One quantity over several launches: each launch's median, and the spread of all samples.

    Attributes:
        launches_us: median of each launch, [launches].
        p10_us, p90_us: percentiles over all samples of all launches.
        count: number of samples.
    """

    launches_us: Annotated[tuple[SignedMicroseconds, ...], Meta(min_length=1, max_length=1000)]
    p10_us: SignedMicroseconds
    p90_us: SignedMicroseconds
    count: Annotated[int, Meta(ge=1, le=10**9)]

    def __post_init__(self) -> None:
        # Launches of different lengths may have their median outside of all samples' percentiles, and not all of them.
        if not self.p10_us <= self.p90_us or self.p10_us > max(self.launches_us) or self.p90_us < min(self.launches_us):
            raise ValueError("has a p10, medians and a p90 that do not rise in this order")
        if self.count < len(self.launches_us):
            raise ValueError("has fewer samples than launches")

    @property
    def median_us(self) -> float:
        """Median of the launches' medians: one launch that reads wrong does not move it."""
        return statistics.median(self.launches_us)

    @property
    def disagreement(self) -> float:
        """Range of the launches' medians relative to their median."""
        return (max(self.launches_us) - min(self.launches_us)) / max(abs(self.median_us), 1e-9)

    @property
    def differs(self) -> bool:
        """Whether the launches disagree so much that a reader should know."""
        return self.disagreement > LAUNCH_DISAGREEMENT

    @classmethod
    def of(cls, launches: Iterable[NDArray[np.float64]]) -> LaunchSample:
        """The statistics of raw samples: for each launch an array [samples], microseconds."""
        arrays = [np.asarray(a, dtype=np.float64) for a in launches]
        pooled = np.concatenate(arrays)
        low, high = np.percentile(pooled, [10, 90])
        medians = tuple(round(float(np.median(a)), 3) for a in arrays)
        return cls(medians, round(float(low), 3), round(float(high), 3), int(pooled.size))


class Point(Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the base whose latency is measured.

    Attributes:
        part: stem, block, sync (the ADD or CONCAT itself), head (without a sync) or invocation (of trivial operations).
        stage, block: place in the base model; -1 where the part has none.
        op: ADD or CONCAT of a sync; NONE otherwise.
        halved: whether each branch gives half of the stage's output channels (CONCAT).
        width: expanded channels of a block, operations of an invocation; 0 otherwise.
        expands: whether the block has a pointwise expansion.
    """

    part: Part
    stage: StageIndex = -1
    block: BlockIndex = -1
    op: SyncOp = SyncOp.NONE
    halved: bool = False
    width: Width = 0
    expands: bool = False

    @property
    def key(self) -> BlockKey:
        """The block, where the part is one."""
        return BlockKey(self.stage, self.block, self.halved)


class PointRow(Struct, frozen=True, forbid_unknown_fields=True):
    """Solo latency of one point on one unit."""

    unit: UnitIndex
    point: Point
    sample: LaunchSample


DIFFERING = re.compile(r"\d+ of \d+ points differed by more than \d+% between launches")


def differing_text(points: Sequence[PointRow]) -> str:
    """How many points the launches disagree about, as a sentence; "" for none."""
    count = sum(row.sample.differs for row in points)
    told = f"{count} of {len(points)} points differed by more than {LAUNCH_DISAGREEMENT:.0%} between launches"
    return told if count else ""


class NetworkRow(Struct, frozen=True, forbid_unknown_fields=True):
    """Solo latency of a whole network of one branch as one graph.

    Attributes:
        unit: index in `DeviceProfile.whole_units`.
        pair: the width pair whose full widths it has; pair 0 has the base's.
        widths: expanded channels in running order; None in profiles of before 0.3.
    """

    unit: Annotated[int, Meta(ge=0, lt=MAX_UNITS)]
    pair: Annotated[int, Meta(ge=0, le=MAX_ROWS)]
    sample: LaunchSample
    widths: FlatWidths | None = None

    def full_widths(self, base: ModelConfig) -> Widths:
        """The widths of its one branch."""
        flat = base.widths.flat()[0] if self.widths is None else self.widths
        return Widths.from_flat([flat], base.widths.depths)


class ContentionRow(Struct, frozen=True, forbid_unknown_fields=True):
    """Latency in a network of two branches over solo latency, on one unit.

    Attributes:
        stage: the stage whose blocks it is of; -1 for stem and head.
        part: the stem and the head have their phase for themselves, while the other unit waits for them: it polls, and
            what it has just written is not in this unit's caches. Missing in profiles of before 0.3.
    """

    unit: UnitIndex
    stage: StageIndex
    factor: Annotated[float, Meta(ge=0.1, le=1000)]
    part: Place = "stage"


class SyncRow(Struct, frozen=True, forbid_unknown_fields=True):
    """A crossing between the units at one place.

    Attributes:
        trunk: the branch that runs stem and head; only fork and join differ by it.
        place: fork (stem to the other branch), sync (both ways after `stage`) or join (to the head).
        bytes: size of each feature map that crosses.
        downloads_us: by unit, from the end of its work until the other unit can read its features.
        barrier_us: from the later unit's arrival until both go on.
        uploads_us: by unit, from going on until the other's features are visible on it.
        sample: the whole overhead as measured, from the later end to the later begin. It is less than the sum of the
            parts where one unit's download falls into the other's work.
        slept: share of the runs in which the unit that waited slept; in the others it polled. 0 in profiles of before
            0.3.
    """

    trunk: UnitIndex
    place: SyncPlace
    stage: StageIndex
    op: SyncOp
    bytes: Annotated[int, Meta(ge=0, le=2**40)]
    downloads_us: tuple[Microseconds, Microseconds]
    barrier_us: Microseconds
    uploads_us: tuple[Microseconds, Microseconds]
    sample: LaunchSample
    slept: Annotated[float, Meta(ge=0, le=1)] = 0.0


class LearningRow(Struct, frozen=True, forbid_unknown_fields=True):
    """How well the points so far predicted the next ones, before these were used.

    Attributes:
        points: number of the unit's points so far.
        network_error: relative error of the sum of a chain's blocks; the larger one of both chains.
        point_error: relative error of a block, in the median.
    """

    unit: UnitIndex
    points: Annotated[int, Meta(ge=0, le=MAX_ROWS)]
    network_error: Annotated[float, Meta(ge=0, le=1e6)]
    point_error: Annotated[float, Meta(ge=0, le=1e6)]


class HeldOutRow(Struct, frozen=True, forbid_unknown_fields=True):
    """A random network that the table was not made from, measured with both branches at once.

    Attributes:
        widths: expanded channels, [branch][block of the network]; see `Widths.flat`.
        predicted_us: makespan by the profile's own table, when the profile was made.
        sample: measured makespan.
    """

    strategy: Annotated[str, Meta(min_length=1, max_length=MAX_STAGES)]
    placement: Placement
    widths: tuple[FlatWidths, FlatWidths]
    predicted_us: Microseconds
    sample: LaunchSample

    @property
    def error(self) -> float:
        """Predicted over measured, less 1."""
        return self.predicted_us / self.sample.median_us - 1

    def config(self, base: ModelConfig, name: str) -> ModelConfig:
        """The network itself.

        Raises:
            StrategyError, ConfigError, ValueError: strategy or widths do not fit `base`.
        """
        widths = Widths.from_flat(self.widths, base.widths.depths)
        return branched(base, self.strategy, widths, name=name, placement=self.placement)


class PowerRow(Struct, frozen=True, forbid_unknown_fields=True):
    """What the device drew in one state.

    Attributes:
        state: which of its two units worked.
        watts: mean power of the whole device.
        busy: by unit, the share of the time in a call, 0 to 1.
    """

    state: PowerState
    watts: Annotated[float, Meta(ge=0, le=1e6)]
    busy: tuple[Share, Share]


class MeasuredRows(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a latency table is made of.

    Attributes:
        curves: the blocks whose width varies.
        shapes: by unit, what its curves have in common; fitted to the points when the profile was made.
        jitter: by unit, the relative standard deviation of a segment's time from run to run.
    """

    curves: Annotated[tuple[Curve, ...], _RowCount]
    shapes: tuple[CurveShape, CurveShape]
    points: Annotated[tuple[PointRow, ...], _RowCount]
    networks: Annotated[tuple[NetworkRow, ...], _RowCount]
    contention: Annotated[tuple[ContentionRow, ...], _RowCount]
    syncs: Annotated[tuple[SyncRow, ...], _RowCount]
    jitter: tuple[_Jitter, _Jitter]
