"""The searcher `surrogate`: Gaussian processes over all strategies lead the descent through the tree.

What one evaluation says of others is shared across the whole tree, and between latency budgets. The acquisition is
the logarithm of the expected improvement on the best reward, in the mixture of processes. Part of the noise counts
as value, since what no kernel explains may still belong to a strategy.

Shapes: L strategies, N candidates (L per budget, in the order of `Ledger.candidates`), n rewards, A processes.

Source: Ament et al., "Unexpected Improvements to Expected Improvement for Bayesian Optimization", NeurIPS 2023 (its
logarithm).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np

from syncnas_deploy.arrays import BoolArray, Float64Array, Int64Array
from syncnas_deploy.blas import one_thread
from syncnas_deploy.search.algorithms.descent import StrategyTree
from syncnas_deploy.search.algorithms.gaussian import Mixture, Observation, Posterior
from syncnas_deploy.search.algorithms.kernels import Kernels
from syncnas_deploy.search.algorithms.ledger import Ledger, LedgerSearcher, RewardEstimate
from syncnas_deploy.search.algorithms.searcher import Candidate

LOWEST = -2.5
"""Lowest standardised reward, in spreads below the median: how bad a worse one is teaches little."""
VALUE_OF_NOISE = 0.3
"""Share of the noise's variance that counts as value."""
NOISE_RATIO_RANGE = (0.01, 100.0)
"""Noise variances are at most so far from each other."""
TIE = 1e-9
"""Acquisitions that are closer are in an order drawn from the seed."""
VERSION = 2
"""Of everything that decides the course of a search. Raise it when kernels or constants change."""


class SurrogateSearcher(LedgerSearcher):
    """Asks for the most promising strategy; several budgets are asked in turn and share what is learnt.

    Args:
        ledger: of one budget or several.
        seed: decides the first candidate, and ties.
    """

    def __init__(self, ledger: Ledger, *, seed: int) -> None:
        super().__init__(ledger)
        self._mixture = Mixture(Kernels(ledger.stages, ledger.budgets))
        self._tree = StrategyTree(ledger.stages)
        strategies = len(ledger.candidates) // ledger.budgets
        # Added to the acquisition, [L].
        self._tie = TIE * np.random.default_rng(seed).permutation(strategies) / strategies

    @property
    def key(self) -> dict[str, object]:
        """Name and version; all settings are constants."""
        return {"algorithm": "surrogate", "version": VERSION, "budgets": self._ledger.budgets}

    def choose(self) -> Candidate | None:
        """The strategy where the descent ends, within the budget whose turn it is."""
        ledger = self._ledger
        budget = self._next_budget()
        if budget is None:
            return None
        strategies = len(self._tie)
        part = slice(budget * strategies, (budget + 1) * strategies)
        visited = self._marked(ledger.rewards) | self._marked(ledger.in_flight)
        closed = (visited | self._marked(ledger.infeasible))[part]
        with one_thread():
            acquisition = np.where(closed, -np.inf, self._acquisition(budget)[part] + self._tie)
        leaf = self._tree.descend(acquisition, visited[part])
        return ledger.candidates[part.start + leaf]

    def _marked(self, candidates: Iterable[Candidate]) -> BoolArray:
        """Which of all candidates these are, [N]."""
        marks = np.zeros(len(self._ledger.candidates), dtype=bool)
        marks[[self._ledger.index[candidate] for candidate in candidates]] = True
        return marks

    def _next_budget(self) -> int | None:
        """Of the budgets with any free candidate, the one that has had the fewest evaluations."""
        ledger = self._ledger
        used, closed = [0] * ledger.budgets, [0] * ledger.budgets
        for candidate in (*ledger.rewards, *ledger.in_flight):
            used[candidate.budget] += 1
        for candidate in ledger.infeasible:
            closed[candidate.budget] += 1
        open_ = [b for b in range(ledger.budgets) if used[b] + closed[b] < len(self._tie)]
        return min(open_, key=lambda b: used[b], default=None)

    def _acquisition(self, budget: int) -> Float64Array:
        """What is expected of every candidate, [N]."""
        ledger = self._ledger
        self._mixture.set_observations(observations(ledger.rewards, ledger.index))
        budgets = np.array([candidate.budget for candidate in ledger.rewards], dtype=np.int64)
        values = standardised(np.array([reward.mean for reward in ledger.rewards.values()]), budgets)
        posterior = self._mixture.posterior(values, [ledger.index[c] for c in ledger.in_flight])
        if not np.any(budgets == budget):
            return log_variance(posterior)
        return log_expected_improvement(posterior, float(values[budgets == budget].max()))


