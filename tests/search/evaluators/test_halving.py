"""Giving up early: which rungs there are, and who is hopeless."""

from __future__ import annotations

import pytest

from syncnas_deploy.search.evaluators import Evaluation
from syncnas_deploy.search.evaluators.halving import Halving


@pytest.mark.parametrize(
    ("epochs", "factor", "rungs"),
    [(9, 3, (1, 3)), (27, 3, (1, 3, 9)), (10, 3, (1, 3)), (8, 2, (1, 2, 4)), (2, 3, ()), (1, 2, ()), (9, 1, ())],
)
def test_rungs(epochs: int, factor: int, rungs: tuple[int, ...]) -> None:
    assert Halving(epochs, factor).rungs == rungs


def test_only_the_best_third_goes_on_once_there_are_enough_to_compare_with() -> None:
    rule = Halving(9, 3)
    assert not rule.is_hopeless(0.0, [])
    assert not rule.is_hopeless(0.0, [0.9, 0.8])
    assert rule.is_hopeless(0.5, [0.9, 0.8, 0.1])
    assert not rule.is_hopeless(0.85, [0.9, 0.8, 0.1])
    assert not rule.is_hopeless(0.9, [0.9, 0.9, 0.9]), "equal ones go on"
    later = [0.1 * i for i in range(10)]
    going = [value for value in later if not rule.is_hopeless(value, [v for v in later if v != value])]
    assert going == later[-4:]


def test_values_and_gains_come_from_what_is_finished() -> None:
    rule = Halving(9, 3)
    finished = [
        Evaluation(0.8, 1.0, {"top1_epoch_1": 0.2, "top1_epoch_3": 0.5}),
        Evaluation(0.9, 1.0, {"top1_epoch_1": 0.4, "top1_epoch_3": 0.8}),
        Evaluation(0.6, 1.0, {"top1_epoch_1": 0.1}, partial=True),
        Evaluation(None, 1.0),
    ]
    assert rule.known(finished) == {1: (0.2, 0.4, 0.1), 3: (0.5, 0.8)}
    assert rule.gains(finished) == pytest.approx({1: 0.55, 3: 0.2})
