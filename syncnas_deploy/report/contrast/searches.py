"""Searches beside each other: what each found within the same budgets, by the same evaluator."""

from __future__ import annotations

import json
from collections.abc import Sequence

from syncnas_deploy.report.comparison import JOURNAL, SearchFolder
from syncnas_deploy.report.contrast.sheets import Sheet, networks_alike, only_one
from syncnas_deploy.report.page import reward_text
from syncnas_deploy.shown import ms_text
from syncnas_deploy.verdict import no_hardware

KEY_BYTES = 100_000
"""More than any first line of a journal has."""


def compare_searches(named: Sequence[tuple[str, SearchFolder]]) -> list[Sheet]:
    """One row for each budget of each search.

    Raises:
        Incomparable: other base models, inputs or evaluators.
    """
    networks_alike([(name, search.best) for name, search in named])
    only_one("the base model", [(name, search.best.base) for name, search in named])
    only_one("the evaluator", [(name, _evaluator(search)) for name, search in named])
    head = ("search", "budget", "(ms)", "strategy", "predicted (ms)", "reward", "standard error", "sure", "evaluated")
    rows = []
    for name, search in named:
        whole = sum((row.get("outcome") or "evaluated") == "evaluated" for row in search.history if row.get("reward"))
        for row in search.front:
            times = (_ms(row.get(column)) for column in ("budget_us", "predicted_us"))
            budget_ms, predicted_ms = times
            rewards = (_reward(row.get(column)) for column in ("reward", "standard_error"))
            words = (str(row.get("budget") or "-"), budget_ms, str(row.get("strategy") or "-"), predicted_ms)
            sure = "yes" if row.get("sure") == "true" else "no"
            rows.append((name, *words, *rewards, sure, str(whole)))
    notes = ["a reward within a budget may be compared with another one within the same latency alone"]
    unreal = {*no_hardware(True, True)}
    doubts = (doubt for _, search in named for row in search.verdicts for doubt in row.verdict.doubts)
    notes += dict.fromkeys(f"note: {doubt}" for doubt in doubts if doubt in unreal)
    sheets = [Sheet("the best by budget", head, tuple(rows), tuple(notes))]
    verdicts = tuple((name, row.budget, row.verdict.sentence) for name, s in named for row in s.verdicts)
    return [*sheets, Sheet("verdicts", ("search", "budget", "verdict"), verdicts)] if verdicts else sheets


def _evaluator(search: SearchFolder) -> str:
    """The evaluator as the journal's key has it; a folder without one tells nothing."""
    try:
        with (search.folder / JOURNAL).open("rb") as f:
            key = json.loads(f.readline(KEY_BYTES)).get("key", {})
        return json.dumps(key.get("evaluator"), sort_keys=True)[:300]
    except (OSError, ValueError, AttributeError, RecursionError):
        return "not known, since its journal is gone"


def _ms(text: str | None) -> str:
    try:
        return ms_text(float(text or ""))
    except ValueError:
        return "-"


def _reward(text: str | None) -> str:
    try:
        return reward_text(float(text or ""))
    except ValueError:
        return "-"
