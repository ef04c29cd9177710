"""Latency over expanded width: one Gaussian process over all blocks that were measured on a unit.

Latency is not smooth in width. Kernels compute channels in tiles (32 at a time, say), so a width just above a
multiple costs nearly a tile more. Features that are not aligned to a vector are read more slowly. A line through a
few measured widths has no such steps and is wrong by 5 to 20 % between them. The sizes and places of the steps are much
the same for all blocks of a unit, so all blocks are fitted together:

    us(block, width) / us(block, base width) = width / base width + GP(0, k),    x = width / base width

    k = level + slope * x x' + smooth^2 * x x' * exp(-(ln x - ln x')^2 / (2 length^2)) * kin
      + sum over periods P of steps_P^2 * f f' * kin,          f = (-width mod P) / base width, unused in the last tile
      + sum over periods P of alignment_P^2 * x x' * [width = width' (mod P)] * kin

`kin` says how alike two curves are. It has three parts: one shared by blocks of similar output size, one shared by a
block with full and with halved outputs, and one for each curve alone. Amplitudes maximise the marginal likelihood of
the measured times, under a prior that keeps them plausible where little was measured.

Source: Rasmussen & Williams, "Gaussian Processes for Machine Learning", 2006, chapters 2 and 5.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from syncnas_deploy.arrays import Float64Array, Int64Array
from syncnas_deploy.blas import one_thread
from syncnas_deploy.networks.config import MAX_BLOCKS, MAX_CHANNELS, MAX_SIZE, MAX_STAGES, ModelConfig
from syncnas_deploy.networks.widths import BlockKey

STEP_PERIODS = (8, 16, 32, 64, 128)
"""Sizes of a kernel's tile, in channels."""
ALIGNMENT_PERIODS = (16, 32)
"""Numbers of channels after which rows of features are aligned alike."""

_LEVEL, _SLOPE = 0.1, 0.3
_KIN_BLOCK, _KIN_OWN = 0.4, 0.3
_TINY = 1e-9


_Amplitude = Annotated[float, Meta(ge=0, le=100)]
_Steps = Annotated[tuple[_Amplitude, ...], Meta(min_length=len(STEP_PERIODS), max_length=len(STEP_PERIODS))]
_Alignment = Annotated[
    tuple[_Amplitude, ...], Meta(min_length=len(ALIGNMENT_PERIODS), max_length=len(ALIGNMENT_PERIODS))
]


class Curve(Struct, frozen=True, forbid_unknown_fields=True):
    """A block of the base whose width varies.

    Attributes:
        halved: whether its stage gives half of its output channels (CONCAT).
        base_width: the base model's expanded channels.
        output_size: height and width of its output, pixels.
    """

    stage: Annotated[int, Meta(ge=0, le=MAX_STAGES)]
    block: Annotated[int, Meta(ge=0, le=MAX_BLOCKS)]
    halved: bool
    base_width: Annotated[int, Meta(ge=1, le=MAX_CHANNELS)]
    output_size: Annotated[int, Meta(ge=1, le=MAX_SIZE)]

    @property
    def key(self) -> BlockKey:
        """The block, and whether its outputs are halved."""
        return BlockKey(self.stage, self.block, self.halved)


def curves_of(base: ModelConfig) -> tuple[Curve, ...]:
    """The curves of a base: each block with full and with halved outputs."""
    return tuple(
        Curve(s, i, halved, block.expanded_channels, block.output_size)
        for _, s, i, block in base.blocks()
        for halved in (False, True)
    )


