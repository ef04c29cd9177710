"""Several latency budgets for an algorithm that knows one: a searcher per budget, asked in turn."""

from __future__ import annotations

from collections.abc import Callable, Collection

from syncnas_deploy.search.algorithms.ledger import Ledger
from syncnas_deploy.search.algorithms.searcher import Candidate, Searcher


class PerBudget:
    """One searcher per budget; they share nothing.

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
        self._ledgers = [Ledger(stages, infeasible=candidates) for candidates in by_budget]
        self._searchers = [make(ledger) for ledger in self._ledgers]

    @property
    def key(self) -> dict[str, object]:
        """The key of one of them, and how many there are."""
        return {**self._searchers[0].key, "budgets": len(self._searchers)}

    def ask(self) -> Candidate | None:
        """From the budget that has had the fewest evaluations, of those with any free candidate."""
        ledgers = self._ledgers
        for budget in sorted(range(len(ledgers)), key=lambda b: len(ledgers[b].rewards) + len(ledgers[b].in_flight)):
            candidate = self._searchers[budget].ask()
            if candidate is not None:
                return Candidate(candidate.strategy, budget)
        return None

    def tell(self, candidate: Candidate, reward: float, *, noise_variance: float | None = None) -> None:
        """Tell the searcher of its budget."""
        self._searcher(candidate).tell(Candidate(candidate.strategy), reward, noise_variance=noise_variance)

    def tell_infeasible(self, candidate: Candidate) -> None:
        """Tell the searcher of its budget."""
        self._searcher(candidate).tell_infeasible(Candidate(candidate.strategy))

    def _searcher(self, candidate: Candidate) -> Searcher:
        if not 0 <= candidate.budget < len(self._searchers):
            raise ValueError(f"{candidate} is of none of {len(self._searchers)} budgets")
        return self._searchers[candidate.budget]
