"""The searcher `uct`: a tree over strategies, searched by upper confidence bounds."""

from __future__ import annotations

import dataclasses

from syncnas_deploy.networks.strategy import StrategyState, children, is_leaf, route
from syncnas_deploy.search.algorithms.ledger import Ledger, LedgerSearcher
from syncnas_deploy.search.algorithms.searcher import Candidate
from syncnas_deploy.search.algorithms.tree import Tree, UctSettings


class UctSearcher(LedgerSearcher):
    """`Tree` over `StrategyState`; what is infeasible from the start is cut off and counts nowhere.

    Args:
        ledger: of one budget.
        seed: decides ties.
        settings: how the tree chooses.
    """

    def __init__(self, ledger: Ledger, *, seed: int, settings: UctSettings) -> None:
        super().__init__(ledger)
        self._settings = settings
        self._tree = Tree(StrategyState(ledger.stages), children, is_leaf, seed=seed, settings=settings)
        self._excluded = frozenset(ledger.infeasible)
        for candidate in sorted(self._excluded):
            self._tree.exclude(route(candidate.strategy))

    @property
    def key(self) -> dict[str, object]:
        """Name and settings."""
        return {"algorithm": "uct", **dataclasses.asdict(self._settings)}

    def choose(self) -> Candidate | None:
        """The leaf that the tree asks for."""
        leaf = self._tree.ask()
        if leaf is None:
            return None
        assert leaf.strategy is not None, "a leaf is a whole strategy"
        return Candidate(leaf.strategy)

    def tell(self, candidate: Candidate, reward: float, *, noise_variance: float | None = None) -> None:
        """Note a reward and tell the tree, to which the variance does not matter."""
        is_revision = self._ledger.is_settled(candidate)
        super().tell(candidate, reward, noise_variance=noise_variance)
        self._tell_tree(candidate, reward, is_revision=is_revision)

    def tell_infeasible(self, candidate: Candidate) -> None:
        """Note that a candidate is infeasible and tell the tree."""
        is_revision = self._ledger.is_settled(candidate)
        super().tell_infeasible(candidate)
        self._tell_tree(candidate, None, is_revision=is_revision)

    def _tell_tree(self, candidate: Candidate, reward: float | None, *, is_revision: bool) -> None:
        if candidate in self._excluded:
            return
        states = route(candidate.strategy)
        leaf = states[-1]
        if is_revision:
            self._tree.revise(leaf, reward)
            return
        if leaf not in self._tree.in_flight:
            self._tree.claim(states)
        if reward is None:
            self._tree.tell_infeasible(leaf)
        else:
            self._tree.tell(leaf, reward)