class CurveShape(Struct, frozen=True, forbid_unknown_fields=True):
    """What a unit's curves have in common. Amplitudes are relative to a block's time at the base width.

    Attributes:
        smooth: amplitude of slow bends of a curve, which come from caches, say.
        length: distance of these bends, in ln(width).
        steps: one amplitude for each of STEP_PERIODS; 1: an unused channel of a tile costs as much as a used one.
        alignment: one amplitude for each of ALIGNMENT_PERIODS.
        kinship: distance at which blocks stop being alike, in log2(output size).
        noise: standard deviation of a measured time, relative to it.
    """

    smooth: _Amplitude = 0.06
    length: Annotated[float, Meta(ge=1e-3, le=100)] = 0.4
    steps: _Steps = (0.1, 0.25, 0.25, 0.05, 0.05)
    alignment: _Alignment = (0.02, 0.03)
    kinship: Annotated[float, Meta(ge=1e-3, le=1000)] = 4.0
    noise: Annotated[float, Meta(ge=1e-6, le=1)] = 0.01

    def numbers(self) -> Float64Array:
        """The shape as one array, in the order of the fields, [numbers]."""
        return np.array([self.smooth, self.length, *self.steps, *self.alignment, self.kinship, self.noise])

    @classmethod
    def of(cls, numbers: Sequence[float]) -> CurveShape:
        """The shape from an array that `numbers` made, [numbers]."""
        steps, aligned = len(STEP_PERIODS), len(ALIGNMENT_PERIODS)
        values = [float(value) for value in numbers]
        return cls(
            smooth=values[0],
            length=values[1],
            steps=tuple(values[2 : 2 + steps]),
            alignment=tuple(values[2 + steps : 2 + steps + aligned]),
            kinship=values[-2],
            noise=values[-1],
        )


@dataclass(frozen=True)
class WidthPlaces:
    """Widths on curves: where something was measured, or could be. Each array is [n].

    Attributes:
        curve: index of the curve.
        width: expanded channels.
        base_width: the base's expanded channels there.
        log_size: log2 of the output size in pixels.
        block: index of the block; equal for its curves with full and with halved outputs.
    """

    curve: Int64Array
    width: Int64Array
    base_width: Float64Array
    log_size: Float64Array
    block: Int64Array

    @classmethod
    def of(cls, curves: Sequence[Curve], pairs: Sequence[tuple[int, int]]) -> WidthPlaces:
        """The places at pairs of (index of a curve, width), [n]."""
        index = np.array([curve for curve, _ in pairs], dtype=np.int64)
        chosen = [curves[i] for i in index]
        blocks = {place: i for i, place in enumerate(dict.fromkeys((curve.stage, curve.block) for curve in curves))}
        return cls(
            curve=index,
            width=np.array([width for _, width in pairs], dtype=np.int64),
            base_width=np.array([curve.base_width for curve in chosen], dtype=np.float64),
            log_size=np.log2([curve.output_size for curve in chosen]),
            block=np.array([blocks[curve.stage, curve.block] for curve in chosen], dtype=np.int64),
        )

    @property
    def x(self) -> Float64Array:
        """Width relative to the base's, [n]."""
        return np.asarray(self.width / self.base_width)


class _Grams:
    """The parts of the covariance of two sets of places that do not depend on amplitudes, each [n, m]."""

    def __init__(self, a: WidthPlaces, b: WidthPlaces) -> None:
        self.same = a.curve[:, None] == b.curve[None]
        self.block = a.block[:, None] == b.block[None]
        self.size_distance = np.abs(a.log_size[:, None] - b.log_size[None])
        self.xx = a.x[:, None] * b.x[None]
        self.bend = (np.log(a.x)[:, None] - np.log(b.x)[None]) ** 2
        self.unused = [
            ((-a.width % p) / a.base_width)[:, None] * ((-b.width % p) / b.base_width)[None] for p in STEP_PERIODS
        ]
        self.aligned = [self.xx * ((a.width % p)[:, None] == (b.width % p)[None]) for p in ALIGNMENT_PERIODS]

    def covariance(self, shape: CurveShape) -> Float64Array:
        """The covariance k of the module's text, [n, m]."""
        kin = np.exp(-self.size_distance / shape.kinship) + _KIN_BLOCK**2 * self.block + _KIN_OWN**2 * self.same
        varied = shape.smooth**2 * self.xx * np.exp(-self.bend / (2 * shape.length**2))
        for amplitude, unused in zip(shape.steps, self.unused, strict=True):
            varied += amplitude**2 * unused
        for amplitude, aligned in zip(shape.alignment, self.aligned, strict=True):
            varied += amplitude**2 * aligned
        return np.asarray(self.same * (_LEVEL**2 + _SLOPE**2 * self.xx) + varied * kin)


