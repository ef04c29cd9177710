"""The search loop: resuming, infeasible strategies, and what it leaves behind."""

from __future__ import annotations

import csv
import dataclasses
import itertools
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from syncnas_deploy.errors import (
    EvaluationError,
    InfeasibleBudget,
    JournalError,
    JournalMismatch,
    MeasurementError,
    OutputError,
    OutputExists,
    SettingsError,
)
from syncnas_deploy.files.journal import Journal
from syncnas_deploy.networks.config import ModelConfig, check_strategy
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.search.algorithms import ALGORITHMS
from syncnas_deploy.search.candidates import Infeasibility
from syncnas_deploy.search.evaluators import Evaluation
from syncnas_deploy.search.loop import SearchProgress, SearchSettings, search
from syncnas_deploy.search.results import SearchResult, write_history
from syncnas_deploy.search.widths.solver import WidthSolver
from syncnas_deploy.search.workers.base import Done, Failed, Task, TaskOutcome
from tests.support.killed_searches import kill_and_compare
from tests.support.synthetic import SyntheticTable, toy_base

BASE = toy_base((1, 2, 1, 1))
TABLE = SyntheticTable(BASE, 1)
# Half of the 54 strategies meet the first budget, all of them the second.
MINIMA_US = {s: WidthSolver(BASE, TABLE, 1e6).minimum_us(s) for s in all_strategies(4)}
TIGHT_US = float(np.median(list(MINIMA_US.values())))
AMPLE_US = 2 * max(MINIMA_US.values())


@dataclass
class Hashed:
    """Rewards that look random, depend on seed and network alone, and are counted."""

    name: str = "hashed"
    cost: str = "instant"
    spread: float | None = 0.0
    calls: list[tuple[str, int]] = field(default_factory=list)
    infeasible: frozenset[str] = frozenset()
    version: int = 1

    @property
    def key(self) -> dict[str, object]:
        return {"name": self.name, "version": self.version}

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        assert config.strategy is not None
        self.calls.append((config.strategy, seed))
        if config.strategy in self.infeasible:
            return Evaluation(None, 0.5)
        return Evaluation(0.7 + 0.01 * math.sin(seed), 0.5, {"macs": float(config.macs())})


def run(
    journal_path: Path | None = None,
    *,
    trials: int = 20,
    evaluator: Hashed | None = None,
    budget_us: float = TIGHT_US,
    seed: int = 3,
    algorithm: str = "uct",
) -> SearchResult:
    return search(
        BASE,
        TABLE,
        [budget_us],
        evaluator or Hashed(),
        SearchSettings(trials=trials, algorithm=algorithm, seed=seed),
        journal_path=journal_path,
    )


def test_result_is_the_best_trial_and_meets_the_budget() -> None:
    result = run()
    assert len(result.trials) == 20
    first = max(result.trials, key=lambda t: t.reward or 0)
    best = result.best
    assert (best.strategy, best.reward, best.widths) == (first.strategy, first.reward, first.widths)
    assert (best.evaluations, best.standard_error, best.sure) == (1, 0.0, True)
    assert [t.number for t in result.trials] == list(range(1, 21))
    assert len({t.strategy for t in result.trials}) == 20
    assert all(t.predicted_us <= TIGHT_US for t in result.trials)
    assert best.config(BASE).strategy == best.strategy


def test_the_best_is_placed_as_the_table_says() -> None:
    placement = Placement(trunk=1, twin_stem=True)
    table = SyntheticTable(BASE, 1, placement=placement)
    best = search(BASE, table, [AMPLE_US], Hashed(), SearchSettings(trials=5)).best
    assert best.placement == placement
    assert best.config(BASE).placement == placement


def test_infeasible_strategies_cost_no_evaluation() -> None:
    evaluator = Hashed()
    result = run(evaluator=evaluator)
    assert len(evaluator.calls) == 20
    assert {c.strategy: reason for c, reason in result.infeasible.items()} == {
        s: Infeasibility(us) for s, us in MINIMA_US.items() if us > TIGHT_US
    }
    assert not {t.candidate for t in result.trials} & result.infeasible.keys()


def test_search_ends_when_the_space_does() -> None:
    feasible = sum(us <= TIGHT_US for us in MINIMA_US.values())
    result = run(trials=10_000)
    assert len(result.trials) == feasible
    assert len(run(trials=10_000, budget_us=AMPLE_US).trials) == 54
    for trials, told in ((feasible, []), (feasible + 1, [f"no more than {feasible} candidates meet a budget"])):
        said: list[str] = []
        search(BASE, TABLE, [TIGHT_US], Hashed(), SearchSettings(trials), on_notice=said.append)
        assert [text.partition(",")[0] for text in said if "candidates" in text] == told


