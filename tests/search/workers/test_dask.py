"""A dask cluster on loopback: the same results, a killed worker's evaluation handed out again, clear refusals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from syncnas_deploy.errors import EvaluationError, MissingDependency, WorkersUnavailable
from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.search.loop import SearchSettings, search
from syncnas_deploy.search.results import SearchResult
from syncnas_deploy.search.workers import dask as dask_workers
from syncnas_deploy.search.workers import make_workers
from tests.support.synthetic import SyntheticTable, toy_base
from tests.support.worker_cases import Slow, true_reward, wait_for

pytest.importorskip("distributed", reason="dask.distributed is not installed (syncnas-deploy[cluster])")

BASE = toy_base((1, 1, 1))
TABLE = SyntheticTable(BASE, 1)
STRATEGIES = all_strategies(3)


@dataclass
class Cluster:
    """A scheduler and its workers, as processes of their own."""

    address: str
    file: Path
    processes: list[subprocess.Popen[bytes]]

    def add_worker(self, *options: str) -> subprocess.Popen[bytes]:
        process = _start("worker", self.file, "--nthreads", "1", "--no-nanny", *options)
        self.processes.append(process)
        return process


def _start(what: str, file: Path, *options: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path[1:])}
    loopback = ["--scheduler-file", str(file), "--host", "127.0.0.1", "--no-dashboard"]
    command = [sys.executable, "-m", "distributed.cli.dask_" + what, *loopback, *options]
    return subprocess.Popen(
        command, env=environment, cwd=file.parent, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """A scheduler without workers."""
    file = tmp_path / "scheduler.json"
    scheduler = _start("scheduler", file, "--port", "0")
    processes = [scheduler]
    try:
        wait_for(lambda: file.exists() and file.read_text().endswith("}"))
        yield Cluster(json.loads(file.read_text())["address"], file, processes)
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where evaluations leave their files."""
    (tmp_path / "log").mkdir()
    return tmp_path / "log"


def run(cluster: Cluster, evaluator: Slow, notices: list[str] | None = None, **resources: float) -> SearchResult:
    return search(
        BASE, TABLE, [1e6], evaluator, SearchSettings(trials=18, algorithm="random"),
        workers=make_workers(cluster.address, resources), on_notice=(notices if notices is not None else []).append,
    )  # fmt: skip


def pids_of(folder: Path) -> list[int]:
    return [int(path.name.split("-")[1]) for path in folder.iterdir()]


def test_two_workers_one_killed_in_mid_evaluation_end_with_the_right_result(cluster: Cluster, folder: Path) -> None:
    workers = [cluster.add_worker(), cluster.add_worker()]
    notices: list[str] = []

    def kill_one() -> None:
        """When both are at work, the first one dies."""
        wait_for(lambda: len(set(pids_of(folder))) == 2)
        workers[0].kill()

    killer = threading.Thread(target=kill_one)
    killer.start()
    result = run(cluster, Slow(folder, seconds=0.15), notices)
    killer.join()
    assert workers[0].wait() == -signal.SIGKILL
    assert {t.strategy: t.reward for t in result.trials} == {s: true_reward(s) for s in STRATEGIES}
    assert result.best.reward == max(true_reward(s) for s in STRATEGIES)
    assert Counter(t.evaluation.details["pid"] for t in result.trials)[float(workers[1].pid)] >= 16
    started = Counter(path.name.partition("-")[0] for path in folder.iterdir())
    assert sum(started.values()) in (18, 19) and max(started.values()) <= 2
    assert len(notices) == 1 + started.total() - 18
    assert all("is gone; its evaluation is handed out again" in notice for notice in notices[1:])


def test_resources_choose_the_workers_and_errors_come_through(cluster: Cluster, folder: Path) -> None:
    cluster.add_worker()
    chosen = cluster.add_worker("--resources", "GPU=1")
    result = run(cluster, Slow(folder), GPU=1.0)
    assert {t.evaluation.details["pid"] for t in result.trials} == {float(chosen.pid)}
    with pytest.raises(EvaluationError, match="typed and clear"):
        run(cluster, Slow(folder, wrong=STRATEGIES[0]))
    with pytest.raises(EvaluationError, match=r"failed in a worker \(RuntimeError: not"):
        run(cluster, Slow(folder, wrong=STRATEGIES[0], fault="other"))


def test_what_is_not_there_is_said_in_a_sentence(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_workers, "CONNECT_S", 0.5)
    with pytest.raises(WorkersUnavailable, match=r"has no worker; start some with: dask worker tcp://127"):
        make_workers(cluster.address)
    cluster.add_worker()
    with contextlib.closing(_patient(cluster.address)):
        pass
    with pytest.raises(WorkersUnavailable, match=r"has no worker with the resources GPU=2; .*--resources GPU=2\."):
        make_workers(cluster.address, {"GPU": 2.0})
    with monkeypatch.context() as patch:
        patch.setattr(dask_workers, "code_version", lambda: f"0+{os.getpid()}")
        with pytest.raises(WorkersUnavailable, match="install the same"):
            make_workers(cluster.address)
    with pytest.raises(WorkersUnavailable, match="no dask scheduler answers there"):
        make_workers("tcp://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependency, match=r"syncnas-deploy\[cluster\]"):
        make_workers(cluster.address)


def _patient(address: str) -> dask_workers.DaskWorkers:
    """Connected, as soon as a worker is there."""
    found: list[dask_workers.DaskWorkers] = []

    def connected() -> bool:
        with contextlib.suppress(WorkersUnavailable):
            found.append(dask_workers.DaskWorkers(address, {}))
        return bool(found)

    wait_for(connected)
    return found[0]


def test_a_scheduler_that_dies_ends_the_search_and_keeps_what_is_finished(
    cluster: Cluster, folder: Path, tmp_path: Path
) -> None:
    cluster.add_worker()
    journal = tmp_path / "j"

    def at_third(progress: object) -> None:
        if getattr(progress, "done", 0) == 3:
            cluster.processes[0].kill()

    with pytest.raises(WorkersUnavailable, match="scheduler is gone; what was finished is kept"):
        search(
            BASE, TABLE, [1e6], Slow(folder, seconds=0.05), SearchSettings(trials=18, algorithm="random"),
            journal_path=journal, workers=make_workers(cluster.address), on_progress=at_third,
        )  # fmt: skip
    assert len(journal.read_bytes().splitlines()) >= 4
