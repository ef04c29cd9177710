"""What to measure: a plan of steps, each a set of jobs that run signatures of model files on units.

`BenchPlan.to_text` writes the plan file that the native runner reads; `bench/native/plan.c` reads it.

A plan file has one statement per line, words split by blanks, paths percent-encoded, `-` for "none":

    syncnas-plan 5
    seed N | spin_us N | ack 0|1 | runtime PATH | accelerators PATH
    power MICROWATTS_PER_READING FILE [FILE]
    unit cpu THREADS CORES|-
    unit gpu fp32|fp16 hardware|software
    unit sim NAME [WORD...]
    file PATH
    step NAME ROUNDS DISCARD REPEATS GAP_US
    job NAME concurrent|serial INPUT|- OUTPUT|- [unread]
    lane UNIT
    call PHASE FILE SIGNATURE INPUT[,INPUT...] [WORD...]
    end

The words after a sim unit, and after its calls, are for the simulator alone: see `syncnas_bench.simulated`.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import quote_from_bytes

from syncnas_bench.errors import PlanError
from syncnas_bench.power import PowerMeter
from syncnas_bench.simulated.spend import Spend
from syncnas_bench.units import NAME_MAX_CHARS, Unit, is_name

PLAN_VERSION = 5
MAX_UNITS = 8
MAX_FILES = 64
MAX_PHASES = 64
MAX_INPUTS = 8
MAX_JOBS = 65536
MAX_ROUNDS = 1_000_000
MAX_PATH_BYTES = 1000

_WORDS = re.compile(r"[a-z0-9_=.+ -]{0,1000}")

InputSource = Literal["external", "own", "partner"]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise PlanError(message)


def _require_name(what: str, name: str) -> None:
    _require(
        is_name(name),
        f"{what} name {name!r} is not valid; use 1 to {NAME_MAX_CHARS} letters, digits and _.:@- signs.",
    )


@dataclass(frozen=True)
class Call:
    """One run of one signature in one phase.

    Attributes:
        phase: 0 for the first. A call begins once the call before it in its lane is over and what it reads of its
            partner is there.
        file_index: of `BenchPlan.files`.
        signature: name of the signature in that file; it has exactly one output.
        inputs: where each input of the signature comes from, in the signature's order.
            "external": filled once at set-up, seeded random values in [-1, 1) or the job's input file.
            "own": the output of this lane's latest earlier call; that buffer is this input buffer.
            "partner": the output of the other lane's latest call in an earlier phase.
        spend: what the call spends on a simulated unit, where no file tells it; other units ignore it.
    """

    phase: int
    file_index: int
    signature: str
    inputs: tuple[InputSource, ...] = ("external",)
    spend: Spend | None = None

    def __post_init__(self) -> None:
        _require_name("signature", self.signature)
        _require(0 <= self.phase < MAX_PHASES, f"phase {self.phase} is not in 0..{MAX_PHASES - 1}.")
        _require(0 <= self.file_index < MAX_FILES, f"file index {self.file_index} is not in 0..{MAX_FILES - 1}.")
        _require(
            1 <= len(self.inputs) <= MAX_INPUTS,
            f"call {self.signature!r} has {len(self.inputs)} inputs; it takes 1 to {MAX_INPUTS}.",
        )
        for source in self.inputs:
            _require(
                source in get_args(InputSource),
                f"input {source!r} of call {self.signature!r} is none of external, own, partner.",
            )


@dataclass(frozen=True)
class Lane:
    """The calls of one job on one unit, by ascending phase, at most one per phase."""

    unit_index: int
    calls: tuple[Call, ...]

    def __post_init__(self) -> None:
        _require(self.unit_index >= 0, f"unit index {self.unit_index} is negative.")
        _require(len(self.calls) > 0, "a lane has at least one call.")
        phases = [call.phase for call in self.calls]
        _require(
            all(a < b for a, b in itertools.pairwise(phases)),
            f"the phases {phases} of a lane must ascend, each one once.",
        )
        _require("own" not in self.calls[0].inputs, "a lane's first call has no earlier output of its own.")

    def latest_before(self, phase: int) -> Call | None:
        """The lane's latest call in a phase before `phase`, or None."""
        return next((call for call in reversed(self.calls) if call.phase < phase), None)


