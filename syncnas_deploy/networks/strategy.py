"""Synchronization strategies, and the tree over them that the search descends.

A strategy is one letter per stage, n (none), a (add) or c (concat), the last never n. There are 2 * 3^(stages - 1) of
them: 1,458 for seven stages.
`syncnas_deploy.networks.config.check_strategy` says what is wrong with a text that is none.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

OPS = ("a", "c")


@dataclass(frozen=True)
class StrategyState:
    """A strategy decided in part: a node of the tree.

    First the number of syncs is decided, then the stages that they follow, in order (the last stage always is one),
    then their types, in order. That is one decision per level, so all strategies below share what is learnt about it.
    Source: SyncNAS (LCTES 2023), Algorithm 2: sync count, positions, types.
    """

    stages: int
    syncs: int | None = None
    positions: tuple[int, ...] = ()
    ops: str = ""

    def __post_init__(self) -> None:
        if self.stages < 1:
            raise ValueError(f"a strategy needs at least one stage, found {self.stages}")

    @property
    def strategy(self) -> str | None:
        """One letter per stage; None while something is not decided."""
        if len(self.ops) != self.syncs:
            return None
        letters = ["n"] * self.stages
        for position, op in zip(self.positions, self.ops, strict=True):
            letters[position] = op
        return "".join(letters)


def is_leaf(state: StrategyState) -> bool:
    """Whether the state is a whole strategy."""
    return len(state.ops) == state.syncs


def children(state: StrategyState) -> tuple[StrategyState, ...]:
    """The states one decision further; none below a leaf."""
    n, syncs, positions = state.stages, state.syncs, state.positions
    if syncs is None:
        return tuple(_placed(n, k, ()) for k in range(1, n + 1))
    if is_leaf(state):
        return ()
    if len(positions) < syncs:
        first = positions[-1] + 1 if positions else 0
        # Each of the syncs after this one needs a stage.
        end = n - (syncs - len(positions) - 1)
        return tuple(_placed(n, syncs, (*positions, p)) for p in range(first, end))
    return tuple(StrategyState(n, syncs, positions, state.ops + op) for op in OPS)


def _placed(stages: int, syncs: int, positions: tuple[int, ...]) -> StrategyState:
    """A state with these positions, and with the last one too when only that is left."""
    if len(positions) == syncs - 1:
        positions = (*positions, stages - 1)
    return StrategyState(stages, syncs, positions)


def route(strategy: str) -> tuple[StrategyState, ...]:
    """The states from the undecided one to a strategy."""
    positions = tuple(i for i, op in enumerate(strategy) if op != "n")
    ops = strategy.replace("n", "")
    states = [StrategyState(len(strategy))]
    while not is_leaf(states[-1]):
        states += [
            child
            for child in children(states[-1])
            if child.syncs == len(positions)
            and child.positions == positions[: len(child.positions)]
            and ops.startswith(child.ops)
        ]
    return tuple(states)


def all_strategies(stages: int) -> tuple[str, ...]:
    """Every strategy, in alphabetical order of a, c, n."""
    choices = [("a", "c", "n")] * (stages - 1) + [OPS]
    return tuple("".join(letters) for letters in itertools.product(*choices))


def random_strategy(rng: np.random.Generator, stages: int) -> str:
    """One strategy, all equally likely."""
    return "".join("acn"[i] for i in rng.integers(3, size=stages - 1)) + OPS[int(rng.integers(2))]
