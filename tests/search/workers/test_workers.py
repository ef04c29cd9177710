"""Workers: results as they come, lost ones handed out again once, nothing evaluated twice."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from syncnas_deploy.errors import EvaluationError, SyncNasError, UnknownWorkers
from syncnas_deploy.networks.config import branched
from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.search.algorithms.searcher import Candidate
from syncnas_deploy.search.evaluators import Command, Evaluator
from syncnas_deploy.search.loop import SearchSettings, search
from syncnas_deploy.search.results import SearchResult, write_history
from syncnas_deploy.search.workers import make_workers
from syncnas_deploy.search.workers.base import Done, InProcess, Task, Workers, code_version
from syncnas_deploy.search.workers.local import LocalWorkers
from tests.support.synthetic import SyntheticTable, toy_base
from tests.support.waiting import wait_for
from tests.support.worker_cases import Slow, Threads, is_running, pids_in, true_reward, worker_pids

BASE = toy_base((1, 1, 1))
TABLE = SyntheticTable(BASE, 1)
AMPLE_US = 1e6
STRATEGIES = all_strategies(3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where evaluations leave their files."""
    (tmp_path / "log").mkdir()
    return tmp_path / "log"


def run(
    evaluator: Evaluator,
    workers: Workers | None = None,
    *,
    trials: int = 18,
    journal_path: Path | None = None,
    notices: list[str] | None = None,
) -> SearchResult:
    return search(
        BASE,
        TABLE,
        [AMPLE_US],
        evaluator,
        SearchSettings(trials=trials, algorithm="random"),
        workers=workers,
        journal_path=journal_path,
        on_notice=(notices if notices is not None else []).append,
    )


def counts(folder: Path) -> Counter[str]:
    """How often each strategy was evaluated, finished or not."""
    return Counter(path.name.partition("-")[0] for path in folder.iterdir())


def rewards(result: SearchResult) -> dict[str, float | None]:
    return {trial.strategy: trial.reward for trial in result.trials}


def test_three_processes_find_what_one_finds_and_evaluate_nothing_twice(folder: Path) -> None:
    here = run(Slow(folder))
    before = counts(folder)
    notices: list[str] = []
    there = run(Slow(folder, seconds=0.01), LocalWorkers(3), notices=notices)
    assert rewards(there) == rewards(here) == {s: true_reward(s) for s in STRATEGIES}
    assert there.best == here.best
    assert counts(folder) - before == Counter(STRATEGIES)
    pids = {trial.evaluation.details["pid"] for trial in there.trials}
    assert len(pids) == 3 and os.getpid() not in pids
    assert notices == ["slow: as told; the seed does not matter."]


def test_results_are_taken_as_they_come(folder: Path, tmp_path: Path) -> None:
    """While one process is busy for long, the other does all the rest."""
    first = run(Slow(tmp_path), trials=1).trials[0].strategy
    result = run(Slow(folder, long=first), LocalWorkers(2))
    assert first in [trial.strategy for trial in result.trials[-2:]]
    assert len(result.trials) == 18


def test_workers_compute_with_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    result = run(Threads(), LocalWorkers(2), trials=2)
    assert {trial.evaluation.details["torch"] for trial in result.trials} == {1.0}


def test_a_lost_workers_evaluation_is_handed_out_again(folder: Path) -> None:
    deadly = frozenset(STRATEGIES[3:6])
    notices: list[str] = []
    result = run(Slow(folder, deadly=deadly, deaths=1), LocalWorkers(2), notices=notices)
    assert rewards(result) == {s: true_reward(s) for s in STRATEGIES}
    assert counts(folder) == Counter(STRATEGIES) + Counter(deadly)
    assert len(notices) == 4
    assert all("killed by signal 9; its evaluation is handed out again" in notice for notice in notices[1:])


def test_what_is_lost_twice_is_set_aside_and_said(folder: Path, tmp_path: Path) -> None:
    deadly, journal = STRATEGIES[4], tmp_path / "j"
    notices: list[str] = []
    evaluator = Slow(folder, deadly=frozenset([deadly]))
    result = run(evaluator, LocalWorkers(2), journal_path=journal, notices=notices)
    (failed,) = [trial for trial in result.trials if trial.failed]
    assert (failed.strategy, failed.reward, failed.outcome) == (deadly, None, "failed")
    assert failed.evaluation.note == "its worker was lost twice", "no address, no process number"
    assert rewards(result) == {s: None if s == deadly else true_reward(s) for s in STRATEGIES}
    assert counts(folder)[deadly] == 2
    assert [("again" in n, "set aside" in n) for n in notices[1:]] == [(True, False), (False, True)]
    assert "signal 9" in notices[-1]
    write_history(tmp_path / "history.csv", result)
    with (tmp_path / "history.csv").open(newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["strategy"] == deadly)
    assert (row["outcome"], row["feasible"], row["reward"]) == ("failed", "false", "")
    # It stays set aside when the search goes on.
    assert run(evaluator, LocalWorkers(2), journal_path=journal) == result
    assert counts(folder)[deadly] == 2


