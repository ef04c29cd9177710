"""The latency table: look-ups on a profile's rows. A missing entry raises; nothing guesses."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from syncnas_deploy.arrays import Float64Array, Int64Array
from syncnas_deploy.errors import ProfileMismatch
from syncnas_deploy.networks.config import ModelConfig, SyncOp
from syncnas_deploy.networks.resizing import step_multiples
from syncnas_deploy.networks.widths import BlockKey
from syncnas_deploy.prediction.curve_model import CurveModel
from syncnas_deploy.prediction.curves import Curve, CurveShape
from syncnas_deploy.prediction.dispatch import grids_of
from syncnas_deploy.prediction.rows import (
    INVOCATION_OPS,
    MeasuredRows,
    Part,
    Place,
    Point,
    PointRow,
    SyncPlace,
    SyncRow,
)

K = TypeVar("K")
V = TypeVar("V")


def curve_model(
    base: ModelConfig, curves: Sequence[Curve], points: Iterable[PointRow], unit: int, shape: CurveShape | None = None
) -> CurveModel:
    """The curves of one unit from its measured points."""
    index = {curve.key: i for i, curve in enumerate(curves)}
    measured = {
        (index[row.point.key], row.point.width): row.sample.median_us
        for row in points
        if row.unit == unit and row.point.part == "block" and row.point.expands
    }
    return CurveModel(curves, measured, shape, grids_of(base))


class LatencyTable:
    """Look-ups on a profile's rows. Unit 0 runs branch 0, unit 1 runs branch 1. All latencies are microseconds."""

    def __init__(self, base: ModelConfig, rows: MeasuredRows) -> None:
        self._fixed: dict[tuple[int, Part, int, SyncOp], float] = {}
        self._narrow: dict[tuple[int, BlockKey], float] = {}
        self._index = {curve.key: i for i, curve in enumerate(rows.curves)}
        self._widths: dict[tuple[int, BlockKey], list[int]] = defaultdict(list)
        for row in rows.points:
            point, latency_us = row.point, row.sample.median_us
            key = (row.unit, point.key)
            if point.part == "invocation":
                continue
            if point.part != "block":
                self._fixed[row.unit, point.part, point.stage, point.op] = latency_us
            elif point.expands:
                self._widths[key].append(point.width)
            else:
                self._narrow[key] = latency_us
        self._models = tuple(
            curve_model(base, rows.curves, rows.points, unit, shape) for unit, shape in enumerate(rows.shapes)
        )
        self._curves: dict[tuple[int, BlockKey], tuple[Int64Array, Float64Array]] = {}
        self._contention = {(row.unit, row.stage): row.factor for row in rows.contention if row.part == "stage"}
        self._waited: dict[tuple[int, Place], float] = {
            (row.unit, row.part): row.factor for row in rows.contention if row.part != "stage"
        }
        self._syncs = {(row.trunk, row.place, row.stage, row.op): row for row in rows.syncs}
        self._networks = {(row.unit, row.pair): row.sample.median_us for row in rows.networks}
        trivial = {(r.unit, r.point.width): r.sample.median_us for r in rows.points if r.point.part == "invocation"}
        savings = _savings_us(base, rows)
        self._invocation = {
            unit: _invocation_us(trivial, unit, savings[unit]) for unit, ops in trivial if ops == INVOCATION_OPS[0]
        }
        self.jitter = rows.jitter

    def _missing(self, what: str) -> ProfileMismatch:
        return ProfileMismatch(f"The profile has no entry for {what}; measure it again with `profile`.")

    def _entry(self, entries: Mapping[K, V], key: K, what: str) -> V:
        if key not in entries:
            raise self._missing(what)
        return entries[key]

    def fixed_us(self, unit: int, part: Part, stage: int = -1, op: SyncOp = SyncOp.NONE) -> float:
        """Latency of the stem, the head or a sync's own operation, as one invocation.

        Raises:
            ProfileMismatch: not measured.
        """
        where = f"of stage {stage + 1} " if stage >= 0 else ""
        return self._entry(self._fixed, (unit, part, stage, op), f"the {part} {where}on unit {unit}")

    def block_us(self, unit: int, key: BlockKey, width: int, *, expands: bool = True) -> float:
        """Latency of one block as one invocation, by its curve over expanded width.

        Raises:
            ProfileMismatch: not measured, or the width is outside the measured range.
        """
        if not expands:
            if (unit, key) not in self._narrow:
                raise self._missing(f"{key} on unit {unit} without an expansion (width {width} equals its input)")
            return self._narrow[unit, key]
        widths, latencies_us = self.curve(unit, key)
        at = int(np.searchsorted(widths, width))
        if at < len(widths) and widths[at] == width:
            return float(latencies_us[at])
        if not widths[0] <= width <= widths[-1]:
            raise self._missing(f"{key} on unit {unit} at width {width} (measured: {widths[0]} to {widths[-1]})")
        return float(self._models[unit].predict(self._index[key], np.array([width]))[0][0])

    def curve(self, unit: int, key: BlockKey) -> tuple[Int64Array, Float64Array]:
        """A block's latency over width.

        Returns:
            Widths, multiples of 4 within the measured range, ascending, [n], and the latency at each, [n].

        Raises:
            ProfileMismatch: not measured.
        """
        if (unit, key) not in self._curves:
            if (unit, key) not in self._widths:
                raise self._missing(f"{key} on unit {unit}")
            measured = self._widths[unit, key]
            widths = step_multiples(min(measured), max(measured))
            self._curves[unit, key] = widths, self._models[unit].predict(self._index[key], widths)[0]
        return self._curves[unit, key]

    def curve_with_deviation(self, unit: int, key: BlockKey, widths: Int64Array) -> tuple[Float64Array, Float64Array]:
        """A block's latency at widths, [n] each: microseconds, and their standard deviations relative to them.

        Raises:
            ProfileMismatch: the profile has no such curve.
        """
        return self._models[unit].predict(self._entry(self._index, key, f"{key} on unit {unit}"), widths)

    def contention(self, unit: int, stage: int) -> float:
        """Concurrent over solo latency in a stage, both units at work.

        Raises:
            ProfileMismatch: not measured.
        """
        return self._entry(self._contention, (unit, stage), f"contention of stage {stage + 1} on unit {unit}")

    def waited(self, unit: int, part: Place) -> float:
        """Latency of the stem or the head, while the other unit waits for it, over solo latency; 1 if not measured."""
        return self._waited.get((unit, part), 1.0)

    def worst_contention(self, unit: int) -> float:
        """The largest contention of any stage, at least 1.

        Raises:
            ProfileMismatch: none was measured.
        """
        factors = [factor for (u, _), factor in self._contention.items() if u == unit]
        if not factors:
            raise self._missing(f"contention on unit {unit}")
        return max(1.0, *factors)

    def crossing(self, trunk: int, place: SyncPlace, stage: int, op: SyncOp) -> SyncRow:
        """The crossing at one place, with its parts.

        Raises:
            ProfileMismatch: not measured.
        """
        return self._entry(self._syncs, (trunk, place, stage, op), f"the {place} after stage {stage + 1} ({op.value})")

    def network_us(self, unit: int) -> float:
        """Latency of the whole base network on one unit.

        Raises:
            ProfileMismatch: not measured.
        """
        return self._entry(self._networks, (unit, 0), f"the base network on unit {unit}")

    def invocation_us(self, unit: int) -> float:
        """Latency of calling a graph, whatever is in it. Each part was measured with it; a segment has it once.

        Raises:
            ProfileMismatch: not measured.
        """
        return self._entry(self._invocation, unit, f"the invocation overhead of unit {unit}")


