"""Runners that crash, hang, lie or lose their host: finished rows are kept and the rest is a typed error."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from syncnas_bench import (
    BenchError,
    Run,
    RunIncomplete,
    RunnerCrashed,
    RunnerHung,
    RuntimeMismatch,
    RuntimeMissing,
    run_plan,
)
from syncnas_bench.device import runner_program
from syncnas_bench.errors import RowMalformed, RunFailed
from syncnas_bench.plan import PLAN_VERSION
from tests.support.bench_cases import Collector, children_of, is_running, only_child, run_text, sim_plan
from tests.support.waiting import wait_for

RUNNER = [str(runner_program())]

# A stand-in for the runner: it reads what a good runner said for the same plan, and spoils it.
FAKE = """
    import hashlib, json, os, signal, sys, time
    lines = open({good!r}).read().splitlines(keepends=True)
    def say(*which):
        for line in which:
            sys.stdout.write(line)
            sys.stdout.flush()
            if line.startswith('{{"row"'):
                sys.stdin.read(1)
    def trailer(rows, text):
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        return json.dumps({{"trailer": {{"rows": rows, "sha256": sha256}}}}) + chr(10)
    header, first, second, end = lines
"""


@pytest.fixture(scope="module")
def good_output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    path = folder / "output"
    path.write_text(run_text(folder, sim_plan(steps=2).to_text()).stdout)
    return path


def run_fake(tmp_path: Path, good: Path, script: str, runs: Collector, **limits: float) -> None:
    path = tmp_path / "fake.py"
    path.write_text(textwrap.dedent(FAKE).format(good=str(good)) + textwrap.dedent(script))
    run_plan(sim_plan(steps=2), command=[sys.executable, str(path)], on_run=runs, **limits)


def test_the_unspoiled_fake_is_taken(tmp_path: Path, good_output: Path) -> None:
    runs = Collector()
    run_fake(tmp_path, good_output, "say(*lines)", runs)
    assert [run.step for run in runs] == ["step0", "step1"]


@pytest.mark.parametrize(
    ("script", "error", "reason", "rows"),
    [
        ("say(header, first)", RunIncomplete, "without a trailer after 1 rows", 1),
        ("say(*lines[:3])", RunIncomplete, "without a trailer after 2 rows", 2),
        ("say(header, first, trailer(1, header + first))", RunIncomplete, "1 came and 2 were asked for", 1),
        ("say(header, first, second, trailer(2, 'x'))", RunIncomplete, "sha256", 2),
        ("say(header, first, second.replace('e+', 'e'), trailer(1, ''))", RunIncomplete, "of 1 rows", 2),
        ("say(*lines, header)", RunIncomplete, "more after its trailer", 2),
        ("say(header, second)", RowMalformed, "row 1 came where 0 was due", 0),
        ("say(header, first, first)", RowMalformed, "row 0 came where 1 was due", 1),
        ("say(header, first[:40] + chr(10))", RowMalformed, "not valid JSON", 0),
        ("say(header, 'hello' + chr(10))", RowMalformed, "not valid JSON", 0),
        ("say(header, '[1]' + chr(10))", RowMalformed, "no header, row", 0),
        ("say(first)", RowMalformed, "no header, row", 0),
        ("say(header, header)", RowMalformed, "no header, row", 0),
        ("say(header.replace('\"plan\":', '\"plan\":9'))", RuntimeMismatch, "another plan version", 0),
        ("say(header, first); os.kill(os.getpid(), signal.SIGSEGV)", RunnerCrashed, "SIGSEGV", 1),
        ("say(header, first); os.kill(os.getpid(), signal.SIGKILL)", RunnerCrashed, "SIGKILL", 1),
        ("say(header, first); sys.exit(9)", RunnerCrashed, "exit code 9", 1),
        ("""say('{"error":{"kind":"run","message":"it broke"}}' + chr(10))""", RunFailed, "it broke", 0),
    ],
)  # fmt: skip
def test_spoiled_output(
    tmp_path: Path, good_output: Path, script: str, error: type[BenchError], reason: str, rows: int
) -> None:
    runs = Collector()
    with pytest.raises(error, match=reason):
        run_fake(tmp_path, good_output, script, runs)
    assert len(runs) == rows


def test_crash_after_a_complete_trailer_is_noted_and_forgiven(tmp_path: Path, good_output: Path) -> None:
    path = tmp_path / "fake.py"
    script = "say(*lines); os.kill(os.getpid(), signal.SIGSEGV)"
    path.write_text(textwrap.dedent(FAKE).format(good=str(good_output)) + script)
    launch = run_plan(sim_plan(steps=2), command=[sys.executable, str(path)], on_run=Collector())
    assert launch.exit == "SIGSEGV"


def test_last_words_of_a_crash_are_kept(tmp_path: Path, good_output: Path) -> None:
    script = "print('driver: device lost', file=sys.stderr); say(header); sys.exit(9)"
    with pytest.raises(RunnerCrashed) as caught:
        run_fake(tmp_path, good_output, script, Collector())
    assert "driver: device lost" in caught.value.log


@pytest.mark.parametrize("limits", [{"deadline_s": 0.6}, {"stall_s": 0.6}])
def test_hanging_runner_is_killed(tmp_path: Path, good_output: Path, limits: dict[str, float]) -> None:
    pid_file = tmp_path / "pid"
    script = f"open({str(pid_file)!r}, 'w').write(str(os.getpid())); say(header, first); time.sleep(60)"
    runs = Collector()
    start = time.monotonic()
    with pytest.raises(RunnerHung, match="was killed"):
        run_fake(tmp_path, good_output, script, runs, **limits)
    assert time.monotonic() - start < 20
    assert len(runs) == 1
    assert not is_running(int(pid_file.read_text()))


def test_real_runner_that_is_killed_keeps_its_finished_rows() -> None:
    runs = Collector()

    def keep_and_kill(run: Run) -> None:
        runs(run)
        if len(runs) == 2:
            os.kill(only_child(), signal.SIGSEGV)

    with pytest.raises(RunnerCrashed, match="SIGSEGV") as caught:
        run_plan(sim_plan(steps=4), command=RUNNER, on_run=keep_and_kill)
    assert caught.value.signal_name == "SIGSEGV"
    assert [run.step for run in runs] == ["step0", "step1"]


def test_failing_on_run_stops_the_runner() -> None:
    pids = []

    def refuse(run: Run) -> None:
        pids.append(only_child())
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        run_plan(sim_plan(steps=2), command=RUNNER, on_run=refuse)
    assert not is_running(pids[0])


def test_row_is_handed_over_before_the_next_step_starts() -> None:
    now_ns = []

    def slow(run: Run) -> None:
        assert all(t0 > handed for handed in now_ns for t0 in run.jobs[0].t0_ns)
        time.sleep(0.05)
        now_ns.append(time.monotonic_ns())

    run_plan(sim_plan(steps=3), command=RUNNER, on_run=slow)
    assert len(now_ns) == 3


def test_runner_does_not_outlive_its_host(tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import sys
        sys.path[:0] = sys.argv[1:]
        from tests.support.bench_cases import sim_plan
        from syncnas_bench import run_plan
        from syncnas_bench.device import runner_program
        plan = sim_plan(steps=2, rounds=1000, run_us=100_000)
        run_plan(plan, command=[str(runner_program())], on_run=print)
        """
    )
    host = subprocess.Popen([sys.executable, "-c", script, *sys.path], stdin=subprocess.DEVNULL)
    try:
        started = wait_for(lambda: children_of(host.pid))
        host.kill()
        host.wait()
        wait_for(lambda: not is_running(started[0]))
    finally:
        host.kill()
        host.wait()


def test_runner_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(RuntimeMissing, match="cannot be started"):
        run_plan(sim_plan(), command=[str(tmp_path / "none")], on_run=Collector())


def test_chatter_of_libraries_stays_off_the_rows(tmp_path: Path) -> None:
    done = run_text(tmp_path, sim_plan(steps=2).to_text())
    assert [next(iter(json.loads(line))) for line in done.stdout.splitlines()] == [
        "header",
        "row",
        "row",
        "trailer",
    ]


def test_version_and_usage() -> None:
    done = subprocess.run([*RUNNER, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("syncnas-runner ")
    assert done.stdout.endswith(f" plan {PLAN_VERSION}\n")
    assert subprocess.run(RUNNER, capture_output=True, check=False).returncode == 2
