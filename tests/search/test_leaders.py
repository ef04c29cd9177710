"""Which candidate leads, how sure that is, and which is evaluated again."""

from __future__ import annotations

import math
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from syncnas_deploy.search.algorithms.searcher import Candidate
from syncnas_deploy.search.evaluators import Capacity, Evaluation, picture_error
from syncnas_deploy.search.leaders import CONTENDERS, Leaders

A, B, C, D, E = (Candidate(f"{letter}a") for letter in "abcde")


def leaders_of(rewards: dict[Candidate, list[float]], spread: float | None = None) -> Leaders:
    leaders = Leaders(spread)
    for number, (candidate, values) in enumerate(rewards.items(), start=1):
        for value in values:
            leaders.add(candidate, number, Evaluation(value, 1.0))
    return leaders


def leader(of: Leaders, budget: int = 0) -> Candidate:
    best = of.best(budget)
    assert best is not None
    return best.candidate


def test_means_decide_and_the_earlier_of_equals_leads() -> None:
    leaders = leaders_of({A: [0.5], B: [0.9, 0.2], C: [0.6], D: [0.6]})
    best = leaders.best(0)
    assert best is not None and (best.candidate, best.mean, best.number) == (C, 0.6, 3)
    assert Leaders(0.0).best(0) is None


def test_errors_of_any_size_are_finite() -> None:
    leaders = leaders_of({A: [1e300, -1e300, 5e299], B: [-1e300, 1e300, 0.0], C: [1e300]})
    assert math.isfinite(leaders.standard_error(leaders.best(0)) or math.inf)  # type: ignore[arg-type]
    for spread in (1e300, 1e200):
        scored = Leaders(None).add(A, 1, Evaluation(1.0, 1.0, spread=spread))
        assert Leaders(None).standard_error(scored) == pytest.approx(spread)


def test_where_the_seed_does_not_matter_nothing_is_repeated() -> None:
    leaders = leaders_of({A: [0.5], B: [0.5]}, spread=0.0)
    assert leaders.to_repeat(0, {}) is None and leaders.is_sure(0)
    assert leaders.standard_error(leaders.add(C, 3, Evaluation(0.1, 1.0))) == 0.0


def test_close_leaders_are_repeated_the_least_evaluated_first_until_their_order_is_sure() -> None:
    leaders = leaders_of({A: [0.70], B: [0.69], C: [0.2]}, spread=0.01)
    assert leaders.to_repeat(0, {}) == A
    assert leaders.to_repeat(0, {A: 1}) == B
    assert leaders.to_repeat(0, {A: 1, B: 1}) == A
    leaders.add(A, 1, Evaluation(0.70, 1.0))
    assert leaders.to_repeat(0, {}) == B
    assert not leaders.is_sure(0)
    # 0.01 apart, means of seven and eight: their difference is off by 0.0052, which is more than half of 0.01.
    for value, candidate in [(0.70, A)] * 5 + [(0.69, B)] * 7:
        leaders.add(candidate, 1, Evaluation(value, 1.0))
    assert leaders.to_repeat(0, {}) == A and not leaders.is_sure(0)
    for _ in range(2):
        leaders.add(A, 1, Evaluation(0.70, 1.0))
    assert leaders.to_repeat(0, {}) is None and leaders.is_sure(0)
    best = leaders.best(0)
    assert best is not None and leaders.standard_error(best) == pytest.approx(0.01 / math.sqrt(9))


def test_scatter_comes_from_the_evaluations_or_from_repeated_ones() -> None:
    spoken = Leaders(None)
    row = spoken.add(A, 1, Evaluation(0.5, 1.0, spread=0.03))
    spoken.add(A, 1, Evaluation(0.5, 1.0, spread=0.04))
    assert spoken.standard_error(row) == pytest.approx(0.05 / 2)
    silent = leaders_of({A: [0.70], B: [0.60], C: [0.5]})
    assert silent.to_repeat(0, {}) == A, "nothing says yet how much rewards scatter"
    assert not leaders_of({A: [0.70, 0.70], B: [0.60]}).is_sure(0), "two draws may be alike by chance"
    silent = leaders_of({A: [0.70, 0.72], B: [0.60, 0.60], C: [0.5, 0.5]})
    best = silent.best(0)
    assert best is not None and silent.standard_error(best) == pytest.approx(math.sqrt(2 * 0.01**2 / 3) / math.sqrt(2))
    assert silent.is_sure(0)
    still = leaders_of({A: [0.70, 0.70], B: [0.69, 0.69], C: [0.5, 0.5]})
    assert still.is_sure(0), "repeated evaluations that are equal have no scatter"


def test_only_the_first_few_are_contenders() -> None:
    leaders = leaders_of({Candidate(f"{c}a"): [0.5] for c in "abcdefgh"}, spread=1.0)
    asked = []
    for _ in range(12):
        candidate = leaders.to_repeat(0, {})
        assert candidate is not None
        asked.append(candidate)
        leaders.add(candidate, 1, Evaluation(0.5, 1.0))
    assert len(set(asked)) == CONTENDERS


