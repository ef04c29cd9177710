"""A search: the best by budget with its rivals, what was tried, and what each stage's letter is worth."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate

from syncnas_deploy.errors import DocumentError, SyncNasError
from syncnas_deploy.files.documents import Fields
from syncnas_deploy.networks.formats import config_from_fields
from syncnas_deploy.report.comparison import SearchFolder
from syncnas_deploy.report.html.markup import Content, Markup, data_table, joined, ms, number, percent, tag
from syncnas_deploy.report.html.plot import LARGEST, Plot
from syncnas_deploy.search.letters import LetterWorth, letters_worth
from syncnas_deploy.search.results import SearchResult
from syncnas_deploy.search.verdict_file import RivalRow

MANY = 200
"""Trials from which dots are small."""
MOST_TIPS = 400
MOST_ROWS = 25


@dataclass(frozen=True)
class WholeTrial:
    """A whole evaluation."""

    number: int
    strategy: str
    budget_us: float
    predicted_us: float
    reward: float


def search_section(search: SearchFolder) -> Markup:
    """Everything of one search's folder."""
    trials = _trials(search.history)
    outcomes: dict[str, int] = {}
    for row in search.history:
        outcome = row.get("outcome") or "evaluated"
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    counts = ", ".join(f"{count:,} {outcome}" for outcome, count in list(outcomes.items())[:10])
    parts: list[Markup | None] = [
        tag("p", f"{search.folder.name}: {counts or 'nothing was tried'}.", class_="note"),
        _front(search),
    ]
    infeasible = {str(row.get("strategy")) for row in search.history if row.get("outcome") == "infeasible"}
    rivals_us = [rival.predicted_us for row in search.verdicts for rival in row.rivals]
    budgets = len({row.get("budget_us") for row in search.history})
    parts.append(trial_charts(trials, infeasible, rivals_us, len(search.best.stages), budgets))
    return joined(*parts)


def trial_charts(
    trials: Sequence[WholeTrial], infeasible: Collection[str], rivals_us: Collection[float], stages: int, budgets: int
) -> Markup | None:
    """What was tried, in charts; None where nothing was.

    Args:
        infeasible: strategies that no widths bring within the budget, or that the evaluator refused.
        rivals_us: predicted latencies of networks of one branch that one would run instead.
        stages: of the network.
        budgets: how many there were.
    """
    if not trials:
        return None
    best = max(trials, key=lambda trial: trial.reward)
    told = f"The best reward, {number(best.reward, 6)}, came with evaluation {best.number} of {len(trials)}."
    charts = [history_plot(trials), _frontier(trials, rivals_us)]
    if budgets == 1 and len({*infeasible, *(trial.strategy for trial in trials)}) >= 2 * 3 ** (stages - 1):
        charts.append(_regret(trials))
    return joined(tag("p", told), tag("div", charts, class_="two"), _letters(trials), _best_trials(trials))


def result_charts(result: SearchResult, rivals_us: Collection[float]) -> Markup:
    """What a search tried, in charts. `rivals_us`: see `trial_charts`."""
    whole = [trial for trial in result.trials if trial.outcome == "evaluated"]
    trials = [
        WholeTrial(i, t.strategy, result.budgets_us[t.candidate.budget], t.predicted_us, t.reward or 0.0)
        for i, t in enumerate(whole, 1)
    ]
    infeasible = {candidate.strategy for candidate in result.infeasible}
    return joined(trial_charts(trials, infeasible, rivals_us, len(result.best.strategy), len(result.budgets_us)))


def _trials(history: Sequence[Mapping[str, str]]) -> list[WholeTrial]:
    """What was evaluated to its end, in that order."""
    found: list[WholeTrial] = []
    for row in history:
        reward, latency_us = _number(row, "reward"), _number(row, "predicted_us")
        if (row.get("outcome") or "evaluated") == "evaluated" and reward is not None and latency_us is not None:
            budget_us = _number(row, "budget_us") or 0.0
            found.append(WholeTrial(len(found) + 1, str(row.get("strategy") or ""), budget_us, latency_us, reward))
    return found


def _number(row: Mapping[str, str], name: str) -> float | None:
    try:
        value = float(row.get(name) or "")
    except ValueError:
        return None
    return value if math.isfinite(value) and abs(value) < LARGEST else None


def _front(search: SearchFolder) -> Markup:
    """The best within each budget, and the networks of one branch that one would run instead."""
    rows: list[list[Content]] = []
    for row in search.front:
        latency_us, reward, error = (_number(row, name) for name in ("predicted_us", "reward", "standard_error"))
        scatter = f" ± {number(error, 2)}" if error else ""
        sure = "sure" if row.get("sure") == "true" else "not sure"
        rows.append(
            [
                f"{row.get('strategy') or '-'} within {row.get('budget') or '-'}",
                "two branches",
                ms(latency_us) if latency_us is not None else "-",
                "-",
                f"{number(reward, 6)}{scatter}, {sure}" if reward is not None else "-",
            ]
        )
        judged = [verdict for verdict in search.verdicts if verdict.budget == row.get("budget")]
        rows += [_rival(rival) for verdict in judged for rival in verdict.rivals]
    if len(search.front) == 1:
        rows[0][3] = f"{search.best.macs() / 1e6:,.0f}"
    head = ["network", "unit", "predicted", "MACs (M)", "reward"]
    return data_table(head, rows, caption="The best by budget, and its rivals of one branch", wide=(3,))