def test_impossible_budget_gives_the_smallest_possible_latency() -> None:
    smallest_us = min(MINIMA_US.values())
    with pytest.raises(InfeasibleBudget, match=f"smallest latency is {smallest_us:.0f} us .* raise --budget"):
        run(budget_us=0.9 * smallest_us)


def test_evaluator_that_finds_everything_infeasible() -> None:
    with pytest.raises(InfeasibleBudget, match=r"found all 5 strategies .* infeasible; raise --trials"):
        run(trials=5, evaluator=Hashed(infeasible=frozenset(all_strategies(4))))


def test_evaluators_infeasible_counts_as_an_evaluation() -> None:
    half = frozenset(all_strategies(4)[::2])
    result = run(evaluator=Hashed(infeasible=half))
    assert len(result.trials) == 20
    assert all(t.reward is None for t in result.trials if t.strategy in half)
    assert result.best.strategy not in half


def test_rewards_must_be_finite(tmp_path: Path) -> None:
    class Broken(Hashed):
        def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
            return Evaluation(math.nan, 0.0)

    with pytest.raises(MeasurementError, match="reward nan"):
        run(tmp_path / "j", evaluator=Broken())


@dataclass
class LastFirst:
    """Two workers; of two evaluations in flight, the one that was handed out last ends first."""

    tasks: list[Task] = field(default_factory=list)

    def free(self) -> int:
        return 2 - len(self.tasks)

    def submit(self, task: Task) -> None:
        self.tasks.append(task)

    def next_finished(self, timeout_s: float | None = None) -> TaskOutcome | None:
        if not self.tasks:
            return None
        task = self.tasks.pop()
        try:
            return Done(task, task.carry_out())
        except EvaluationError as e:
            return Failed(task, e)

    def close(self) -> None:
        self.tasks.clear()


def test_an_evaluators_error_ends_the_search_and_loses_nothing_that_others_have_finished(tmp_path: Path) -> None:
    class Raising(Hashed):
        def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
            # One evaluation has ended. Of the two in flight, the one that is asked first raises.
            if len(self.calls) == 1:
                self.calls.append((config.strategy or "", seed))
                raise EvaluationError("broken.")
            return super().evaluate(config, seed)

    evaluator, path = Raising(), tmp_path / "j"
    settings = SearchSettings(trials=20, algorithm="random", seed=3)
    with pytest.raises(EvaluationError, match="broken"):
        search(BASE, TABLE, [TIGHT_US], evaluator, settings, workers=LastFirst(), journal_path=path)
    finished = [strategy for strategy, _ in (evaluator.calls[0], evaluator.calls[2])]
    assert [row["strategy"] for row in rows_of(path)] == finished
    again = Hashed()
    whole = search(BASE, TABLE, [TIGHT_US], again, settings, journal_path=path)
    assert len(whole.trials) == 20 and len(again.calls) == 18


def test_evaluation_seeds_come_from_seed_and_strategy() -> None:
    one, other, third = Hashed(), Hashed(), Hashed()
    run(trials=30, evaluator=one)
    run(trials=30, evaluator=other, algorithm="random")
    run(trials=30, evaluator=third, seed=4)
    assert [s for s, _ in one.calls] != [s for s, _ in other.calls]
    shared = dict(one.calls).keys() & dict(other.calls).keys()
    assert shared and all(dict(one.calls)[s] == dict(other.calls)[s] for s in shared)
    assert not set(one.calls) & set(third.calls)


def test_resumed_at_every_row_and_at_random_bytes_ends_the_same(tmp_path: Path) -> None:
    path = tmp_path / "j"
    whole = run(path)
    content = path.read_bytes()
    cuts = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    rng = np.random.default_rng(0)
    cuts += rng.integers(0, len(content), 15).tolist()
    for cut in cuts:
        path.write_bytes(content[:cut])
        kept = max(content[:cut].count(b"\n") - 1, 0)
        evaluator = Hashed()
        assert run(path, evaluator=evaluator) == whole
        assert len(evaluator.calls) == 20 - kept
        assert path.read_bytes() == content


