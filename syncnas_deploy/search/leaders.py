"""The leaders of a search, and whether the noise of the evaluations could hide that another should lead.

A reward is one draw where it depends on a seed. The leader is the candidate of the largest mean; it is sure of its
place when its distance to each other one is larger than two standard errors of the difference of both means, as many
as a verdict asks for. Of the largest of many draws one is too few. An accuracy has the error of its few pictures, too,
which another seed does not make smaller. While seeds can help, the leaders are evaluated again with other ones, the one
with the fewest evaluations first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from syncnas_deploy.search.algorithms.searcher import Candidate
from syncnas_deploy.search.evaluators import Evaluation

CONTENDERS = 4
"""The leader and the next ones, which may be evaluated again."""
ERRORS = 2
"""Standard errors of a difference that scatter can hide."""
LEAST_FREEDOM = 3
"""Degrees of freedom from which the scatter of rewards is known; fewer may be alike by chance."""


@dataclass
class ScoredCandidate:
    """A candidate and its rewards.

    Attributes:
        candidate: of the smallest budget that allows its network.
        number: of the trial in which it was first evaluated.
        rewards: of its evaluations.
        spreads: standard deviations between seeds, from the evaluations that know it.
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
        return math.fsum(self.rewards) / len(self.rewards)


class Leaders:
    """All candidates with a reward.

    Args:
        spread: standard deviation of a reward between seeds, as the evaluator declares it; 0 where the seed does
            not matter, None where evaluations, or repeated ones, will say.
        picture_error: standard error of a mean that no seed makes smaller.
    """

    def __init__(self, spread: float | None, picture_error: Callable[[float], float] = lambda _: 0.0) -> None:
        self._declared, self._picture_error = spread, picture_error
        self._candidates: dict[Candidate, ScoredCandidate] = {}

    def add(self, candidate: Candidate, number: int, evaluation: Evaluation) -> ScoredCandidate:
        """Note an evaluation with a reward."""
        assert evaluation.reward is not None, "an infeasible candidate has no reward"
        scored = self._candidates.setdefault(candidate, ScoredCandidate(candidate, number))
        scored.rewards.append(evaluation.reward)
        scored.partial = scored.partial or evaluation.partial
        if evaluation.spread is not None:
            scored.spreads.append(evaluation.spread)
        return scored

    def close(self, candidate: Candidate) -> None:
        """No further evaluation of it can be had; what it has counts."""
        if candidate in self._candidates:
            self._candidates[candidate].closed = True

    def remove(self, candidate: Candidate) -> None:
        """It turned out to be infeasible with another seed: it is none to choose."""
        self._candidates.pop(candidate, None)

    def standard_error(self, scored: ScoredCandidate) -> float | None:
        """Of its mean reward, by seeds and pictures; None where nothing says how much rewards scatter."""
        error = self.seed_error(scored)
        return None if error is None else math.hypot(error, self._picture_error(scored.mean))

    def seed_error(self, scored: ScoredCandidate) -> float | None:
        """Standard error of its mean by seeds alone; None where nothing says how much rewards scatter."""
        count = len(scored.rewards)
        if self._declared is not None:
            return self._declared / math.sqrt(count)
        if len(scored.spreads) == count:
            return math.hypot(*scored.spreads) / count
        pooled = self._pooled()
        return None if pooled is None else pooled / math.sqrt(count)

    def best(self, budget: int) -> ScoredCandidate | None:
        """The leader within a budget; a network of a smaller budget is within a larger one too."""
        return next(iter(self._ranked(budget)), None)

    def to_repeat(self, budget: int, in_flight: Mapping[Candidate, int]) -> Candidate | None:
        """Which candidate to evaluate again, so that the leader within a budget becomes sure; None where none helps.

        Args:
            budget: index of the budget.
            in_flight: how many evaluations of a candidate are on their way.
        """
        rivals = list(islice(self._close_ones(budget, self.seed_error), CONTENDERS - 1))
        close = [scored for scored in [*self._ranked(budget)[:1], *rivals] if rivals and not scored.closed]
        counts = [len(scored.rewards) + in_flight.get(scored.candidate, 0) for scored in close]
        return close[counts.index(min(counts))].candidate if close else None

    def is_sure(self, budget: int) -> bool:
        """Whether scatter cannot hide that another one within a budget is better."""
        return next(self._close_ones(budget, self.standard_error), None) is None

    def _close_ones(self, budget: int, error: Callable[[ScoredCandidate], float | None]) -> Iterator[ScoredCandidate]:
        """Those that the leader is not sure to be better than, the largest mean first."""
        ranked = self._ranked(budget)
        for other in ranked[1:]:
            first, second = error(ranked[0]), error(other)
            scatter = math.inf if first is None or second is None else math.hypot(first, second)
            if scatter > 0 and ranked[0].mean - other.mean <= ERRORS * scatter:
                yield other

    def _ranked(self, budget: int) -> list[ScoredCandidate]:
        """Those within a budget that were not given up early, the largest mean first, the earlier of equals."""
        within = [s for s in self._candidates.values() if s.candidate.budget <= budget and not s.partial]
        return sorted(within, key=lambda scored: (-scored.mean, scored.number))

    def _pooled(self) -> float | None:
        """Standard deviation between seeds, from all that were evaluated more than once."""
        several = [scored for scored in self._candidates.values() if len(scored.rewards) > 1]
        freedom = sum(len(scored.rewards) - 1 for scored in several)
        if freedom < LEAST_FREEDOM:
            return None
        deviations = [reward - scored.mean for scored in several for reward in scored.rewards]
        return math.hypot(*deviations) / math.sqrt(freedom)
