"""Drive the native runner: start it on a plan, take its rows one by one, and trust none of them unchecked.

A row is handed to `on_run` before the runner is told to go on, so what `on_run` has stored survives any
crash after it. The runner leaves when its standard input ends, so it never outlives this process.
"""

from __future__ import annotations

import contextlib
import queue
import shlex
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO

from syncnas_bench import errors
from syncnas_bench.plan import BenchPlan
from syncnas_bench.runs import Run
from syncnas_bench.session import LEAVE_S, LOG_LINES, Launch, read_session, signal_name
from syncnas_bench.systems.evidence import first_run
from syncnas_bench.systems.processes import end_group, own_group
from syncnas_bench.work_folder import work_folder


def run_plan(
    plan: BenchPlan,
    *,
    command: Sequence[str],
    on_run: Callable[[Run], None],
    deadline_s: float = 3600.0,
    stall_s: float = 600.0,
    env: Mapping[str, str] | None = None,
) -> Launch:
    """Run a plan with the native runner and hand over each step's `Run` as it is finished.

    Args:
        command: the runner's program with leading arguments; the plan's path is appended.
        on_run: called with each row, checked, before the runner may start the next step.
        deadline_s: for the whole launch.
        stall_s: for the set-up, and for each step.
        env: the runner's whole environment; None passes this process's on.

    Raises:
        PlanError, RuntimeMissing, RuntimeMismatch, ModelRejected, UnitUnavailable, RunFailed: as the
            runner reported; `log` of the error holds the last lines of its stderr.
        RunnerCrashed, RunnerHung: it died, or had to be killed.
        RunIncomplete, RowMalformed: its output cannot be trusted.
    """
    with work_folder("plan") as folder:
        path = folder / "plan.txt"
        path.write_text(plan.to_text(ack=True), encoding="utf-8", newline="\n")
        process = _RunnerProcess([*command, str(path)], env, time.monotonic() + deadline_s, stall_s)
        with process:
            return read_session(plan, process, on_run)


class _RunnerProcess:
    """The child process: its own group, a thread for each of its outputs, and deadlines."""

    def __init__(self, command: list[str], env: Mapping[str, str] | None, deadline_at: float, stall_s: float) -> None:
        self._program, self._spoke = command[0], False
        self._deadline_at, self._stall_s = deadline_at, stall_s
        self._lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._log: deque[str] = deque(maxlen=LOG_LINES)
        try:
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=None if env is None else dict(env),
                **own_group(),
            )
        except OSError as error:
            raise errors.RuntimeMissing(f"the runner {command[0]!r} cannot be started: {error.strerror}.") from error
        self._readers = (
            threading.Thread(target=self._read_lines, args=(self._child.stdout,), daemon=True),
            threading.Thread(target=self._read_log, args=(self._child.stderr,), daemon=True),
        )
        for reader in self._readers:
            reader.start()

    def _read_lines(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._lines.put(line)
        self._lines.put(None)

    def _read_log(self, stream: IO[bytes]) -> None:
        for line in stream:
            self._log.append(line.decode("utf-8", "replace").rstrip())

    def __enter__(self) -> _RunnerProcess:
        return self

    def __exit__(self, *exc_info: object) -> None:
        end_group(self._child)
        for reader in self._readers:
            reader.join(timeout=5)
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def lines(self) -> Iterator[bytes]:
        """The lines of its stdout as they come. Raises RunnerHung."""
        while True:
            left_s = self._deadline_at - time.monotonic()
            try:
                line = self._lines.get(timeout=max(0.0, min(left_s, self._stall_s)))
            except queue.Empty:
                what = "deadline" if left_s <= self._stall_s else f"limit of {self._stall_s:g} s for one step"
                raise self._with_log(
                    errors.RunnerHung(f"the runner missed its {what} and was killed; allow more time.")
                ) from None
            if line is None:
                return
            self._spoke = True
            yield line

    def acknowledge(self) -> None:
        """Let the runner start its next step. A runner that is gone is found out elsewhere."""
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin.write(b"\n")
            self._child.stdin.flush()

    def exit_text(self) -> str:
        """How it ended: "0" or another exit code, or a signal's name. Waits a while, then kills."""
        try:
            code = self._child.wait(timeout=LEAVE_S)
        except subprocess.TimeoutExpired:
            end_group(self._child)
            return "killed"
        return signal_name(-code) if code < 0 else str(code)

    def _with_log(self, error: errors.BenchError) -> errors.BenchError:
        error.log = "\n".join(self._log)
        return error

    def failure(self, error: errors.BenchError) -> errors.BenchError:
        """`error` with the last lines of the runner's stderr; where macOS does not let it begin, the remedy."""
        self._readers[1].join(timeout=2)
        killed = isinstance(error, errors.RunnerCrashed) and error.signal_name == "SIGKILL"
        if killed and not self._spoke and _refused_by_macos(self._program):
            file = shlex.quote(self._program)
            error = errors.RuntimeMissing(
                "macOS killed the runner before it began: its file is in quarantine, or its signature does not "
                f"hold; run `xattr -c {file}; codesign -f -s - {file}` and try again."
            )
        return self._with_log(error)


def _refused_by_macos(program: str) -> bool:
    """Whether macOS kills this program even when it is asked for nothing but its version."""
    return sys.platform == "darwin" and first_run(Path(program))["ended"] == "signal SIGKILL"
