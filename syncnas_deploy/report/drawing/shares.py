"""Where a network's time goes by a profile: what each part adds on its unit, alone.

The time of a part is the time of one call of it, minus what a call itself costs (see `prediction.predict`). Its share
is that time over the whole time of its branch: the shares of a branch, its calls and its syncs add up to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from syncnas_deploy.errors import ProfileMismatch
from syncnas_deploy.networks.config import ModelConfig, SyncOp
from syncnas_deploy.networks.segments import Segment, cut
from syncnas_deploy.networks.widths import BlockKey
from syncnas_deploy.prediction.predict import SHORTEST_US, SegmentPrediction, predict
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.table import LatencyTable

STEM, HEAD = (-1, 0), (-2, 0)
"""Places of stem and head beside the blocks' (stage, index)."""

Place = tuple[int, int]


@dataclass(frozen=True)
class Shares:
    """A network's time, part by part.

    Attributes:
        unit_texts: by branch, as the profile names them.
        units: by branch, which of the profile's two it runs on.
        parts: by branch and place (stage and index of a block, `STEM` or `HEAD`), shares of the branch's time.
        segments: by name; one called "whole" where the network has one branch.
        syncs_us: of the crossing after each phase.
        total_us: of the whole network.
        measured: whether the total was measured (a profile's own base) and not predicted.
        simulated: whether the profile is of simulated units.
    """

    unit_texts: tuple[str, ...]
    units: tuple[int, ...]
    parts: Mapping[tuple[int, Place], float]
    segments: Mapping[str, SegmentPrediction]
    syncs_us: tuple[float, ...]
    total_us: float
    measured: bool
    simulated: bool


def shares(config: ModelConfig, profile: DeviceProfile, unit: int | None = None) -> Shares:
    """Share out a network's time.

    Args:
        config: the profile's base itself, or two branches of it.
        profile: of two units; branch b runs on unit b.
        unit: for a base, which of the profile's units it runs on; None for the faster one.

    Raises:
        ProfileMismatch: another base, a structure that is not the base's, or a missing entry.
    """
    simulated = profile.kind == "simulated"
    if config.branch_count == 1:
        profile.check_base(config)
        times = [profile.table.network_us(u) for u in (0, 1)]
        chosen = times.index(min(times)) if unit is None else unit
        (segment,) = cut(config)
        parts = part_times_us(segment, profile.table, chosen)
        total_us, times_us = times[chosen], sum(parts.values())
        row = SegmentPrediction(segment.name, 0, total_us, total_us)
        part_shares = {(0, place): us / times_us for place, us in parts.items()}
        texts = (profile.units[chosen],)
        return Shares(texts, (chosen,), part_shares, {row.name: row}, (), total_us, True, simulated)
    prediction = predict(config, profile)
    rows = {row.name: row for phase in prediction.phases for row in phase.segments}
    branch_us = [sum(row.solo_us for row in rows.values() if row.branch == branch) for branch in (0, 1)]
    part_shares = {
        (segment.branch, place): us / branch_us[segment.branch]
        for segment in cut(config)
        for place, us in part_times_us(segment, profile.table, segment.branch).items()
    }
    syncs_us = tuple(phase.sync_us for phase in prediction.phases[:-1])
    return Shares(profile.units, (0, 1), part_shares, rows, syncs_us, prediction.makespan_us, False, simulated)


def part_times_us(segment: Segment, table: LatencyTable, unit: int) -> dict[Place, float]:
    """What stem, blocks and head of a segment add to it on a unit, microseconds.

    Raises:
        ProfileMismatch: a missing entry.
    """
    once_us = table.invocation_us(unit)
    times: dict[Place, float] = {}
    if segment.stem:
        # A stem that is a segment of its own is one invocation, which is then part of its time.
        times[STEM] = table.fixed_us(unit, "stem") - (once_us if segment.blocks else 0.0)
    for placed in segment.blocks:
        block, stage = placed.block, placed.stage
        halved = segment.closing is SyncOp.CONCAT and stage == segment.blocks[-1].stage
        key = BlockKey(stage, placed.index, halved)
        us = table.block_us(unit, key, block.expanded_channels, expands=block.expands)
        times[stage, placed.index] = us - once_us
    if segment.head:
        times[HEAD] = table.fixed_us(unit, "head") - once_us
    return {place: max(SHORTEST_US, us) for place, us in times.items()}


def unit_of(profile: DeviceProfile, units: tuple[str, ...], branch_count: int) -> int | None:
    """Which of the profile's units a base runs on by the named ones; None for two branches, or where none is named.

    Raises:
        ProfileMismatch: the profile was measured on other units.
    """
    if not units:
        return None
    if branch_count == 1 and len(units) == 1 and units[0] in profile.units:
        return profile.units.index(units[0])
    if branch_count == 2 and units == profile.units:
        return None
    raise ProfileMismatch(
        f"The profile was measured on {' and '.join(profile.units)}, not on {' and '.join(units)}; "
        f"name {'both of these in this order' if branch_count == 2 else 'one of these'}, or none."
    )
