"""The evaluation of a network, and the evaluator protocol."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from syncnas_deploy.networks.config import ModelConfig


@dataclass(frozen=True)
class Evaluation:
    """The result of evaluating a network once.

    Attributes:
        reward: larger is better; None says that the candidate is infeasible.
        seconds: how long it took.
        details: numbers behind the reward, by name.
        spread: standard deviation of the reward between seeds, where this evaluation knows it.
        partial: it was given up early. Its reward is an estimate: the search learns from it and never chooses it.
        note: why it is infeasible or partial, for people.
    """

    reward: float | None
    seconds: float
    details: Mapping[str, float] = field(default_factory=dict)
    spread: float | None = None
    partial: bool = False
    note: str = ""


class Evaluator(Protocol):
    """What gives a network its reward; workers receive a pickle of it."""

    @property
    def name(self) -> str:
        """What the user calls it."""
        ...

    @property
    def key(self) -> dict[str, object]:
        """What decides its rewards, as plain JSON: a journal of another key is refused."""
        ...

    @property
    def cost(self) -> str:
        """The cost of one evaluation, for people."""
        ...

    @property
    def spread(self) -> float | None:
        """Standard deviation of a reward between seeds.

        0 where the seed does not matter; None where only the evaluations, or repeated ones, can say.
        """
        ...

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        """The reward of a network; the same for the same network and seed."""
        ...


def described(evaluator: Evaluator) -> str:
    """Its name, cost and spread in a sentence."""
    spread = evaluator.spread
    if spread is None:
        scatter = "how much rewards scatter between seeds is measured on the way"
    elif spread == 0.0:
        scatter = "the seed does not matter"
    else:
        scatter = f"declared to scatter by {spread:g} between seeds"
    return f"{evaluator.name}: {evaluator.cost}; {scatter}."


@runtime_checkable
class LearningEvaluator(Protocol):
    """An evaluator that compares a candidate with earlier ones, to give it up early when it is hopeless."""

    def informed(self, finished: Sequence[Evaluation]) -> Evaluator:
        """The evaluator for the next candidate, given all evaluations that are finished, in their order."""
        ...