def test_what_was_given_up_cannot_win_and_what_cannot_be_repeated_is_left_alone() -> None:
    leaders = leaders_of({A: [0.7], B: [0.69]}, spread=0.1)
    leaders.add(C, 3, Evaluation(0.99, 1.0, partial=True))
    assert leader(leaders) == A
    leaders.close(A)
    assert leaders.to_repeat(0, {}) == B
    leaders.close(B)
    assert leaders.to_repeat(0, {}) is None and not leaders.is_sure(0)
    leaders.remove(A)
    assert leader(leaders) == B


def test_a_network_within_a_smaller_budget_counts_for_larger_ones() -> None:
    leaders = leaders_of({Candidate("aa", 1): [0.5], Candidate("ca", 0): [0.6], Candidate("na", 2): [0.55]}, spread=0.0)
    assert [leader(leaders, b).strategy for b in (0, 1, 2)] == ["ca", "ca", "ca"]
    leaders.add(Candidate("cc", 1), 4, Evaluation(0.7, 1.0))
    assert [leader(leaders, b).strategy for b in (0, 1, 2)] == ["ca", "cc", "cc"]


def test_repeated_evaluations_decide_right_more_often_than_single_ones() -> None:
    """Two leaders 0.015 apart, under noise of 0.02: one draw each is right in 70 % of the cases."""
    rng = np.random.default_rng(1)
    true = {A: 0.800, B: 0.815, C: 0.5, D: 0.5}
    single, several, used = 0, 0, 0
    for _ in range(400):
        leaders = leaders_of({c: [mean + rng.normal(0.0, 0.02)] for c, mean in true.items()}, spread=0.02)
        single += leader(leaders) == B
        for _ in range(12):
            again = leaders.to_repeat(0, {})
            if again is None:
                break
            leaders.add(again, 1, Evaluation(true[again] + rng.normal(0.0, 0.02), 1.0))
            used += 1
        several += leader(leaders) == B
    assert 250 < single < 310
    assert several > single + 30
    assert used / 400 < 9


@pytest.mark.parametrize(("skewed", "scale"), [(False, 0.04), (False, 0.02), (True, 0.04), (True, 0.02)])
def test_a_leader_that_is_sure_is_seldom_the_wrong_one(skewed: bool, scale: float) -> None:
    """30 candidates, noise of 0.02, eight repeated evaluations; many candidates near the top where it is skewed."""
    rng = np.random.default_rng(1)
    sure, wrong = 0, 0
    for _ in range(100):
        true = 0.7 - rng.exponential(scale, 30) if skewed else rng.normal(0.7, scale, 30)
        of = {Candidate(f"{number}a"): float(value) for number, value in enumerate(true)}
        leaders = leaders_of({c: [mean + rng.normal(0.0, 0.02)] for c, mean in of.items()}, spread=0.02)
        for _ in range(8):
            if again := leaders.to_repeat(0, {}):
                leaders.add(again, 1, Evaluation(of[again] + rng.normal(0.0, 0.02), 1.0))
        sure += leaders.is_sure(0)
        wrong += leaders.is_sure(0) and of[leader(leaders)] < true.max()
    assert wrong <= max(1, sure // 10)
    assert sure > 15 or skewed or scale < 0.04


def test_what_is_not_among_the_next_ones_can_be_better_too() -> None:
    """The leader and its next ones are known well, all others were evaluated once."""
    known = {A: [0.80] * 100, B: [0.76] * 100, C: [0.76] * 100, D: [0.76] * 100}
    leaders = leaders_of({**known, E: [0.75]}, spread=0.04)
    assert not leaders.is_sure(0) and leaders.to_repeat(0, {}) == E


@pytest.mark.parametrize(("pictures", "sure"), [(60, False), (600, False), (6_000, True)])
def test_few_pictures_tell_little_whatever_the_seed(pictures: int, sure: bool) -> None:
    """Rewards 0.70 and 0.67 are two of 60 pictures apart."""
    of: Any = SimpleNamespace(validation_pictures=pictures)
    leaders = Leaders(0.0, partial(picture_error, of))
    for number, (candidate, reward) in enumerate(((A, 0.70), (B, 0.67))):
        leaders.add(candidate, number, Evaluation(reward, 1.0))
    best = leaders.best(0)
    assert best is not None and leaders.is_sure(0) is sure and leaders.to_repeat(0, {}) is None
    assert leaders.standard_error(best) == pytest.approx(math.sqrt(0.7 * 0.3 / pictures), rel=0.01)
    assert leaders.seed_error(best) == 0.0
    assert all(picture_error(of, reward) > 0 for reward in (0.0, 1.0, 1.2))
    assert picture_error(Capacity(), 20.0) == 0.0