@dataclass(frozen=True)
class Job:
    """What is run and timed as one: a single call, or a network of one or two lanes.

    Attributes:
        name: unique within its step.
        lanes: one or two, on different units.
        serial: the lanes take turns phase by phase (lane 0 first) and never run at once. Gives
            reference outputs, and solo times in the place where the calls will later run together.
        input: raw little-endian float32 file with all "external" inputs one after another, by lane,
            then phase, then index; None fills them with seeded random values.
        output: where the runner writes the raw float32 outputs of the last phase, lane 0 first.
        unread: no run has to read these outputs from a GPU: the job is a part, and what follows it is elsewhere.

    Raises:
        PlanError: a phase is empty, an input has no source, or the lanes share a unit.
    """

    name: str
    lanes: tuple[Lane, ...]
    serial: bool = False
    input: Path | None = None
    output: Path | None = None
    unread: bool = False

    def __post_init__(self) -> None:
        _require_name("job", self.name)
        _require(1 <= len(self.lanes) <= 2, f"job {self.name!r} has {len(self.lanes)} lanes; it takes 1 or 2.")
        if len(self.lanes) == 2:
            _require(
                self.lanes[0].unit_index != self.lanes[1].unit_index,
                f"both lanes of job {self.name!r} are on unit {self.lanes[0].unit_index}; give each its own.",
            )
        _require(
            {call.phase for lane in self.lanes for call in lane.calls} == set(range(self.phases)),
            f"a phase of job {self.name!r} has no call; number the phases without gaps from 0.",
        )
        for lane in self.lanes:
            for call in lane.calls:
                _require(
                    "partner" not in call.inputs
                    or any(other.latest_before(call.phase) for other in self.lanes if other is not lane),
                    f"call {call.signature!r} of job {self.name!r} reads its partner, which has no earlier output.",
                )

    @property
    def phases(self) -> int:
        """Number of phases, counted from 0."""
        return 1 + max(lane.calls[-1].phase for lane in self.lanes)

    @classmethod
    def solo(cls, name: str, unit_index: int, call: Call) -> Job:
        """A job of one call on one unit, the others idle."""
        return cls(name, (Lane(unit_index, (call,)),))


@dataclass(frozen=True)
class Step:
    """Jobs that are measured together; a finished step is one row of the runner's output.

    Attributes:
        name: unique within the plan.
        jobs: each has its turn in every round, in order.
        rounds: how many.
        discard: unrecorded runs of a job at the start of its turn, right before the recorded ones.
        repeats: recorded runs of a job in each of its turns.
        gap_us: idle time before each run.
    """

    name: str
    jobs: tuple[Job, ...]
    rounds: int = 50
    discard: int = 0
    repeats: int = 1
    gap_us: int = 0

    def __post_init__(self) -> None:
        _require_name("step", self.name)
        _require(0 < len(self.jobs) <= MAX_JOBS, f"step {self.name!r} needs 1 to {MAX_JOBS} jobs.")
        names = [job.name for job in self.jobs]
        _require(len(set(names)) == len(names), f"two jobs of step {self.name!r} have the same name.")
        _require(1 <= self.rounds <= MAX_ROUNDS, f"step {self.name!r} needs 1 to {MAX_ROUNDS} rounds.")
        _require(0 <= self.discard <= 1000, f"discard of step {self.name!r} is not in 0..1000.")
        _require(1 <= self.repeats <= 1000, f"repeats of step {self.name!r} is not in 1..1000.")
        _require(self.runs <= MAX_ROUNDS, f"step {self.name!r} has more than {MAX_ROUNDS} recorded runs.")
        _require(0 <= self.gap_us <= 10_000_000, f"gap_us of step {self.name!r} is not in 0..10000000.")

    @property
    def runs(self) -> int:
        """Recorded runs of each job."""
        return self.rounds * self.repeats


