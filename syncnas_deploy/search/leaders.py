"""Who leads, and whether the noise of the evaluations would hide that another should.

A reward is one draw where it depends on a seed. The leader is the candidate of the largest mean; it is sure of its
place when its distance to each of the next ones is larger than the standard error of the difference of both means.
Until then the leaders are evaluated again with other seeds, the one with the fewest evaluations first.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from syncnas_deploy.search.algorithms.searcher import Candidate
from syncnas_deploy.search.evaluators import Evaluation

CONTENDERS = 4
"""The leader and the next ones, which may be evaluated again."""
ENOUGH = 3
"""Repeated evaluations that say how much rewards scatter; fewer may be alike by chance."""


@dataclass
class Standing:
    """What is known of one network.

    Attributes:
        candidate: of the smallest budget that allows it.
        number: of the trial in which it was first evaluated.
        rewards: of its evaluations.
        spreads: of each evaluation, where it said so.
        partial: it was given up early; it can teach and not win.
        closed: it is not evaluated again, since that failed.
    """

    candidate: Candidate
    number: int
    rewards: list[float] = field(default_factory=list)
    spreads: list[float] = field(default_factory=list)
    partial: bool = False
    closed: bool = False

    @property
    def mean(self) -> float:
        """Mean reward."""
        return math.fsum(self.rewards) / len(self.rewards)


class Leaders:
    """All networks with a reward.

    Args:
        spread: standard deviation of a reward between seeds, as the evaluator declares it; 0 where the seed does
            not matter, None where evaluations, or repeated ones, will say.
    """

    def __init__(self, spread: float | None) -> None:
        self._declared = spread
        self._rows: dict[Candidate, Standing] = {}

    def add(self, candidate: Candidate, number: int, evaluation: Evaluation) -> Standing:
        """Note an evaluation with a reward."""
        assert evaluation.reward is not None, "infeasible candidates have no standing"
        row = self._rows.setdefault(candidate, Standing(candidate, number))
        row.rewards.append(evaluation.reward)
        row.partial = row.partial or evaluation.partial
        if evaluation.spread is not None:
            row.spreads.append(evaluation.spread)
        return row

    def close(self, candidate: Candidate) -> None:
        """No further evaluation of it can be had; what it has counts."""
        if candidate in self._rows:
            self._rows[candidate].closed = True

    def remove(self, candidate: Candidate) -> None:
        """It turned out to be infeasible with another seed: it is none to choose."""
        self._rows.pop(candidate, None)

    def error(self, row: Standing) -> float | None:
        """The standard error of its mean; None where nothing says how much rewards scatter."""
        count = len(row.rewards)
        if self._declared is not None:
            return self._declared / math.sqrt(count)
        if len(row.spreads) == count:
            return math.sqrt(math.fsum(s * s for s in row.spreads)) / count
        pooled = self._pooled()
        return None if pooled is None else pooled / math.sqrt(count)

    def best(self, budget: int) -> Standing | None:
        """The leader among those within a budget; what a smaller one allows, a larger one does too."""
        return next(iter(self._ranked(budget)), None)

    def to_repeat(self, budget: int, in_flight: Mapping[Candidate, int]) -> Candidate | None:
        """Whom to evaluate again, so that the leader within a budget becomes sure; None when it is.

        Args:
            budget: index of the budget.
            in_flight: how many evaluations of a candidate are on their way.
        """
        close = [row for row in self._close_ones(budget) if not row.closed]
        counts = [len(row.rewards) + in_flight.get(row.candidate, 0) for row in close]
        return close[counts.index(min(counts))].candidate if close else None

    def is_sure(self, budget: int) -> bool:
        """Whether noise cannot have put the leader within a budget first."""
        return not self._close_ones(budget)

    def _close_ones(self, budget: int) -> list[Standing]:
        """The leader and the next ones that it is not sure of; none when it is sure of all."""
        ranked = self._ranked(budget)[:CONTENDERS]
        rivals = [row for row in ranked[1:] if self._is_close(ranked[0], row)]
        return [ranked[0], *rivals] if rivals else []

    def _is_close(self, leader: Standing, other: Standing) -> bool:
        """Whether the noise could have put them in this order."""
        if self._declared == 0.0:
            return False
        mine, theirs = self.error(leader), self.error(other)
        if mine is None or theirs is None:
            return True
        scatter = math.hypot(mine, theirs)
        return scatter > 0 and leader.mean - other.mean <= scatter

    def _ranked(self, budget: int) -> list[Standing]:
        rows = [row for row in self._rows.values() if row.candidate.budget <= budget and not row.partial]
        return sorted(rows, key=lambda row: (-row.mean, row.number))

    def _pooled(self) -> float | None:
        """Standard deviation between seeds, from all that were evaluated more than once."""
        several = [row for row in self._rows.values() if len(row.rewards) > 1]
        freedom = sum(len(row.rewards) - 1 for row in several)
        if freedom < ENOUGH:
            return None
        squares = math.fsum((reward - row.mean) ** 2 for row in several for reward in row.rewards)
        return math.sqrt(squares / freedom)
