"""What each letter of a strategy is worth in a stage, by the surrogate and what a search has found."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from syncnas_deploy.blas import one_thread
from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.search.algorithms.gaussian import Mixture, Observation
from syncnas_deploy.search.algorithms.kernels import Kernels
from syncnas_deploy.search.algorithms.surrogate import standardised

MOST_OBSERVED = 120
"""Candidates that the surrogate is told, evenly from the first to the last: it needs time with their cube."""
MOST_STAGES = 9
"""There are 3 times as many strategies with each stage more."""
LEAST_OBSERVED = 5


@dataclass(frozen=True)
class LetterWorth:
    """How much better or worse than without a sync, in the mean over all strategies.

    Attributes:
        stage: 0 for the first.
        letter: a or c.
        beside: what it is compared with: n; in the last stage, which always has a sync, a.
        gain: mean reward with the letter, less that with the other one.
    """

    stage: int
    letter: str
    beside: str
    gain: float


def letters_worth(found: Sequence[tuple[str, float, float]]) -> list[LetterWorth]:
    """The worth of each stage's letters; empty where too little was evaluated, or all rewards are the same.

    Args:
        found: strategy, budget in microseconds and reward of each evaluation.
    """
    rewards: dict[tuple[str, float], list[float]] = defaultdict(list)
    for strategy, budget_us, reward in found:
        rewards[strategy, budget_us].append(reward)
    stages = len(found[0][0]) if found else 0
    if not len(rewards) >= LEAST_OBSERVED or not 0 < stages <= MOST_STAGES:
        return []
    keys = list(rewards)
    keys = [keys[i] for i in np.unique(np.linspace(0, len(keys) - 1, MOST_OBSERVED).round().astype(int))]
    strategies = all_strategies(stages)
    limits = sorted({budget_us for _, budget_us in keys})
    place = {strategy: i for i, strategy in enumerate(strategies)}
    if any(strategy not in place for strategy, _ in keys):
        return []
    means = np.array([statistics.fmean(rewards[key]) for key in keys])
    budgets = np.array([limits.index(budget_us) for _, budget_us in keys])
    values = standardised(means, budgets)
    scale = _scale(means, budgets, values)
    if not scale > 0:
        return []
    with one_thread():
        mixture = Mixture(Kernels(stages, len(limits)))
        mixture.set_observations(
            [Observation(len(strategies) * b + place[s]) for (s, _), b in zip(keys, budgets, strict=True)]
        )
        posterior = mixture.posterior(values)
        # Of the largest budget, in the rewards' own scale, [strategies].
        believed = scale * (posterior.weights @ posterior.mean)[-len(strategies) :]
    letters = np.array([list(strategy) for strategy in strategies])
    worth = []
    for stage in range(stages):
        beside, compared = ("a", "c") if stage == stages - 1 else ("n", "ac")
        for letter in compared:
            with_it, without = (float(believed[letters[:, stage] == x].mean()) for x in (letter, beside))
            worth.append(LetterWorth(stage, letter, beside, with_it - without))
    return worth


def _scale(rewards: np.ndarray, budgets: np.ndarray, values: np.ndarray) -> float:
    """The rewards' difference for a difference of 1 in their standardised values; 0 where all are the same."""
    best = int(values.argmax())
    peers = np.flatnonzero((budgets == budgets[best]) & (values > values.min()) & (values < values[best]))
    other = int(peers[values[peers].argmin()]) if len(peers) else int(values.argmin())
    apart = values[best] - values[other]
    return float((rewards[best] - rewards[other]) / apart) if apart > 1e-9 else 0.0
