"""What the native runner says, line by line: header, rows, trailer; nothing of it is trusted unchecked.

Where the lines come from, a child process or a device, is the business of a `RunnerOutput`.
"""

from __future__ import annotations

import hashlib
import json
import signal
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from syncnas_bench import errors
from syncnas_bench.plan import PLAN_VERSION, BenchPlan, Step
from syncnas_bench.runs import Run, parse_row

MAX_TRIES = 3
"""How often a step is tried before its failure is the plan's."""
LOG_LINES = 40
"""Of the runner's stderr, how many of its last lines an error carries."""
LEAVE_S = 20.0
"""How long a runner that has written its trailer may take to end."""

_LINE_BYTES, _JOB_BYTES, _CALL_BYTES, _NUMBER_BYTES = 65_536, 1000, 200, 20
_MOST_READINGS = 100_000
"""Of the power, in one row; see native/power.c."""

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
    """How a unit came up. `fully_accelerated` is None where it has no meaning: sim units."""

    unit: str
    setup_ms: float
    models: int
    fully_accelerated: bool | None


@dataclass(frozen=True)
class Launch:
    """What one launch of the runner said about itself.

    Attributes:
        launch_id: unique; every `Run` of the launch carries it in its metadata.
        litert: path of the LiteRT library on the device, or None for simulated units.
        exit: "0", or how the runner ended after all rows were complete, e.g. "SIGSEGV" in a GPU
            driver that is being shut down.
    """

    launch_id: str
    litert: str | None
    units: tuple[UnitSetup, ...]
    exit: str


class RunnerOutput(Protocol):
    """A runner that is under way."""

    def lines(self) -> Iterator[bytes]:
        """The lines of its stdout as they come, each with its newline. Raises RunnerHung."""
        ...

    def acknowledge(self) -> None:
        """Let the runner start its next step."""
        ...

    def exit_text(self) -> str:
        """How it ended: "0" or another exit code, or a signal's name."""
        ...

    def failure(self, error: errors.BenchError) -> errors.BenchError:
        """`error` with the last lines of the runner's stderr."""
        ...


def read_session(plan: BenchPlan, output: RunnerOutput, on_run: Callable[[Run], None]) -> Launch:
    """Read one launch from its header to its trailer; each checked row is handed over and then acknowledged.

    Raises:
        BenchError: see `runner.run_plan`.
    """
    return _Session(plan, output, on_run).run()


def longest_line_bytes(plan: BenchPlan) -> int:
    """What no line of the runner is longer than: a row with all samples of the largest step."""

    def step_bytes(step: Step) -> int:
        calls = [sum(len(lane.calls) for lane in job.lanes) for job in step.jobs]
        return sum(_JOB_BYTES + n * _CALL_BYTES + step.runs * (2 + 4 * n) * _NUMBER_BYTES for n in calls)

    power_bytes = 0 if plan.power is None else 2 * _MOST_READINGS * _NUMBER_BYTES
    return _LINE_BYTES + power_bytes + max(map(step_bytes, plan.steps))


def signal_name(number: int) -> str:
    """The name of a signal, e.g. "SIGSEGV"."""
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"SIG{number}"


class _Session:
    """Reads one launch's output: header, rows, trailer."""

    def __init__(self, plan: BenchPlan, output: RunnerOutput, on_run: Callable[[Run], None]) -> None:
        self._plan, self._output, self._on_run = plan, output, on_run
        self._launch_id = uuid.uuid4().hex
        self._hash = hashlib.sha256()
        self._rows = 0
        self._header: Mapping[str, Any] | None = None
        self._complete = False

    def run(self) -> Launch:
        for line in self._output.lines():
            self._take(line)
        ended = self._output.exit_text()
        if self._complete:
            return self._launch(ended)
        if ended == "0":
            raise self._output.failure(
                errors.RunIncomplete(
                    f"the runner's output ended without a trailer after {self._rows} rows; run it again."
                )
            )
        name = ended if ended.startswith("SIG") else None
        raise self._output.failure(
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
                raise self._output.failure(kind_of(f"{message}{_why(message, self._plan)}."))
            case _:
                raise errors.RowMalformed("a line of the runner is no header, row, trailer or error.")
        self._hash.update(line)

    def _take_header(self, header: Mapping[str, Any]) -> None:
        units, litert = header.get("units"), header.get("litert")
        if header.get("plan") != PLAN_VERSION or not isinstance(header.get("runner"), str):
            raise errors.RuntimeMismatch("the runner reads another plan version; rebuild the runner.")
        if not isinstance(units, list) or len(units) != len(self._plan.units) or not all(map(_is_setup, units)):
            raise errors.RowMalformed("the runner's header does not list the plan's units.")
        if litert is not None and not isinstance(litert, str):
            raise errors.RowMalformed("the runner's header does not tell which LiteRT it has.")
        self._header = header

    def _take_row(self, record: Mapping[str, Any]) -> None:
        if self._rows == len(self._plan.steps):
            raise errors.RowMalformed("the runner sent more rows than the plan has steps.")
        run = parse_row(record, self._plan, self._rows)
        self._on_run(run.with_metadata({"launch_id": self._launch_id}))
        self._rows += 1
        self._output.acknowledge()

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
                setup_ms=float(record["setup_ms"]),
                models=record["models"],
                fully_accelerated=record.get("fully_accelerated"),
            )
            for unit, record in zip(self._plan.units, self._header["units"], strict=True)
        )
        return Launch(self._launch_id, self._header.get("litert"), units, ended)


def _why(message: str, plan: BenchPlan) -> str:
    """More of an error of the runner, where this host can tell it."""
    if not message.endswith("is not fully accelerated on the CPU"):
        return ""
    from syncnas_bench.acceleration import operator_outside

    name = next(filter(None, map(operator_outside, plan.files)), None)
    taken = "XNNPACK leaves a part of it" if name is None else f"XNNPACK leaves its {name}"
    return f": {taken} to kernels that take several times as long; export it again without that"


def _is_setup(record: Any) -> bool:
    """Whether a header's entry says how a unit came up."""
    match record:
        case {"setup_ms": float(), "models": int()}:
            return record.get("fully_accelerated") in (None, True, False)
        case _:
            return False


def _parse(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise errors.RowMalformed(f"a line of the runner is not valid JSON: {error}.") from error
