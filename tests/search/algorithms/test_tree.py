"""The tree: bookkeeping, determinism, and that it searches better than chance."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from syncnas_deploy.networks.strategy import StrategyState, all_strategies, children, is_leaf
from syncnas_deploy.search.algorithms.tree import Node, Tree, UctSettings
from tests.support.landscapes import landscape


def strategy_tree(stages: int, seed: int, uct: UctSettings | None = None) -> Tree[StrategyState]:
    return Tree(StrategyState(stages), children, is_leaf, seed=seed, settings=uct)


def asked(tree: Tree[StrategyState]) -> StrategyState:
    leaf = tree.ask()
    assert leaf is not None
    return leaf


def visited_nodes(tree: Tree[StrategyState]) -> Iterator[Node[StrategyState]]:
    """Parents before children, in the order of the states."""
    stack = [tree.root]
    while stack:
        node = stack.pop()
        if node.visits:
            yield node
            stack.extend(sorted(node.children, key=lambda child: child.place, reverse=True))


def snapshot(tree: Tree[StrategyState]) -> list[tuple[object, ...]]:
    return [(n.state, n.done, n.infeasible, n.in_flight, n.reward_sum) for n in visited_nodes(tree)]


def check(tree: Tree[StrategyState], rewards: dict[str, float | None], flying: set[str]) -> None:
    """Every node's counts are those of the leaves below it."""
    for node in visited_nodes(tree):
        below = [name for name in [*rewards, *flying] if _is_below(name, node.state)]
        done = [rewards[name] for name in below if name in rewards]
        assert node.done == len(done)
        assert node.in_flight == len(below) - len(done)
        assert node.infeasible == sum(reward is None for reward in done)
        assert node.reward_sum == pytest.approx(sum(reward for reward in done if reward is not None), abs=1e-9)
    assert {leaf.strategy for leaf in tree.in_flight} == flying


def _is_below(name: str, state: StrategyState) -> bool:
    positions = tuple(i for i, op in enumerate(name) if op != "n")
    return (
        state.syncs in (None, len(positions))
        and positions[: len(state.positions)] == state.positions
        and name.replace("n", "").startswith(state.ops)
    )


actions = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ask", "tell", "infeasible", "revise"]),
        st.integers(0, 99),
        st.floats(-1e3, 1e3, allow_nan=False),
    ),
    max_size=80,
)


@settings(max_examples=60, deadline=None)
@given(actions, st.integers(0, 5), st.sampled_from([UctSettings(), UctSettings.published()]))
def test_counts_hold_whatever_happens(steps: list[tuple[str, int, float]], seed: int, uct: UctSettings) -> None:
    tree = strategy_tree(3, seed, uct)
    rewards: dict[str, float | None] = {}
    flying: dict[str, StrategyState] = {}
    leaves: dict[str, StrategyState] = {}
    for what, which, reward in steps:
        if what == "ask":
            leaf = tree.ask()
            if leaf is None:
                assert len(rewards) + len(flying) == 18
                continue
            assert leaf.strategy is not None
            assert leaf.strategy not in rewards
            assert leaf.strategy not in flying
            flying[leaf.strategy] = leaves[leaf.strategy] = leaf
        elif what == "revise":
            if rewards:
                name = sorted(rewards)[which % len(rewards)]
                rewards[name] = None if which % 5 == 0 else reward
                tree.revise(leaves[name], rewards[name])
        elif flying:
            name = sorted(flying)[which % len(flying)]
            leaf = flying.pop(name)
            if what == "tell":
                tree.tell(leaf, reward)
                rewards[name] = reward
            else:
                tree.tell_infeasible(leaf)
                rewards[name] = None
        check(tree, rewards, set(flying))
    assert tree.root.done == len(rewards)


@pytest.mark.parametrize("in_flight", [1, 8])
def test_every_leaf_is_handed_out_once_and_then_none(in_flight: int) -> None:
    tree = strategy_tree(5, seed=1)
    flying: list[StrategyState] = []
    seen: list[str | None] = []
    while True:
        while len(flying) < in_flight and (leaf := tree.ask()) is not None:
            flying.append(leaf)
            seen.append(leaf.strategy)
        if not flying:
            break
        tree.tell(flying.pop(0), len(seen) % 7)
    assert sorted(s or "" for s in seen) == list(all_strategies(5))
    assert tree.ask() is None


