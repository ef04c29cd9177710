"""Latency over expanded width: all curves of one unit, given what was measured. See `covariance` for the model."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import msgspec
import numpy as np

from syncnas_deploy.arrays import Float64Array, Int64Array
from syncnas_deploy.blas import one_thread
from syncnas_deploy.prediction import dispatch
from syncnas_deploy.prediction.covariance import TINY, Grams, WidthPlaces, variance
from syncnas_deploy.prediction.curves import ALIGNMENT_PERIODS, STEP_PERIODS, Curve, CurveShape
from syncnas_deploy.prediction.dispatch import BlockGrid, GridTable, likelier_rules

_NOISE_AT = 3 + len(STEP_PERIODS) + len(ALIGNMENT_PERIODS)
"""Where the noise is among a shape's numbers."""


class CurveModel:
    """All curves of one unit, given what was measured.

    Args:
        curves: the blocks.
        measured: latency in microseconds by (index of a curve, width). It includes one invocation. Each curve has at
            least one.
        shape: the unit's; the default one where None.
        grids: of the curves; without them no rule is thought of.
    """

    def __init__(
        self,
        curves: Sequence[Curve],
        measured: Mapping[tuple[int, int], float],
        shape: CurveShape | None = None,
        grids: Sequence[BlockGrid] = (),
    ) -> None:
        self.curves, self.shape, self.grids = tuple(curves), shape or CurveShape(), tuple(grids)
        self._measured = measured
        self._places = self._at(list(measured))
        self._us = np.array(list(measured.values()), dtype=np.float64)
        self._scale_us = _scales(len(curves), self._places, self._us)

    def _at(self, pairs: Sequence[tuple[int, int]]) -> WidthPlaces:
        return WidthPlaces.of(self.curves, pairs, self.grids, self.shape.rule)

    @cached_property
    def _grams(self) -> Grams:
        return Grams(self._places, self._places)

    @cached_property
    def _fit(self) -> tuple[Float64Array, Float64Array]:
        """Cholesky factor of the covariance, [n, n], and the covariance's inverse times the residuals, [n]."""
        return _solve(self._grams, self._y, self._residuals, self.shape)

    @property
    def _y(self) -> Float64Array:
        return np.asarray(self._us / self._scale_us[self._places.curve])

    @property
    def _residuals(self) -> Float64Array:
        return np.asarray(self._y - self._places.mean)

    def predict(self, curve: int, widths: Int64Array) -> tuple[Float64Array, Float64Array]:
        """Latency at widths of a curve.

        Args:
            curve: its index.
            widths: expanded channels, [n].

        Returns:
            Microseconds, [n], and their standard deviations relative to them, [n].
        """
        there = self._at([(curve, int(width)) for width in widths])
        cross = Grams(there, self._places).covariance(self.shape)
        with one_thread():
            factor, weights = self._fit
            mean = there.mean + cross @ weights
            explained = np.linalg.solve(factor, cross.T)
        deviation = np.sqrt(np.maximum(variance(there, self.shape) - np.sum(explained**2, axis=0), 0.0))
        mean = np.maximum(mean, 0.02)
        return np.asarray(mean * self._scale_us[curve]), np.asarray(deviation / mean)

    def tuned(self) -> CurveShape:
        """The shape under which the measured times are likeliest, with a rule where one explains them better."""
        with one_thread():
            plain, likelihood = self._ascended()
            if not self.grids:
                return plain
            factor = np.asarray(np.linalg.cholesky(_noisy(self._grams, self._y, plain)), dtype=np.float64)
            table = GridTable.of([self.grids[i] for i in self._places.curve])
            wastes = {rule: table.waste(rule, self._places.width)[0] for rule in dispatch.CANDIDATES}
            rules = likelier_rules(wastes, factor, self._residuals)
            if not rules:
                return plain
            ruled, with_rule = max(
                (self.with_shape(CurveShape(rule=rule)) for rule in rules), key=_likelihood
            )._ascended()
            # Which rule it is shows better when the amplitudes are right.
            best = max((self.with_shape(msgspec.structs.replace(ruled, rule=rule)) for rule in rules), key=_likelihood)
            if best.shape.rule != ruled.rule:
                ruled, with_rule = best._ascended()
            return ruled if with_rule > likelihood else plain

    def _ascended(self) -> tuple[CurveShape, float]:
        """The likeliest shape with this one's rule, by coordinate ascent on a multiplicative grid, and how likely."""
        rule = self.shape.rule
        prior = CurveShape(rule=rule).numbers()
        grams, y, residuals = self._grams, self._y, self._residuals

        def score(numbers: Float64Array) -> float:
            return _evidence(grams, y, residuals, CurveShape.of(list(numbers), rule)) - _doubt(numbers, prior)

        best, at = score(prior), prior
        for factors in ((0.3, 3.0), (0.6, 1.6), (0.6, 1.6), (0.8, 1.25)):
            for i in range(len(at)):
                for factor in factors:
                    tried = at.copy()
                    tried[i] *= factor
                    value = score(tried)
                    if value > best + 1e-3:
                        best, at = value, tried
        return CurveShape.of([float(f"{value:.4g}") for value in at], rule), best

    def with_shape(self, shape: CurveShape) -> CurveModel:
        """The same measurements under another shape."""
        if shape.rule != self.shape.rule:
            return CurveModel(self.curves, self._measured, shape, self.grids)
        copy = object.__new__(CurveModel)
        copy.curves, copy.shape, copy.grids, copy._measured = self.curves, shape, self.grids, self._measured
        copy._places, copy._us, copy._scale_us = self._places, self._us, self._scale_us
        return copy


def _likelihood(model: CurveModel) -> float:
    return _evidence(model._grams, model._y, model._residuals, model.shape)


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
    grams: Grams, y: Float64Array, residuals: Float64Array, shape: CurveShape
) -> tuple[Float64Array, Float64Array]:
    factor = np.linalg.cholesky(_noisy(grams, y, shape))
    weights = np.linalg.solve(factor.T, np.linalg.solve(factor, residuals))
    return np.asarray(factor, dtype=np.float64), np.asarray(weights, dtype=np.float64)


def _noisy(grams: Grams, y: Float64Array, shape: CurveShape) -> Float64Array:
    """The covariance of the measured times, their noise included, [n, n]."""
    covariance = grams.covariance(shape)
    covariance[np.diag_indices_from(covariance)] += shape.noise**2 * y**2 + TINY
    return covariance


def _evidence(grams: Grams, y: Float64Array, residuals: Float64Array, shape: CurveShape) -> float:
    """Log marginal likelihood, up to a constant; -inf where the covariance is not positive definite."""
    # With the residuals as one more row, the last row of the factor is what solving for them would give.
    count = len(y)
    bordered = np.empty((count + 1, count + 1))
    bordered[:count, :count] = _noisy(grams, y, shape)
    bordered[count, :count] = bordered[:count, count] = residuals
    bordered[count, count] = 1e30
    try:
        factor = np.linalg.cholesky(bordered)
    except np.linalg.LinAlgError:
        return -math.inf
    whitened = factor[count, :count]
    return float(-0.5 * whitened @ whitened - np.log(np.diag(factor)[:count]).sum())


def _doubt(numbers: Float64Array, prior: Float64Array) -> float:
    """How implausible a shape is, under a log-normal prior that is narrow for the noise. 0 is the prior itself."""
    spread = np.full(len(prior), 1.5)
    spread[_NOISE_AT] = 0.7
    return float(0.5 * np.sum((np.log(numbers / prior) / spread) ** 2))
