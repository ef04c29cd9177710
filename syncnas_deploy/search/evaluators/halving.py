"""Successive halving, asynchronous: hopeless candidates are given up early.

A candidate that reaches a rung (a number of epochs) is compared with all that were there before; it goes on only
among the best 1 / factor of them. Nothing waits for a rung to fill, so any number of candidates can be under way.
What was there before is what the journal says, so that a resumed search decides as it did.

Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020 (ASHA), as the variant that
stops candidates instead of pausing them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from syncnas_deploy.search.evaluators.evaluation import Evaluation

Rungs = Mapping[int, tuple[float, ...]]
"""Values of earlier candidates by rung."""


@dataclass(frozen=True)
class Halving:
    """When a candidate is given up.

    Attributes:
        epochs: how long a candidate is trained that is never given up.
        factor: at each rung the best 1 / factor of the candidates go on; 1 gives up none.
    """

    epochs: int
    factor: int = 3

    @property
    def rungs(self) -> tuple[int, ...]:
        """Epochs after which candidates are compared: each a factor below the next, the last below `epochs`."""
        rungs: list[int] = []
        rung = self.epochs // self.factor if self.factor > 1 else 0
        while rung:
            rungs.append(rung)
            rung //= self.factor
        return tuple(reversed(rungs))

    def is_hopeless(self, value: float, earlier: Sequence[float]) -> bool:
        """Whether a candidate of `value` at a rung is not among the best 1 / factor, itself included.

        Fewer earlier values than `factor` decide nothing.
        """
        if len(earlier) < self.factor:
            return False
        going_on = -(-(len(earlier) + 1) // self.factor)
        return sum(other > value for other in earlier) >= going_on

    def detail(self, rung: int) -> str:
        """The name of the value at a rung in an evaluation's details."""
        return f"top1_epoch_{rung}"

    def known(self, finished: Sequence[Evaluation]) -> Rungs:
        """The values of finished evaluations at each rung, partial ones included."""
        names = {rung: self.detail(rung) for rung in self.rungs}
        return {rung: tuple(e.details[name] for e in finished if name in e.details) for rung, name in names.items()}

    def gains(self, finished: Sequence[Evaluation]) -> Mapping[int, float]:
        """What a candidate gained in the mean from each rung to its end, from those that came there."""
        gains: dict[int, float] = {}
        for rung in self.rungs:
            name = self.detail(rung)
            whole = [e for e in finished if not e.partial and name in e.details]
            ends = [e.reward - e.details[name] for e in whole if e.reward is not None]
            if ends:
                gains[rung] = sum(ends) / len(ends)
        return gains