def test_same_seed_and_rewards_give_the_same_tree() -> None:
    rewards = landscape("pairwise", 3)
    trees = [strategy_tree(7, seed) for seed in (5, 5, 6)]
    orders = []
    for tree in trees:
        order = []
        for _ in range(60):
            leaf = asked(tree)
            order.append(leaf.strategy or "")
            tree.tell(leaf, rewards[order[-1]])
        orders.append(order)
    assert orders[0] == orders[1]
    assert snapshot(trees[0]) == snapshot(trees[1])
    assert orders[0] != orders[2]


def test_only_leaves_in_flight_can_be_told_once() -> None:
    tree = strategy_tree(3, seed=0)
    leaf = asked(tree)
    with pytest.raises(ValueError, match="finite"):
        tree.tell(leaf, math.nan)
    tree.tell(leaf, 1.0)
    for again in (
        lambda: tree.tell(leaf, 1.0),
        lambda: tree.tell_infeasible(leaf),
    ):
        with pytest.raises(ValueError, match="not in flight"):
            again()


def test_trees_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="no children"):
        Tree(0, lambda _: (), lambda _: False, seed=0).ask()
    joined = Tree("r", lambda s: {"r": ("x", "y")}.get(s, ("leaf",)), lambda s: s == "leaf", seed=0)
    joined.ask()
    with pytest.raises(ValueError, match="two ways"):
        joined.ask()
    with pytest.raises(ValueError, match="exploration"):
        UctSettings(exploration=-1.0)


def test_a_root_may_be_the_only_leaf() -> None:
    tree = Tree("only", lambda _: (), lambda _: True, seed=0)
    assert tree.ask() == "only"
    tree.tell("only", 1.0)
    assert tree.ask() is None


def two_armed(uct: UctSettings, low: float, high: float) -> int:
    """Of 40 evaluations, how many went to the better of two arms of 100 leaves each."""
    tree: Tree[tuple[int, ...]] = Tree(
        (),
        lambda s: tuple((*s, i) for i in range(100 if s else 2)),
        lambda s: len(s) == 2,
        seed=0,
        settings=uct,
    )
    better = 0
    for _ in range(40):
        leaf = tree.ask()
        assert leaf is not None
        better += leaf[0]
        tree.tell(leaf, high if leaf[0] else low)
    return better


def test_normalising_makes_small_differences_count() -> None:
    assert two_armed(UctSettings(), 0.7400, 0.7401) > 35
    assert two_armed(UctSettings(), -5.0, 90.0) == two_armed(UctSettings(), 0.7400, 0.7401)
    # As published, nearly flat rewards are visited in turn.
    assert two_armed(UctSettings.published(), 0.7400, 0.7401) <= 22


def test_infeasible_leaves_drive_away() -> None:
    tree: Tree[tuple[int, ...]] = Tree(
        (), lambda s: tuple((*s, i) for i in range(100 if s else 2)), lambda s: len(s) == 2, seed=0
    )
    visits = [0, 0]
    for n in range(40):
        leaf = tree.ask()
        assert leaf is not None
        visits[leaf[0]] += 1
        if leaf[0]:
            tree.tell(leaf, 0.7 + 0.01 * (n % 3))
        else:
            tree.tell_infeasible(leaf)
    assert visits[1] > 30


def evaluations_to_the_best(kind: str, seed: int, uct: UctSettings) -> int:
    rewards = landscape(kind, seed)
    best = max(rewards.values())
    tree = strategy_tree(7, seed, uct)
    while True:
        leaf = asked(tree)
        reward = rewards[leaf.strategy or ""]
        if reward == best:
            return tree.root.done + 1
        if reward:
            tree.tell(leaf, reward)
        else:
            tree.tell_infeasible(leaf)


@pytest.mark.parametrize(("kind", "most"), [("few_syncs", 60), ("pairwise", 450)])
def test_better_than_chance(kind: str, most: int) -> None:
    needed = [evaluations_to_the_best(kind, seed, UctSettings()) for seed in range(15)]
    # Chance finds the best of 1,458 after 729 in the median.
    assert statistics.median(needed) < most
    published = [evaluations_to_the_best(kind, seed, UctSettings.published()) for seed in range(15)]
    assert statistics.median(needed) < statistics.median(published)