def _variance(places: WidthPlaces, shape: CurveShape) -> Float64Array:
    """The diagonal of the covariance of places with themselves, [n]."""
    varied = (shape.smooth**2 + sum(amplitude**2 for amplitude in shape.alignment)) * places.x**2
    for amplitude, p in zip(shape.steps, STEP_PERIODS, strict=True):
        varied += (amplitude * (-places.width % p) / places.base_width) ** 2
    kin = 1.0 + _KIN_BLOCK**2 + _KIN_OWN**2
    return np.asarray(_LEVEL**2 + _SLOPE**2 * places.x**2 + varied * kin)


class CurveModel:
    """All curves of one unit, given what was measured.

    Args:
        curves: the blocks.
        measured: latency in microseconds by (index of a curve, width). It includes one invocation. Each curve has at
            least one.
        shape: the unit's; the default one where None.
    """

    def __init__(
        self, curves: Sequence[Curve], measured: Mapping[tuple[int, int], float], shape: CurveShape | None = None
    ) -> None:
        self.curves, self.shape = tuple(curves), shape or CurveShape()
        self._places = WidthPlaces.of(curves, list(measured))
        self._us = np.array(list(measured.values()), dtype=np.float64)
        self._scale_us = _scales(len(curves), self._places, self._us)

    @cached_property
    def _grams(self) -> _Grams:
        return _Grams(self._places, self._places)

    @cached_property
    def _fit(self) -> tuple[Float64Array, Float64Array]:
        """Cholesky factor of the covariance, [n, n], and the covariance's inverse times the residuals, [n]."""
        return _solve(self._grams, self._y, self._residuals, self.shape)

    @property
    def _y(self) -> Float64Array:
        return np.asarray(self._us / self._scale_us[self._places.curve])

    @property
    def _residuals(self) -> Float64Array:
        return np.asarray(self._y - self._places.x)

    def predict(self, curve: int, widths: Int64Array) -> tuple[Float64Array, Float64Array]:
        """Latency at widths of a curve.

        Args:
            curve: its index.
            widths: expanded channels, [n].

        Returns:
            Microseconds, [n], and their standard deviations relative to them, [n].
        """
        there = WidthPlaces.of(self.curves, [(curve, int(width)) for width in widths])
        cross = _Grams(there, self._places).covariance(self.shape)
        with one_thread():
            factor, weights = self._fit
            mean = there.x + cross @ weights
            explained = np.linalg.solve(factor, cross.T)
        deviation = np.sqrt(np.maximum(_variance(there, self.shape) - np.sum(explained**2, axis=0), 0.0))
        mean = np.maximum(mean, 0.02)
        return np.asarray(mean * self._scale_us[curve]), np.asarray(deviation / mean)

    def tuned(self) -> CurveShape:
        """The shape under which the measured times are likeliest, by coordinate ascent on a multiplicative grid."""
        prior = CurveShape().numbers()
        grams, y, residuals = self._grams, self._y, self._residuals

        def score(numbers: Float64Array) -> float:
            return _evidence(grams, y, residuals, CurveShape.of(list(numbers))) - _doubt(numbers, prior)

        with one_thread():
            best, at = score(prior), prior
            for factors in ((0.3, 3.0), (0.6, 1.6), (0.6, 1.6), (0.8, 1.25)):
                for i in range(len(at)):
                    for factor in factors:
                        tried = at.copy()
                        tried[i] *= factor
                        value = score(tried)
                        if value > best + 1e-3:
                            best, at = value, tried
        return CurveShape.of([float(f"{value:.4g}") for value in at])

    def with_shape(self, shape: CurveShape) -> CurveModel:
        """The same measurements under another shape."""
        copy = object.__new__(CurveModel)
        copy.curves, copy.shape = self.curves, shape
        copy._places, copy._us, copy._scale_us = self._places, self._us, self._scale_us
        return copy


def _scales(count: int, places: WidthPlaces, us: Float64Array) -> Float64Array:
    """Each curve's time at the base width, microseconds, from the measured widths around it. [count]"""
    scales = np.ones(count)
    for curve in range(count):
        at = places.curve == curve
        if at.any():
            order = np.argsort(places.width[at])
            x, y = places.x[at][order], us[at][order]
            scales[curve] = max(float(np.interp(1.0, x, y)) if len(x) > 1 else float(y[0] / x[0]), 1e-3)
    return scales