@dataclass(frozen=True)
class BenchPlan:
    """Everything one launch of the runner does.

    Attributes:
        units: each gets one thread; jobs name them by index.
        files: .tflite files; calls name them by index. Not opened for sim units.
        steps: in the order they are run.
        seed: of the random inputs and of simulated noise.
        runtime: path of libLiteRt.so; None lets the device fill it in, or is right for sim units.
        accelerators: folder of the GPU accelerator library; None for the folder of `runtime`.
        spin_us: how long a lane that waits for the other one polls before it sleeps.
        power: read all the while; None for what is timed, since reading takes time, too.
        simulation: for each unit what the runner's simulator is told about it, as words; empty for real units.

    Raises:
        PlanError: an index points nowhere, or a name is used twice.
    """

    units: tuple[Unit, ...]
    files: tuple[Path, ...]
    steps: tuple[Step, ...]
    seed: int = 0
    runtime: Path | None = None
    accelerators: Path | None = None
    spin_us: int = 200
    power: PowerMeter | None = None
    simulation: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require(1 <= len(self.units) <= MAX_UNITS, f"a plan has 1 to {MAX_UNITS} units.")
        _require(len(self.files) <= MAX_FILES, f"a plan has at most {MAX_FILES} files.")
        _require(len(self.steps) > 0, "a plan has at least one step.")
        _require(0 <= self.seed < 2**63, "the seed is not in 0..2**63-1.")
        _require(0 <= self.spin_us <= 1_000_000, "spin_us is not in 0..1000000.")
        _require(len(self.simulation) in (0, len(self.units)), "the simulation is not told for each unit.")
        _require(all(map(_WORDS.fullmatch, self.simulation)), "the simulation's words are not NAME=NUMBER.")
        names = [step.name for step in self.steps]
        _require(len(set(names)) == len(names), "two steps of the plan have the same name.")
        _require(sum(len(step.jobs) for step in self.steps) <= MAX_JOBS, f"a plan has at most {MAX_JOBS} jobs.")
        for job in (job for step in self.steps for job in step.jobs):
            for lane in job.lanes:
                _require(
                    lane.unit_index < len(self.units),
                    f"job {job.name!r} runs on unit {lane.unit_index}, but the plan has {len(self.units)}.",
                )
                for call in () if self._is_simulated(lane) else lane.calls:
                    _require(
                        call.file_index < len(self.files),
                        f"job {job.name!r} calls file {call.file_index}, but the plan has {len(self.files)}.",
                    )

    def to_text(self, *, ack: bool = False) -> str:
        """The plan file for the native runner.

        Args:
            ack: the runner waits for one byte on its stdin after every row, and leaves at its end.

        Raises:
            PlanError: a real unit is asked for without a runtime, or a path is too long.
        """
        if self.runtime is None and any(unit.kind != "sim" for unit in self.units):
            raise PlanError("the plan has a real unit and no runtime; set it to the path of libLiteRt.so.")
        lines = [f"syncnas-plan {PLAN_VERSION}", f"seed {self.seed}", f"spin_us {self.spin_us}"]
        lines.append(f"ack {int(ack)}")
        if self.runtime is not None:
            lines.append(f"runtime {_encoded(self.runtime)}")
            lines.append(f"accelerators {_encoded(self.accelerators or self.runtime.parent)}")
        if self.power is not None:
            files = " ".join(map(_encoded, self.power.files))
            lines.append(f"power {self.power.microwatts_per_reading:.6e} {files}")
        for unit, words in zip(self.units, self.simulation or [""] * len(self.units), strict=True):
            lines.append(f"{_unit_line(unit)} {words}".rstrip())
        lines += [f"file {_encoded(path)}" for path in self.files]
        for step in self.steps:
            lines += step_lines(step, self._is_simulated)
        return "\n".join([*lines, "end", ""])

    def _is_simulated(self, lane: Lane) -> bool:
        return self.units[lane.unit_index].kind == "sim"


def step_lines(step: Step, is_simulated: Callable[[Lane], bool] = lambda _: False) -> list[str]:
    lines = [f"step {step.name} {step.rounds} {step.discard} {step.repeats} {step.gap_us}"]
    for job in step.jobs:
        turns = "serial" if job.serial else "concurrent"
        unread = " unread" if job.unread else ""
        lines.append(f"job {job.name} {turns} {_encoded(job.input)} {_encoded(job.output)}{unread}")
        for lane in job.lanes:
            lines.append(f"lane {lane.unit_index}")
            for call in lane.calls:
                words = call.spend.words if call.spend is not None and is_simulated(lane) else ""
                line = f"call {call.phase} {call.file_index} {call.signature} {','.join(call.inputs)} {words}"
                lines.append(line.rstrip())
    return lines


def _encoded(path: Path | None) -> str:
    """Percent-encode a path's bytes, so that it is one word; a lone `-` means none."""
    if path is None:
        return "-"
    raw = bytes(path)
    _require(0 < len(raw) <= MAX_PATH_BYTES, f"path {str(path)!r} is longer than {MAX_PATH_BYTES} bytes.")
    text = quote_from_bytes(raw, safe="/")
    return "%2D" if text == "-" else text


def _unit_line(unit: Unit) -> str:
    if unit.kind == "cpu":
        return f"unit cpu {unit.threads} {','.join(map(str, unit.cores)) or '-'}"
    if unit.kind == "gpu":
        return f"unit gpu {unit.precision} {'software' if unit.software else 'hardware'}"
    return f"unit sim {unit.name}"
