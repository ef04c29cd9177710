"""DeviceProfile: what was measured on one device for one base model, and the latency table made of it.

The profile keeps the statistics of every point in every launch; `LatencyTable` is derived from them, never stored.
All latencies are microseconds of one inference of batch 1.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from syncnas_deploy.errors import ProfileMismatch
from syncnas_deploy.networks.config import ModelConfig, SyncOp
from syncnas_deploy.networks.formats import config_to_json
from syncnas_deploy.prediction.curves import Curve, CurveModel, CurveShape
from syncnas_deploy.prediction.energy import PowerModel, PowerRow

Kind = Literal["measured", "simulated"]
SyncPlace = Literal["fork", "sync", "join"]


Part = Literal["stem", "block", "sync", "head", "invocation"]

INVOCATION_OPS = (1, 9)
"""Operations on next to nothing, in one graph: with one of them and with several, what is left is the invocation."""


@dataclass(frozen=True)
class Point:
    """What was measured.

    Attributes:
        part: stem, block, sync (the ADD or CONCAT itself), head (without a sync) or invocation (of trivial operations).
        stage, block: place in the base model; -1 where the part has none.
        op: of a sync.
        halved: whether the stage's outputs are shared by the branches (CONCAT).
        width: expanded channels of a block, operations of an invocation; 0 otherwise.
        expands: whether the block has a pointwise expansion.
    """

    part: Part
    stage: int = -1
    block: int = -1
    op: SyncOp = SyncOp.NONE
    halved: bool = False
    width: int = 0
    expands: bool = False


@dataclass(frozen=True)
class Sample:
    """One quantity over several launches: each launch's median and, pooled, its spread.

    Attributes:
        launches_us: median of each launch.
        p10_us, p90_us: percentiles over all samples of all launches.
        count: samples in all.
    """

    launches_us: tuple[float, ...]
    p10_us: float
    p90_us: float
    count: int

    @property
    def us(self) -> float:
        """Median of the launches' medians: one launch that reads wrong does not move it."""
        return statistics.median(self.launches_us)

    @property
    def disagreement(self) -> float:
        """Range of the launches' medians relative to their median."""
        return (max(self.launches_us) - min(self.launches_us)) / max(abs(self.us), 1e-9)

    @classmethod
    def of(cls, launches: Iterable[NDArray[np.float64]]) -> Sample:
        """From the raw samples of each launch, microseconds."""
        arrays = [np.asarray(a, dtype=np.float64) for a in launches]
        pooled = np.concatenate(arrays)
        low, high = np.percentile(pooled, [10, 90])
        medians = tuple(round(float(np.median(a)), 3) for a in arrays)
        return cls(medians, round(float(low), 3), round(float(high), 3), int(pooled.size))


@dataclass(frozen=True)
class PointRow:
    """Solo latency of one point on one unit."""

    unit: int
    point: Point
    sample: Sample


@dataclass(frozen=True)
class NetworkRow:
    """Solo latency of a whole network of one branch as one graph; chain 0 has the base's widths."""

    unit: int
    chain: int
    sample: Sample


@dataclass(frozen=True)
class ContentionRow:
    """Concurrent latency over solo latency on one unit in one stage."""

    unit: int
    stage: int
    factor: float


@dataclass(frozen=True)
class SyncRow:
    """Crossing between the units at one place.

    Attributes:
        trunk: the branch that runs stem and head; only fork and join differ by it.
        place: fork (stem to the other branch), sync (both ways after `stage`) or join (to the head).
        bytes: what each crossing feature map holds.
        downloads_us: by unit, from the end of its work until its features can be read by the other.
        barrier_us: from the later unit's arrival until both go on.
        uploads_us: by unit, from going on until the other's features are visible on it.
        sample: the overhead as measured there, later end to later begin; it is less than the sum of the parts
            where one unit's download falls into the other's work.
    """

    trunk: int
    place: SyncPlace
    stage: int
    op: SyncOp
    bytes: int
    downloads_us: tuple[float, float]
    barrier_us: float
    uploads_us: tuple[float, float]
    sample: Sample


@dataclass(frozen=True)
class LearningRow:
    """How well the points so far predicted the next ones, before these were used.

    Attributes:
        points: of the unit, so far.
        network_error: of a chain's blocks in sum, relative; the larger of both chains.
        point_error: of a block, relative, in the median.
    """

    unit: int
    points: int
    network_error: float
    point_error: float


