"""How latencies over width covary: the covariance of a Gaussian process over all blocks of a unit.

Latency is not smooth in width. Kernels compute channels in tiles (32 at a time, say), so a width just above a
multiple costs nearly a tile more. Features that are not aligned to a vector are read more slowly. A line through a
few measured widths has no such steps and is wrong by 5 to 20 % between them. The sizes and places of the steps are much
the same for all blocks of a unit, so all blocks are fitted together:

    us(block, width) / us(block, base width) = width / base width + GP(0, k),    x = width / base width

    k = level + slope * x x' + smooth^2 * x x' * exp(-(ln x - ln x')^2 / (2 length^2)) * kin
      + sum over periods P of steps_P^2 * f f' * kin,          f = (-width mod P) / base width, unused in the last tile
      + sum over periods P of alignment_P^2 * x x' * [width = width' (mod P)] * kin
      + sum over kernels K of waste_K^2 * g_K g_K' * kin

A GPU that selects work groups by a rule (see `dispatch`) takes longer by what it dispatches for nothing, g_K. The mean
is then what the block dispatches, relative to the base width, instead of x.

`kin` says how alike two curves are. It has three parts: one shared by blocks of similar output size, one shared by a
block with full and with halved outputs, and one for each curve alone. Amplitudes maximise the marginal likelihood of
the measured times, under a prior that keeps them plausible where little was measured.

Source: Rasmussen & Williams, "Gaussian Processes for Machine Learning", 2006, chapters 2 and 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from syncnas_bench.work_groups import WorkGroupRule
from syncnas_deploy.arrays import Float64Array, Int64Array
from syncnas_deploy.blas import one_thread
from syncnas_deploy.prediction.curves import ALIGNMENT_PERIODS, STEP_PERIODS, Curve, CurveShape
from syncnas_deploy.prediction.dispatch import BlockGrid, GridTable

_LEVEL, _SLOPE = 0.1, 0.3
_KIN_BLOCK, _KIN_OWN = 0.4, 0.3
TINY = 1e-9
"""Added to the diagonal of a covariance, so that it can be factored."""


@dataclass(frozen=True)
class WidthPlaces:
    """Widths on curves: where something was measured, or could be. Each array is [n].

    Attributes:
        curve: index of the curve.
        width: expanded channels.
        base_width: the base's expanded channels there.
        log_size: log2 of the output size in pixels.
        block: index of the block; equal for its curves with full and with halved outputs.
        waste: with a rule, what is dispatched for nothing, [n, FEATURES]; otherwise [n, 0].
        mean: what a unit would take that pays for what it dispatches, relative to the base's width.
    """

    curve: Int64Array
    width: Int64Array
    base_width: Float64Array
    log_size: Float64Array
    block: Int64Array
    waste: Float64Array
    mean: Float64Array

    @classmethod
    def of(
        cls,
        curves: Sequence[Curve],
        pairs: Sequence[tuple[int, int]],
        grids: Sequence[BlockGrid] = (),
        rule: WorkGroupRule | None = None,
    ) -> WidthPlaces:
        """The places at pairs of (index of a curve, width), [n]."""
        index = np.array([curve for curve, _ in pairs], dtype=np.int64)
        width = np.array([width for _, width in pairs], dtype=np.int64)
        chosen = [curves[i] for i in index]
        blocks = {place: i for i, place in enumerate(dict.fromkeys((curve.stage, curve.block) for curve in curves))}
        base_width = np.array([curve.base_width for curve in chosen], dtype=np.float64)
        waste, mean = np.zeros((len(index), 0)), width / base_width
        if rule is not None and grids:
            waste, needed = GridTable.of([grids[i] for i in index]).waste(rule, width)
            mean = mean * needed + waste.sum(axis=1)
        return cls(
            curve=index,
            width=width,
            base_width=base_width,
            log_size=np.log2([curve.output_size for curve in chosen]),
            block=np.array([blocks[curve.stage, curve.block] for curve in chosen], dtype=np.int64),
            waste=waste,
            mean=np.asarray(mean),
        )

    @property
    def x(self) -> Float64Array:
        """Width relative to the base's, [n]."""
        return np.asarray(self.width / self.base_width)


class Grams:
    """The parts of the covariance of two sets of places that do not depend on amplitudes, each [n, m]."""

    def __init__(self, a: WidthPlaces, b: WidthPlaces) -> None:
        same = a.curve[:, None] == b.curve[None]
        xx = a.x[:, None] * b.x[None]
        unused = [
            ((-a.width % p) / a.base_width)[:, None] * ((-b.width % p) / b.base_width)[None] for p in STEP_PERIODS
        ]
        aligned = [xx * ((a.width % p)[:, None] == (b.width % p)[None]) for p in ALIGNMENT_PERIODS]
        wasted = [mine[:, None] * other[None] for mine, other in zip(a.waste.T, b.waste.T, strict=True)]
        self._shape = same.shape
        self._terms = np.stack([*unused, *aligned, *wasted]).reshape(-1, same.size)
        self._own = same * (_LEVEL**2 + _SLOPE**2 * xx)
        self._alike = _KIN_BLOCK**2 * (a.block[:, None] == b.block[None]) + _KIN_OWN**2 * same
        self._size_distance = np.abs(a.log_size[:, None] - b.log_size[None])
        self._xx, self._bend = xx, (np.log(a.x)[:, None] - np.log(b.x)[None]) ** 2
        # What was worked out last: most shapes that are tried differ from the one before in another number.
        self._kin: tuple[float, Float64Array] | None = None
        self._smooth: tuple[float, Float64Array] | None = None

    def covariance(self, shape: CurveShape) -> Float64Array:
        """The covariance k of the module's text, [n, m]."""
        if self._kin is None or self._kin[0] != shape.kinship:
            self._kin = shape.kinship, np.exp(-self._size_distance / shape.kinship) + self._alike
        if self._smooth is None or self._smooth[0] != shape.length:
            self._smooth = shape.length, self._xx * np.exp(-self._bend / (2 * shape.length**2))
        amplitudes = np.array([*shape.steps, *shape.alignment, *shape.waste])[: len(self._terms)]
        with one_thread():
            varied = (amplitudes**2 @ self._terms).reshape(self._shape)
        varied += shape.smooth**2 * self._smooth[1]
        varied *= self._kin[1]
        varied += self._own
        return np.asarray(varied)


def variance(places: WidthPlaces, shape: CurveShape) -> Float64Array:
    """The diagonal of the covariance of places with themselves, [n]."""
    varied = (shape.smooth**2 + sum(amplitude**2 for amplitude in shape.alignment)) * places.x**2
    for amplitude, p in zip(shape.steps, STEP_PERIODS, strict=True):
        varied += (amplitude * (-places.width % p) / places.base_width) ** 2
    for amplitude, waste in zip(shape.waste, places.waste.T, strict=False):
        varied += (amplitude * waste) ** 2
    kin = 1.0 + _KIN_BLOCK**2 + _KIN_OWN**2
    return np.asarray(_LEVEL**2 + _SLOPE**2 * places.x**2 + varied * kin)
