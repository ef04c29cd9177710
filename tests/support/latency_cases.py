"""A profile whose every number follows a law, so that predictions can be checked by hand."""

from __future__ import annotations

import dataclasses
import functools

from syncnas_bench import SIM_DEVICES, SimUnit
from syncnas_deploy.networks.config import ModelConfig, SyncOp
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.resizing import ratio_widths
from syncnas_deploy.prediction.curves import CurveShape, curves_of
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.rows import (
    ContentionRow,
    HeldOutRow,
    LaunchSample,
    LearningRow,
    NetworkRow,
    Place,
    Point,
    PointRow,
    SyncPlace,
    SyncRow,
)
from syncnas_deploy.profiling.parts import chain

RATIOS = (1.0, 0.15, 1.4)
INVOCATION_US = (2.0, 3.5)
CONTENTION = ((1.25, 1.30, 1.20, 1.35, 1.15, 1.40, 1.10), (1.10, 1.06, 1.14, 1.04, 1.12, 1.02, 1.08))
"""By [unit][stage]: no two alike, so that whatever mixes up units or stages shows."""
STEM_US, HEAD_US = (100.0, 130.0), (200.0, 250.0)
WAITED: dict[Place, tuple[float, float]] = {"stem": (1.2, 1.15), "head": (1.1, 1.05)}
"""By part and unit: how much longer it takes while the other unit waits."""
"""By unit."""


def quick(name: str, speed: float = 8.0) -> tuple[SimUnit, SimUnit]:
    """The laws of a shipped simulated device with faster units, so that tests wait less."""
    laws = [
        dataclasses.replace(law, macs_per_us=speed * law.macs_per_us, bytes_per_us=speed * law.bytes_per_us)
        for law in SIM_DEVICES[name]
    ]
    return laws[0], laws[1]


def exactly(latency_us: float) -> LaunchSample:
    """A quantity without noise."""
    return LaunchSample((latency_us,) * 3, latency_us, latency_us, 30)


def sync_op_us(unit: int, stage: int, op: SyncOp) -> float:
    """The ADD or CONCAT after a stage, as one invocation."""
    return 10.0 + unit + 0.5 * stage + (4.0 if op is SyncOp.CONCAT else 0.0)


def law_us(unit: int, point: Point) -> float:
    """Latency of a point, an invocation included. A block with halved outputs takes more than half of a whole one."""
    if point.part == "stem":
        return STEM_US[unit]
    if point.part == "head":
        return HEAD_US[unit]
    if point.part == "sync":
        return sync_op_us(unit, point.stage, point.op)
    if point.part == "invocation":
        return INVOCATION_US[unit] + 0.25 * point.width
    width_us = 0.5 * point.width * (0.6 if point.halved else 1.0) * (1.0 + 0.5 * unit)
    return width_us + 20.0 + INVOCATION_US[unit] - (0.0 if point.expands else 6.0)


def crossing(trunk: int, place: SyncPlace, stage: int, op: SyncOp) -> SyncRow:
    """A crossing whose every part differs by trunk, unit and place; unit 1 takes longer than unit 0."""
    scale = {"fork": 1.0, "sync": 2.0, "join": 3.0}[place] * (1.0 + 0.25 * trunk)
    scale *= 1.5 if op is SyncOp.CONCAT else 1.0
    downloads_us = (0.5 * scale, 1.25 * scale)
    uploads_us = (0.75 * scale, 2.0 * scale)
    if place == "fork":
        downloads_us = tuple(us if unit == trunk else 0.0 for unit, us in enumerate(downloads_us))
        uploads_us = tuple(us if unit != trunk else 0.0 for unit, us in enumerate(uploads_us))
    elif place == "join":
        downloads_us = tuple(us if unit != trunk else 0.0 for unit, us in enumerate(downloads_us))
        uploads_us = tuple(us if unit == trunk else 0.0 for unit, us in enumerate(uploads_us))
    barrier_us = 0.3 * scale
    total_us = max(downloads_us) + barrier_us + max(uploads_us)
    return SyncRow(trunk, place, stage, op, 1000, downloads_us, barrier_us, uploads_us, exactly(total_us))


def whole_us(base: ModelConfig, unit: int, ratio: float) -> float:
    """The base as one graph: its parts, and one invocation for all of them."""
    points = [part.point for part in chain(base, ratio_widths(base, ratio), SyncOp.ADD, 0, "")]
    points = [point for point in points if point.part in ("stem", "block", "head")]
    return sum(law_us(unit, point) for point in points) - (len(points) - 1) * INVOCATION_US[unit]


STRAIGHT = CurveShape(smooth=0.0, steps=(0.0,) * 5, alignment=(0.0,) * 2, noise=1e-4)


@functools.cache
def law_profile(base: ModelConfig) -> DeviceProfile:
    """A whole profile by the law."""
    points: dict[tuple[int, Point], PointRow] = {}
    for unit in (0, 1):
        for ratio in RATIOS:
            for op in (SyncOp.ADD, SyncOp.CONCAT):
                for part in chain(base, ratio_widths(base, ratio), op, 0, ""):
                    points[unit, part.point] = PointRow(unit, part.point, exactly(law_us(unit, part.point)))
    stages = range(len(base.stages))
    last = len(base.stages) - 1
    syncs = [crossing(trunk, "fork", -1, SyncOp.NONE) for trunk in (0, 1)]
    for trunk in (0, 1):
        for op in (SyncOp.ADD, SyncOp.CONCAT):
            syncs += [crossing(trunk, "sync", s, op) for s in range(last)]
            syncs.append(crossing(trunk, "join", last, op))
    return DeviceProfile(
        kind="simulated",
        base=base,
        units=("sim:left", "sim:right"),
        device={"name": "law"},
        versions={},
        condition={},
        created="2026-01-01T00:00:00+00:00",
        settings={"launches": "3", "rounds": "10"},
        warnings=("made by hand",),
        curves=curves_of(base),
        shapes=(STRAIGHT, STRAIGHT),
        points=tuple(points.values()),
        networks=tuple(NetworkRow(u, n, exactly(whole_us(base, u, r))) for u in (0, 1) for n, r in enumerate(RATIOS)),
        contention=(
            *(ContentionRow(u, s, CONTENTION[u][s]) for u in (0, 1) for s in stages),
            *(ContentionRow(u, -1, factor, part) for part, both in WAITED.items() for u, factor in enumerate(both)),
        ),
        syncs=tuple(syncs),
        jitter=(0.0, 0.0),
        learning=(LearningRow(0, 120, 0.03, 0.02), LearningRow(1, 120, 0.02, 0.01)),
        held_out=(HeldOutRow("nnnnnna", Placement(), ((16,) * 17, (20,) * 17), 1030.0, exactly(1000.0)),),
        power=(),
    )
