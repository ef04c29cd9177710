"""What the search benchmark counts."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.search_efficiency import quantile
from benchmarks.search_plot import regret_plot
from benchmarks.search_runs import Setting, run
from tests.support.search_spaces import FAMILIES, budget_spaces, space


@pytest.mark.parametrize("family", FAMILIES)
def test_spaces_are_the_same_again_and_look_like_accuracies_or_scores(family: str) -> None:
    rewards = space(family, 7)
    assert rewards.shape == (1458,)
    np.testing.assert_array_equal(rewards, space(family, 7))
    infeasible = np.isnan(rewards).mean()
    assert 0.29 < infeasible < 0.31 if family == "rugged" else infeasible < 0.2
    assert np.nanstd(rewards) > 0
    assert family == "zen" or not np.array_equal(rewards, space(family, 8), equal_nan=True)


@pytest.mark.parametrize("family", ["phys", "mid"])
def test_more_time_is_worth_more(family: str) -> None:
    less, same, more = budget_spaces(family, 3, (0.8, 1.0, 1.2))
    assert np.nanmax(less) < np.nanmax(same) < np.nanmax(more)
    assert np.isnan(less).sum() >= np.isnan(more).sum()
    assert np.nanmax(np.abs(same - space(family, 3))) < 0.01


@pytest.mark.parametrize("in_flight", [1, 4])
def test_a_run_ends_with_the_best(in_flight: int) -> None:
    outcome = run(Setting("evolution", "phys", 5, in_flight))
    assert outcome.to_best is not None
    assert outcome.to_top is not None
    assert outcome.to_top <= outcome.to_best
    evaluations, regrets = zip(*outcome.steps, strict=True)
    assert evaluations == tuple(sorted(set(evaluations)))
    assert regrets == tuple(sorted(regrets, reverse=True))
    assert (evaluations[-1], regrets[-1]) == (outcome.to_best, 0.0)
    assert outcome.regret_at(0) == 1.0
    assert outcome.regret_at(1) == regrets[0]
    assert "evolution" in regret_plot({("phys", "evolution"): [outcome]})


def test_quantiles_with_misses() -> None:
    assert quantile([3, 1, 2], 0.5) == "2"
    assert quantile([3, 1, 2, np.inf], 0.5) == "2.5"
    assert quantile([3, np.inf, np.inf], 0.5) == ">300"
