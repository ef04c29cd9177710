"""Evaluators: they give a network its reward, larger being better. `make_evaluator` makes one from its text.

`zen` needs no training, `capacity` no time, `table` reads rewards that someone else has determined, `train` and
`inherit` look at pictures, and `command` asks any program. How well the first three agree with a trained accuracy
has not been measured for this project.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from syncnas_bench.errors import nearest
from syncnas_deploy.errors import ABSENT, UnknownEvaluator
from syncnas_deploy.search.evaluators.capacity import Capacity
from syncnas_deploy.search.evaluators.checking import checked
from syncnas_deploy.search.evaluators.command import Command
from syncnas_deploy.search.evaluators.evaluation import (
    Evaluation,
    Evaluator,
    LearningEvaluator,
    as_it_runs,
    compares_branches,
    described,
    evaluated,
    picture_error,
    rate,
)
from syncnas_deploy.search.evaluators.inheriting import Inherit
from syncnas_deploy.search.evaluators.reward_table import RewardTable
from syncnas_deploy.search.evaluators.training import Train
from syncnas_deploy.search.evaluators.zen import Zen

__all__ = [
    "Capacity",
    "Command",
    "Evaluation",
    "Evaluator",
    "Inherit",
    "LearningEvaluator",
    "RewardTable",
    "Train",
    "Zen",
    "as_it_runs",
    "compares_branches",
    "default_evaluator",
    "described",
    "evaluated",
    "make_evaluator",
    "picture_error",
    "rate",
]


KINDS = ("zen", "capacity", "train", "inherit", "command", "table")
"""What an evaluator's text begins with."""


def default_evaluator(on_notice: Callable[[str], None] = lambda _: None) -> str:
    """The evaluator where none is named: ``zen``; without torch ``capacity``, of which `on_notice` is told."""
    if importlib.util.find_spec("torch") is not None:
        return "zen"
    on_notice(
        "torch is not installed, so networks are rated by their multiply-accumulates (capacity); for zen run: "
        "pip install 'syncnas-deploy[torch]'"
    )
    return "capacity"


def make_evaluator(text: str | Evaluator) -> Evaluator:
    """The evaluator that `text` names, see `docs/reference.md`; or one of the user's own, checked.

    Raises:
        UnknownEvaluator: none of these, or an option that it does not have; or an object that is none.
        MissingDependency: zen without torch.
        RewardTableError: the file is no table of rewards.
        DatasetError: an image folder that cannot be used.
        WeightsError: no such weights.
    """
    if not isinstance(text, str):
        return checked(text)
    name, _, rest = text.partition(":")
    if text == "capacity":
        return Capacity()
    if text == "zen":
        return Zen()
    if name == "zen" and rest.isdecimal() and len(rest) < 5 and 32 <= int(rest) <= 1024:
        return Zen(input_size=int(rest))
    if name == "table" and rest:
        return RewardTable(Path(rest))
    if name == "train":
        return Train.parse(rest)
    if name == "inherit":
        return Inherit.parse(rest)
    if name == "command":
        return Command.parse(rest)
    raise UnknownEvaluator(
        f"{text[:80]!r} is not an evaluator; use zen, zen:PIXELS (32 to 1024), train:FOLDER, inherit:WEIGHTS,FOLDER, "
        "command:PROGRAM, capacity or table:FILE." + nearest(name, KINDS),
        code=ABSENT,
    )
