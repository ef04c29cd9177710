"""What each letter is worth: effects that are there are found, and what nothing can be said of gives nothing."""

from __future__ import annotations

import random

import pytest

from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.search.letters import letters_worth

EFFECTS = {"n": 0.0, "a": 1.0, "c": -1.0}


def rewards(count: int, *, scale: float = 1.0, stages: int = 5) -> list[tuple[str, float, float]]:
    """Every letter of a later stage counts more; nothing else counts."""
    chosen = random.Random(0).sample(all_strategies(stages), count)
    return [(s, 900.0, scale * sum((i + 1) * EFFECTS[letter] for i, letter in enumerate(s))) for s in chosen]


@pytest.mark.parametrize(("count", "scale"), [(40, 1.0), (100, 1e-6), (162, 1e12)])
def test_effects_are_found_in_the_rewards_own_scale(count: int, scale: float) -> None:
    found = {(row.stage, row.letter): row for row in letters_worth(rewards(count, scale=scale))}
    assert len(found) == 9 and found[4, "c"].beside == "a" and found[0, "a"].beside == "n"
    for stage in range(1, 4):
        assert found[stage, "a"].gain > 0 > found[stage, "c"].gain
        assert found[stage, "a"].gain == pytest.approx(scale * (stage + 1), rel=0.5)
    assert found[4, "c"].gain == pytest.approx(-10 * scale, rel=0.5)


def test_budgets_and_repeats_belong_together() -> None:
    once = rewards(40)
    again = [(s, 1800.0, reward + 100.0) for s, _, reward in once] + [(s, us, reward + 0.1) for s, us, reward in once]
    found = {(row.stage, row.letter): row.gain for row in letters_worth([*once, *again])}
    # The larger budget is better by 100 whatever the letters are.
    assert all(abs(gain) < 20 for gain in found.values()) and found[3, "a"] > 2


@pytest.mark.parametrize(
    "found",
    [
        [],
        rewards(4),
        [(s, 900.0, 7.0) for s in all_strategies(3)],
        [("x" * 5, 900.0, float(i)) for i in range(9)],
        [(s, 900.0, float(i)) for i, s in enumerate(["nna", "nnna", "nnc", "ana", "cna", "nnnnna"])],
        [("n" * 11 + "a", float(i), float(i)) for i in range(9)],
        [("", 900.0, float(i)) for i in range(9)],
    ],
)
def test_where_nothing_can_be_said_nothing_is(found: list[tuple[str, float, float]]) -> None:
    assert letters_worth(found) == []
