"""Results of a search: its trials, the best by budget, and the files they are written to."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncnas_deploy.files.output import write_text
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.widths import Widths
from syncnas_deploy.search.algorithms.searcher import Candidate
from syncnas_deploy.search.candidates import Infeasibility
from syncnas_deploy.search.evaluators import Evaluation
from syncnas_deploy.shown import brief, ms_text


@dataclass(frozen=True)
class Trial:
    """One evaluation, finished or failed.

    Attributes:
        number: counts from 1, in the order in which they ended.
        candidate: what was evaluated.
        repeat: how often it was evaluated before, with other seeds.
        predicted_us: latency of the network, as `predict` says it.
        energy_mj: what an inference takes, millijoules; None where that is not known.
        widths: expanded channels.
        evaluation: what it gave.
        failed: there is no evaluation, since its worker was lost twice.
    """

    number: int
    candidate: Candidate
    repeat: int
    predicted_us: float
    energy_mj: float | None
    widths: Widths
    evaluation: Evaluation
    failed: bool = False

    @property
    def strategy(self) -> str:
        """One letter per stage."""
        return self.candidate.strategy

    @property
    def reward(self) -> float | None:
        """Larger is better; None where the evaluator found it infeasible, or failed."""
        return self.evaluation.reward

    @property
    def outcome(self) -> str:
        """In one word: evaluated, partial, infeasible or failed."""
        if self.failed:
            return "failed"
        if self.reward is None:
            return "infeasible"
        return "partial" if self.evaluation.partial else "evaluated"


@dataclass(frozen=True)
class Best:
    """The best network within a budget.

    Attributes:
        budget_us: what it stays within; it may have been found within a smaller one.
        strategy: one letter per stage.
        placement: where stem and head run.
        predicted_us: its latency, as `predict` says it.
        energy_mj: what an inference takes, millijoules; None where that is not known.
        widths: expanded channels.
        reward: mean of its evaluations.
        evaluations: how many.
        standard_error: of the mean, by seeds and by the number of validation pictures; 0 where neither matters, None
            where nothing tells it.
        sure: whether scatter cannot hide that another one that was tried is better. The best of all may be untried.
    """

    budget_us: float
    strategy: str
    placement: Placement
    predicted_us: float
    energy_mj: float | None
    widths: Widths
    reward: float
    evaluations: int
    standard_error: float | None
    sure: bool

    def config(self, base: ModelConfig) -> ModelConfig:
        return branched(base, self.strategy, self.widths, placement=self.placement)


@dataclass(frozen=True, repr=False)
class SearchResult:
    """What a search tried, and what came out best.

    Attributes:
        front: the best by budget, in ascending order of budgets.
        trials: all evaluations, in the order in which they ended.
        infeasible: candidates that were left out before, and why; they cost no evaluation.
        budgets_us: the budgets.
    """

    front: tuple[Best, ...]
    trials: tuple[Trial, ...]
    infeasible: Mapping[Candidate, Infeasibility]
    budgets_us: tuple[float, ...]

    def __repr__(self) -> str:
        best = f"best {self.best.strategy}, {ms_text(self.best.predicted_us)} ms"
        return brief("SearchResult", best, f"{len(self.trials)} trials", f"{len(self.infeasible)} infeasible")

    def rows(self) -> list[dict[str, object]]:
        """The history, a row each: all trials, and then what the solver found infeasible, without a number."""
        rows: list[dict[str, object]] = [
            {
                "trial": trial.number,
                "strategy": trial.strategy,
                "feasible": trial.reward is not None,
                "predicted_us": trial.predicted_us,
                "reward": None if trial.reward is None else float(trial.reward),
                "seconds": trial.evaluation.seconds,
                "budget_us": self.budgets_us[trial.candidate.budget],
                "repeat": trial.repeat,
                "outcome": trial.outcome,
                "note": trial.evaluation.note,
                "energy_mj": trial.energy_mj,
            }
            for trial in self.trials
        ]
        for candidate, reason in self.infeasible.items():
            rows.append(
                {
                    "trial": None,
                    "strategy": candidate.strategy,
                    "feasible": False,
                    "predicted_us": reason.predicted_us,
                    "reward": None,
                    "seconds": 0.0,
                    "budget_us": self.budgets_us[candidate.budget],
                    "repeat": 0,
                    "outcome": "infeasible",
                    "note": "" if reason.energy_mj is None else "takes too much energy",
                    "energy_mj": reason.energy_mj,
                }
            )
        return rows

    @property
    def best(self) -> Best:
        """The best within the largest budget: of all that were evaluated."""
        return self.front[-1]


_DIGITS = {"predicted_us": ".1f", "seconds": ".3f", "budget_us": ".1f", "energy_mj": ".4f"}


def write_history(path: Path, result: SearchResult, *, force: bool = True) -> None:
    """Write all trials as CSV, whole or not at all, and then what the solver found infeasible, without a number.

    `reward` is empty where there is none; `outcome` is evaluated, partial (given up early, an estimate), infeasible
    or failed.

    Raises:
        OutputExists: `path` is there and `force` is false.
        OutputError: it cannot be written.
    """
    rows = result.rows()
    texts = [[_text(name, value) for name, value in row.items()] for row in rows]
    _write_csv(path, list(rows[0]) if rows else [], texts, force=force)


def _text(name: str, value: object) -> str:
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value).lower()
    return format(value, _DIGITS[name]) if name in _DIGITS else str(value)


def _millijoules(energy_mj: float | None) -> str:
    return "" if energy_mj is None else f"{energy_mj:.4f}"


FRONT_COLUMNS = (
    "budget", "budget_us", "strategy", "predicted_us", "reward", "evaluations", "standard_error", "sure", "config",
    "energy_mj",
)  # fmt: skip


def write_front(path: Path, front: Sequence[tuple[str, Best, str]], *, force: bool = True) -> None:
    """Write the best by budget as CSV: each with the budget's text and the name of its config file.

    Raises:
        OutputError: it cannot be written.
    """
    rows = []
    for text, best, config in front:
        error = "" if best.standard_error is None else repr(best.standard_error)
        numbers = [f"{best.predicted_us:.1f}", repr(best.reward), best.evaluations, error]
        sure = "true" if best.sure else "false"
        rows.append(
            [text, f"{best.budget_us:.1f}", best.strategy, *numbers, sure, config, _millijoules(best.energy_mj)]
        )
    _write_csv(path, FRONT_COLUMNS, rows, force=force)


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Sequence[object]], *, force: bool = True) -> None:
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(columns)
    out.writerows(rows)
    write_text(path, text.getvalue(), force=force)