def test_a_worker_killed_while_it_is_idle_costs_nothing(folder: Path) -> None:
    task = Task(Candidate("aaa"), 0, branched(BASE, "aaa"), Slow(folder), 1)
    with contextlib.closing(LocalWorkers(1)) as workers:
        for _ in range(2):
            workers.submit(task)
            assert isinstance(workers.next_finished(), Done)
            (pid,) = worker_pids()
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda pid=pid: not is_running(pid))
    assert counts(folder) == {"aaa": 2}


def test_a_worker_killed_before_it_took_its_task_costs_nothing(folder: Path) -> None:
    task = Task(Candidate("aaa"), 0, branched(BASE, "aaa"), Slow(folder), 1)
    with contextlib.closing(LocalWorkers(1)) as workers:
        workers.submit(task)
        assert isinstance(workers.next_finished(), Done)
        (pid,) = worker_pids()
        os.kill(pid, signal.SIGSTOP)
        workers.submit(task)
        os.kill(pid, signal.SIGKILL)
        assert isinstance(workers.next_finished(), Done)
    assert counts(folder) == {"aaa": 2}


@pytest.mark.parametrize(
    ("fault", "says"),
    [("typed", "typed and clear"), ("other", r"of toy_caa failed in a worker \(RuntimeError: not\); with --workers 1")],
)
def test_an_evaluators_error_ends_the_search_and_keeps_what_is_finished(
    folder: Path, tmp_path: Path, fault: str, says: str
) -> None:
    evaluator, journal = Slow(folder, wrong="caa", fault=fault), tmp_path / "j"
    with pytest.raises(EvaluationError, match=says):
        run(evaluator, LocalWorkers(2), journal_path=journal)
    finished = [json.loads(line)["row"]["strategy"] for line in journal.read_bytes().splitlines()[1:]]
    assert "caa" not in finished and len(finished) == len(set(finished))
    before = counts(folder)
    result = run(Slow(folder), LocalWorkers(2), journal_path=journal)
    assert rewards(result) == {s: true_reward(s) for s in STRATEGIES}
    assert not set(counts(folder) - before) & set(finished)


SCRIPT = """
import sys
from pathlib import Path
from tests.support.worker_cases import Slow
from tests.support.synthetic import SyntheticTable, toy_base
from syncnas_deploy.search.workers.local import LocalWorkers
from syncnas_deploy.search.loop import SearchSettings, search

if __name__ == "__main__":
    base, slow = toy_base((1, 1, 1)), Slow(Path(sys.argv[1]), seconds=300.0)
    search(base, SyntheticTable(base, 1), [1e6], slow, SearchSettings(trials=4), workers=LocalWorkers(2))
"""


def test_workers_end_with_the_search_that_is_killed(folder: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path[1:])}
    with subprocess.Popen([sys.executable, str(script), str(folder)], env=environment) as process:
        wait_for(lambda: len(list(folder.iterdir())) == 2)
        process.kill()
    pids = pids_in(folder)
    assert len(pids) == 2
    wait_for(lambda: not any(is_running(pid) for pid in pids))


def test_programs_end_with_the_workers_that_run_them(tmp_path: Path) -> None:
    text = f"import os, pathlib, time; pathlib.Path({str(tmp_path)!r}, str(os.getpid())).touch(); time.sleep(300)"
    evaluator = Command((sys.executable, "-c", text))
    with contextlib.closing(LocalWorkers(2)) as workers:
        for strategy in ("aaa", "aac"):
            workers.submit(Task(Candidate(strategy), 0, branched(BASE, strategy), evaluator, 1))
        wait_for(lambda: len(list(tmp_path.iterdir())) == 2)
    pids = [int(path.name) for path in tmp_path.iterdir()]
    wait_for(lambda: not any(is_running(pid) for pid in pids))


def test_names_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_workers(), InProcess)
    assert isinstance(make_workers("3"), LocalWorkers)
    for text in ("0", "-1", "many", "257", "99999999999", "http://here:1", ""):
        with pytest.raises(UnknownWorkers, match="names no workers; give a number"):
            make_workers(text)
    with pytest.raises(UnknownWorkers, match="Only dask workers have resources"):
        make_workers("2", {"GPU": 1.0})
    assert issubclass(UnknownWorkers, SyncNasError)
    assert code_version() == code_version() and "+" in code_version()


def test_no_thread_is_left_behind(folder: Path) -> None:
    before = threading.active_count()
    run(Slow(folder), LocalWorkers(2), trials=4)
    assert threading.active_count() == before
