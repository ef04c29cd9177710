"""A runner that dies is started again, a few times; a row that is refused is measured again, as often."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncnas_bench import Device, HostDevice, Run, RunnerCrashed, run_with_retries
from tests.support.adb_cases import device_of, new_phone, no_server_env
from tests.support.bench_cases import Collector, only_child, sim_plan

STEPS = [f"step{i}" for i in range(4)]
Target = tuple[Device, Callable[[], int]]


@pytest.fixture(params=["host", "adb"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Target]:
    """A device, and what tells the number of the runner's process."""
    if request.param == "host":
        yield HostDevice(), only_child
        return
    with new_phone() as phone:
        device = device_of(phone.address, no_server_env(tmp_path))

        def pid() -> int:
            (path,) = (phone.root / "data/local/tmp").glob("syncnas-*/pid")
            return int(path.read_text())

        yield device, pid
        device.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV], ids=["SIGKILL", "SIGSEGV"])
def test_a_death_is_survived_and_recorded(target: Target, number: signal.Signals) -> None:
    device, pid = target
    rows: list[Run] = []
    pids: list[int] = []

    def on_run(run: Run) -> None:
        rows.append(run)
        pids.append(pid())
        if run.step in ("step0", "step2"):
            os.kill(pids[-1], number)

    run_with_retries(device, sim_plan(steps=4), on_run=on_run)
    assert [(run.row, run.step) for run in rows] == list(enumerate(STEPS))
    assert [run.metadata.get("failures") for run in rows] == [None, [number.name], None, [number.name]]
    assert pids[0] != pids[1] == pids[2] != pids[3]


def test_a_row_that_is_refused_is_tried_three_times(target: Target) -> None:
    device, pid = target
    rows: list[Run] = []
    tries: list[int] = []

    def on_run(run: Run) -> None:
        if run.step == "step2":
            tries.append(pid())
            raise ArithmeticError("wrong output")
        rows.append(run)

    with pytest.raises(ArithmeticError):
        run_with_retries(device, sim_plan(steps=4), on_run=on_run, redo=(ArithmeticError,))
    assert [run.step for run in rows] == STEPS[:2]
    assert len(set(tries)) == 3, "each try is a process of its own"


@pytest.mark.parametrize(("last_words", "launches"), [("kill -SEGV $$", 3), ("exit 9", 1)])
def test_the_third_death_of_a_step_is_the_error(tmp_path: Path, last_words: str, launches: int) -> None:
    count, script = tmp_path / "count", tmp_path / "runner"
    script.write_text(f"#!/bin/sh\necho launched >> {count}\n{last_words}\n")
    script.chmod(0o755)
    with pytest.raises(RunnerCrashed, match="after 0 of 1 rows"):
        run_with_retries(HostDevice(runner=script), sim_plan(), on_run=Collector())
    assert count.read_text() == "launched\n" * launches