@dataclass(frozen=True)
class HeldOutRow:
    """A random network, both branches at once, that the table was not made from.

    Attributes:
        first_widths, second_widths: expanded channels of each branch's blocks, in order.
        predicted_us: makespan, by the profile's own table when it was made.
        sample: makespan as measured.
    """

    strategy: str
    trunk: int
    twin_stem: bool
    first_widths: tuple[int, ...]
    second_widths: tuple[int, ...]
    predicted_us: float
    sample: Sample

    @property
    def error(self) -> float:
        """Predicted over measured, less 1."""
        return self.predicted_us / self.sample.us - 1


@dataclass(frozen=True)
class DeviceProfile:
    """Measurements of one base model on two units of one device, with their provenance.

    Attributes:
        curves: the blocks whose width varies.
        shapes: what the curves of each unit have in common; fitted to the points when the profile was made.
        jitter: how much a segment's time varies from run to run, standard deviation relative to it, by unit.
        learning: how prediction got better with more points.
        held_out: how far it is off for networks that the table was not made from.
        power: what the device drew in four states; empty where no meter told.
    """

    kind: Kind
    base: str
    base_sha256: str
    stages: int
    units: tuple[str, str]
    device: Mapping[str, str]
    versions: Mapping[str, str]
    condition: Mapping[str, str]
    created: str
    settings: Mapping[str, str]
    warnings: tuple[str, ...]
    curves: tuple[Curve, ...]
    shapes: tuple[CurveShape, ...]
    points: tuple[PointRow, ...]
    networks: tuple[NetworkRow, ...]
    contention: tuple[ContentionRow, ...]
    syncs: tuple[SyncRow, ...]
    jitter: tuple[float, float]
    learning: tuple[LearningRow, ...]
    held_out: tuple[HeldOutRow, ...]
    power: tuple[PowerRow, ...]

    def with_held_out(self, rows: tuple[HeldOutRow, ...]) -> DeviceProfile:
        """A copy that tells how far it is off."""
        return dataclasses.replace(self, held_out=rows)

    @property
    def expected_error(self) -> float | None:
        """What 9 of 10 predictions are within, relative, by the held-out networks; None where there are none."""
        if not self.held_out:
            return None
        return float(np.quantile([abs(row.error) for row in self.held_out], 0.9))

    def check_base(self, base: ModelConfig) -> None:
        """Refuse another base model than the one that was measured.

        Raises:
            ProfileMismatch: as said.
        """
        if self.base != base.name or self.base_sha256 != base_digest(base):
            raise ProfileMismatch(
                f"The profile was measured for base {self.base!r}, not for {base.name!r} as it is here; "
                f"measure again with: syncnas-deploy profile --base {base.name}."
            )

    @cached_property
    def power_model(self) -> PowerModel | None:
        """What each unit draws; None where no meter told."""
        return PowerModel.of(self.power) if self.power else None

    @cached_property
    def table(self) -> LatencyTable:
        """The latency table made of the rows."""
        return LatencyTable(self)


