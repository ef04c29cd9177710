"""The latency of a network, predicted from a profile's latency table.

The network is walked phase by phase. Each branch's segment ends after its time under contention. Its features are
downloaded. Both branches meet at the barrier. Each uploads its partner's features and begins its next segment. So where
two branches take the same time, predicted = stem + fork + sum of segments + syncs + join + head. After stems on both
branches nothing crosses: each goes on by itself.

A segment of n parts (its sync's operation and its blocks) is the sum of its parts less n - 1 invocations. While
both branches run, each is slowed by its contention. Once one has finished, the other goes on at its solo pace.

Times vary from run to run, and at a barrier the later of two branches counts. Where both take about the same time,
the later one takes longer than either does in the median. That wait is added, from the profile's jitter.
Source: Clark, "The greatest of a finite set of random variables", Operations Research 1961.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from syncnas_deploy.errors import ProfileMismatch
from syncnas_deploy.networks.config import ModelConfig, SyncOp, branched
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.resizing import keeps_expansion
from syncnas_deploy.networks.segments import Segment, cut
from syncnas_deploy.networks.widths import BlockKey
from syncnas_deploy.prediction.profile import DeviceProfile, differences
from syncnas_deploy.prediction.rows import SyncPlace, SyncRow
from syncnas_deploy.prediction.table import LatencyTable
from syncnas_deploy.prediction.width_steps import on_step
from syncnas_deploy.shown import Drawn, Tabled, brief, ms_text

SHORTEST_US = 0.01


@dataclass(frozen=True)
class SegmentPrediction:
    """One segment's latency, microseconds: alone on its unit, and beside its partner.

    Attributes:
        begin_us: after the start of the run.
        arrive_us: when what the partner reads of its output has been downloaded.
    """

    name: str
    branch: int
    solo_us: float
    concurrent_us: float
    begin_us: float = 0.0
    arrive_us: float = 0.0


@dataclass(frozen=True)
class PhasePrediction:
    """One phase: its segments, and the crossing to the next phase.

    Attributes:
        sync_us: sync overhead, from the later branch's end to the later begin of the next phase; 0 after the last.
        wait_us: how much later the later branch ends than either does in the median.
        released_us: when both branches leave the barrier after it; after the last phase, the makespan.
        meet: whether there is that barrier. After stems on both branches each goes on by itself.
    """

    segments: tuple[SegmentPrediction, ...]
    sync_us: float
    wait_us: float
    released_us: float = 0.0
    meet: bool = True


@dataclass(frozen=True, repr=False)
class Prediction(Tabled, Drawn):
    """A whole network, phase by phase.

    Attributes:
        makespan_us: from the first input ready to the last output ready.
        energy_mj: of one inference besides the idle device, millijoules; None where the profile has no power.
        config, profile: what was predicted, and from what; for its picture.
    """

    phases: tuple[PhasePrediction, ...]
    makespan_us: float
    energy_mj: float | None
    config: ModelConfig | None = field(default=None, compare=False)
    profile: DeviceProfile | None = field(default=None, compare=False)

    def __repr__(self) -> str:
        name = self.config.name if self.config else ""
        error = self.profile.expected_error if self.profile else None
        within = "" if error is None else f"9 of 10 within {error:.1%}"
        energy = "" if self.energy_mj is None else f"{self.energy_mj:.3f} mJ"
        return brief("Prediction", name, f"{ms_text(self.makespan_us)} ms", within, energy)

    def rows(self) -> list[dict[str, object]]:
        """The segments, a row each; latencies in microseconds."""
        return [
            {
                "name": segment.name,
                "branch": segment.branch,
                "phase": number,
                "solo_us": segment.solo_us,
                "concurrent_us": segment.concurrent_us,
            }
            for number, phase in enumerate(self.phases)
            for segment in phase.segments
        ]

    @property
    def crossings_us(self) -> tuple[float, ...]:
        """What each crossing takes of the makespan, in running order, microseconds."""
        return tuple(phase.sync_us for phase in self.phases[:-1] if phase.meet)

    @property
    def syncs_us(self) -> float:
        """The part of the makespan that crossings take, microseconds."""
        return sum(self.crossings_us)


@dataclass(frozen=True)
class Circumstances:
    """What is unlike the time at which the profile was made, or is asked about.

    Attributes:
        slowness: by unit, how much longer its work takes than in the profile, [2].
        contention: whether the units slow each other down.
        crossing_us: the most that a crossing takes, microseconds; None: as long as in the profile.
    """

    slowness: tuple[float, float] = (1.0, 1.0)
    contention: bool = True
    crossing_us: float | None = None

    def segment_us(self, unit: int, alone_us: float, loaded_us: float) -> tuple[float, float]:
        """A segment's latency alone and with the other unit at work, from the profile's."""
        slower = self.slowness[unit]
        return alone_us * slower, (loaded_us if self.contention else alone_us) * slower

    def crossing(self, row: SyncRow) -> SyncRow:
        """A crossing, from the profile's."""
        whole_us = _total_us(row)
        if self.crossing_us is None or whole_us <= self.crossing_us:
            return row
        part = self.crossing_us / whole_us
        downloads, uploads = (tuple(part * us for us in both) for both in (row.downloads_us, row.uploads_us))
        return msgspec.structs.replace(
            row, downloads_us=downloads, barrier_us=part * row.barrier_us, uploads_us=uploads
        )


