"""Monte Carlo tree search over any finite tree: simulate, expand, backward.

The tree knows states, children and rewards, nothing of models. A leaf is evaluated once, outside: `ask`
hands one out, `tell` takes its reward. What has been handed out and not told is in flight; it steers the
search away from itself (a virtual visit) but never counts as done.

Ties, and the order in which unvisited children are tried, come from the seed and the node's place, not from
a stream of random numbers. So what `ask` returns depends only on the seed, on what has been told and on what
is in flight: with one evaluation in flight at a time, telling the same rewards again, in the same order,
builds the same tree. With several in flight the order of tells and asks matters too.

Source: UCT, Kocsis & Szepesvari, ECML 2006. Virtual visits as unobserved samples, counted in the exploration
term and not as losses: Liu et al., "Watch the Unobserved", ICLR 2020.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

S = TypeVar("S", bound=Hashable)


@dataclass(frozen=True)
class UctSettings:
    """How a child is chosen: the largest `mean reward + exploration * sqrt(2 ln N / n)`.

    N and n are the visits of node and child, in flight ones included. With `normalise`, rewards are mapped to
    [0, 1] by the smallest and largest seen, and an infeasible leaf counts as the smallest; without, rewards
    are as told and an infeasible leaf counts as 0.
    The default was the better on tabulated spaces: rewards of trained models lie so close together that raw
    rewards with the published constant visit the children of the root in turn.
    """

    exploration: float = 0.2
    normalise: bool = True

    def __post_init__(self) -> None:
        if not (math.isfinite(self.exploration) and self.exploration >= 0):
            raise ValueError(f"exploration must be 0 or more, found {self.exploration}")

    @classmethod
    def published(cls) -> UctSettings:
        """As published: 2 sqrt(2 ln N / n) on raw rewards. Source: SyncNAS (LCTES 2023), Algorithm 2."""
        return cls(exploration=2.0, normalise=False)


@dataclass
class Node(Generic[S]):
    """A state with what is known below it.

    Attributes:
        done: leaves below that were told, infeasible ones included.
        infeasible: how many of those were infeasible.
        in_flight: leaves below that were handed out and not told.
        reward_sum: sum of the raw rewards of the feasible ones.
        open_children: children below which a leaf is left to hand out; only meaningful once expanded.
    """

    state: S
    place: tuple[int, ...]
    done: int = 0
    infeasible: int = 0
    in_flight: int = 0
    reward_sum: float = 0.0
    children: list[Node[S]] = field(default_factory=list)
    open_children: int = 0
    closed: bool = False

    @property
    def visits(self) -> int:
        """Visits done and in flight."""
        return self.done + self.in_flight


class Tree(Generic[S]):
    """A search in progress.

    Args:
        root: the undecided state.
        children: the states one decision further, always in the same order; every leaf has one way to it.
        is_leaf: whether a state is fully decided.
        seed: decides ties.
        settings: how children are chosen.

    Attributes:
        root: the node of the undecided state; its `done` counts all leaves that were told.
    """

    def __init__(
        self,
        root: S,
        children: Callable[[S], tuple[S, ...]],
        is_leaf: Callable[[S], bool],
        *,
        seed: int,
        settings: UctSettings | None = None,
    ) -> None:
        self.settings = settings or UctSettings()
        self._children = children
        self._is_leaf = is_leaf
        self._seed = seed
        self.root: Node[S] = Node(root, ())
        self._in_flight: dict[S, list[Node[S]]] = {}
        self._done: dict[S, tuple[list[Node[S]], float | None]] = {}
        self._lowest = math.inf
        self._highest = -math.inf

    @property
    def in_flight(self) -> tuple[S, ...]:
        """Leaves handed out and not told, oldest first."""
        return tuple(self._in_flight)

    def ask(self) -> S | None:
        """The next leaf to evaluate, or None when every leaf is done or in flight."""
        if self.root.closed:
            return None
        return self._hand_out(self._simulate())

    def claim(self, route: Sequence[S]) -> None:
        """As if `ask` had handed out the leaf at the end of `route`, the states from the root to it.

        Raises:
            ValueError: no such route, or its leaf is not free.
        """
        self._hand_out(self._follow(route))

    def exclude(self, route: Sequence[S]) -> None:
        """Never hand out the leaf at the end of `route`; it counts nowhere.

        Raises:
            ValueError: no such route, or its leaf is not free.
        """
        self._close(self._follow(route))

    def tell(self, leaf: S, reward: float) -> None:
        """The reward of a leaf that was asked for; larger is better.

        Raises:
            ValueError: the leaf is not in flight, or the reward is not finite.
        """
        if not math.isfinite(reward):
            raise ValueError(f"the reward of {leaf!r} must be finite, found {reward}")
        self._count(leaf, self._land(leaf), reward)

    def tell_infeasible(self, leaf: S) -> None:
        """A leaf that was asked for turned out to be infeasible.

        Raises:
            ValueError: the leaf is not in flight.
        """
        self._count(leaf, self._land(leaf), None)

    def revise(self, leaf: S, reward: float | None) -> None:
        """Replace what was told of a leaf; None says that it is infeasible.

        Raises:
            ValueError: the leaf was not told, or the reward is not finite.
        """
        if leaf not in self._done or not math.isfinite(reward or 0.0):
            raise ValueError(f"only what was told can be revised, by a finite reward; found {leaf!r}, {reward}")
        path, before = self._done.pop(leaf)
        for node in path:
            node.done -= 1
            node.infeasible -= before is None
            node.reward_sum -= before or 0.0
        rewards = [r for _, r in self._done.values() if r is not None]
        self._lowest, self._highest = min(rewards, default=math.inf), max(rewards, default=-math.inf)
        self._count(leaf, path, reward)

    def _hand_out(self, path: list[Node[S]]) -> S:
        """Put the leaf at the end of a path in flight."""
        leaf = path[-1].state
        if leaf in self._in_flight:
            raise ValueError(f"two ways lead to the leaf {leaf!r}; a leaf must have one")
        self._in_flight[leaf] = path
        for node in path:
            node.in_flight += 1
        self._close(path)
        return leaf

    def _follow(self, route: Sequence[S]) -> list[Node[S]]:
        """The nodes of a route from the root to a free leaf."""
        node = self.root
        path = [node]
        for state in route[1:]:
            if not node.children and not self._is_leaf(node.state):
                self._expand(node)
            child = next((child for child in node.children if child.state == state), None)
            if child is None:
                break
            node = child
            path.append(node)
        if [n.state for n in path] != list(route) or not self._is_leaf(node.state) or node.closed:
            raise ValueError(f"{list(route)!r} is not the way to a free leaf")
        return path

    def _count(self, leaf: S, path: list[Node[S]], reward: float | None) -> None:
        """Count a told leaf along its path."""
        self._done[leaf] = (path, reward)
        if reward is not None:
            self._lowest, self._highest = min(self._lowest, reward), max(self._highest, reward)
        for node in path:
            node.done += 1
            node.infeasible += reward is None
            node.reward_sum += reward or 0.0

    def _simulate(self) -> list[Node[S]]:
        """Descend from the root to a free leaf; below the first unvisited node this is a random playout."""
        node = self.root
        path = [node]
        while not self._is_leaf(node.state):
            if not node.children:
                self._expand(node)
            node = self._select(node)
            path.append(node)
        return path

    def _expand(self, node: Node[S]) -> None:
        """Give a node its children, in an order drawn from seed and place: earlier ones win ties."""
        states = self._children(node.state)
        if not states:
            raise ValueError(f"{node.state!r} has no children and is no leaf")
        order = np.random.default_rng([self._seed, len(node.place), *node.place]).permutation(len(states))
        node.children = [Node(states[i], (*node.place, int(i))) for i in order]
        node.open_children = len(states)

    def _select(self, node: Node[S]) -> Node[S]:
        """The open child of the largest upper confidence bound; unvisited ones first."""
        log_visits = math.log(max(node.visits, 1))
        best, best_bound = None, -math.inf
        for child in node.children:
            if child.closed:
                continue
            if not child.visits:
                return child
            explore = self.settings.exploration * math.sqrt(2 * log_visits / child.visits)
            bound = self._mean(child, node) + explore
            if bound > best_bound:
                best, best_bound = child, bound
        assert best is not None, "an open node has an open child"
        return best

    def _mean(self, node: Node[S], parent: Node[S]) -> float:
        """Mean reward of what is done below a node; its parent's while all of it is in flight."""
        known = node if node.done else parent
        if not known.done:
            return 0.0
        if not self.settings.normalise:
            return known.reward_sum / known.done
        spread = self._highest - self._lowest
        if not spread > 0:
            return 0.0
        return (known.reward_sum - (known.done - known.infeasible) * self._lowest) / (spread * known.done)

    def _land(self, leaf: S) -> list[Node[S]]:
        """End the flight of a leaf: its path from the root, virtual visits undone."""
        path = self._in_flight.pop(leaf, None)
        if path is None:
            raise ValueError(f"{leaf!r} is not in flight; only leaves that were asked for can be told, once")
        for node in path:
            node.in_flight -= 1
        return path

    def _close(self, path: list[Node[S]]) -> None:
        """The path's leaf is taken; so is every node above it with nothing left below."""
        path[-1].closed = True
        for parent in reversed(path[:-1]):
            parent.open_children -= 1
            if parent.open_children:
                return
            parent.closed = True
