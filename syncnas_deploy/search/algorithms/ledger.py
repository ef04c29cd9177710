"""The ledger that every searcher keeps: which candidates are done, in flight, infeasible or free."""

from __future__ import annotations

import abc
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.search.algorithms.searcher import Candidate


@dataclass(frozen=True)
class RewardEstimate:
    """The reward of a candidate that was evaluated.

    Attributes:
        mean: of its evaluations; larger is better.
        noise_variance: of the mean, in squared units of the reward; None where unknown.
    """

    mean: float
    noise_variance: float | None = None


class Ledger:
    """The candidates of one search; every change is checked.

    Args:
        stages: letters of a strategy.
        budgets: latency budgets; each strategy is a candidate within each of them.
        infeasible: candidates known to be infeasible from the start.

    Attributes:
        candidates: all N, budget by budget, each in the order of `all_strategies`.
        index: the place of a candidate in `candidates`.
        rewards: of the candidates that are done, in the order of their first reward.
        in_flight: candidates that were handed out and are not done, in that order.
        infeasible: candidates that are known to be infeasible.

    Raises:
        ValueError: an argument is out of range.
    """

    def __init__(self, stages: int, *, budgets: int = 1, infeasible: Collection[Candidate] = ()) -> None:
        if stages < 1 or budgets < 1:
            raise ValueError(f"a search needs at least one stage and one budget, found {stages} and {budgets}")
        self.stages = stages
        self.budgets = budgets
        self.candidates = tuple(Candidate(s, b) for b in range(budgets) for s in all_strategies(stages))
        self.index: Mapping[Candidate, int] = {candidate: i for i, candidate in enumerate(self.candidates)}
        self.rewards: dict[Candidate, RewardEstimate] = {}
        self.in_flight: dict[Candidate, None] = {}
        self.infeasible: set[Candidate] = set()
        for candidate in infeasible:
            self._check(candidate)
            self.infeasible.add(candidate)

    def is_settled(self, candidate: Candidate) -> bool:
        """Whether it is done or infeasible."""
        return candidate in self.rewards or candidate in self.infeasible

    def is_free(self, candidate: Candidate) -> bool:
        """Whether it can be handed out: neither settled nor in flight."""
        return not (self.is_settled(candidate) or candidate in self.in_flight)

    @property
    def free_count(self) -> int:
        """How many candidates can be handed out."""
        return len(self.candidates) - len(self.rewards) - len(self.in_flight) - len(self.infeasible)

    def hand_out(self, candidate: Candidate) -> None:
        """Note that a free candidate is in flight."""
        assert self.is_free(candidate), f"{candidate} is settled or in flight"
        self.in_flight[candidate] = None

    def tell(self, candidate: Candidate, reward: float, noise_variance: float | None) -> None:
        """Note a reward, in place of an earlier one.

        Raises:
            ValueError: no such candidate, or a reward that is not finite.
        """
        self._check(candidate)
        if not math.isfinite(reward):
            raise ValueError(f"the reward of {candidate} must be finite, found {reward}")
        if noise_variance is not None and not (math.isfinite(noise_variance) and noise_variance >= 0):
            raise ValueError(f"the noise variance of {candidate} must be 0 or more, found {noise_variance}")
        self.in_flight.pop(candidate, None)
        self.infeasible.discard(candidate)
        self.rewards[candidate] = RewardEstimate(reward, noise_variance)

    def tell_infeasible(self, candidate: Candidate) -> None:
        """Note that a candidate is infeasible.

        Raises:
            ValueError: no such candidate.
        """
        self._check(candidate)
        self.in_flight.pop(candidate, None)
        self.rewards.pop(candidate, None)
        self.infeasible.add(candidate)

    def _check(self, candidate: Candidate) -> None:
        if candidate not in self.index:
            raise ValueError(f"{candidate} is not one of {self.stages} stages and {self.budgets} budgets")


class LedgerSearcher(abc.ABC):
    """A `Searcher` that keeps a ledger; an algorithm adds which free candidate is next.

    Args:
        ledger: the candidates.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @property
    @abc.abstractmethod
    def key(self) -> dict[str, object]:
        """Name and settings of the algorithm, as plain JSON."""

    @abc.abstractmethod
    def choose(self) -> Candidate | None:
        """The free candidate that should be evaluated next; None when none is free."""

    def ask(self) -> Candidate | None:
        """Choose a candidate and note that it is in flight."""
        candidate = self.choose()
        if candidate is not None:
            self._ledger.hand_out(candidate)
        return candidate

    def tell(self, candidate: Candidate, reward: float, *, noise_variance: float | None = None) -> None:
        """Note a reward; see `Searcher.tell`."""
        self._ledger.tell(candidate, reward, noise_variance)

    def tell_infeasible(self, candidate: Candidate) -> None:
        """Note that a candidate is infeasible; see `Searcher.tell_infeasible`."""
        self._ledger.tell_infeasible(candidate)