@dataclass
class Stopping(Hashed):
    """Gives up on what is worse than the second of the first three."""

    worst: float = -math.inf
    noise: float = 0.02

    def informed(self, finished: Sequence[Evaluation]) -> Stopping:
        rewards = [e.reward for e in finished[:3] if e.reward is not None]
        return dataclasses.replace(self, worst=sorted(rewards)[1] if len(rewards) == 3 else -math.inf)

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        evaluation = super().evaluate(config, seed)
        assert evaluation.reward is not None
        reward = 0.7 + self.noise * math.sin(seed) + 0.03 * math.sin(config.macs())
        return dataclasses.replace(evaluation, reward=reward, partial=reward < self.worst)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_with_noise_and_early_stopping_a_resumed_search_ends_the_same_too(tmp_path: Path, algorithm: str) -> None:
    path = tmp_path / "j"
    whole = run(path, trials=25, evaluator=Stopping(spread=None), algorithm=algorithm)
    content = path.read_bytes()
    repeats = [trial for trial in whole.trials if trial.repeat]
    assert {trial.outcome for trial in whole.trials} == {"evaluated", "partial"}
    assert all(trial.outcome == "evaluated" for trial in repeats) and 1 <= len(repeats) <= 5
    best = whole.best
    assert best.evaluations == 1 + sum(trial.strategy == best.strategy for trial in repeats)
    rows = content.splitlines(keepends=True)
    for kept in range(1, len(rows)):
        path.write_bytes(b"".join(rows[:kept]))
        evaluator = Stopping(spread=None)
        assert run(path, trials=25, evaluator=evaluator, algorithm=algorithm) == whole
        assert len(evaluator.calls) == len(rows) - kept
        assert path.read_bytes() == content


def test_noise_is_met_by_repeated_evaluations_of_the_leaders_with_other_seeds() -> None:
    evaluator = Hashed(spread=0.02)
    result = run(trials=40, evaluator=evaluator, budget_us=AMPLE_US)
    repeats = [trial for trial in result.trials if trial.repeat]
    assert 1 <= len(repeats) <= 8 and len(result.trials) == 32 + len(repeats)
    assert len(set(evaluator.calls)) == len(evaluator.calls)
    mine = [t.reward for t in result.trials if t.strategy == result.best.strategy and t.reward is not None]
    assert result.best.reward == pytest.approx(sum(mine) / len(mine))
    assert result.best.standard_error == pytest.approx(0.02 / math.sqrt(len(mine)))


def test_a_search_whose_leader_is_sure_ends_before_its_trials() -> None:
    result = run(trials=40, evaluator=Hashed(spread=1e-9), budget_us=AMPLE_US)
    assert result.best.sure and len(result.trials) == 32


def test_more_trials_extend_a_finished_search(tmp_path: Path) -> None:
    run(tmp_path / "j", trials=8)
    evaluator = Hashed()
    assert run(tmp_path / "j", evaluator=evaluator, trials=20) == run()
    assert len(evaluator.calls) == 12
    # Fewer than there are: nothing finished is dropped.
    assert run(tmp_path / "j", trials=5) == run()


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 4},
        {"budget_us": TIGHT_US + 1},
        {"evaluator": Hashed(version=2)},
        {"algorithm": "uct-published"},
    ],
)
def test_another_runs_journal_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    run(tmp_path / "j", trials=3)
    with pytest.raises(JournalMismatch, match="choose another --out"):
        run(tmp_path / "j", **change)  # type: ignore[arg-type]


def test_another_tables_journal_is_refused(tmp_path: Path) -> None:
    run(tmp_path / "j", trials=3)
    with pytest.raises(JournalMismatch, match="its --profile or --width-step is another one"):
        search(
            BASE,
            SyntheticTable(BASE, 2),
            [TIGHT_US],
            Hashed(),
            SearchSettings(trials=3, algorithm="uct", seed=3),
            journal_path=tmp_path / "j",
        )


def rewritten(path: Path, rows: list[dict[str, object]]) -> None:
    """A journal with the same head and other rows."""
    key = json.loads(path.read_bytes().split(b"\n")[0])["key"]
    path.unlink()
    with Journal(path, kind="search", key=key) as journal:
        for row in rows:
            journal.append(row)


