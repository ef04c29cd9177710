"""Drive the native runner: start it on a plan, take its rows one by one, and trust none of them unchecked.

A row is handed to `on_run` before the runner is told to go on, so what `on_run` has stored survives any
crash after it. The runner leaves when its standard input ends, so it never outlives this process.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import signal
import subprocess
import tempfile
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from syncnas_bench import errors
from syncnas_bench.plan import PLAN_VERSION, BenchPlan
from syncnas_bench.runs import Run, parse_row

LOG_LINES = 40
LEAVE_S = 20.0

_ERROR_OF_KIND: dict[str, type[errors.BenchError]] = {
    "plan": errors.PlanError,
    "runtime": errors.RuntimeMissing,
    "symbol": errors.RuntimeMismatch,
    "model": errors.ModelRejected,
    "unit": errors.UnitUnavailable,
    "run": errors.RunFailed,
}


@dataclass(frozen=True)
class UnitSetup:
    """How a unit came up. `fully_accelerated` is None where it has no meaning: CPU and sim units."""

    unit: str
    setup_ms: float
    models: int
    fully_accelerated: bool | None


@dataclass(frozen=True)
class Launch:
    """What one launch of the runner said about itself.

    Attributes:
        launch_id: unique; every `Run` of the launch carries it in its metadata.
        runner_version: of the native runner.
        litert: path of the LiteRT library on the device, or None for simulated units.
        exit: "0", or how the runner ended after all rows were complete, e.g. "SIGSEGV" in a GPU
            driver that is being shut down.
    """

    launch_id: str
    runner_version: str
    litert: str | None
    units: tuple[UnitSetup, ...]
    exit: str


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
    with tempfile.TemporaryDirectory(prefix="syncnas-plan-") as folder:
        path = Path(folder) / "plan.txt"
        path.write_text(plan.to_text(ack=True))
        process = _RunnerProcess([*command, str(path)], env, time.monotonic() + deadline_s, stall_s)
        with process:
            return _Session(plan, process, on_run).run()


class _RunnerProcess:
    """The child process: its own group, a thread for each of its outputs, and deadlines."""

    def __init__(self, command: list[str], env: Mapping[str, str] | None, deadline_at: float, stall_s: float) -> None:
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
                start_new_session=True,
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
        self._kill()
        for reader in self._readers:
            reader.join(timeout=5)
        for stream in (self._child.stdin, self._child.stdout, self._child.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _kill(self) -> None:
        # The whole group, so that nothing the command has started is left behind.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, signal.SIGKILL)
        self._child.wait()

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
            self._kill()
            return "killed"
        return _signal_name(-code) if code < 0 else str(code)

    def _with_log(self, error: errors.BenchError) -> errors.BenchError:
        error.log = "\n".join(self._log)
        return error

    def failure(self, error: errors.BenchError) -> errors.BenchError:
        """`error` with the last lines of the runner's stderr."""
        self._readers[1].join(timeout=2)
        return self._with_log(error)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"SIG{number}"


class _Session:
    """Reads one launch's output: header, rows, trailer."""

    def __init__(self, plan: BenchPlan, process: _RunnerProcess, on_run: Callable[[Run], None]) -> None:
        self._plan, self._process, self._on_run = plan, process, on_run
        self._launch_id = uuid.uuid4().hex
        self._hash = hashlib.sha256()
        self._rows = 0
        self._header: Mapping[str, Any] | None = None
        self._complete = False

    def run(self) -> Launch:
        for line in self._process.lines():
            self._take(line)
        ended = self._process.exit_text()
        if self._complete:
            return self._launch(ended)
        if ended == "0":
            raise self._process.failure(
                errors.RunIncomplete(
                    f"the runner's output ended without a trailer after {self._rows} rows; run it again."
                )
            )
        name = ended if ended.startswith("SIG") else None
        raise self._process.failure(
            errors.RunnerCrashed(
                f"the runner died ({name or 'exit code ' + ended}) after {self._rows} of "
                f"{len(self._plan.steps)} rows; the finished rows are kept.",
                name,
            )
        )

    def _take(self, line: bytes) -> None:
        if self._complete:
            raise errors.RunIncomplete("the runner wrote more after its trailer; rebuild the runner.")
        record = _parse(line)
        match record:
            case {"row": _} if self._header is not None:
                self._take_row(record)
            case {"header": dict(header)} if self._header is None:
                self._take_header(header)
            case {"trailer": dict(trailer)}:
                self._take_trailer(trailer)
            case {"error": {"kind": str(kind), "message": str(message)}}:
                kind_of = _ERROR_OF_KIND.get(kind, errors.RunFailed)
                raise self._process.failure(kind_of(f"{message}."))
            case _:
                raise errors.RowMalformed("a line of the runner is no header, row, trailer or error.")
        self._hash.update(line)

    def _take_header(self, header: Mapping[str, Any]) -> None:
        units = header.get("units")
        if header.get("plan") != PLAN_VERSION or not isinstance(header.get("runner"), str):
            raise errors.RuntimeMismatch("the runner reads another plan version; rebuild the runner.")
        if not isinstance(units, list) or len(units) != len(self._plan.units):
            raise errors.RowMalformed("the runner's header does not list the plan's units.")
        self._header = header

    def _take_row(self, record: Mapping[str, Any]) -> None:
        if self._rows == len(self._plan.steps):
            raise errors.RowMalformed("the runner sent more rows than the plan has steps.")
        run = parse_row(record, self._plan, self._rows)
        self._on_run(run.with_metadata({"launch_id": self._launch_id}))
        self._rows += 1
        self._process.acknowledge()

    def _take_trailer(self, trailer: Mapping[str, Any]) -> None:
        if trailer.get("rows") != self._rows or self._rows != len(self._plan.steps):
            raise errors.RunIncomplete(
                f"the trailer tells of {trailer.get('rows')} rows, {self._rows} came and "
                f"{len(self._plan.steps)} were asked for; run it again."
            )
        if trailer.get("sha256") != self._hash.hexdigest():
            raise errors.RunIncomplete("the rows do not have the trailer's sha256; run it again.")
        self._complete = True

    def _launch(self, ended: str) -> Launch:
        if self._header is None:
            raise errors.RunIncomplete("the runner sent no header; rebuild the runner.")
        units = tuple(
            UnitSetup(
                unit=str(unit),
                setup_ms=float(record.get("setup_ms", 0.0)),
                models=int(record.get("models", 0)),
                fully_accelerated=record.get("fully_accelerated"),
            )
            for unit, record in zip(self._plan.units, self._header["units"], strict=True)
        )
        return Launch(self._launch_id, self._header["runner"], self._header.get("litert"), units, ended)


def _parse(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise errors.RowMalformed(f"a line of the runner is not valid JSON: {error}.") from error
