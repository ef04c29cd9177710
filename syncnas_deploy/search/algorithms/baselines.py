"""The baselines that a search has to beat: candidates in random order, and regularised evolution."""

from __future__ import annotations

from collections import deque

import numpy as np

from syncnas_deploy.networks.strategy import OPS, random_strategy
from syncnas_deploy.search.algorithms.ledger import Ledger, LedgerSearcher
from syncnas_deploy.search.algorithms.searcher import Candidate

POPULATION = 20
TOURNAMENT = 5
ATTEMPTS = 50
"""Draws of a strategy that may not be free; after them any free candidate will do."""


class RandomOrder(LedgerSearcher):
    """Every candidate of a ledger, in an order drawn from the seed."""

    def __init__(self, ledger: Ledger, *, seed: int) -> None:
        super().__init__(ledger)
        self._order = [ledger.candidates[i] for i in np.random.default_rng(seed).permutation(len(ledger.candidates))]

    @property
    def key(self) -> dict[str, object]:
        """The name says it all."""
        return {"algorithm": "random"}

    def choose(self) -> Candidate | None:
        """The first free one."""
        return next((candidate for candidate in self._order if self._ledger.is_free(candidate)), None)


class Evolution(RandomOrder):
    """Regularised evolution: mutate the best of a random few among those evaluated last.

    Population 20, tournaments of 5, one letter changes. A strategy that is not free is drawn again.
    Source: Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019, Alg. 1.
    """

    def __init__(self, ledger: Ledger, *, seed: int) -> None:
        super().__init__(ledger, seed=seed)
        self._seed = seed

    @property
    def key(self) -> dict[str, object]:
        """Name and settings."""
        return {"algorithm": "evolution", "population": POPULATION, "tournament": TOURNAMENT}

    def choose(self) -> Candidate | None:
        """A random strategy until the population is complete, then mutants."""
        ledger = self._ledger
        if not ledger.free_count:
            return None
        done, in_flight = len(ledger.rewards), len(ledger.in_flight)
        rng = np.random.default_rng([self._seed, done, in_flight, len(ledger.infeasible)])
        is_first_population = done + in_flight < POPULATION or not done
        for _ in range(ATTEMPTS):
            candidate = Candidate(random_strategy(rng, ledger.stages) if is_first_population else self._mutant(rng))
            if ledger.is_free(candidate):
                return candidate
        return super().choose()

    def _mutant(self, rng: np.random.Generator) -> str:
        population = deque(self._ledger.rewards.items(), maxlen=POPULATION)
        few = rng.choice(len(population), min(TOURNAMENT, len(population)), replace=False)
        parent = max((population[i] for i in few), key=lambda member: member[1].mean)[0].strategy
        stage = int(rng.integers(len(parent)))
        choices = [op for op in (OPS if stage == len(parent) - 1 else (*OPS, "n")) if op != parent[stage]]
        return parent[:stage] + choices[int(rng.integers(len(choices)))] + parent[stage + 1 :]