def rows_of(path: Path) -> list[dict[str, object]]:
    return [json.loads(line)["row"] for line in path.read_bytes().splitlines()[1:]]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"strategy": max(MINIMA_US, key=lambda s: MINIMA_US[s])}, JournalMismatch),
        ({"strategy": "aaaan"}, JournalMismatch),
        ({"strategy": "aaax"}, JournalMismatch),
        ({"budget": 1}, JournalMismatch),
        ({"repeat": 1}, JournalMismatch),
        ({"strategy": 3}, JournalError),
        ({"budget": 0.5}, JournalError),
        ({"repeat": True}, JournalError),
        ({"reward": "good"}, JournalError),
        ({"details": {"macs": "many"}}, JournalError),
        ({"failed": 1}, JournalError),
        ({"note": None}, JournalError),
        ({"more": 1}, JournalError),
    ],
)
def test_rows_that_this_search_did_not_write(tmp_path: Path, change: dict[str, object], error: type[Exception]) -> None:
    path = tmp_path / "j"
    run(path, trials=2)
    first, second = rows_of(path)
    rewritten(path, [first, {**second, **change}])
    with pytest.raises(error, match="line 3"):
        run(path, trials=5)


def test_rows_that_stand_twice_count_once_and_do_not_hold_up_the_search(tmp_path: Path) -> None:
    path = tmp_path / "j"
    whole = run(path)
    rows = rows_of(path)
    rewritten(path, [rows[0], rows[1], rows[0], *rows[2:9], rows[1], rows[8]])
    evaluator = Hashed()
    assert run(path, evaluator=evaluator) == whole
    assert len(evaluator.calls) == 11


def test_progress_counts_and_knows_the_best() -> None:
    seen: list[SearchProgress] = []
    result = search(
        BASE,
        TABLE,
        [TIGHT_US],
        Hashed(),
        SearchSettings(trials=12, seed=3),
        on_progress=lambda progress: seen.append(progress),
    )
    assert [p.done for p in seen] == list(range(1, 13))
    assert {p.total for p in seen} == {12}
    assert seen[-1].best == result.best
    assert [p.trial for p in seen] == list(result.trials)
    rewards = [p.best.reward for p in seen if p.best is not None and p.best.reward is not None]
    assert rewards == sorted(rewards)
    assert seen[-1].eta_s == 0.0
    assert all(p.eta_s > 0 for p in seen[:-1])


def test_history_has_a_row_a_trial_and_one_for_what_is_infeasible(tmp_path: Path) -> None:
    result = run()
    path = tmp_path / "history.csv"
    write_history(path, result)
    with path.open(newline="") as f:
        rows = list(csv.DictReader(f))
    assert list(rows[0])[:6] == ["trial", "strategy", "feasible", "predicted_us", "reward", "seconds"]
    tried, others = rows[:20], rows[20:]
    for row, trial in zip(tried, result.trials, strict=True):
        assert check_strategy(row["strategy"], 4) == trial.strategy
        assert (row["feasible"], row["outcome"], row["trial"]) == ("true", "evaluated", str(trial.number))
        assert float(row["reward"]) == trial.reward
        assert float(row["predicted_us"]) == pytest.approx(trial.predicted_us, abs=0.051)
    assert {row["strategy"] for row in others} == {c.strategy for c in result.infeasible}
    assert {(row["trial"], row["feasible"], row["reward"]) for row in others} == {("", "false", "")}
    with pytest.raises(OutputExists):
        write_history(path, result, force=False)


def test_no_trials_are_no_search() -> None:
    with pytest.raises(SettingsError, match="from 1 on"):
        run(trials=0)


@pytest.mark.parametrize(("workers", "trials", "kills"), [(1, 60, 8), (3, 1_000, 6)])
def test_a_few_kills_lose_nothing(tmp_path: Path, workers: int, trials: int, kills: int) -> None:
    report = kill_and_compare(tmp_path, kills=kills, trials=trials, seed=1, workers=workers)
    assert report.good, report
    assert report.kills >= kills and report.hits >= 1 and report.ends >= 1
    assert (report.workers_killed > 0) == (workers > 1)


@pytest.mark.parametrize("when", [1, 7, 8, 9])
def test_a_search_whose_journal_was_removed_meanwhile_keeps_no_half_result(when: int, tmp_path: Path) -> None:
    kept: list[object] = []
    count = itertools.count(1)

    def keep(result: object) -> None:
        kept.append(result)
        remove(result)

    def remove(_: object) -> None:
        if next(count) == when:  # in the 9th place while the result is written
            (tmp_path / "j").unlink()

    with pytest.raises(OutputError, match="was removed or replaced meanwhile"):
        search(
            BASE,
            TABLE,
            [TIGHT_US],
            Hashed(),
            SearchSettings(trials=8),
            journal_path=tmp_path / "j",
            on_progress=remove,
            keep=keep,
        )
    assert len(kept) == (when == 9) and list(tmp_path.iterdir()) == []