def _solve(
    grams: _Grams, y: Float64Array, residuals: Float64Array, shape: CurveShape
) -> tuple[Float64Array, Float64Array]:
    factor = np.linalg.cholesky(_noisy(grams, y, shape))
    weights = np.linalg.solve(factor.T, np.linalg.solve(factor, residuals))
    return np.asarray(factor, dtype=np.float64), np.asarray(weights, dtype=np.float64)


def _noisy(grams: _Grams, y: Float64Array, shape: CurveShape) -> Float64Array:
    """The covariance of the measured times, their noise included, [n, n]."""
    covariance = grams.covariance(shape)
    covariance[np.diag_indices_from(covariance)] += shape.noise**2 * y**2 + _TINY
    return covariance


def _evidence(grams: _Grams, y: Float64Array, residuals: Float64Array, shape: CurveShape) -> float:
    """Log marginal likelihood, up to a constant; -inf where the covariance is not positive definite."""
    try:
        factor = np.linalg.cholesky(_noisy(grams, y, shape))
    except np.linalg.LinAlgError:
        return -math.inf
    whitened = np.linalg.solve(factor, residuals)
    return float(-0.5 * whitened @ whitened - np.log(np.diag(factor)).sum())


def _doubt(numbers: Float64Array, prior: Float64Array) -> float:
    """How implausible a shape is, under a log-normal prior that is narrow for the noise. 0 is the prior itself."""
    spread = np.full(len(prior), 1.5)
    spread[-1] = 0.7
    return float(0.5 * np.sum((np.log(numbers / prior) / spread) ** 2))


class Certainty:
    """How much one more measurement would tell. It depends on where was measured, and not on the measured times.

    Args:
        curves: the blocks.
        places: (index of a curve, width) of each measurement so far.
        shape: of the unit.
    """

    def __init__(self, curves: Sequence[Curve], places: Sequence[tuple[int, int]], shape: CurveShape) -> None:
        self._curves, self._pairs, self._shape = curves, list(places), shape
        self._precision = np.zeros((0, 0))
        if places:
            with one_thread():
                self._precision = np.asarray(
                    np.linalg.inv(self._gram(WidthPlaces.of(curves, places))), dtype=np.float64
                )

    def gains(self, curve: int, widths: Int64Array, weights: Float64Array) -> Float64Array:
        """The variance that a measurement at each width would remove, as a weighted sum over the widths.

        Args:
            curve: its index.
            widths: expanded channels, [n].
            weights: what each width counts, [n].

        Returns:
            The removed variance by width of the measurement, [n].
        """
        there = WidthPlaces.of(self._curves, [(curve, int(width)) for width in widths])
        posterior = _Grams(there, there).covariance(self._shape)
        if self._pairs:
            cross = self._cross(there)
            with one_thread():
                posterior = posterior - cross @ self._precision @ cross.T
        noise = self._shape.noise**2 * there.x**2 + _TINY
        relative = posterior / there.x[:, None]
        return np.asarray(weights @ relative**2 / (np.maximum(np.diag(posterior), 0.0) + noise))

    def add(self, curve: int, width: int) -> None:
        """Count a width as measured. The precision gets one more row, by the inverse of a bordered matrix."""
        there = WidthPlaces.of(self._curves, [(curve, width)])
        if self._pairs:
            with one_thread():
                cross = self._cross(there)[0]
                tie = self._precision @ cross
                left = float(self._gram(there)[0, 0] - cross @ tie)
                border = np.append(-tie, 1.0) / math.sqrt(left)
                count = len(self._pairs)
                grown = np.zeros((count + 1, count + 1))
                grown[:count, :count] = self._precision
                self._precision = grown + np.outer(border, border)
        else:
            self._precision = 1 / self._gram(there)
        self._pairs.append((curve, width))

    def _gram(self, places: WidthPlaces) -> Float64Array:
        """The covariance of measurements at places, their noise included, [n, n]."""
        gram = _Grams(places, places).covariance(self._shape)
        gram[np.diag_indices_from(gram)] += self._shape.noise**2 * places.x**2 + _TINY
        return gram

    def _cross(self, there: WidthPlaces) -> Float64Array:
        return _Grams(there, WidthPlaces.of(self._curves, self._pairs)).covariance(self._shape)
