"""A `Run`: the raw time stamps of one finished step, checked against the plan that asked for them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from syncnas_bench.errors import RowMalformed
from syncnas_bench.plan import BenchPlan

_UNUSABLE = "invalid"
"""The key in a run's metadata; it is in journals, so it keeps its name."""

Samples = npt.NDArray[np.int64]
Microseconds = npt.NDArray[np.float64]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise RowMalformed(f"the runner's row is malformed: {message}.")


def _get(record: Any, key: str, kind: type) -> Any:
    _require(isinstance(record, Mapping) and key in record, f"{key!r} is missing")
    value = record[key]
    right = isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
    _require(right, f"{key!r} is not of type {kind.__name__}")
    return value


def _samples(record: Any, key: str, count: int) -> Samples:
    values = _get(record, key, list)
    _require(len(values) == count, f"{key!r} has {len(values)} samples instead of {count}")
    _require(all(type(value) is int and 0 <= value < 2**62 for value in values), f"{key!r} is not all ns counts")
    samples = np.array(values, dtype=np.int64)
    samples.setflags(write=False)
    return samples


@dataclass(frozen=True, eq=False)
class PhaseRun:
    """One call's stamps, `[samples]` each, in nanoseconds after the run's t0.

    Attributes:
        begin_ns: its inputs are visible on the unit.
        end_ns: its work is done; in the last phase the host can read its output, too.
        arrive_ns: what the partner reads of its output has been downloaded.
        wait_ns: from then until its lane could go on: what the next call reads of the partner was there.
        sleeps: in how many samples the lane slept in that time; in the others it polled.
    """

    phase: int
    begin_ns: Samples
    end_ns: Samples
    arrive_ns: Samples
    wait_ns: Samples
    sleeps: int = 0

    @property
    def busy_us(self) -> Microseconds:
        """end - begin, `[samples]`, in microseconds."""
        return np.asarray((self.end_ns - self.begin_ns) / 1e3, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class LaneRun:
    """The calls of one lane. `buffer_type` is LiteRT's number: 1 is host memory, 0 a simulated unit."""

    unit_index: int
    buffer_type: int
    phases: tuple[PhaseRun, ...]

    def at(self, phase: int) -> PhaseRun | None:
        """The lane's call in `phase`, or None."""
        return next((run for run in self.phases if run.phase == phase), None)


@dataclass(frozen=True)
class Output:
    """The output of a job's last recorded run, all lanes of the last phase: size, digest, finiteness."""

    bytes: int
    sha256: str
    finite: bool


@dataclass(frozen=True, eq=False)
class JobRun:
    """All recorded runs of one job.

    Attributes:
        t0_ns: `[samples]` start of each run on the device's monotonic clock.
        makespan_ns: `[samples]` t0 to the last end.
    """

    name: str
    t0_ns: Samples
    makespan_ns: Samples
    lanes: tuple[LaneRun, ...]
    output: Output

    @property
    def makespan_us(self) -> Microseconds:
        """t0 to the last end of any lane, `[samples]`, in microseconds."""
        return np.asarray(self.makespan_ns / 1e3, dtype=np.float64)

    def call(self, lane: int, phase: int) -> PhaseRun:
        """The stamps of one call.

        Raises:
            KeyError: the lane has no call in that phase.
        """
        found = self.lanes[lane].at(phase)
        if found is None:
            raise KeyError(f"lane {lane} of job {self.name!r} has no call in phase {phase}")
        return found

    def busy_us(self, lane: int) -> Microseconds:
        """Time the lane's unit spent in calls, summed over phases, `[samples]`, in microseconds."""
        return np.asarray(sum(phase.busy_us for phase in self.lanes[lane].phases), dtype=np.float64)

    def sync_overhead_us(self, phase: int) -> Microseconds:
        """Cost of the synchronization after `phase`, `[samples]`, in microseconds.

        From the later of that phase's ends to the later of the next phase's begins: until then the
        features are not visible on both units.

        Raises:
            KeyError: no phase comes after `phase`.
        """
        ends = [call.end_ns for lane in self.lanes if (call := lane.at(phase)) is not None]
        begins = [call.begin_ns for lane in self.lanes if (call := lane.at(phase + 1)) is not None]
        if not ends or not begins:
            raise KeyError(f"job {self.name!r} has no synchronization after phase {phase}")
        return np.asarray((np.maximum.reduce(begins) - np.maximum.reduce(ends)) / 1e3, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class PowerTrace:
    """What the device drew while a step ran.

    Attributes:
        time_ns: `[readings]` on the device's monotonic clock, ascending.
        microwatts: `[readings]` of the whole device.
    """

    time_ns: Samples
    microwatts: Samples

    def mean_w(self, begin_ns: int, end_ns: int) -> float | None:
        """Mean of the readings from one time to another, in watts; None without any."""
        kept = self.microwatts[(self.time_ns >= begin_ns) & (self.time_ns <= end_ns)]
        return float(kept.mean()) / 1e6 if kept.size else None


@dataclass(frozen=True, eq=False)
class Run:
    """One finished step: raw samples, and in `metadata` what was true around it.

    Attributes:
        units: text of every unit of the plan; lanes name them by index.
        metadata: JSON values: launch id, device, conditions before and after, tries, and why it is not usable.
        power: where the plan asked for it.
    """

    row: int
    step: str
    units: tuple[str, ...]
    jobs: tuple[JobRun, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    power: PowerTrace | None = None

    def job(self, name: str) -> JobRun:
        """A job by its name. Raises KeyError."""
        found = next((job for job in self.jobs if job.name == name), None)
        if found is None:
            raise KeyError(f"step {self.step!r} has no job {name!r}")
        return found

    @property
    def unusable_reason(self) -> str:
        """What spoiled the step, such as a phone that was hot; "" if its samples may be used."""
        return str(self.metadata.get(_UNUSABLE, ""))

    def as_unusable(self, reason: str) -> Run:
        """A copy whose samples are kept and must not be used."""
        return self.with_metadata({_UNUSABLE: reason})

    def with_metadata(self, more: Mapping[str, Any]) -> Run:
        """A copy with `more` added to its metadata."""
        return dataclasses.replace(self, metadata={**self.metadata, **more})

    def to_record(self) -> dict[str, Any]:
        """A plain JSON value that `from_record` reads back."""
        power = self.power
        trace = {} if power is None else {"time_ns": power.time_ns.tolist(), "microwatts": power.microwatts.tolist()}
        return {
            **({"power": trace} if trace else {}),
            "row": self.row,
            "step": self.step,
            "jobs": [
                {
                    "job": job.name,
                    "t0_ns": job.t0_ns.tolist(),
                    "makespan_ns": job.makespan_ns.tolist(),
                    "lanes": [_lane_record(lane) for lane in job.lanes],
                    "output": dataclasses.asdict(job.output),
                }
                for job in self.jobs
            ],
            "units": list(self.units),
            "metadata": dict(self.metadata),
        }

    @classmethod
    def from_record(cls, record: Any) -> Run:
        """Read what `to_record` gave.

        Raises:
            RowMalformed: a field is missing or out of range.
        """
        units = _get(record, "units", list)
        _require(all(isinstance(unit, str) for unit in units), "'units' is not all text")
        jobs = _get(record, "jobs", list)
        _require(len(jobs) > 0, "it has no job")
        count = len(_get(jobs[0], "t0_ns", list))
        parsed = tuple(_parse_job(job, count, len(units)) for job in jobs)
        return cls(
            _get(record, "row", int),
            _get(record, "step", str),
            tuple(units),
            parsed,
            _get(record, "metadata", dict),
            _parse_power(record),
        )


def _parse_phase(record: Any, count: int) -> PhaseRun:
    begin, end = _samples(record, "begin_ns", count), _samples(record, "end_ns", count)
    arrive = _samples(record, "arrive_ns", count)
    _require(bool((begin <= end).all()), "a call ends before it begins")
    _require(bool((end <= arrive).all()), "a call arrives at the barrier before it ends")
    sleeps = _get(record, "sleeps", int) if "sleeps" in record else 0  # missing in journals of before 0.3
    _require(0 <= sleeps <= count, "a lane slept more often than it ran")
    return PhaseRun(_get(record, "phase", int), begin, end, arrive, _samples(record, "wait_ns", count), sleeps)


def _parse_lane(record: Any, count: int, units: int) -> LaneRun:
    unit = _get(record, "unit", int)
    _require(0 <= unit < units, f"unit {unit} is not in the plan")
    phases = tuple(_parse_phase(phase, count) for phase in _get(record, "phases", list))
    _require(len(phases) > 0, "a lane has no phases")
    return LaneRun(unit, _get(record, "buffer_type", int), phases)


def _parse_job(record: Any, count: int, units: int) -> JobRun:
    output = _get(record, "output", dict)
    lanes = tuple(_parse_lane(lane, count, units) for lane in _get(record, "lanes", list))
    _require(1 <= len(lanes) <= 2, "a job has no lanes, or more than two")
    makespan = _samples(record, "makespan_ns", count)
    last = np.maximum.reduce([lane.phases[-1].end_ns for lane in lanes])
    _require(bool((makespan == last).all()), "a makespan is not the last end")
    return JobRun(
        _get(record, "job", str),
        _samples(record, "t0_ns", count),
        makespan,
        lanes,
        Output(_get(output, "bytes", int), _get(output, "sha256", str), _get(output, "finite", bool)),
    )


def _parse_power(record: Mapping[str, Any]) -> PowerTrace | None:
    if "power" not in record:
        return None
    power = _get(record, "power", dict)
    count = len(_get(power, "time_ns", list))
    trace = PowerTrace(_samples(power, "time_ns", count), _samples(power, "microwatts", count))
    _require(bool((np.diff(trace.time_ns) >= 0).all()), "readings of power go back in time")
    return trace


def parse_row(record: Mapping[str, Any], plan: BenchPlan, row: int) -> Run:
    """Check one row of the runner's output against the plan's step `row`, and make a `Run` of it.

    Raises:
        RowMalformed: it is another step's row, or jobs, units, phases or sample counts differ.
    """
    step = plan.steps[row]
    _require(_get(record, "row", int) == row, f"row {record['row']} came where {row} was due")
    _require(_get(record, "step", str) == step.name, f"step {record['step']!r} came, not {step.name!r}")
    jobs = tuple(_parse_job(job, step.runs, len(plan.units)) for job in _get(record, "jobs", list))
    _require([job.name for job in jobs] == [job.name for job in step.jobs], "its jobs are not the step's")
    for got, asked in zip(jobs, step.jobs, strict=True):
        shape = [(lane.unit_index, [phase.phase for phase in lane.phases]) for lane in got.lanes]
        wanted = [(lane.unit_index, [call.phase for call in lane.calls]) for lane in asked.lanes]
        _require(shape == wanted, f"job {got.name!r} has other lanes or phases")
    _require(("power" in record) == (plan.power is not None), "power is told without being asked for, or is not told")
    return Run(row, step.name, tuple(str(unit) for unit in plan.units), jobs, power=_parse_power(record))


def _lane_record(lane: LaneRun) -> dict[str, Any]:
    return {
        "unit": lane.unit_index,
        "buffer_type": lane.buffer_type,
        "phases": [
            {
                "phase": phase.phase,
                "begin_ns": phase.begin_ns.tolist(),
                "end_ns": phase.end_ns.tolist(),
                "arrive_ns": phase.arrive_ns.tolist(),
                "wait_ns": phase.wait_ns.tolist(),
                "sleeps": phase.sleeps,
            }
            for phase in lane.phases
        ],
    }
