"""DeviceProfile: what was measured on one device for one base model, and the latency table made of it.

The profile keeps the statistics of every point in every launch; `LatencyTable` is derived from them, never stored.
All latencies are microseconds of one inference of batch 1.
"""

from __future__ import annotations

import hashlib
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from syncnas_deploy.errors import ProfileMismatch
from syncnas_deploy.latency.points import Part, Point
from syncnas_deploy.models.config import ModelConfig, SyncOp
from syncnas_deploy.models.formats import config_to_json

Kind = Literal["measured", "simulated"]
SyncPlace = Literal["fork", "sync", "join"]


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
    """Solo latency of the whole base network as one graph, its widths at a ratio."""

    unit: int
    ratio: float
    sample: Sample


@dataclass(frozen=True)
class InvocationRow:
    """Overhead of an invocation: (sum of a chain's parts - the same network as one graph) / (parts - 1)."""

    unit: int
    ratio: float
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
class DeviceProfile:
    """Measurements of one base model on two units of one device, with their provenance."""

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
    points: tuple[PointRow, ...]
    networks: tuple[NetworkRow, ...]
    invocations: tuple[InvocationRow, ...]
    contention: tuple[ContentionRow, ...]
    syncs: tuple[SyncRow, ...]

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


Curve = tuple[NDArray[np.int64], NDArray[np.float64]]


class LatencyTable:
    """Look-ups on a profile. A missing entry raises; nothing guesses."""

    def __init__(self, profile: DeviceProfile) -> None:
        self._units = profile.units
        self._fixed: dict[tuple[int, Part, int, SyncOp], float] = {}
        self._narrow: dict[tuple[int, int, int, bool], float] = {}
        widths: dict[tuple[int, int, int, bool], list[tuple[int, float]]] = defaultdict(list)
        for row in profile.points:
            point, us = row.point, row.sample.us
            key = (row.unit, point.stage, point.block, point.halved)
            if point.part != "block":
                self._fixed[row.unit, point.part, point.stage, point.op] = us
            elif point.expands:
                widths[key].append((point.width, us))
            else:
                self._narrow[key] = us
        self._curves = {key: _monotone(rows) for key, rows in widths.items()}
        self._contention = {(row.unit, row.stage): row.factor for row in profile.contention}
        self._syncs = {(row.trunk, row.place, row.stage, row.op): row for row in profile.syncs}
        self._networks = {(row.unit, row.ratio): row.sample.us for row in profile.networks}
        overheads: dict[int, list[float]] = defaultdict(list)
        for invocation in profile.invocations:
            overheads[invocation.unit].append(invocation.sample.us)
        self._invocation = {unit: statistics.median(values) for unit, values in overheads.items()}

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
        """One block as one invocation, interpolated over its expanded width.

        Raises:
            ProfileMismatch: not measured, or the width is outside the measured range.
        """
        where = f"stage {stage + 1} block {block + 1} on unit {unit}"
        key = (unit, stage, block, halved)
        if not expands:
            if key not in self._narrow:
                raise self._missing(f"{where} without an expansion (width {width} equals its input)")
            return self._narrow[key]
        xs, ys = self.curve(unit, stage, block, halved)
        if not xs[0] <= width <= xs[-1]:
            raise self._missing(f"{where} at width {width} (measured: {xs[0]} to {xs[-1]})")
        return float(np.interp(width, xs, ys))

    def curve(self, unit: int, stage: int, block: int, halved: bool) -> Curve:
        """Measured widths of a block and its latencies there, made monotone.

        Raises:
            ProfileMismatch: not measured.
        """
        try:
            return self._curves[unit, stage, block, halved]
        except KeyError:
            raise self._missing(f"stage {stage + 1} block {block + 1} on unit {unit}") from None

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
            return self._networks[unit, 1.0]
        except KeyError:
            raise self._missing(f"the base network on unit {unit}") from None

    def invocation_us(self, unit: int) -> float:
        """What each further invocation adds when a network is run part by part and not as one graph.

        Raises:
            ProfileMismatch: not measured.
        """
        try:
            return self._invocation[unit]
        except KeyError:
            raise self._missing(f"the invocation overhead of unit {unit}") from None


def _monotone(rows: list[tuple[int, float]]) -> Curve:
    """Latency may not fall as width grows: pool adjacent violators (isotonic regression, Barlow et al., 1972)."""
    rows = sorted(rows)
    pools: list[tuple[float, int]] = []
    for _, us in rows:
        pools.append((us, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, n), (b, m) = pools[-2:]
            pools[-2:] = [((a * n + b * m) / (n + m), n + m)]
    ys = [us for us, n in pools for _ in range(n)]
    return np.array([w for w, _ in rows], dtype=np.int64), np.array(ys)
