"""The searcher `uct`: a tree over strategies, searched by upper confidence bounds."""

from __future__ import annotations

import dataclasses

from syncnas_deploy.networks.strategy import StrategyState, children, is_leaf, route
from syncnas_deploy.search.algorithms.ledger import Ledger
from syncnas_deploy.search.algorithms.searcher import Candidate
from syncnas_deploy.search.algorithms.tree import Tree, UctSettings


class UctSearcher:
    """`Tree` over `StrategyState`; what is known to be infeasible is cut off and counts nowhere.

    Args:
        ledger: of one budget.
        seed: decides ties.
        settings: how the tree chooses.
    """

    def __init__(self, ledger: Ledger, *, seed: int, settings: UctSettings) -> None:
        self._ledger = ledger
        self._settings = settings
        self.tree = Tree(StrategyState(ledger.stages), children, is_leaf, seed=seed, settings=settings)
        for candidate in sorted(ledger.infeasible):
            self.tree.exclude(route(candidate.strategy))
        self._excluded = frozenset(ledger.infeasible)

    @property
    def key(self) -> dict[str, object]:
        """Name and settings."""
        return {"algorithm": "uct", **dataclasses.asdict(self._settings)}

    def ask(self) -> Candidate | None:
        """See `Searcher`."""
        leaf = self.tree.ask()
        if leaf is None:
            return None
        assert leaf.strategy is not None, "a leaf is a whole strategy"
        return self._ledger.hand_out(Candidate(leaf.strategy))

    def tell(self, candidate: Candidate, reward: float, *, noise_variance: float | None = None) -> None:
        """See `Searcher`; the variance does not matter to this one."""
        known = not self._ledger.is_free(candidate) and candidate not in self._ledger.in_flight
        self._ledger.tell(candidate, reward, noise_variance)
        self._pass_on(candidate, known, reward)

    def tell_infeasible(self, candidate: Candidate) -> None:
        """See `Searcher`."""
        known = not self._ledger.is_free(candidate) and candidate not in self._ledger.in_flight
        self._ledger.tell_infeasible(candidate)
        self._pass_on(candidate, known, None)

    def forget(self, candidate: Candidate) -> None:
        """See `Searcher`."""
        self._ledger.forget(candidate)
        self.tree.forget(route(candidate.strategy)[-1])

    def _pass_on(self, candidate: Candidate, known: bool, reward: float | None) -> None:
        """Tell the tree; `known` says that it was told of this candidate before."""
        if candidate in self._excluded:
            return
        way = route(candidate.strategy)
        leaf = way[-1]
        if known:
            self.tree.revise(leaf, reward)
            return
        if leaf not in self.tree.in_flight:
            self.tree.claim(way)
        if reward is None:
            self.tree.tell_infeasible(leaf)
        else:
            self.tree.tell(leaf, reward)
