"""A dask cluster on loopback: the same results, a killed worker's evaluation handed out again, clear refusals."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from syncnas_deploy.errors import EvaluationError, MissingDependency, WorkersUnavailable
from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.search.loop import SearchSettings, search
from syncnas_deploy.search.results import SearchResult
from syncnas_deploy.search.workers import caution, make_workers
from syncnas_deploy.search.workers import dask as dask_workers
from tests.support.synthetic import SyntheticTable, toy_base
from tests.support.waiting import wait_for
from tests.support.worker_cases import Slow, true_reward

distributed = pytest.importorskip("distributed", reason="dask.distributed is not installed (syncnas-deploy[cluster])")

BASE = toy_base((1, 1, 1))
TABLE = SyntheticTable(BASE, 1)
STRATEGIES = all_strategies(3)
START_S = 120.0


@dataclass
class Cluster:
    """A scheduler and its workers, as processes of their own."""

    address: str
    file: Path
    processes: list[subprocess.Popen[bytes]]

    def add_worker(self, *options: str) -> subprocess.Popen[bytes]:
        """Start a worker and wait until the scheduler knows it; importing dask takes long on a busy machine."""
        count = len(self.processes)
        process = _start("worker", self.file, "--nthreads", "1", "--no-nanny", *options)
        self.processes.append(process)
        with distributed.Client(self.address, timeout=START_S, set_as_default=False) as client:
            client.wait_for_workers(count, timeout=START_S)
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


def test_two_workers_one_killed_in_mid_evaluation_end_with_the_right_result(cluster: Cluster, folder: Path) -> None:
    victim, other = cluster.add_worker(), cluster.add_worker()
    notices: list[str] = []
    result = run(cluster, Slow(folder, victim=victim.pid), notices)
    assert victim.wait() == -signal.SIGKILL
    assert {t.strategy: t.reward for t in result.trials} == {s: true_reward(s) for s in STRATEGIES}
    assert result.best.reward == max(true_reward(s) for s in STRATEGIES)
    assert {t.evaluation.details["pid"] for t in result.trials} == {float(other.pid)}
    started = Counter(path.name.partition("-")[0] for path in folder.iterdir())
    assert sorted(started.values()) == [1] * 17 + [2]
    assert len(notices) == 2
    assert "is gone; its evaluation is handed out again" in notices[1]


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
    monkeypatch.setattr(dask_workers, "FIRST_WORKER_S", 0.5)
    with pytest.raises(WorkersUnavailable, match=r"has no worker; start some with: dask worker tcp://127"):
        make_workers(cluster.address)
    cluster.add_worker()
    make_workers(cluster.address).close()
    with pytest.raises(WorkersUnavailable, match=r"has no worker with the resources GPU=2; .*--resources GPU=2\."):
        make_workers(cluster.address, {"GPU": 2.0})
    with monkeypatch.context() as patch:
        patch.setattr(dask_workers, "code_version", lambda: f"0+{os.getpid()}")
        with pytest.raises(WorkersUnavailable, match="install the same"):
            make_workers(cluster.address)
    monkeypatch.setattr(dask_workers, "CONNECT_S", 0.5)
    with pytest.raises(WorkersUnavailable, match="no dask scheduler answers there"):
        make_workers("tcp://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingDependency, match=r"syncnas-deploy\[cluster\]"):
        make_workers(cluster.address)


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


@pytest.mark.parametrize("status", ["connecting", "closing", "closed"])
def test_a_client_that_has_lost_its_scheduler_knows_of_no_workers(monkeypatch: pytest.MonkeyPatch, status: str) -> None:
    client = SimpleNamespace(status=status, scheduler_info=lambda n_workers: {}, cancel=None, close=None)
    monkeypatch.setattr(dask_workers, "_connected", lambda address: client)
    with pytest.raises(WorkersUnavailable, match="tcp://h:1: the dask scheduler is gone; what was finished is kept"):
        dask_workers.DaskWorkers("tcp://h:1", {})


GARBAGE = {
    "a frame of 2^40 bytes": struct.pack("<Q", 2**40) + bytes(100),
    "2^40 frames": struct.pack("<QQQ", 16, 2**40, 2**40),
    "a web server": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "it closes at once": None,
    "it says nothing": b"",
}


@pytest.mark.parametrize("kind", list(GARBAGE))
def test_after_the_sentence_dask_says_nothing(tmp_path: Path, kind: str) -> None:
    listener, said = socket.create_server(("127.0.0.1", 0)), GARBAGE[kind]

    def serve() -> None:
        kept = []
        with contextlib.suppress(OSError):
            while True:
                kept.append(listener.accept()[0])
                if said is None:
                    kept.pop().close()
                else:
                    kept[-1].sendall(said)

    threading.Thread(target=serve, daemon=True).start()
    code = (
        "from syncnas_deploy.search.workers import dask; from syncnas_deploy.cli import main; dask.ANSWER_S = 3.0;"
        "dask.CONNECT_S = 2.0; main()"
    )
    words = ["--profile", "mobilenet_v2-sim-phone", "--evaluator", "capacity", "--trials", "2", "--out", "found"]
    address = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    command = [sys.executable, "-c", code, "search", *words, "--workers", address]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    listener.close()
    assert done.returncode == 5 and done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.startswith(f"syncnas-deploy: {address}: no dask scheduler answers there (")


@pytest.mark.parametrize(
    ("address", "warned"),
    [
        ("tcp://127.0.0.1:8786", False),
        ("tcp://127.8.8.8:1", False),
        ("tcp://[::1]:8786", False),
        ("tcp://localhost:8786", False),
        ("tls://10.0.0.1:8786", False),
        ("4", False),
        ("tcp://10.0.0.1:8786", True),
        ("tcp://gpu-farm:8786", True),
        ("tcp://[fe80::1]:8786", True),
        ("tcp://0.0.0.0:8786", True),
        ("tcp://localhost.evil.example:1", True),
        ("tcp://[::1:8786", True),
    ],
)
def test_a_cluster_that_is_not_secured_gets_a_sentence(address: str, warned: bool) -> None:
    assert ("can run programs" in caution(address)) == warned
