"""What a network will take, from a profile's latency table.

predicted = stem + fork + sum over phases of max(both branches under contention) + syncs + join + head.
A segment of n parts (its sync's operation and its blocks) is the sum of its parts less n - 1 invocations. While
both branches run, each is slowed by its contention; once one has finished, the other goes on at its solo pace.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from syncnas_deploy.errors import ProfileMismatch
from syncnas_deploy.latency.points import WIDTH_STEP
from syncnas_deploy.latency.profile import DeviceProfile, LatencyTable
from syncnas_deploy.models.config import ModelConfig, SyncOp, branched, stage_outputs
from syncnas_deploy.models.segments import Segment, cut

SHORTEST_US = 0.01


@dataclass(frozen=True)
class SegmentPrediction:
    """One segment: alone on its unit, and beside its partner."""

    name: str
    branch: int
    solo_us: float
    concurrent_us: float


@dataclass(frozen=True)
class PhasePrediction:
    """One phase: its segments and the crossing to the next phase (0 after the last)."""

    segments: tuple[SegmentPrediction, ...]
    sync_us: float

    @property
    def us(self) -> float:
        """Until the later branch has finished."""
        return max(segment.concurrent_us for segment in self.segments)


@dataclass(frozen=True)
class Prediction:
    """A whole network, phase by phase."""

    phases: tuple[PhasePrediction, ...]

    @property
    def makespan_us(self) -> float:
        """First input ready to last output ready."""
        return sum(phase.us + phase.sync_us for phase in self.phases)

    @property
    def syncs_us(self) -> float:
        """Part of the makespan that is crossings."""
        return sum(phase.sync_us for phase in self.phases)


def predict(config: ModelConfig, base: ModelConfig, profile: DeviceProfile) -> Prediction:
    """The latency of a branched model, branch 0 on the profile's first unit and branch 1 on its second.

    Raises:
        ProfileMismatch: another base, a structure that is not the base's, or a missing entry.
    """
    profile.check_base(base)
    check_structure(config, base)
    table, segments = profile.table, cut(config)
    phases = []
    for number in range(segments[-1].phase + 1):
        members = [segment for segment in segments if segment.phase == number]
        solo = [segment_us(segment, table) for segment in members]
        times = concurrent_us(solo, [_contention(segment, table) for segment in members])
        rows = (
            SegmentPrediction(m.name, m.branch, alone, beside)
            for m, alone, beside in zip(members, solo, times, strict=True)
        )
        phases.append(PhasePrediction(tuple(rows), _crossing_us(config, segments, number, table)))
    return Prediction(tuple(phases))


def check_structure(config: ModelConfig, base: ModelConfig) -> None:
    """Refuse a config that is not two branches of `base` that differ from it in widths alone.

    Raises:
        ProfileMismatch: as said.
    """
    if config.strategy is None:
        raise ProfileMismatch(f"{config.name} has one branch; predict a branched model, or bench the base itself.")
    same = False
    if len(config.stages) == len(base.stages):
        widths = [[[b.expanded_channels for b in st.branches[i]] for st in config.stages] for i in (0, 1)]
        counts = [[len(stage.branches[0]) for stage in model.stages] for model in (config, base)]
        if counts[0] == counts[1] and config.stem == base.stem and config.head == base.head:
            twin = branched(base, config.strategy, widths, trunk=config.trunk)
            same = twin.stages == config.stages and twin.input_size == config.input_size
    if not same:
        raise ProfileMismatch(
            f"{config.name} differs from base {base.name} in more than its widths, so the profile says nothing of it."
        )


def segment_us(segment: Segment, table: LatencyTable) -> float:
    """Solo latency of one segment on the unit of its branch."""
    unit, parts = segment.branch, []
    if segment.stem:
        parts.append(table.fixed_us(unit, "stem"))
    if segment.sync is not SyncOp.NONE:
        assert segment.sync_stage is not None
        parts.append(table.fixed_us(unit, "sync", segment.sync_stage, segment.sync))
    for placed in segment.blocks:
        block = placed.block
        parts.append(
            table.block_us(
                unit,
                placed.stage,
                placed.index,
                _halved(segment, placed.stage),
                block.expanded_channels,
                block.expands,
            )
        )
    if segment.head:
        parts.append(table.fixed_us(unit, "head"))
    return max(SHORTEST_US, sum(parts) - (len(parts) - 1) * table.invocation_us(unit))


def _halved(segment: Segment, stage: int) -> bool:
    return segment.closing is SyncOp.CONCAT and stage == segment.blocks[-1].stage


def _contention(segment: Segment, table: LatencyTable) -> float:
    """Mean over the segment's blocks of their stages' contention; 1 where the segment runs alone."""
    if not segment.blocks:
        return 1.0
    return float(np.mean([table.contention(segment.branch, placed.stage) for placed in segment.blocks]))


def concurrent_us(solo: list[float], factors: list[float]) -> list[float]:
    """Latencies of one or two segments that start together.

    Until the shorter one ends, both are slowed by their factors; the rest of the longer runs at its solo pace.
    """
    if len(solo) == 1:
        return list(solo)
    slowed = [us * factor for us, factor in zip(solo, factors, strict=True)]
    first = int(slowed[1] < slowed[0])
    other = 1 - first
    times = [0.0, 0.0]
    times[first] = slowed[first]
    done = slowed[first] / factors[other]
    times[other] = slowed[first] + max(0.0, solo[other] - done)
    return times


def _crossing_us(config: ModelConfig, segments: tuple[Segment, ...], phase: int, table: LatencyTable) -> float:
    if phase == segments[-1].phase:
        return 0.0
    following = next(segment for segment in segments if segment.phase == phase + 1)
    if phase == 0:
        return table.sync_us(config.trunk, "fork", -1, SyncOp.NONE)
    assert following.sync_stage is not None
    if following.head:
        return table.sync_us(config.trunk, "join", following.sync_stage, following.sync)
    return table.sync_us(config.trunk, "sync", following.sync_stage, following.sync)


class ProfileCosts:
    """A profile as the width solver wants it: latencies under contention, microseconds.

    Satisfies `search.widths.CostTable`; branch b runs on unit b.
    """

    def __init__(self, profile: DeviceProfile, base: ModelConfig) -> None:
        profile.check_base(base)
        self._table, self._base = profile.table, base

    def block_us(
        self, branch: int, stage: int, block: int, halved: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Candidate widths, multiples of 4 ascending, and what each adds to a segment."""
        table = self._table
        xs, ys = table.curve(branch, stage, block, halved)
        kernels = self._base.stages[stage].branches[0][block].kernels
        first = -(-int(xs[0]) // WIDTH_STEP) * WIDTH_STEP
        widths = np.arange(first, int(xs[-1]) + 1, WIDTH_STEP, dtype=np.int64)
        widths = widths[(widths != self._input_width(branch, stage, block, halved)) & (widths >= len(kernels))]
        us = np.interp(widths, xs, ys) - table.invocation_us(branch)
        return widths, np.maximum(us, SHORTEST_US) * table.contention(branch, stage)

    def _input_width(self, branch: int, stage: int, block: int, halved: bool) -> int:
        blocks = self._base.stages[stage].branches[0]
        if block == 0 or not halved:
            return blocks[block].in_channels
        return stage_outputs(blocks[block - 1].out_channels, SyncOp.CONCAT)[branch]

    def invocation_us(self, branch: int) -> float:
        """Once a segment."""
        return max(0.0, self._table.invocation_us(branch))

    def sync_op_us(self, branch: int, stage: int, op: str) -> float:
        """ADD or CONCAT as a segment's first operation."""
        us = self._table.fixed_us(branch, "sync", stage, SyncOp(op)) - self._table.invocation_us(branch)
        return max(SHORTEST_US, us) * self._table.contention(branch, stage)

    def sync_us(self, stage: int, op: str) -> float:
        """Barrier and crossing both ways; it does not depend on the trunk, so the larger of both measurements."""
        return max(0.0, *(self._table.sync_us(trunk, "sync", stage, SyncOp(op)) for trunk in (0, 1)))

    def fork_us(self, trunk: int) -> float:
        """The stem's output crosses to the other branch."""
        return max(0.0, self._table.sync_us(trunk, "fork", -1, SyncOp.NONE))

    def stem_us(self, trunk: int) -> float:
        """Stem alone on the trunk's unit."""
        return self._table.fixed_us(trunk, "stem")

    def head_us(self, trunk: int, op: str) -> float:
        """Last sync's operation and head, as one segment on the trunk's unit."""
        last = len(self._base.stages) - 1
        sync = self._table.fixed_us(trunk, "sync", last, SyncOp(op))
        return self._table.fixed_us(trunk, "head") + sync - self._table.invocation_us(trunk)

    def join_us(self, trunk: int, op: str) -> float:
        """The other branch's last features cross to the trunk."""
        return max(0.0, self._table.sync_us(trunk, "join", len(self._base.stages) - 1, SyncOp(op)))