def observations(rewards: Mapping[Candidate, RewardEstimate], index: Mapping[Candidate, int]) -> list[Observation]:
    """The candidates with rewards, [n]; noise variances, where known, relative to the first that is."""
    first = next((reward.noise_variance for reward in rewards.values() if reward.noise_variance), None)
    low, high = NOISE_RATIO_RANGE
    ratios = [
        1.0 if first is None or reward.noise_variance is None else min(max(reward.noise_variance / first, low), high)
        for reward in rewards.values()
    ]
    return [Observation(index[candidate], ratio) for candidate, ratio in zip(rewards, ratios, strict=True)]


LARGE = 1e100
"""Rewards beyond are scaled first: their squares would be infinite."""


def standardised(rewards: Float64Array, budgets: Int64Array) -> Float64Array:
    """Rewards as values of mean 0 and variance 1, [n].

    Each reward is centred on the median of its budget. The spread is that of the rewards above it, since those have to
    be ranked. Rewards far below are drawn up to `LOWEST`.

    Args:
        rewards: [n].
        budgets: of each reward, [n].
    """
    largest = float(np.abs(rewards).max(initial=0.0))
    if largest > LARGE:
        rewards = rewards / largest
    centred = rewards.astype(float)
    for budget in np.unique(budgets):
        centred[budgets == budget] -= np.median(rewards[budgets == budget])
    above = centred[centred >= 0]
    spread = math.sqrt(float(np.mean(above**2))) if len(above) else 0.0
    if not spread > 0:
        return np.zeros_like(centred)
    values = np.maximum(centred / spread, LOWEST)
    return np.asarray((values - values.mean()) / values.std())


def log_variance(posterior: Posterior) -> Float64Array:
    """ln of the variance in the mixture, [N]: before any reward is known, ask where the variance is largest."""
    return np.asarray(np.log(posterior.weights @ posterior.variance))


def log_expected_improvement(posterior: Posterior, best: float) -> Float64Array:
    """ln E max(value - best, 0) in the mixture, [N]."""
    spread = np.sqrt(posterior.variance + VALUE_OF_NOISE * posterior.noise[:, None])
    by_process = log_improvement((posterior.mean - best) / spread) + np.log(spread * posterior.weights[:, None])
    highest = by_process.max(axis=0)
    return np.asarray(highest + np.log(np.sum(np.exp(by_process - highest), axis=0)))


TABLE_FROM, TABLE_TO, TABLE_STEPS = -37, 12, 64
"""Range of z, in standard deviations, and the table's rows per standard deviation."""


def _exact_log_improvement(z: float) -> float:
    """ln(pdf(z) + z cdf(z)) of the standard normal distribution."""
    density = math.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    return math.log(density + z * 0.5 * math.erfc(-z / math.sqrt(2)))


_TABLE = np.array(
    [_exact_log_improvement(row / TABLE_STEPS) for row in range(TABLE_FROM * TABLE_STEPS, TABLE_TO * TABLE_STEPS + 2)]
)


def log_improvement(z: Float64Array) -> Float64Array:
    """ln(pdf(z) + z cdf(z)) of the standard normal distribution, any shape; from a table, absolute error below 1e-4.

    Left of the table it goes on as a parabola, without the slower terms of the tail. Right of it, it stays constant.
    """
    position = (np.clip(z, TABLE_FROM, TABLE_TO) - TABLE_FROM) * TABLE_STEPS
    row = position.astype(np.int64)
    left = _TABLE.take(row)
    inside = left + (position - row) * (_TABLE.take(row + 1) - left)
    return np.asarray(inside - 0.5 * (np.minimum(z, TABLE_FROM) ** 2 - TABLE_FROM**2))
