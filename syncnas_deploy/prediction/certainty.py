"""How much one more measurement would tell about the curves of a unit."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from syncnas_deploy.arrays import Float64Array, Int64Array
from syncnas_deploy.blas import one_thread
from syncnas_deploy.prediction.covariance import TINY, Grams, WidthPlaces
from syncnas_deploy.prediction.curves import Curve, CurveShape
from syncnas_deploy.prediction.dispatch import BlockGrid


class Certainty:
    """How much one more measurement would tell. It depends on where was measured, and not on the measured times.

    Args:
        curves: the blocks.
        places: (index of a curve, width) of each measurement so far.
        shape: of the unit.
        grids: of the curves.
    """

    def __init__(
        self,
        curves: Sequence[Curve],
        places: Sequence[tuple[int, int]],
        shape: CurveShape,
        grids: Sequence[BlockGrid] = (),
    ) -> None:
        self._curves, self._pairs, self._shape, self._grids = curves, list(places), shape, grids
        self._precision = np.zeros((0, 0))
        if places:
            with one_thread():
                self._precision = np.asarray(np.linalg.inv(self._gram(self._at(places))), dtype=np.float64)

    def gains(self, curve: int, widths: Int64Array, weights: Float64Array) -> Float64Array:
        """The variance that a measurement at each width would remove, as a weighted sum over the widths.

        Args:
            curve: its index.
            widths: expanded channels, [n].
            weights: what each width counts, [n].

        Returns:
            The removed variance by width of the measurement, [n].
        """
        there = self._at([(curve, int(width)) for width in widths])
        posterior = Grams(there, there).covariance(self._shape)
        if self._pairs:
            cross = self._cross(there)
            with one_thread():
                posterior = posterior - cross @ self._precision @ cross.T
        noise = self._shape.noise**2 * there.x**2 + TINY
        relative = posterior / there.x[:, None]
        return np.asarray(weights @ relative**2 / (np.maximum(np.diag(posterior), 0.0) + noise))

    def add(self, curve: int, width: int) -> None:
        """Count a width as measured. The precision gets one more row, by the inverse of a bordered matrix."""
        there = self._at([(curve, width)])
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

    def _at(self, pairs: Sequence[tuple[int, int]]) -> WidthPlaces:
        return WidthPlaces.of(self._curves, pairs, self._grids, self._shape.rule)

    def _gram(self, places: WidthPlaces) -> Float64Array:
        """The covariance of measurements at places, their noise included, [n, n]."""
        gram = Grams(places, places).covariance(self._shape)
        gram[np.diag_indices_from(gram)] += self._shape.noise**2 * places.x**2 + TINY
        return gram

    def _cross(self, there: WidthPlaces) -> Float64Array:
        return Grams(there, self._at(self._pairs)).covariance(self._shape)
