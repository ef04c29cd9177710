"""The searcher `surrogate`: Gaussian processes over all strategies lead the descent through the tree.

What one evaluation says of others is shared across the whole tree, and between latency budgets. The acquisition is
the logarithm of the expected improvement on the best reward, in the mixture of processes; part of the noise counts
as value, since what no kernel explains may still belong to a strategy.

Source: Ament et al., "Unexpected Improvements to Expected Improvement for Bayesian Optimization", NeurIPS 2023 (its
logarithm).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt

from syncnas_deploy.blas import one_thread
from syncnas_deploy.search.algorithms.descent import StrategyTree
from syncnas_deploy.search.algorithms.gaussian import Mixture, Point, Posterior
from syncnas_deploy.search.algorithms.kernels import Array, Kernels
from syncnas_deploy.search.algorithms.ledger import Ledger, Told
from syncnas_deploy.search.algorithms.searcher import Candidate

LOWEST = -2.5
"""Rewards that are further below the median, in upper spreads, count as this far: how bad they are teaches little."""
VALUE_OF_NOISE = 0.3
NOISE_RATIO_RANGE = (0.01, 100.0)
TIE = 1e-9
VERSION = 2
"""Of everything that decides the course of a search: to be raised when kernels or constants change."""


class SurrogateSearcher:
    """Asks for the most promising strategy; several budgets are asked in turn and share what is learnt.

    Args:
        ledger: of one budget or several.
        seed: decides the first candidate, and ties.
    """

    def __init__(self, ledger: Ledger, *, seed: int) -> None:
        self._ledger = ledger
        self._mixture = Mixture(Kernels(ledger.stages, ledger.budgets))
        self._tree = StrategyTree(ledger.stages)
        strategies = len(ledger.candidates) // ledger.budgets
        self._tie = TIE * np.random.default_rng(seed).permutation(strategies) / strategies

    @property
    def key(self) -> dict[str, object]:
        """Name and version; all settings are constants."""
        return {"algorithm": "surrogate", "version": VERSION, "budgets": self._ledger.budgets}

    def ask(self) -> Candidate | None:
        """See `Searcher`."""
        budget = self._next_budget()
        if budget is None:
            return None
        strategies = len(self._tie)
        part = slice(budget * strategies, (budget + 1) * strategies)
        visited = self._marked(self._ledger.told) | self._marked(self._ledger.in_flight)
        taken = (visited | self._marked(self._ledger.infeasible))[part]
        with one_thread():
            acquisition = np.where(taken, -np.inf, self._acquisition(budget)[part] + self._tie)
        chosen = self._tree.descend(acquisition, visited[part])
        return self._ledger.hand_out(self._ledger.candidates[part.start + chosen])

    def tell(self, candidate: Candidate, reward: float, *, noise_variance: float | None = None) -> None:
        """See `Searcher`."""
        self._ledger.tell(candidate, reward, noise_variance)

    def tell_infeasible(self, candidate: Candidate) -> None:
        """See `Searcher`; what is infeasible says nothing of the others' rewards."""
        self._ledger.tell_infeasible(candidate)

    def forget(self, candidate: Candidate) -> None:
        """See `Searcher`."""
        self._ledger.forget(candidate)

    def _marked(self, candidates: Iterable[Candidate]) -> npt.NDArray[np.bool_]:
        """Which of all candidates these are, [N]."""
        marks = np.zeros(len(self._ledger.candidates), dtype=bool)
        marks[[self._ledger.index[candidate] for candidate in candidates]] = True
        return marks

    def _next_budget(self) -> int | None:
        """Of the budgets with any free candidate, the one that has had the fewest evaluations."""
        ledger = self._ledger
        used, closed = [0] * ledger.budgets, [0] * ledger.budgets
        for candidate in (*ledger.told, *ledger.in_flight):
            used[candidate.budget] += 1
        for candidate in ledger.infeasible:
            closed[candidate.budget] += 1
        open_ = [b for b in range(ledger.budgets) if used[b] + closed[b] < len(self._tie)]
        return min(open_, key=lambda b: used[b], default=None)

    def _acquisition(self, budget: int) -> Array:
        """What is expected of every candidate, [N]."""
        ledger = self._ledger
        self._mixture.set_points(points(ledger.told, ledger.index))
        budgets = np.array([candidate.budget for candidate in ledger.told], dtype=np.int64)
        values = standardised(np.array([known.reward for known in ledger.told.values()]), budgets)
        posterior = self._mixture.posterior(values, [ledger.index[c] for c in ledger.in_flight])
        if not np.any(budgets == budget):
            return narrowest_last(posterior)
        return log_expected_improvement(posterior, float(values[budgets == budget].max()))


