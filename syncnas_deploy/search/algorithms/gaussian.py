"""Gaussian processes over a finite set of candidates: a mixture of them, weighted by evidence.

Every covariance function is combined with every noise level. The scale of the rewards is integrated out, which makes
evidence and posterior Student-t. Nothing is optimised. When a value comes in, each inverse Cholesky factor gets one
more row. Only processes with weight get a posterior. The others' rows are computed later, if they gain weight.

Shapes: K covariance functions, M processes (K times the noise levels), N candidates, n observations, F candidates in
flight, A processes with weight.

Source: Rasmussen & Williams, "Gaussian Processes for Machine Learning", 2006, ch. 2; Shah et al., "Student-t Processes
as Alternatives to Gaussian Processes", AISTATS 2014.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from syncnas_deploy.arrays import Float64Array
from syncnas_deploy.search.algorithms.kernels import Kernels

NOISES = (0.01, 0.1)
"""Noise levels: variances of an evaluation's noise, beside signals of variance about 1."""
SCALE_SHAPE, SCALE_RATE = 1.0, 1.0
"""Shape and rate of the inverse gamma prior of the squared scale."""
LEAST_WEIGHT = 1e-2
"""Processes of less weight get no posterior."""
LEAST_VARIANCE = 1e-9
"""Floor of variances and pivots, against rounding."""
FIRST_CAPACITY = 64
"""Observations that the first arrays have room for."""