AS_PROFILED = Circumstances()


def predict(config: ModelConfig, profile: DeviceProfile, given: Circumstances = AS_PROFILED) -> Prediction:
    """The latency of a branched model, branch b on the profile's unit b.

    Raises:
        ProfileMismatch: a structure that is not that of the profile's base, or a missing entry.
    """
    check_structure(config, profile.base)
    table, segments = profile.table, cut(config)
    phases: list[PhasePrediction] = []
    begins = {0: 0.0, 1: 0.0}
    end = 0.0
    by_phase = [[s for s in segments if s.phase == number] for number in range(segments[-1].phase + 1)]
    latencies = [
        [given.segment_us(m.branch, *segment_us(m, table, alone=len(members) == 1)) for m in members]
        for members in by_phase
    ]
    # Both branches work through a stem of their own and the next segment, until one of them is done with both.
    stretch_us = min(map(sum, zip(*([loaded for _, loaded in pair] for pair in latencies[:2]), strict=False)))
    for number, (members, both) in enumerate(zip(by_phase, latencies, strict=True)):
        solo, loaded = ([pair[place] for pair in both] for place in (0, 1))
        parting = config.twin_stem and number < 2
        times = concurrent_us(solo, loaded, [stretch_us - begins[m.branch] for m in members] if parting else None)
        ends = {m.branch: begins[m.branch] + us for m, us in zip(members, times, strict=True)}
        wait_us, meet = 0.0, number > 0 or not config.twin_stem
        if len(members) == 2 and meet:
            deviation_us = [us * relative for us, relative in zip(times, table.jitter, strict=True)]
            wait_us = later_wait_us(list(ends.values()), deviation_us)
        end, sync_us = max(ends.values()) + wait_us, 0.0
        began, arrived, released_us = begins, ends, end
        if not meet:
            begins, released_us = ends, 0.0
        elif number < segments[-1].phase:
            row = given.crossing(_crossing(config, segments, number, table))
            arrived = {branch: us + row.downloads_us[branch] for branch, us in ends.items()}
            released_us = max(arrived.values()) + row.barrier_us + wait_us
            begins = {branch: released_us + row.uploads_us[branch] for branch in (0, 1)}
            followers = [segment.branch for segment in segments if segment.phase == number + 1]
            sync_us = max(begins[branch] for branch in followers) - end
        rows = (
            SegmentPrediction(m.name, m.branch, u, v, began[m.branch], arrived[m.branch])
            for m, u, v in zip(members, solo, times, strict=True)
        )
        phases.append(PhasePrediction(tuple(rows), sync_us, wait_us, released_us, meet))
    return Prediction(tuple(phases), end, _energy_mj(phases, profile), config, profile)


def _energy_mj(phases: Sequence[PhasePrediction], profile: DeviceProfile) -> float | None:
    if profile.power_model is None:
        return None
    total_mj = 0.0
    for phase in phases:
        busy_us = {segment.branch: segment.concurrent_us for segment in phase.segments}
        total_mj += profile.power_model.phase_mj([busy_us.get(unit, 0.0) for unit in (0, 1)])
    return total_mj


def later_wait_us(mean_us: Sequence[float], deviation_us: Sequence[float]) -> float:
    """Expected value of the larger of two normal times, less the larger of their means.

    Args:
        mean_us: the means, [2].
        deviation_us: the standard deviations, [2].
    """
    spread = math.hypot(*deviation_us)
    if spread <= 0:
        return 0.0
    apart = abs(mean_us[0] - mean_us[1]) / spread
    density = math.exp(-(apart**2) / 2) / math.sqrt(2 * math.pi)
    return spread * (density - apart * (1 - 0.5 * (1 + math.erf(apart / math.sqrt(2)))))