def flat_text(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Facts of any JSON kind as a flat mapping of texts; nested names are joined by dots."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flat_text(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(value)
    return flat


def base_digest(base: ModelConfig) -> str:
    """sha256 of a config's content, so that a profile knows its base even under the same name."""
    value = {k: v for k, v in config_to_json(base).items() if k not in ("name", "source")}
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


CURVE_STEP = 4
"""A table answers for the multiples of 4 (and the measured widths) within the measured range."""


def curve_model(
    curves: Sequence[Curve], points: Iterable[PointRow], unit: int, shape: CurveShape | None = None
) -> CurveModel:
    """The curves of one unit from its measured points."""
    index = {(curve.stage, curve.block, curve.halved): i for i, curve in enumerate(curves)}
    measured = {
        (index[row.point.stage, row.point.block, row.point.halved], row.point.width): row.sample.us
        for row in points
        if row.unit == unit and row.point.part == "block" and row.point.expands
    }
    return CurveModel(curves, measured, shape)


class LatencyTable:
    """Look-ups on a profile. A missing entry raises; nothing guesses."""

    def __init__(self, profile: DeviceProfile) -> None:
        self._units = profile.units
        self._fixed: dict[tuple[int, Part, int, SyncOp], float] = {}
        self._narrow: dict[tuple[int, int, int, bool], float] = {}
        self._index = {(curve.stage, curve.block, curve.halved): i for i, curve in enumerate(profile.curves)}
        self._widths: dict[tuple[int, int, int, bool], list[int]] = defaultdict(list)
        for row in profile.points:
            point, us = row.point, row.sample.us
            key = (row.unit, point.stage, point.block, point.halved)
            if point.part == "invocation":
                continue
            if point.part != "block":
                self._fixed[row.unit, point.part, point.stage, point.op] = us
            elif point.expands:
                self._widths[key].append(point.width)
            else:
                self._narrow[key] = us
        self._models = tuple(
            curve_model(profile.curves, profile.points, unit, shape) for unit, shape in enumerate(profile.shapes)
        )
        self._curves: dict[tuple[int, int, int, bool], tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
        self._contention = {(row.unit, row.stage): row.factor for row in profile.contention}
        self._syncs = {(row.trunk, row.place, row.stage, row.op): row for row in profile.syncs}
        self._networks = {(row.unit, row.chain): row.sample.us for row in profile.networks}
        trivial = {(r.unit, r.point.width): r.sample.us for r in profile.points if r.point.part == "invocation"}
        self._invocation = {unit: _invocation_us(trivial, unit) for unit, ops in trivial if ops == INVOCATION_OPS[0]}
        self.jitter = profile.jitter

    def _missing(self, what: str) -> ProfileMismatch:
        return ProfileMismatch(f"The profile has no entry for {what}; measure it again with `profile`.")

    def fixed_us(self, unit: int, part: Part, stage: int = -1, op: SyncOp = SyncOp.NONE) -> float:
        """Stem, head or a sync's own operation, as one invocation.

        Raises:
            ProfileMismatch: not measured.
        """
        try:
            return self._fixed[unit, part, stage, op]
        except KeyError:
            raise self._missing(f"the {part} {f'of stage {stage + 1} ' if stage >= 0 else ''}on unit {unit}") from None

    def block_us(self, unit: int, stage: int, block: int, halved: bool, width: int, expands: bool = True) -> float:
        """One block as one invocation, by the curve of its unit over expanded width.

        Raises:
            ProfileMismatch: not measured, or the width is outside the measured range.
        """
        where = f"stage {stage + 1} block {block + 1} on unit {unit}"
        key = (unit, stage, block, halved)
        if not expands:
            if key not in self._narrow:
                raise self._missing(f"{where} without an expansion (width {width} equals its input)")
            return self._narrow[key]
        widths, us = self.curve(unit, stage, block, halved)
        at = int(np.searchsorted(widths, width))
        if at < len(widths) and widths[at] == width:
            return float(us[at])
        if not widths[0] <= width <= widths[-1]:
            raise self._missing(f"{where} at width {width} (measured: {widths[0]} to {widths[-1]})")
        return float(self._models[unit].predict(self._index[key[1:]], np.array([width]))[0][0])

    def curve(self, unit: int, stage: int, block: int, halved: bool) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Widths of a block, multiples of 4 within the measured range, and its latencies there.

        Raises:
            ProfileMismatch: not measured.
        """
        key = (unit, stage, block, halved)
        if key not in self._curves:
            if key not in self._widths:
                raise self._missing(f"stage {stage + 1} block {block + 1} on unit {unit}")
            low, high = min(self._widths[key]), max(self._widths[key])
            widths = np.arange(-(-low // CURVE_STEP) * CURVE_STEP, high + 1, CURVE_STEP, dtype=np.int64)
            self._curves[key] = widths, self._models[unit].predict(self._index[key[1:]], widths)[0]
        return self._curves[key]

    def contention(self, unit: int, stage: int) -> float:
        """Concurrent over solo latency in a stage, both units at work.

        Raises:
            ProfileMismatch: not measured.
        """
        try:
            return self._contention[unit, stage]
        except KeyError:
            raise self._missing(f"contention of stage {stage + 1} on unit {unit}") from None

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
        """A crossing's parts.

        Raises:
            ProfileMismatch: not measured.
        """
        try:
            return self._syncs[trunk, place, stage, op]
        except KeyError:
            raise self._missing(f"the {place} after stage {stage + 1} ({op.value})") from None

    def network_us(self, unit: int) -> float:
        """The whole base network on one unit.

        Raises:
            ProfileMismatch: not measured.
        """
        try:
            return self._networks[unit, 0]
        except KeyError:
            raise self._missing(f"the base network on unit {unit}") from None

    def invocation_us(self, unit: int) -> float:
        """What calling a graph takes, whatever is in it: each part was measured with it, a segment has it once.

        Raises:
            ProfileMismatch: not measured.
        """
        try:
            return self._invocation[unit]
        except KeyError:
            raise self._missing(f"the invocation overhead of unit {unit}") from None


def _invocation_us(trivial: Mapping[tuple[int, int], float], unit: int) -> float:
    """Time of graphs of few and of many trivial operations, extrapolated to none."""
    few, many = INVOCATION_OPS
    per_op_us = (trivial.get((unit, many), trivial[unit, few]) - trivial[unit, few]) / (many - few)
    return max(0.0, trivial[unit, few] - few * max(0.0, per_op_us))
