"""The search: ask the tree, solve the widths, evaluate, write down, tell the tree.

Strategies that no widths bring within the budget are known from the solver and cost no evaluation: they are
in the history, and the tree learns of them, but `trials` counts evaluations only.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syncnas_deploy.documents import write_text
from syncnas_deploy.errors import InfeasibleBudget, JournalError, JournalMismatch, MeasurementError
from syncnas_deploy.journal import Journal
from syncnas_deploy.models.config import ModelConfig, branched
from syncnas_deploy.search.evaluators import Evaluation, Evaluator
from syncnas_deploy.search.strategy import StrategyState, all_strategies, children, is_leaf
from syncnas_deploy.search.tree import Tree, UctSettings
from syncnas_deploy.search.widths import CostTable, Widths, WidthSolver

JOURNAL_KIND = "search"


@dataclass(frozen=True)
class Trial:
    """One strategy that the search tried.

    Attributes:
        number: counts from 1, infeasible ones included.
        strategy: one letter a stage.
        feasible: whether widths within the budget exist and the evaluator found no fault.
        predicted_us: latency of the widths; where there are none, the smallest latency of the strategy.
        reward: larger is better; None where infeasible.
        expanded: widths by [branch][stage][block]; None where the budget allows none.
        seconds: what the evaluation took; 0 where there was none.
    """

    number: int
    strategy: str
    feasible: bool
    predicted_us: float
    reward: float | None
    expanded: tuple[tuple[tuple[int, ...], ...], ...] | None
    seconds: float


@dataclass(frozen=True)
class Progress:
    """How far a search is, after an evaluation.

    Attributes:
        done: evaluations finished, those of earlier runs included.
        total: evaluations wanted.
        best: the best so far; None while every one was infeasible.
        elapsed_s: since this run began.
        eta_s: until the end, at the pace of the evaluations so far.
    """

    done: int
    total: int
    best: Trial | None
    elapsed_s: float
    eta_s: float


@dataclass(frozen=True)
class SearchResult:
    """The best trial and all of them, in the order they were tried."""

    best: Trial
    trials: tuple[Trial, ...]

    def config(self, base: ModelConfig, *, trunk: int = 0, name: str | None = None) -> ModelConfig:
        """The best trial as a network."""
        return branched(base, self.best.strategy, self.best.expanded, name=name, trunk=trunk)


def search(
    base: ModelConfig,
    table: CostTable,
    budget_us: float,
    evaluator: Evaluator,
    *,
    trials: int,
    seed: int = 0,
    trunk: int = 0,
    journal_path: Path | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    settings: UctSettings | None = None,
) -> SearchResult:
    """Search the strategies of a base model for the largest reward within a latency budget.

    A journal that is there already is gone on with: its evaluations are told to the tree again, which ends in
    the same tree and result as a run that was never interrupted. More `trials` than before extend the run.

    Args:
        base: a model of one branch.
        table: latencies of its parts.
        budget_us: the latency that a network may take.
        evaluator: what a network is worth.
        trials: evaluations wanted; fewer when the space has no more feasible strategies.
        seed: decides ties in the tree and, with the strategy, each evaluation's seed.
        trunk: the branch that runs stem and head.
        journal_path: where finished evaluations are kept; nowhere where None.
        on_progress: called after each evaluation.
        settings: how the tree chooses.

    Raises:
        InfeasibleBudget: no strategy meets the budget, or the evaluator found every one infeasible.
        JournalMismatch: the journal is of another run.
        MeasurementError: the evaluator gave a reward that is not finite.
        ValueError: trials or seed are not positive (seed may be 0).
    """
    if trials < 1 or seed < 0:
        raise ValueError(f"a search needs at least one trial and a seed of 0 or more, found {trials} and {seed}")
    settings = settings or UctSettings()
    solver = WidthSolver(base, table, budget_us, trunk=trunk)
    possible = _feasible_count(base, solver)
    loop = _Loop(base, solver, evaluator, seed, settings)
    if journal_path is None:
        loop.run(min(trials, possible), None, on_progress)
    else:
        key = _key(base, table, budget_us, evaluator, seed, trunk, settings)
        with Journal(journal_path, kind=JOURNAL_KIND, key=key) as journal:
            loop.replay(journal)
            loop.run(min(trials, possible), journal, on_progress)
    if loop.best is None:
        raise InfeasibleBudget(
            f"The evaluator {evaluator.name} found all {loop.evaluated} strategies it was given infeasible; "
            "raise --trials or the budget."
        )
    return SearchResult(loop.best, tuple(loop.trials))


class _Loop:
    """The state of one search."""

    def __init__(
        self, base: ModelConfig, solver: WidthSolver, evaluator: Evaluator, seed: int, settings: UctSettings
    ) -> None:
        self._base = base
        self._solver = solver
        self._evaluator = evaluator
        self._seed = seed
        root = StrategyState(len(base.stages))
        self._tree = Tree(root, children, is_leaf, seed=seed, settings=settings)
        self.trials: list[Trial] = []
        self.evaluated = 0
        self.best: Trial | None = None

    def replay(self, journal: Journal) -> None:
        """Tell the tree what earlier runs found."""
        for number, row in enumerate(journal.rows, start=2):
            strategy, reward, seconds = _parse_row(row, f"{journal.path}: line {number}")
            asked = self._next_feasible()
            if asked is None or asked[1].strategy != strategy:
                raise JournalMismatch(
                    f"{journal.path}: line {number} has strategy {strategy}, this search would try "
                    f"{asked[1].strategy if asked else 'none'} there; remove it or choose another --out."
                )
            self._tell(*asked, Evaluation(reward, seconds))

    def run(self, total: int, journal: Journal | None, on_progress: Callable[[Progress], None] | None) -> None:
        """Evaluate until there are `total` evaluations."""
        started = time.monotonic()
        before = self.evaluated
        while self.evaluated < total:
            asked = self._next_feasible()
            assert asked is not None, "as many feasible strategies as were counted"
            leaf, widths = asked
            evaluation = self._evaluate(widths)
            if journal is not None:
                journal.append(
                    {
                        "strategy": widths.strategy,
                        "reward": evaluation.reward,
                        "seconds": evaluation.seconds,
                        "details": dict(evaluation.details),
                    }
                )
            self._tell(leaf, widths, evaluation)
            if on_progress is not None:
                elapsed_s = time.monotonic() - started
                eta_s = elapsed_s / (self.evaluated - before) * (total - self.evaluated)
                on_progress(Progress(self.evaluated, total, self.best, elapsed_s, eta_s))

    def _next_feasible(self) -> tuple[StrategyState, Widths] | None:
        """The next strategy with widths within the budget; infeasible ones on the way are told and noted."""
        while (leaf := self._tree.ask()) is not None:
            assert leaf.strategy is not None, "a leaf is a whole strategy"
            smallest_us = self._solver.minimum_us(leaf.strategy)
            if smallest_us <= self._solver.budget_us:
                return leaf, self._solver.solve(leaf.strategy)
            self._tree.tell_infeasible(leaf)
            self._note(Trial(len(self.trials) + 1, leaf.strategy, False, smallest_us, None, None, 0.0))
        return None

    def _evaluate(self, widths: Widths) -> Evaluation:
        trunk = self._solver.trunk
        config = branched(self._base, widths.strategy, widths.expanded, trunk=trunk)
        evaluation = self._evaluator.evaluate(config, _evaluation_seed(self._seed, widths.strategy))
        if evaluation.reward is not None and not math.isfinite(evaluation.reward):
            raise MeasurementError(
                f"The evaluator {self._evaluator.name} gave strategy {widths.strategy} the reward "
                f"{evaluation.reward}; a reward must be finite, so correct the evaluator."
            )
        return evaluation

    def _tell(self, leaf: StrategyState, widths: Widths, evaluation: Evaluation) -> None:
        if evaluation.reward is None:
            self._tree.tell_infeasible(leaf)
        else:
            self._tree.tell(leaf, evaluation.reward)
        self.evaluated += 1
        self._note(
            Trial(
                number=len(self.trials) + 1,
                strategy=widths.strategy,
                feasible=evaluation.reward is not None,
                predicted_us=widths.latency_us,
                reward=evaluation.reward,
                expanded=widths.expanded,
                seconds=evaluation.seconds,
            )
        )

    def _note(self, trial: Trial) -> None:
        self.trials.append(trial)
        if trial.reward is not None and (
            self.best is None or self.best.reward is None or trial.reward > self.best.reward
        ):
            self.best = trial


def _feasible_count(base: ModelConfig, solver: WidthSolver) -> int:
    """How many strategies meet the budget.

    Raises:
        InfeasibleBudget: none does; the message gives the smallest budget that one would meet.
    """
    smallest_us = {s: solver.minimum_us(s) for s in all_strategies(len(base.stages))}
    count = sum(us <= solver.budget_us for us in smallest_us.values())
    if not count:
        strategy = min(smallest_us, key=lambda s: smallest_us[s])
        raise InfeasibleBudget(
            f"No strategy of {base.name} meets a budget of {solver.budget_us:.0f} us; the smallest latency "
            f"is {smallest_us[strategy]:.0f} us (strategy {strategy}), so raise --budget to at least "
            f"{math.ceil(smallest_us[strategy] / 10) / 100:.2f}ms."
        )
    return count


def _evaluation_seed(seed: int, strategy: str) -> int:
    """A seed for one evaluation: from search seed and strategy, never from the order."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{strategy}".encode()).digest()[:4], "big")


