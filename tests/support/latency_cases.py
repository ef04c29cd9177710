"""A profile whose every number follows a law, so that predictions can be checked by hand."""

from __future__ import annotations

import dataclasses
import functools

from syncnas_bench import SIM_DEVICES, SimUnit
from syncnas_deploy.networks.config import ModelConfig, SyncOp
from syncnas_deploy.networks.widths import ratio_widths
from syncnas_deploy.prediction.curves import CurveShape
from syncnas_deploy.prediction.profile import (
    ContentionRow,
    DeviceProfile,
    HeldOutRow,
    LearningRow,
    NetworkRow,
    Point,
    PointRow,
    Sample,
    SyncPlace,
    SyncRow,
    base_digest,
)
from syncnas_deploy.profiling.parts import chain
from syncnas_deploy.profiling.width_design import curves_of

RATIOS = (1.0, 0.15, 1.4)
INVOCATION_US = 2.0
CONTENTION = (1.25, 1.1)
STEM_US, HEAD_US, SYNC_OP_US = 100.0, 200.0, 10.0
SYNC_US = {"fork": 3.0, "sync": 5.0, "join": 7.0}


def quick(name: str, speed: float = 8.0) -> tuple[SimUnit, SimUnit]:
    """The laws of a shipped simulated device with faster units, so that tests wait less."""
    first, second = (
        dataclasses.replace(law, macs_per_us=speed * law.macs_per_us, bytes_per_us=speed * law.bytes_per_us)
        for law in SIM_DEVICES[name]
    )
    return first, second


def exactly(us: float) -> Sample:
    """A quantity without noise."""
    return Sample((us, us, us), us, us, 30)


def law_us(unit: int, point: Point) -> float:
    """Latency of a point, an invocation included."""
    if point.part == "stem":
        return STEM_US + unit
    if point.part == "head":
        return HEAD_US + unit
    if point.part == "sync":
        return SYNC_OP_US + unit
    if point.part == "invocation":
        return INVOCATION_US + 0.25 * point.width
    width_us = 0.5 * point.width * (0.6 if point.halved else 1.0) * (1.0 + 0.5 * unit)
    return width_us + 20.0 + INVOCATION_US - (0.0 if point.expands else 6.0)


def crossing(trunk: int, place: SyncPlace, stage: int, op: SyncOp) -> SyncRow:
    """1 us of barrier, the rest uploads on both units."""
    upload_us = SYNC_US[place] - 1.0
    return SyncRow(trunk, place, stage, op, 1000, (0.0, 0.0), 1.0, (upload_us, upload_us), exactly(SYNC_US[place]))


def whole_us(base: ModelConfig, unit: int, ratio: float) -> float:
    """The base as one graph: its parts, and one invocation for all of them."""
    points = [part.point for part in chain(base, ratio_widths(base, ratio), SyncOp.ADD, 0, "") if part.of_network]
    return sum(law_us(unit, point) for point in points) - (len(points) - 1) * INVOCATION_US


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
        base=base.name,
        base_sha256=base_digest(base),
        stages=len(base.stages),
        units=("sim:left", "sim:right"),
        device={"name": "law"},
        versions={},
        condition={},
        created="2026-01-01T00:00:00+00:00",
        settings={"launches": "3", "rounds": "10"},
        warnings=("made by hand",),
        curves=curves_of(base),
        shapes=(CurveShape(smooth=0.0, steps=(0.0,) * 5, alignment=(0.0,) * 2, noise=1e-4),) * 2,
        points=tuple(points.values()),
        networks=tuple(NetworkRow(u, n, exactly(whole_us(base, u, r))) for u in (0, 1) for n, r in enumerate(RATIOS)),
        contention=tuple(ContentionRow(u, s, CONTENTION[u]) for u in (0, 1) for s in stages),
        syncs=tuple(syncs),
        jitter=(0.0, 0.0),
        learning=(LearningRow(0, 120, 0.03, 0.05), LearningRow(1, 120, 0.02, 0.04)),
        held_out=(HeldOutRow("nnnnnna", 0, False, (16,) * 17, (20,) * 17, 1030.0, exactly(1000.0)),),
        power=(),
    )