@dataclass(frozen=True)
class Observation:
    """A candidate whose value is known.

    Attributes:
        index: the candidate's.
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

    weights: Float64Array
    mean: Float64Array
    variance: Float64Array
    noise: Float64Array


class Mixture:
    """The processes and the observed candidates; the values are given with each question.

    Args:
        kernels: their covariance functions.
    """

    def __init__(self, kernels: Kernels) -> None:
        self._kernels = kernels
        # The covariance function and the noise level of each process, [M].
        self._kernel_of = np.repeat(np.arange(kernels.count), len(NOISES))
        self._noise = np.tile(NOISES, kernels.count)
        self._processes = len(self._noise)
        self._observations: list[Observation] = []
        # With room for `_capacity` observations, of which n are used: covariances of each with all [K, n, N], inverse
        # Cholesky factors [M, n, n], logarithms of the factors' pivots [M, n].
        self._capacity = 0
        self._covariances = np.empty((kernels.count, 0, kernels.size))
        self._inverse = np.empty((self._processes, 0, 0))
        self._log_pivots = np.empty((self._processes, 0))
        # Kernel rows of candidates in flight, each [K, N].
        self._flying_rows: dict[int, Float64Array] = {}
        # By process, see `_whiten`: rows [n, N], how many of them are up to date, and the sum of their squares [N].
        self._whitened: dict[int, Float64Array] = {}
        self._whitened_count = dict.fromkeys(range(self._processes), 0)
        self._explained: dict[int, Float64Array] = {}

    def set_observations(self, observations: Sequence[Observation]) -> None:
        """Observe these candidates; what was computed for a common beginning with the present ones stays.

        Args:
            observations: [n].
        """
        common = 0
        while (
            common < min(len(observations), len(self._observations))
            and observations[common] == self._observations[common]
        ):
            common += 1
        del self._observations[common:]
        for process, count in self._whitened_count.items():
            if count > common:
                self._whitened_count[process] = 0
        for observation in observations[common:]:
            self._append(observation)

    def posterior(self, values: Float64Array, in_flight: Sequence[int] = ()) -> Posterior:
        """What the values say.

        Args:
            values: of the observations, in their order, about standardised, [n].
            in_flight: candidates whose values are on their way, [F]; they narrow the variance and leave the mean.

        Raises:
            ValueError: another number of values.
        """
        n = len(self._observations)
        if values.shape != (n,):
            raise ValueError(f"{n} observations need as many values, found {values.shape}")
        white = self._inverse[:, :n, :n] @ values
        shape = SCALE_SHAPE + n / 2
        rate = SCALE_RATE + 0.5 * np.sum(white**2, axis=1)
        evidence = -np.sum(self._log_pivots[:, :n], axis=1) - shape * np.log(rate)
        weights = np.exp(evidence - evidence.max())
        weighty = np.flatnonzero(weights > LEAST_WEIGHT * weights.sum())
        scale = rate[weighty] / shape
        # The same candidates are in flight at the next question, and observed after they land.
        self._flying_rows = {i: self._row(i) for i in in_flight}
        mean, variance = np.empty((2, len(weighty), self._kernels.size))
        for a, process in enumerate(weighty.tolist()):
            rows = self._whiten(process)
            mean[a] = white[process] @ rows
            variance[a] = self._kernels.diagonal[self._kernel_of[process]] - self._explained[process]
            if in_flight:
                variance[a] -= self._narrowing(process, rows, list(in_flight))
        return Posterior(
            weights[weighty] / weights[weighty].sum(),
            mean,
            np.maximum(variance, LEAST_VARIANCE) * scale[:, None],
            self._noise[weighty] * scale,
        )

    def _row(self, index: int) -> Float64Array:
        """Covariances of a candidate with all, [K, N]."""
        return self._flying_rows[index] if index in self._flying_rows else self._kernels.row(index)

    def _append(self, observation: Observation) -> None:
        """Another row of every inverse Cholesky factor."""
        n = len(self._observations)
        if n == self._capacity:
            self._grow(max(FIRST_CAPACITY, 2 * n))
        self._covariances[:, n] = self._row(observation.index)
        earlier = [observation.index for observation in self._observations]
        cross = self._covariances[:, n, earlier][self._kernel_of]
        inverse = self._inverse[:, :n, :n]
        factor = np.matmul(inverse, cross[:, :, None])[:, :, 0]
        variance = self._kernels.diagonal[self._kernel_of, observation.index] + self._noise * observation.noise_ratio
        pivot = np.sqrt(np.maximum(variance - np.sum(factor**2, axis=1), LEAST_VARIANCE))
        self._inverse[:, n, :n] = -np.matmul(factor[:, None], inverse)[:, 0] / pivot[:, None]
        self._inverse[:, n, n] = 1 / pivot
        self._log_pivots[:, n] = np.log(pivot)
        self._observations.append(observation)

    def _grow(self, capacity: int) -> None:
        """Make room for more observations."""
        n = len(self._observations)
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

    def _whiten(self, process: int) -> Float64Array:
        """The inverse factor times the covariances of the observations with every candidate, [n, N].

        Only rows that are missing are computed, each by itself, so that its last bit does not depend on when that was.
        `_explained` grows by their squares.
        """
        n = len(self._observations)
        if process not in self._whitened:
            self._whitened[process] = np.empty((self._capacity, self._kernels.size))
        rows = self._whitened[process]
        covariances = self._covariances[self._kernel_of[process]]
        if not self._whitened_count[process]:
            self._explained[process] = np.zeros(self._kernels.size)
        for i in range(self._whitened_count[process], n):
            rows[i] = self._inverse[process, i, : i + 1] @ covariances[: i + 1]
            self._explained[process] += rows[i] ** 2
        self._whitened_count[process] = n
        return rows[:n]

    def _narrowing(self, process: int, rows: Float64Array, in_flight: list[int]) -> Float64Array:
        """By how much the values in flight will lower the variances, before the scale, [N].

        Args:
            process: which one.
            rows: what `_whiten` gives, [n, N].
            in_flight: candidates, [F].
        """
        kernel = self._kernel_of[process]
        prior = np.stack([self._flying_rows[i][kernel] for i in in_flight])
        cross = prior - rows[:, in_flight].T @ rows
        covariance = cross[:, in_flight] + self._noise[process] * np.eye(len(in_flight))
        white = np.linalg.inv(np.linalg.cholesky(covariance)) @ cross
        return np.asarray(np.einsum("ij,ij->j", white, white))