def points(told: Mapping[Candidate, Told], index: Mapping[Candidate, int]) -> list[Point]:
    """Where values are known; noise variances, where given, relative to the first that is."""
    first = next((known.noise_variance for known in told.values() if known.noise_variance), None)
    low, high = NOISE_RATIO_RANGE
    ratios = [
        1.0 if first is None or known.noise_variance is None else min(max(known.noise_variance / first, low), high)
        for known in told.values()
    ]
    return [Point(index[candidate], ratio) for candidate, ratio in zip(told, ratios, strict=True)]


def standardised(rewards: Array, budgets: npt.NDArray[np.int64]) -> Array:
    """Rewards as values of mean 0 and variance 1, [n].

    Each is centred on the median of its budget; the spread is that of the rewards above it, since it is them that
    have to be told apart; those far below are drawn up to `LOWEST`.
    """
    centred = rewards.astype(float)
    for budget in np.unique(budgets):
        centred[budgets == budget] -= np.median(rewards[budgets == budget])
    above = centred[centred >= 0]
    spread = math.sqrt(float(np.mean(above**2))) if len(above) else 0.0
    if not spread > 0:
        return np.zeros_like(centred)
    values = np.maximum(centred / spread, LOWEST)
    return np.asarray((values - values.mean()) / values.std())


def narrowest_last(posterior: Posterior) -> Array:
    """The logarithm of the variance: before anything is known, ask where least is."""
    return np.asarray(np.log(posterior.weights @ posterior.variance))


def log_expected_improvement(posterior: Posterior, best: float) -> Array:
    """ln E max(value - best, 0) in the mixture, [N]."""
    spread = np.sqrt(posterior.variance + VALUE_OF_NOISE * posterior.noise[:, None])
    by_process = log_improvement((posterior.mean - best) / spread) + np.log(spread * posterior.weights[:, None])
    highest = by_process.max(axis=0)
    return np.asarray(highest + np.log(np.sum(np.exp(by_process - highest), axis=0)))


TABLE_FROM, TABLE_TO, TABLE_STEPS = -37, 12, 64
"""Of z, in standard deviations; rows of the table in each."""


def _exact_log_improvement(z: float) -> float:
    density = math.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return math.log(density + z * 0.5 * math.erfc(-z / math.sqrt(2)))


_TABLE = np.array(
    [_exact_log_improvement(row / TABLE_STEPS) for row in range(TABLE_FROM * TABLE_STEPS, TABLE_TO * TABLE_STEPS + 2)]
)


def log_improvement(z: Array) -> Array:
    """ln(pdf(z) + z cdf(z)) of the standard normal distribution, any shape; from a table, absolute error below 1e-4.

    Further left it goes on as a parabola, without the slower terms of the tail; further right it stays.
    """
    position = (np.clip(z, TABLE_FROM, TABLE_TO) - TABLE_FROM) * TABLE_STEPS
    row = position.astype(np.int64)
    left = _TABLE.take(row)
    inside = left + (position - row) * (_TABLE.take(row + 1) - left)
    return np.asarray(inside - 0.5 * (np.minimum(z, TABLE_FROM) ** 2 - TABLE_FROM**2))