def _rival(rival: RivalRow) -> list[Content]:
    name, macs = str(rival.config.get("name", "a rival")), "-"
    try:
        config = config_from_fields(Fields(rival.config, "a rival", DocumentError), "a rival")
        macs = f"{config.macs() / 1e6:,.0f}"
    except SyncNasError:
        pass
    return [f"rival {name}", rival.unit, ms(rival.predicted_us), macs, "-"]


def history_plot(trials: Sequence[WholeTrial]) -> Markup:
    best, steps = -math.inf, []
    for trial in trials:
        best = max(best, trial.reward)
        steps.append((float(trial.number), best))
    plot = Plot.around([(trial.number, trial.reward) for trial in trials])
    plot.steps(steps, "ink")
    plot.dots([(trial.number, trial.reward) for trial in trials], _size(trials), _tips(trials))
    told = f"Reward of {len(trials)} trials in order, and the best so far; the best is {number(best, 6)}."
    return plot.figure("Reward by trial; line: the best so far", told, ("trial", "reward"))


def _frontier(trials: Sequence[WholeTrial], rivals_us: Collection[float]) -> Markup:
    """Rewards over latencies, the best within each latency, and where rivals are in time."""
    ordered = sorted(trials, key=lambda trial: (trial.predicted_us, -trial.reward))
    front: list[tuple[float, float]] = []
    for trial in ordered:
        if not front or trial.reward > front[-1][1]:
            front.append((trial.predicted_us / 1e3, trial.reward))
    points = [(trial.predicted_us / 1e3, trial.reward) for trial in trials]
    rivals = sorted({us / 1e3 for us in rivals_us})
    # One that is far off would press all dots together; the table has it.
    drawn = [at for at in rivals if min(points)[0] <= at <= max(points)[0]]
    plot = Plot.around(points)
    plot.bars([(at, -1e12, 1e12) for at in drawn], "u1 dashed")
    plot.steps(front, "ink")
    plot.dots(points, _size(trials), _tips(trials))
    plot.dots(front, "ink")
    told = f"Reward over predicted latency of {len(trials)} trials; {len(front)} of them are on the front."
    beside = "; dashed: rivals" if drawn else ""
    told += f" Rivals of one branch are at {', '.join(map(number, rivals))} ms." if rivals else ""
    return plot.figure(f"Reward over predicted latency; line: the front{beside}", told, ("ms", "reward"))


def _regret(trials: Sequence[WholeTrial]) -> Markup:
    """How far the best so far was from the best of all, where all strategies were tried."""
    best = list(accumulate((trial.reward for trial in trials), max))
    points = [(float(number), best[-1] - reward) for number, reward in enumerate(best, 1)]
    plot = Plot.around(points, from_zero=True)
    plot.steps(points, "ink")
    found = next(number for number, regret in points if not regret)
    told = f"Best reward of all less the best so far; nothing is left after {found:.0f} of {len(points)} trials."
    return plot.figure("Regret: what the best so far lacked", told, ("trial", "reward"))


def _size(trials: Sequence[WholeTrial]) -> str:
    return "u0 tiny" if len(trials) > MANY else "u0"


def _tips(trials: Sequence[WholeTrial]) -> list[str]:
    if len(trials) > MOST_TIPS:
        return []
    return [f"trial {t.number}, {t.strategy}: {number(t.reward, 6)} at {ms(t.predicted_us)}" for t in trials]


def _letters(trials: Sequence[WholeTrial]) -> Markup | None:
    """Bars of what each letter is worth, from the middle."""
    worth = letters_worth([(trial.strategy, trial.budget_us, trial.reward) for trial in trials])
    if not worth:
        return None
    largest = max(abs(row.gain) for row in worth) or 1.0
    decimals = min(9, max(0, 2 - math.floor(math.log10(largest))))
    words = {"a": "ADD", "c": "CONCAT", "n": "no sync"}

    def bar(row: LetterWorth) -> list[Content]:
        length = percent(0.5 * abs(row.gain) / largest)
        side = f"right:50%;width:{length}" if row.gain < 0 else f"left:50%;width:{length}"
        drawn = tag(
            "i", tag("i", style=side, class_="gain" if row.gain > 0 else None), class_="bar", aria_hidden="true"
        )
        value = joined(drawn, tag("span", f"{row.gain:+.{decimals}f}", class_="err"))
        return [f"stage {row.stage + 1}", f"{words[row.letter]} instead of {words[row.beside]}", value]

    head = ["after", "letter", "reward"]
    table = data_table(head, [bar(row) for row in worth], caption="What each letter of the strategy is worth")
    note = "Means over all strategies, by the search's surrogate; what a letter is worth depends on the others, too."
    return joined(tag("h3", "What each stage's letter is worth"), table, tag("p", note, class_="note"))


def _best_trials(trials: Sequence[WholeTrial]) -> Markup:
    best = sorted(trials, key=lambda trial: -trial.reward)[:MOST_ROWS]
    rows = [[f"{t.number}", t.strategy, ms(t.predicted_us), number(t.reward, 6)] for t in best]
    table = data_table(["trial", "strategy", "predicted", "reward"], rows, caption="The trials of the largest rewards")
    return tag("details", tag("summary", f"the {len(best)} trials of the largest rewards"), table)
