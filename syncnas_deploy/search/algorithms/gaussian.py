"""A mixture of Gaussian processes over a finite set of candidates, weighted by evidence.

Every covariance function is combined with every noise level; the scale of the rewards is integrated out, which makes
evidence and posterior Student-t. Nothing is optimised. Rows are appended to each inverse Cholesky factor as values come
in. The posterior is computed for those processes only that carry weight; what the others would need for it
is made up when they come to carry some.

Shapes: M processes = K covariance functions times noise levels, N candidates, n values, A processes with weight.

Source: Rasmussen & Williams, "Gaussian Processes for Machine Learning", 2006, ch. 2; Shah et al., "Student-t Processes
as Alternatives to Gaussian Processes", AISTATS 2014.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from syncnas_deploy.search.algorithms.kernels import Array, Kernels

NOISES = (0.01, 0.1)
"""Variances of the noise, beside signals of about 1."""
SCALE_SHAPE, SCALE_RATE = 1.0, 1.0
"""Of the inverse gamma prior of the squared scale."""
LEAST_WEIGHT = 1e-2
LEAST_VARIANCE = 1e-9
FIRST_CAPACITY = 64


@dataclass(frozen=True)
class Point:
    """Where a value is known.

    Attributes:
        index: of the candidate.
        noise_ratio: its noise variance relative to the others'.
    """

    index: int
    noise_ratio: float = 1.0


@dataclass(frozen=True)
class Posterior:
    """What is believed of every candidate, by process.

    Attributes:
        weights: posterior probabilities of the processes, [A]; they sum to 1.
        mean: [A, N].
        variance: of the noise-free value, [A, N].
        noise: variance of an evaluation's noise, [A].
    """

    weights: Array
    mean: Array
    variance: Array
    noise: Array


class Mixture:
    """The processes and the points where values are known; the values themselves are given with each question.

    Args:
        kernels: their covariance functions.
    """

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels
        self._kernel_of = np.repeat(np.arange(kernels.count), len(NOISES))
        self._noise = np.tile(NOISES, kernels.count)
        self._processes = len(self._noise)
        self._points: list[Point] = []
        self._capacity = 0
        self._covariances = np.empty((kernels.count, 0, kernels.size))
        self._inverse = np.empty((self._processes, 0, 0))
        self._log_pivots = np.empty((self._processes, 0))
        self._rows: dict[int, Array] = {}
        self._whitened: dict[int, Array] = {}
        self._explained: dict[int, Array] = {}
        self._whitened_rows = dict.fromkeys(range(self._processes), 0)

    @property
    def points(self) -> tuple[Point, ...]:
        """Where values are known, in the order of `values`."""
        return tuple(self._points)

    def set_points(self, points: Sequence[Point]) -> None:
        """Know values at these points; what a common beginning with the present ones took is kept."""
        kept = 0
        while kept < min(len(points), len(self._points)) and points[kept] == self._points[kept]:
            kept += 1
        del self._points[kept:]
        for process, rows in self._whitened_rows.items():
            if rows > kept:
                self._whitened_rows[process] = 0
        for point in points[kept:]:
            self._append(point)

    def posterior(self, values: Array, in_flight: Sequence[int] = ()) -> Posterior:
        """What the values say.

        Args:
            values: at the points, in their order, [n]; about standardised.
            in_flight: candidates whose values are on their way: they narrow the variance and leave the mean.
        """
        n = len(self._points)
        if values.shape != (n,):
            raise ValueError(f"{n} points need as many values, found {values.shape}")
        white = self._inverse[:, :n, :n] @ values
        shape = SCALE_SHAPE + n / 2
        rate = SCALE_RATE + 0.5 * np.sum(white**2, axis=1)
        evidence = -np.sum(self._log_pivots[:, :n], axis=1) - shape * np.log(rate)
        weights = np.exp(evidence - evidence.max())
        chosen = np.flatnonzero(weights > LEAST_WEIGHT * weights.sum())
        scale = rate[chosen] / shape
        # Asked for again and again while they fly, and once more when they land.
        self._rows = {i: self._row(i) for i in in_flight}
        mean, variance = np.empty((2, len(chosen), self._kernels.size))
        for row, process in enumerate(chosen):
            rows = self._whiten(int(process))
            mean[row] = white[process] @ rows
            variance[row] = self._kernels.diagonal[self._kernel_of[process]] - self._explained[int(process)]
            if in_flight:
                variance[row] -= self._narrowing(int(process), rows, list(in_flight))
        return Posterior(
            weights[chosen] / weights[chosen].sum(),
            mean,
            np.maximum(variance, LEAST_VARIANCE) * scale[:, None],
            self._noise[chosen] * scale,
        )

    def _row(self, index: int) -> Array:
        return self._rows[index] if index in self._rows else self._kernels.row(index)

    def _append(self, point: Point) -> None:
        """Another row of every inverse Cholesky factor."""
        n = len(self._points)
        if n == self._capacity:
            self._grow(max(FIRST_CAPACITY, 2 * n))
        self._covariances[:, n] = self._row(point.index)
        at = [known.index for known in self._points]
        cross = self._covariances[:, n, at][self._kernel_of]
        inverse = self._inverse[:, :n, :n]
        factor = np.matmul(inverse, cross[:, :, None])[:, :, 0]
        own = self._kernels.diagonal[self._kernel_of, point.index] + self._noise * point.noise_ratio
        pivot = np.sqrt(np.maximum(own - np.sum(factor**2, axis=1), LEAST_VARIANCE))
        self._inverse[:, n, :n] = -np.matmul(factor[:, None], inverse)[:, 0] / pivot[:, None]
        self._inverse[:, n, n] = 1 / pivot
        self._log_pivots[:, n] = np.log(pivot)
        self._points.append(point)

    def _grow(self, capacity: int) -> None:
        n = len(self._points)
        covariances = np.empty((self._kernels.count, capacity, self._kernels.size))
        covariances[:, :n] = self._covariances[:, :n]
        inverse = np.zeros((self._processes, capacity, capacity))
        inverse[:, :n, :n] = self._inverse[:, :n, :n]
        log_pivots = np.empty((self._processes, capacity))
        log_pivots[:, :n] = self._log_pivots[:, :n]
        self._covariances, self._inverse, self._log_pivots = covariances, inverse, log_pivots
        for process, rows in self._whitened.items():
            self._whitened[process] = np.empty((capacity, self._kernels.size))
            self._whitened[process][:n] = rows[:n]
        self._capacity = capacity

    def _whiten(self, process: int) -> Array:
        """The inverse factor times the covariances with every candidate, [n, N]; rows that are there are kept.

        Row by row, so that a row's last bit does not depend on when it was made; `_explained` grows by its square.
        """
        n = len(self._points)
        if process not in self._whitened:
            self._whitened[process] = np.empty((self._capacity, self._kernels.size))
        rows = self._whitened[process]
        covariances = self._covariances[self._kernel_of[process]]
        if not self._whitened_rows[process]:
            self._explained[process] = np.zeros(self._kernels.size)
        for i in range(self._whitened_rows[process], n):
            rows[i] = self._inverse[process, i, : i + 1] @ covariances[: i + 1]
            self._explained[process] += rows[i] ** 2
        self._whitened_rows[process] = n
        return rows[:n]

    def _narrowing(self, process: int, rows: Array, in_flight: list[int]) -> Array:
        """By how much values at `in_flight` will lower the variances, [N], before the scale."""
        kernel = self._kernel_of[process]
        prior = np.stack([self._rows[i][kernel] for i in in_flight])
        cross = prior - rows[:, in_flight].T @ rows
        own = cross[:, in_flight] + self._noise[process] * np.eye(len(in_flight))
        white = np.linalg.inv(np.linalg.cholesky(own)) @ cross
        return np.asarray(np.einsum("ij,ij->j", white, white))
