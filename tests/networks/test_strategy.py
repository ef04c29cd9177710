"""The space of strategies and the tree over it."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from syncnas_deploy.errors import StrategyError
from syncnas_deploy.networks.config import check_strategy
from syncnas_deploy.networks.strategy import (
    StrategyState,
    all_strategies,
    children,
    is_leaf,
    random_strategy,
)


@pytest.mark.parametrize(("stages", "count"), [(1, 2), (2, 6), (6, 486), (7, 1458)])
def test_counts(stages: int, count: int) -> None:
    strategies = all_strategies(stages)
    assert len(strategies) == len(set(strategies)) == count
    assert all(check_strategy(s, stages) == s for s in strategies)


def test_counts_by_number_of_syncs() -> None:
    by_syncs = Counter(7 - s.count("n") for s in all_strategies(7))
    assert [by_syncs[k] for k in range(1, 8)] == [2, 24, 120, 320, 480, 384, 128]


@pytest.mark.parametrize("stages", [1, 2, 6, 7])
def test_tree_reaches_every_strategy_once(stages: int) -> None:
    leaves: list[str] = []
    stack = [StrategyState(stages)]
    while stack:
        state = stack.pop()
        if is_leaf(state):
            assert state.strategy is not None
            assert state.syncs == stages - state.strategy.count("n")
            assert children(state) == ()
            leaves.append(state.strategy)
        else:
            below = children(state)
            assert below and len(set(below)) == len(below)
            stack.extend(below)
    assert sorted(leaves) == list(all_strategies(stages))


def test_first_level_is_the_number_of_syncs() -> None:
    assert [state.syncs for state in children(StrategyState(7))] == list(range(1, 8))


def test_random_strategies_cover_the_space_evenly() -> None:
    rng = np.random.default_rng(0)
    drawn = Counter(random_strategy(rng, 4) for _ in range(5400))
    assert set(drawn) == set(all_strategies(4))
    assert min(drawn.values()) > 60  # 100 expected, standard deviation 10


@pytest.mark.parametrize(
    ("text", "says"),
    [("aa", "has 2 letters"), ("aaxaaaa", "contains 'x'"), ("aaaaaan", "ends in n"), ("", "has 0 letters")],
)
def test_what_is_wrong_is_named(text: str, says: str) -> None:
    with pytest.raises(StrategyError, match=says):
        check_strategy(text, 7)


def test_a_base_has_stages() -> None:
    with pytest.raises(ValueError, match="at least one stage"):
        StrategyState(0)
