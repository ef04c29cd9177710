"""What is printed of a search: the same when it ends as when its folder is reported."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from syncnas_deploy.report.page import Cell, Page, Table, reward_text
from syncnas_deploy.search.results import SearchResult

WORDS = (
    "strategy: a letter for each stage; n: the branches do not meet, a: their features are added, c: put side by side",
    "reward: larger is better; sure: yes where scatter cannot hide that another one that was tried is better",
)


@dataclass(frozen=True)
class Leader:
    """The best within a budget: latencies in microseconds, energy in millijoules."""

    budget: str
    budget_us: float
    strategy: str
    predicted_us: float
    reward: float
    standard_error: float | None
    evaluations: int
    sure: bool
    energy_mj: float | None


@dataclass(frozen=True)
class Tried:
    """A trial: latency in microseconds, energy in millijoules."""

    number: int
    strategy: str
    predicted_us: float
    reward: float
    energy_mj: float | None


def search_page(result: SearchResult, budgets: Sequence[str]) -> Page:
    """The best by budget, and the trials of the largest rewards."""
    counts = Counter(trial.outcome for trial in result.trials)
    counts["infeasible"] += len(result.infeasible)
    leaders = [
        Leader(
            text,
            best.budget_us,
            best.strategy,
            best.predicted_us,
            best.reward,
            best.standard_error,
            best.evaluations,
            best.sure,
            best.energy_mj,
        )
        for text, best in zip(budgets, result.front, strict=True)
    ]
    tried = [
        Tried(t.number, t.strategy, t.predicted_us, t.reward or 0.0, t.energy_mj)
        for t in result.trials
        if t.outcome == "evaluated"
    ]
    return Page(counts_text(counts), *tables(leaders, tried))


def folder_page(history: Sequence[Mapping[str, str]], front: Sequence[Mapping[str, str]]) -> Page:
    """The same from the rows of ``history.csv`` and ``front.csv``."""
    leaders = [
        Leader(
            row.get("budget", ""),
            _number(row, "budget_us"),
            row.get("strategy") or "",
            _number(row, "predicted_us"),
            _number(row, "reward"),
            _number(row, "standard_error") if row.get("standard_error") else None,
            int(row.get("evaluations") or 0),
            row.get("sure") == "true",
            _number(row, "energy_mj") if row.get("energy_mj") else None,
        )
        for row in front
    ]
    # Estimates of what was given up early are none of the best.
    whole = [row for row in history if row.get("reward") and row.get("outcome", "evaluated") == "evaluated"]
    tried = [
        Tried(
            int(row.get("trial") or 0),
            row.get("strategy") or "",
            _number(row, "predicted_us"),
            _number(row, "reward"),
            _number(row, "energy_mj") if row.get("energy_mj") else None,
        )
        for row in whole
    ]
    counts = Counter(row.get("outcome") or "evaluated" for row in history)
    return Page(counts_text(counts), *tables(leaders, tried))


def counts_text(counts: Mapping[str, int]) -> str:
    """How many trials ended in which way."""
    others = (f", {counts[word]} {word}" for word in ("partial", "failed", "infeasible") if counts.get(word))
    return f"{counts.get('evaluated', 0)} evaluated" + "".join(others)


def tables(leaders: Sequence[Leader], tried: Iterable[Tried]) -> tuple[str | Table, ...]:
    """The best by budget, what the words mean, and the trials of the largest rewards."""
    energy = ["energy (mJ)"] if any(best.energy_mj is not None for best in leaders) else []
    rows: list[list[Cell]] = []
    for best in leaders:
        error = "-" if best.standard_error is None else reward_text(best.standard_error)
        sure = "yes" if best.sure else "no"
        numbers: list[Cell] = [best.predicted_us / 1e3, reward_text(best.reward), error, best.evaluations, sure]
        rows.append([best.budget, best.budget_us / 1e3, best.strategy, *numbers, *_millijoules(best.energy_mj, energy)])
    columns = ["budget", "(ms)", "strategy", "predicted (ms)", "reward", "standard error", "evaluations", "sure"]
    largest = sorted(tried, key=lambda t: -t.reward)[:5]
    trials: list[list[Cell]] = [
        [t.number, t.strategy, t.predicted_us / 1e3, reward_text(t.reward), *_millijoules(t.energy_mj, energy)]
        for t in largest
    ]
    names = ["trial", "strategy", "predicted (ms)", "reward"]
    front = Table([*columns, *energy], rows, spare=(5, 6, 1))
    return (front, *WORDS, "", Table([*names, *energy], trials))


def _millijoules(energy_mj: float | None, energy: Sequence[str]) -> list[Cell]:
    return [None if energy_mj is None else f"{energy_mj:.3f}"] if energy else []


def _number(row: Mapping[str, str], name: str) -> float:
    return float(row.get(name) or 0.0)
