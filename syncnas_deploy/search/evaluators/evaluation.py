"""The evaluation of a network, and the evaluator protocol."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from syncnas_deploy.errors import EvaluationError
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.precision import Precision


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
    """What gives a network its reward; workers receive a pickle of it.

    A class may also have `compares_branches`: False where its rewards of one branch and of two cannot be compared; and
    `validation_pictures`: of how many pictures a reward is the share that is right.
    """

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


def evaluated(evaluator: Evaluator, config: ModelConfig, seed: int) -> Evaluation:
    """What an evaluator gives a network.

    Raises:
        EvaluationError: no `Evaluation`, or one with something else than numbers in it.
    """
    found: object = evaluator.evaluate(config, seed)
    if not isinstance(found, Evaluation):
        raise EvaluationError(
            f"The evaluator {evaluator.name} returned {found!r:.40} for {config.name}; let it return "
            "Evaluation(reward, seconds)."
        )
    for name, value in {"reward": found.reward, "spread": found.spread, **found.details}.items():
        try:
            value is None or float(value)
        except (TypeError, ValueError):
            raise EvaluationError(
                f"The evaluator {evaluator.name} gave {config.name} the {name} {value!r:.40}; it must be a number."
            ) from None
    return found


REPEATS = 3
"""Evaluations of a network whose reward depends on the seed, where it is rated by itself."""


def compares_branches(evaluator: Evaluator) -> bool:
    """Whether its rewards of one branch and of two can be compared; true unless it says not."""
    return bool(getattr(evaluator, "compares_branches", True))


def picture_error(evaluator: Evaluator, reward: float) -> float:
    """Standard error of an accuracy by the number of pictures that it is of (binomial); 0 of another reward.

    One right and one wrong picture are added, so that it is not 0 where all were alike.
    """
    pictures = getattr(evaluator, "validation_pictures", 0)
    share = (min(max(reward, 0.0), 1.0) * pictures + 1) / (pictures + 2)
    return math.sqrt(share * (1 - share) / pictures) if pictures else 0.0


def rate(evaluator: Evaluator, config: ModelConfig) -> tuple[float | None, float]:
    """A network's reward and its standard error, that of its pictures included; None where it is infeasible."""
    found = [evaluated(evaluator, config, seed) for seed in range(1 if evaluator.spread == 0.0 else REPEATS)]
    rewards = [one.reward for one in found if one.reward is not None]
    if len(rewards) < len(found):
        return None, 0.0
    spreads = [one.spread for one in found if one.spread is not None]
    if evaluator.spread is not None:
        spread = evaluator.spread
    elif len(spreads) == len(found):
        spread = math.sqrt(statistics.fmean(s * s for s in spreads))
    else:
        spread = statistics.stdev(rewards)
    reward = statistics.fmean(rewards)
    return reward, math.hypot(spread / math.sqrt(len(found)), picture_error(evaluator, reward))


def described(evaluator: Evaluator) -> str:
    """Its name, cost and errors in a sentence."""
    spread = evaluator.spread
    if spread is None:
        scatter = "how much rewards scatter between seeds is measured on the way"
    elif spread == 0.0:
        scatter = "the seed does not matter"
    else:
        scatter = f"declared to scatter by {spread:g} between seeds"
    if error := picture_error(evaluator, 0.5):
        scatter += f"; an accuracy of its validation pictures has a standard error of up to {error:.2g}"
    return f"{evaluator.name}: {evaluator.cost}; {scatter}."


@runtime_checkable
class RoundingEvaluator(Protocol):
    """An evaluator that can rate a network as it will run: rounded to the precisions of its files."""

    def in_precisions(self, precisions: Sequence[Precision]) -> Evaluator:
        """The evaluator for networks whose branches are exported in these, unless it was told others."""
        ...


def as_it_runs(evaluator: Evaluator, precisions: Sequence[Precision]) -> Evaluator:
    """The evaluator for networks in these precisions; itself where it looks at no files."""
    return evaluator.in_precisions(precisions) if isinstance(evaluator, RoundingEvaluator) else evaluator


@runtime_checkable
class LearningEvaluator(Protocol):
    """An evaluator that compares a candidate with earlier ones, to give it up early when it is hopeless."""

    def informed(self, finished: Sequence[Evaluation]) -> Evaluator:
        """The evaluator for the next candidate, given all evaluations that are finished, in their order."""
        ...