def _parse_row(row: Mapping[str, Any], where: str) -> tuple[str, float | None, float]:
    strategy, reward, seconds = row.get("strategy"), row.get("reward"), row.get("seconds")
    if (
        not isinstance(strategy, str)
        or not (reward is None or isinstance(reward, (int, float)))
        or not isinstance(seconds, (int, float))
    ):
        raise JournalError(f"{where} is not a row of a search; remove the file or choose another --out.")
    return strategy, reward, seconds


def _key(
    base: ModelConfig,
    table: CostTable,
    budget_us: float,
    evaluator: Evaluator,
    seed: int,
    trunk: int,
    settings: UctSettings,
) -> dict[str, object]:
    """What decides the course of a search, as plain JSON; the number of trials does not."""
    return {
        "base": base.name,
        "base_sha256": _digest(dataclasses.asdict(base)),
        "table_sha256": _digest(_table_values(base, table, trunk)),
        "budget_us": budget_us,
        "evaluator": evaluator.key,
        "seed": seed,
        "trunk": trunk,
        "settings": dataclasses.asdict(settings),
    }


def _table_values(base: ModelConfig, table: CostTable, trunk: int) -> list[object]:
    """Every latency that the search may read."""
    values: list[object] = [table.stem_us(trunk), table.fork_us(trunk)]
    for branch in (0, 1):
        values.append(table.invocation_us(branch))
        for _, s, i, _ in base.blocks():
            for halved in (False, True):
                widths, time_us = table.block_us(branch, s, i, halved)
                values.append([widths.tolist(), time_us.tolist()])
    last = len(base.stages) - 1
    for op in ("a", "c"):
        values += [table.head_us(trunk, op), table.join_us(trunk, op)]
        for s in range(last):
            values += [table.sync_us(s, op), table.sync_op_us(0, s, op), table.sync_op_us(1, s, op)]
    return values


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def write_history(path: Path, trials: tuple[Trial, ...], *, force: bool = True) -> None:
    """Write the trials as CSV, whole or not at all; infeasible ones have an empty reward.

    Raises:
        OutputExists: `path` is there and `force` is false.
        OutputError: it cannot be written.
    """
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\n")
    out.writerow(["trial", "strategy", "feasible", "predicted_us", "reward", "seconds"])
    for trial in trials:
        reward = "" if trial.reward is None else repr(trial.reward)
        feasible = "true" if trial.feasible else "false"
        row = [trial.number, trial.strategy, feasible, f"{trial.predicted_us:.1f}", reward]
        out.writerow([*row, f"{trial.seconds:.3f}"])
    write_text(path, text.getvalue(), force=force)
