"""The searcher protocol: what proposes the next candidate, the seam between the loop and the algorithms.

A searcher knows strategies and rewards, nothing of models, latencies or workers. Several candidates may be in
flight; none is handed out twice. What `ask` returns depends only on the seed, on what has been told, in order,
and on what is in flight, so that telling a journal's rows again ends in the same searcher.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, order=True)
class Candidate:
    """A strategy within a latency budget.

    Attributes:
        strategy: one letter per stage.
        budget: which latency budget, counted from 0 in ascending order.
    """

    strategy: str
    budget: int = 0


class Searcher(Protocol):
    """An algorithm in progress."""

    @property
    def key(self) -> dict[str, object]:
        """What decides its course, as plain JSON."""
        ...

    def ask(self) -> Candidate | None:
        """The next candidate to evaluate; None when none is left that is not done, in flight or infeasible."""
        ...

    def tell(self, candidate: Candidate, reward: float, *, noise_variance: float | None = None) -> None:
        """What an evaluation gave; larger is better.

        The candidate need not have been asked for. Telling one again, after a repeated evaluation, replaces
        its value.

        Args:
            candidate: what was evaluated.
            reward: its value, or the mean of repeated evaluations.
            noise_variance: variance of that value, in squared units of the reward; None where it is unknown.

        Raises:
            ValueError: no such candidate, or a value that is not finite.
        """
        ...

    def tell_infeasible(self, candidate: Candidate) -> None:
        """An evaluation found the candidate infeasible.

        Raises:
            ValueError: no such candidate.
        """
        ...
