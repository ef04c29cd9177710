"""What every searcher keeps: which candidates are done, in flight, infeasible or free."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.search.algorithms.searcher import Candidate, Searcher


@dataclass(frozen=True)
class Told:
    """What is known of a candidate that was evaluated.

    Attributes:
        reward: larger is better.
        noise_variance: of the reward, in its squared units; None where unknown.
    """

    reward: float
    noise_variance: float | None = None


class Ledger:
    """The candidates of one search; every change is checked.

    Args:
        stages: letters of a strategy.
        budgets: latency budgets; each strategy is a candidate within each of them.
        infeasible: candidates known to be infeasible from the start.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, stages: int, *, budgets: int = 1, infeasible: Collection[Candidate] = ()) -> None:
        if stages < 1 or budgets < 1:
            raise ValueError(f"a search needs at least one stage and one budget, found {stages} and {budgets}")
        self.stages = stages
        self.budgets = budgets
        self.candidates = tuple(Candidate(s, b) for b in range(budgets) for s in all_strategies(stages))
        self.index: Mapping[Candidate, int] = {candidate: i for i, candidate in enumerate(self.candidates)}
        self.told: dict[Candidate, Told] = {}
        self.in_flight: dict[Candidate, None] = {}
        self.infeasible: set[Candidate] = set()
        for candidate in infeasible:
            self._check(candidate)
            self.infeasible.add(candidate)

    def is_free(self, candidate: Candidate) -> bool:
        """Whether it can be handed out."""
        return not (candidate in self.told or candidate in self.in_flight or candidate in self.infeasible)

    @property
    def taken(self) -> int:
        """How many candidates are done, in flight or infeasible."""
        return len(self.told) + len(self.in_flight) + len(self.infeasible)

    def hand_out(self, candidate: Candidate) -> Candidate:
        """Note that a free candidate is in flight."""
        assert self.is_free(candidate), f"{candidate} is taken"
        self.in_flight[candidate] = None
        return candidate

    def tell(self, candidate: Candidate, reward: float, noise_variance: float | None) -> None:
        """Note a value, in place of an earlier one; a first value comes last in the order of `told`.

        Raises:
            ValueError: no such candidate, or a value that is not finite.
        """
        self._check(candidate)
        if not math.isfinite(reward):
            raise ValueError(f"the reward of {candidate} must be finite, found {reward}")
        if noise_variance is not None and not (math.isfinite(noise_variance) and noise_variance >= 0):
            raise ValueError(f"the noise variance of {candidate} must be 0 or more, found {noise_variance}")
        self.in_flight.pop(candidate, None)
        self.infeasible.discard(candidate)
        self.told[candidate] = Told(reward, noise_variance)

    def tell_infeasible(self, candidate: Candidate) -> None:
        """Note that a candidate is infeasible.

        Raises:
            ValueError: no such candidate.
        """
        self._check(candidate)
        self.in_flight.pop(candidate, None)
        self.told.pop(candidate, None)
        self.infeasible.add(candidate)

    def forget(self, candidate: Candidate) -> None:
        """Note that a candidate is no longer in flight.

        Raises:
            ValueError: it was not.
        """
        if candidate not in self.in_flight:
            raise ValueError(f"{candidate} is not in flight")
        del self.in_flight[candidate]

    def _check(self, candidate: Candidate) -> None:
        if candidate not in self.index:
            raise ValueError(f"{candidate} is not one of {self.stages} stages and {self.budgets} budgets")


class PerBudget:
    """One searcher a budget, asked in turn: nothing is shared between them.

    Args:
        stages: letters of a strategy.
        budgets: latency budgets.
        infeasible: candidates known to be infeasible from the start.
        make: a searcher with the ledger of one budget.
    """

    def __init__(
        self,
        stages: int,
        budgets: int,
        infeasible: Collection[Candidate],
        make: Callable[[Ledger], Searcher],
    ) -> None:
        by_budget = [{Candidate(c.strategy) for c in infeasible if c.budget == b} for b in range(budgets)]
        if sum(map(len, by_budget)) != len(set(infeasible)):
            raise ValueError(f"an infeasible candidate is of none of {budgets} budgets")
        self._ledgers = [Ledger(stages, infeasible=known) for known in by_budget]
        self._searchers = [make(ledger) for ledger in self._ledgers]

    @property
    def key(self) -> dict[str, object]:
        """The key of one of them, and how many there are."""
        return {**self._searchers[0].key, "budgets": len(self._searchers)}

    def ask(self) -> Candidate | None:
        """From the budget that has had the fewest evaluations, of those with any left."""
        ledgers = self._ledgers
        order = sorted(range(len(ledgers)), key=lambda b: len(ledgers[b].told) + len(ledgers[b].in_flight))
        for budget in order:
            found = self._searchers[budget].ask()
            if found is not None:
                return Candidate(found.strategy, budget)
        return None

    def tell(self, candidate: Candidate, reward: float, *, noise_variance: float | None = None) -> None:
        """See `Searcher`."""
        self._searcher(candidate).tell(Candidate(candidate.strategy), reward, noise_variance=noise_variance)

    def tell_infeasible(self, candidate: Candidate) -> None:
        """See `Searcher`."""
        self._searcher(candidate).tell_infeasible(Candidate(candidate.strategy))

    def forget(self, candidate: Candidate) -> None:
        """See `Searcher`."""
        self._searcher(candidate).forget(Candidate(candidate.strategy))

    def _searcher(self, candidate: Candidate) -> Searcher:
        if not 0 <= candidate.budget < len(self._searchers):
            raise ValueError(f"{candidate} is of none of {len(self._searchers)} budgets")
        return self._searchers[candidate.budget]