def _invocation_us(trivial: Mapping[tuple[int, int], float], unit: int, savings_us: Sequence[float]) -> float:
    """What a part takes less inside a larger graph.

    The times of graphs with few and with many trivial operations, extrapolated to no operation, are the least that it
    can be. On a GPU it is more: later operations are submitted while earlier ones run, so only in trivial graphs do
    they take a time of their own. What whole networks take less than their parts decides between that and a graph of
    one operation.

    Args:
        trivial: latency by (unit, number of operations).
        unit: of whom.
        savings_us: what a part takes less in a whole network, by network.
    """
    few, many = INVOCATION_OPS
    per_op_us = max(0.0, trivial.get((unit, many), trivial[unit, few]) - trivial[unit, few]) / (many - few)
    least_us = max(0.0, trivial[unit, few] - few * per_op_us)
    return min(max(least_us, statistics.median(savings_us)), trivial[unit, few]) if savings_us else least_us


def _savings_us(base: ModelConfig, rows: MeasuredRows) -> Mapping[int, list[float]]:
    """What each part takes less in a whole network than alone, by unit: one number for each network."""
    parts_us = {(row.unit, row.point): row.sample.median_us for row in rows.points}
    found: dict[int, list[float]] = defaultdict(list)
    for network in rows.networks:
        points = [Point("stem"), Point("head")]
        widths = network.full_widths(base)
        for _, s, i, block in base.blocks():
            sized = block.resized(
                expanded=widths[0, s, i], in_channels=block.in_channels, out_channels=block.out_channels
            )
            points.append(Point("block", s, i, width=sized.expanded_channels, expands=sized.expands))
        times = [parts_us.get((network.unit, point)) for point in points]
        if network.widths is not None and None not in times:
            found[network.unit].append((sum(us for us in times if us) - network.sample.median_us) / (len(times) - 1))
    return found