def check_structure(config: ModelConfig, base: ModelConfig) -> None:
    """Refuse a config that is not two branches of `base`. Only its widths may differ from the base's.

    Raises:
        ProfileMismatch: it has one branch, or more than its widths differs; the number of classes counts, too.
    """
    if config.strategy is None and not differences(config, base):
        raise ProfileMismatch(f"{config.name} has one branch; predict a branched model, or bench the base itself.")
    alike = config.stem == base.stem and config.head == base.head and config.classes == base.classes
    if config.strategy is not None and alike and config.widths.depths == base.widths.depths:
        twin = branched(base, config.strategy, config.widths, placement=config.placement)
        if twin.stages == config.stages and twin.input_size == config.input_size:
            return
    raise ProfileMismatch(
        f"{config.name} differs from base {base.name} in more than its widths, so the profile cannot predict it"
        f"{differences(config, base, ': ')}; measure a profile for its own base."
    )


def segment_us(segment: Segment, table: LatencyTable, *, alone: bool) -> tuple[float, float]:
    """Latency of one segment on the unit of its branch.

    It is one invocation, and each part less the invocation that it was measured with. A stem or head that is `alone` in
    its phase is slowed by the unit that waits for it. A stem beside another stem is slowed as the first stage is.

    Returns:
        Microseconds: without the other unit, and with it throughout.
    """
    unit = segment.branch
    once_us = table.invocation_us(unit)
    if segment.stem:
        us = table.fixed_us(unit, "stem")
        return us, us * (table.waited(unit, "stem") if alone else table.contention(unit, 0))
    parts = []
    if segment.sync is not SyncOp.NONE:
        assert segment.sync_stage is not None
        sync_us = table.fixed_us(unit, "sync", segment.sync_stage, segment.sync)
        parts.append((sync_us, table.contention(unit, segment.sync_stage)))
    for placed in segment.blocks:
        block, stage = placed.block, placed.stage
        key = BlockKey(stage, placed.index, _halved(segment, stage))
        us = table.block_us(unit, key, block.expanded_channels, expands=block.expands)
        parts.append((us, table.contention(unit, stage)))
    if segment.head:
        parts.append((table.fixed_us(unit, "head"), 1.0))
        solo_us = once_us + sum(max(SHORTEST_US, us - once_us) for us, _ in parts)
        return solo_us, solo_us * table.waited(unit, "head")
    rest = [(max(SHORTEST_US, us - once_us), factor) for us, factor in parts]
    solo_us = once_us + sum(us for us, _ in rest)
    loaded_us = once_us * table.worst_contention(unit) + sum(us * factor for us, factor in rest)
    return solo_us, loaded_us


def _halved(segment: Segment, stage: int) -> bool:
    return segment.closing is SyncOp.CONCAT and stage == segment.blocks[-1].stage


def concurrent_us(
    solo: Sequence[float], loaded: Sequence[float], together: Sequence[float] | None = None
) -> list[float]:
    """Latencies of one or two segments of a phase, microseconds, [1] or [2].

    One segment has the other unit beside it throughout: that unit waits. Of two, until the shorter one ends, both are
    slowed; the rest of the longer one runs at its solo pace.

    Args:
        solo: latency of each alone, [1] or [2].
        loaded: latency of each with the other unit at work throughout, [1] or [2].
        together: how long the other unit works on, from the begin of each, [1] or [2]; None: they begin together.
    """
    together = [min(loaded)] * len(loaded) if together is None else together
    both = [min(max(us, 0.0), loaded_us) for us, loaded_us in zip(together, loaded, strict=True)]
    return [us + (1 - us / loaded_us) * alone for alone, loaded_us, us in zip(solo, loaded, both, strict=True)]


def _crossing(config: ModelConfig, segments: tuple[Segment, ...], phase: int, table: LatencyTable) -> SyncRow:
    if phase == 0:
        return table.crossing(config.trunk, "fork", -1, SyncOp.NONE)
    following = next(segment for segment in segments if segment.phase == phase + 1)
    assert following.sync_stage is not None
    place: SyncPlace = "join" if following.head else "sync"
    return table.crossing(config.trunk, place, following.sync_stage, following.sync)


