"""Made-up rewards of every strategy: what the search algorithms are compared on.

`few_syncs`: each sync costs time, more where features are large, and mixing the branches pays less and less;
the best strategies have few syncs. `pairwise`: random effects of single letters and of pairs of stages.
Rewards look like accuracies (0.6 to 0.8); 0 says infeasible.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from syncnas_deploy.networks.strategy import all_strategies

KINDS = ("few_syncs", "pairwise")


def landscape(kind: str, seed: int, *, stages: int = 7, noise: float = 0.0005) -> dict[str, float]:
    """Rewards by strategy; the same for the same arguments."""
    rng = np.random.default_rng([KINDS.index(kind), seed])
    strategies = all_strategies(stages)
    rewards = _few_syncs(rng, strategies) if kind == "few_syncs" else _pairwise(rng, strategies)
    noisy = np.where(rewards > 0, rewards + rng.normal(0, noise, len(rewards)), 0.0)
    return dict(zip(strategies, noisy.tolist(), strict=True))


def _few_syncs(rng: np.random.Generator, strategies: tuple[str, ...]) -> np.ndarray:
    stages = len(strategies[0])
    cost = rng.uniform(0.04, 0.06) + rng.uniform(0.05, 0.25) * np.linspace(1, 0.1, stages) ** 2
    benefit = rng.uniform(0.5, 1.5, stages)
    capacity = np.linspace(1.7, 1.3, stages) * rng.uniform(0.95, 1.05, stages) / stages
    rewards = []
    for strategy in strategies:
        synced = [s for s, op in enumerate(strategy) if op != "n"]
        overhead = sum(cost[s] * (0.6 if strategy[s] == "c" else 1.0) for s in synced)
        width = sum(c * (0.85 if op == "c" else 1.0) for c, op in zip(capacity, strategy, strict=True))
        gaps = np.diff([-1, *synced])
        mixing = 1 - math.exp(-float(np.sum(benefit[synced] * np.sqrt(gaps))) / 3)
        left = width * (1 - overhead)
        rewards.append(0.7 + 0.05 * math.log(left) + 0.03 * mixing if overhead < 0.6 else 0.0)
    return np.array(rewards)


def _pairwise(rng: np.random.Generator, strategies: tuple[str, ...]) -> np.ndarray:
    letters = np.array([["nac".index(op) for op in strategy] for strategy in strategies])
    stages = letters.shape[1]
    value = sum(rng.normal(0, 1, 3)[letters[:, s]] for s in range(stages))
    for s, t in itertools.combinations(range(stages), 2):
        value = value + rng.normal(0, 0.4, (3, 3))[letters[:, s], letters[:, t]]
    value = np.asarray(value)
    return np.asarray(0.72 + 0.01 * (value - value.mean()) / value.std())
