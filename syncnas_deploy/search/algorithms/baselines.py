"""What a search has to beat: candidates in random order, and regularised evolution."""

from __future__ import annotations

from collections import deque

import numpy as np

from syncnas_deploy.networks.strategy import OPS, random_strategy
from syncnas_deploy.search.algorithms.ledger import Ledger
from syncnas_deploy.search.algorithms.searcher import Candidate

POPULATION = 20
TOURNAMENT = 5
ATTEMPTS = 50
"""Mutants that may be taken already before any free candidate will do."""


class RandomOrder:
    """Every candidate of a ledger, in an order drawn from the seed."""

    def __init__(self, ledger: Ledger, *, seed: int) -> None:
        self._ledger = ledger
        self._order = [ledger.candidates[i] for i in np.random.default_rng(seed).permutation(len(ledger.candidates))]

    @property
    def key(self) -> dict[str, object]:
        """The name says it all."""
        return {"algorithm": "random"}

    def ask(self) -> Candidate | None:
        """See `Searcher`."""
        free = next((c for c in self._order if self._ledger.is_free(c)), None)
        return None if free is None else self._ledger.hand_out(free)

    def tell(self, candidate: Candidate, reward: float, *, noise_variance: float | None = None) -> None:
        """See `Searcher`."""
        self._ledger.tell(candidate, reward, noise_variance)

    def tell_infeasible(self, candidate: Candidate) -> None:
        """See `Searcher`."""
        self._ledger.tell_infeasible(candidate)

    def forget(self, candidate: Candidate) -> None:
        """See `Searcher`."""
        self._ledger.forget(candidate)


class Evolution(RandomOrder):
    """Regularised evolution: mutate the best of a random few among those evaluated last.

    Population 20, tournaments of 5, one letter changes. What is taken is drawn again.
    Source: Real et al., "Regularized Evolution for Image Classifier Architecture Search", AAAI 2019, Alg. 1.
    """

    def __init__(self, ledger: Ledger, *, seed: int) -> None:
        super().__init__(ledger, seed=seed)
        self._seed = seed

    @property
    def key(self) -> dict[str, object]:
        """Name and settings."""
        return {"algorithm": "evolution", "population": POPULATION, "tournament": TOURNAMENT}

    def ask(self) -> Candidate | None:
        """See `Searcher`."""
        ledger = self._ledger
        if ledger.taken == len(ledger.candidates):
            return None
        told, flying = len(ledger.told), len(ledger.in_flight)
        rng = np.random.default_rng([self._seed, told, flying, len(ledger.infeasible)])
        first = told + flying < POPULATION or not told
        for _ in range(ATTEMPTS):
            strategy = random_strategy(rng, ledger.stages) if first else self._mutant(rng)
            if ledger.is_free(Candidate(strategy)):
                return ledger.hand_out(Candidate(strategy))
        return super().ask()

    def _mutant(self, rng: np.random.Generator) -> str:
        population = deque(self._ledger.told.items(), maxlen=POPULATION)
        few = rng.choice(len(population), min(TOURNAMENT, len(population)), replace=False)
        parent = max((population[i] for i in few), key=lambda known: known[1].reward)[0].strategy
        stage = int(rng.integers(len(parent)))
        choices = [op for op in (OPS if stage == len(parent) - 1 else (*OPS, "n")) if op != parent[stage]]
        return parent[:stage] + choices[int(rng.integers(len(choices)))] + parent[stage + 1 :]