class ProfileCosts:
    """A profile as a table of costs for the width solver: latencies under contention, microseconds.

    Satisfies `search.widths.solver.CostTable`. Branch b runs on unit b.

    Args:
        profile: of a base model.
        placement: where stem and head run.
        width_step: widths are multiples of it, channels; None: of what the profile says of each unit.
    """

    def __init__(self, profile: DeviceProfile, placement: Placement, width_step: int | None = None) -> None:
        self._steps = profile.width_steps if width_step is None else (width_step, width_step)
        self._table, self._base, self.placement = profile.table, profile.base, placement
        # Solved widths balance the branches of a segment. The later one then takes longer by this factor.
        # See `later_wait_us`.
        self._balance = 1 + math.hypot(*profile.jitter) / math.sqrt(2 * math.pi)

    def block_us(self, branch: int, key: BlockKey) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Widths that a block may take, ascending, [n], and what each adds to a segment, [n]."""
        widths, latencies_us = self._table.curve(branch, key)
        kept = keeps_expansion(self._base, key, widths, branch) & on_step(widths, self._steps[branch])
        added_us = np.maximum(latencies_us[kept] - self._table.invocation_us(branch), SHORTEST_US)
        return widths[kept], added_us * self._table.contention(branch, key.stage) * self._balance

    def invocation_us(self, branch: int) -> float:
        """Latency of calling a segment; each segment has it once."""
        return self._table.invocation_us(branch) * self._table.worst_contention(branch) * self._balance

    def sync_op_us(self, branch: int, stage: int, op: str) -> float:
        """Upload of the partner's features, and ADD or CONCAT as a segment's first operation."""
        us = self._table.fixed_us(branch, "sync", stage, SyncOp(op)) - self._table.invocation_us(branch)
        upload_us = max(self._sync(trunk, stage, op).uploads_us[branch] for trunk in (0, 1))
        return upload_us + max(SHORTEST_US, us) * self._table.contention(branch, stage) * self._balance

    def sync_us(self, stage: int, op: str) -> float:
        """The slower unit's download, and the barrier. The trunk should not matter, so the larger of both counts."""
        rows = [self._sync(trunk, stage, op) for trunk in (0, 1)]
        return max(max(row.downloads_us) + row.barrier_us for row in rows)

    def _sync(self, trunk: int, stage: int, op: str) -> SyncRow:
        return self._table.crossing(trunk, "sync", stage, SyncOp(op))

    def fork_us(self) -> float:
        """Crossing of the stem's output to the other branch. Where both branches have a stem, none."""
        if self.placement.twin_stem:
            return 0.0
        return _total_us(self._table.crossing(self.placement.trunk, "fork", -1, SyncOp.NONE))

    def stem_us(self) -> float:
        """The stem, alone on the trunk's unit; where both units run one at once, the faster of both."""
        if self.placement.twin_stem:
            return min(self._twin_stems_us())
        trunk = self.placement.trunk
        return self._table.fixed_us(trunk, "stem") * self._table.waited(trunk, "stem")

    def late_us(self, branch: int) -> float:
        """How much longer a branch's own stem takes than the other one's, where both have one."""
        stems_us = self._twin_stems_us()
        return stems_us[branch] - min(stems_us) if self.placement.twin_stem else 0.0

    def _twin_stems_us(self) -> list[float]:
        return [self._table.fixed_us(b, "stem") * self._table.contention(b, 0) * self._balance for b in (0, 1)]

    def head_us(self, op: str) -> float:
        """The last sync's operation and the head, as one segment on the trunk's unit."""
        last, trunk = len(self._base.stages) - 1, self.placement.trunk
        once_us = self._table.invocation_us(trunk)
        parts = (self._table.fixed_us(trunk, "sync", last, SyncOp(op)), self._table.fixed_us(trunk, "head"))
        return (once_us + sum(max(SHORTEST_US, us - once_us) for us in parts)) * self._table.waited(trunk, "head")

    def join_us(self, op: str) -> float:
        """Crossing of the other branch's last features to the trunk."""
        return _total_us(self._table.crossing(self.placement.trunk, "join", len(self._base.stages) - 1, SyncOp(op)))


def fastest_placement(profile: DeviceProfile) -> Placement:
    """Where stem and head run fastest, by the table.

    Raises:
        ProfileMismatch: a missing entry.
    """

    def ends_us(placement: Placement) -> float:
        costs = ProfileCosts(profile, placement)
        stems_us = costs.stem_us() + max(costs.late_us(branch) for branch in (0, 1))
        return stems_us + costs.fork_us() + costs.head_us("a") + costs.join_us("a")

    return min((Placement(trunk, twin) for twin in (False, True) for trunk in (0, 1)), key=ends_us)


def _total_us(row: SyncRow) -> float:
    return max(row.downloads_us) + row.barrier_us + max(row.uploads_us)
