"""The rows of a search's journal: one per finished evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from syncnas_deploy.errors import JournalError
from syncnas_deploy.search.algorithms.searcher import Candidate
from syncnas_deploy.search.evaluators import Evaluation


class SearchRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An evaluation of a candidate, as plain JSON; see `Candidate` and `Evaluation`.

    Attributes:
        repeat: how often the candidate was evaluated before, with other seeds.
        failed: there is no evaluation, since its worker was lost twice.
    """

    strategy: str
    budget: int
    repeat: int
    reward: float | None
    seconds: float
    details: dict[str, float]
    spread: float | None
    partial: bool
    note: str
    failed: bool

    @classmethod
    def of(cls, candidate: Candidate, repeat: int, evaluation: Evaluation, *, failed: bool) -> SearchRow:
        """The row of an evaluation."""
        return cls(
            candidate.strategy,
            candidate.budget,
            repeat,
            None if evaluation.reward is None else float(evaluation.reward),
            float(evaluation.seconds),
            {name: float(value) for name, value in evaluation.details.items()},
            None if evaluation.spread is None else float(evaluation.spread),
            evaluation.partial,
            evaluation.note,
            failed,
        )

    @classmethod
    def parse(cls, value: object, where: str) -> SearchRow:
        """A journal's row; `where` names it in messages.

        Raises:
            JournalError: it is not one that a search wrote.
        """
        try:
            return msgspec.convert(value, cls)
        except msgspec.ValidationError:
            raise JournalError(f"{where} is not a row of a search; remove the file or choose another --out.") from None

    def to_json(self) -> Mapping[str, Any]:
        """What `parse` reads, JSON-plain."""
        row: Mapping[str, Any] = msgspec.to_builtins(self)
        return row

    @property
    def candidate(self) -> Candidate:
        """What was evaluated."""
        return Candidate(self.strategy, self.budget)

    @property
    def evaluation(self) -> Evaluation:
        """What it gave."""
        return Evaluation(self.reward, self.seconds, self.details, self.spread, partial=self.partial, note=self.note)
