"""The descent: the best leaf where nothing speaks against it, and elsewhere where a subtree is worn out."""

from __future__ import annotations

import numpy as np
import pytest

from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.search.algorithms.descent import StrategyTree


@pytest.mark.parametrize("stages", [1, 2, 5, 7])
def test_a_clear_best_is_taken_wherever_it_is(stages: int) -> None:
    tree = StrategyTree(stages)
    strategies = all_strategies(stages)
    rng = np.random.default_rng(stages)
    for best in rng.permutation(len(strategies))[:40]:
        acquisition = rng.normal(size=len(strategies))
        acquisition[best] = 50.0
        assert tree.descend(acquisition, np.zeros(len(strategies), bool)) == best


def test_leaves_that_are_not_free_are_never_reached() -> None:
    strategies = all_strategies(3)
    tree = StrategyTree(3)
    acquisition = np.zeros(len(strategies))
    visited = np.zeros(len(strategies), bool)
    reached = []
    for _ in strategies:
        leaf = tree.descend(acquisition, visited)
        reached.append(leaf)
        acquisition[leaf], visited[leaf] = -np.inf, True
    assert sorted(reached) == list(range(18))
    with pytest.raises(ValueError, match="no strategy is free"):
        tree.descend(acquisition, visited)


def test_between_near_equals_the_less_visited_subtree_is_taken() -> None:
    strategies = all_strategies(5)
    tree = StrategyTree(5)
    few = np.array([s.count("n") == 4 for s in strategies])
    acquisition = np.full(len(strategies), -20.0)
    first, second = strategies.index("nnnna"), strategies.index("aaaaa")
    acquisition[[first, second]] = [0.01, 0.0]
    visited = np.zeros(len(strategies), bool)
    assert tree.descend(acquisition, visited) == first
    visited[few] = True
    visited[first] = False
    assert tree.descend(acquisition, visited) == second
    # However worn out, a subtree with something far better is taken.
    acquisition[first] = 5.0
    assert tree.descend(acquisition, visited) == first
