"""The descent through the tree of strategies, led by what a surrogate expects of every leaf.

At each node the child is taken with the largest

    best acquisition below + exploration * prior * sqrt(N) / (1 + n)

where the prior is the child's share of exp(acquisition), and N and n count the evaluations below node and child, those
in flight included.

Source: Rosin, "Multi-armed bandits with episode context", 2011; Silver et al., "Mastering the game of Go without human
knowledge", Nature 2017 (PUCT). PUCT has a mean where this has the largest value below: a search wants one network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from syncnas_deploy.arrays import BoolArray, Float64Array, Int64Array
from syncnas_deploy.networks.strategy import StrategyState, all_strategies, children, is_leaf

EXPLORATION = 0.3


@dataclass(frozen=True)
class Branching:
    """A node of C children: where the leaves below each begin and end, in the order of the leaves.

    Attributes:
        bounds: child c has the leaves from bounds[c] up to bounds[c + 1], [C + 1].
        below: the children; None for one that is a leaf, [C].
    """

    bounds: Int64Array
    below: tuple[Branching | None, ...]


class StrategyTree:
    """The tree of `strategy.children` with N strategies as leaves; a node is a range of leaves.

    Args:
        stages: letters of a strategy.
    """

    def __init__(self, stages: int) -> None:
        leaves: list[str] = []
        root = _branching(StrategyState(stages), leaves)
        assert root is not None, "an undecided strategy is no leaf"
        self._root = root
        place = {strategy: i for i, strategy in enumerate(all_strategies(stages))}
        # The place in `all_strategies` of each leaf, [N].
        self._order = np.array([place[leaf] for leaf in leaves])

    def descend(self, acquisition: Float64Array, visited: BoolArray) -> int:
        """The free leaf where the descent ends, by its place in `all_strategies`.

        Args:
            acquisition: what is expected of each strategy, larger being better, -inf for those that are not free, [N].
            visited: whether a strategy is evaluated or in flight, [N].

        Raises:
            ValueError: no strategy is free.
        """
        values = acquisition[self._order]
        highest = values.max()
        if highest == -np.inf:
            raise ValueError("no strategy is free")
        mass = np.exp(values - highest)
        visits = np.concatenate([[0], np.cumsum(visited[self._order])])
        node: Branching | None = self._root
        start = 0
        while node is not None:
            bounds = node.bounds
            best = np.maximum.reduceat(values[: bounds[-1]], bounds[:-1])
            share = np.add.reduceat(mass[: bounds[-1]], bounds[:-1])
            n = visits[bounds[1:]] - visits[bounds[:-1]]
            prior = share / max(float(share.sum()), np.finfo(float).tiny)
            chosen = int(np.argmax(best + EXPLORATION * prior * np.sqrt(n.sum()) / (1 + n)))
            start, node = int(bounds[chosen]), node.below[chosen]
        return int(self._order[start])


def _branching(state: StrategyState, leaves: list[str]) -> Branching | None:
    """The node of a state, None for a leaf; appends the leaves below it to `leaves`."""
    if is_leaf(state):
        assert state.strategy is not None
        leaves.append(state.strategy)
        return None
    bounds, below = [len(leaves)], []
    for child in children(state):
        below.append(_branching(child, leaves))
        bounds.append(len(leaves))
    return Branching(np.array(bounds), tuple(below))
