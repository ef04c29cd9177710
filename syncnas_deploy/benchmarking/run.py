"""Benchmarking a bundle: both branches at once on two units, each branch alone, and baselines beside them.

Everything is interleaved in one step: each round has a turn of every job, so that a neighbour's noise meets all alike.
The network is in there twice, and the ratio of its two medians (A/A) says how far two equal things read apart.
"""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from syncnas_bench import BenchError, BenchPlan, Device, Job, JobRun, PowerMeter, Run, Step, Unit, run_with_retries
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.errors import BundleError, DocumentError, MeasurementError, WrongOutput
from syncnas_deploy.files.documents import Fields, read_json
from syncnas_deploy.measuring.jobs import DISCARD, REPEATS, SPIN_US, network_job, solo_job
from syncnas_deploy.measuring.reference_outputs import TOLERANCE
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import config_from_fields, config_to_json
from syncnas_deploy.networks.segments import Feed, cut
from syncnas_deploy.prediction.energy import Loop, idle_w, inference_mj, power_plan
from syncnas_deploy.prediction.profile import flat_text

Floats = NDArray[np.float64]

NETWORK_JOBS = ("network", "again")
SCHEMA = "syncnas-deploy/bench-result"
VERSION = 1


@dataclass(frozen=True)
class Timing:
    """Samples of one quantity, microseconds, all launches together, in order."""

    samples_us: tuple[float, ...]

    @property
    def us(self) -> float:
        """Median."""
        return float(np.median(self.samples_us))

    @property
    def p10_us(self) -> float:
        """10th percentile."""
        return float(np.percentile(self.samples_us, 10))

    @property
    def p90_us(self) -> float:
        """90th percentile."""
        return float(np.percentile(self.samples_us, 90))


@dataclass(frozen=True)
class SegmentTiming:
    """One segment alone, the other unit idle, and beside its partner."""

    name: str
    branch: int
    phase: int
    solo: Timing
    concurrent: Timing


@dataclass(frozen=True)
class Baseline:
    """A base model on one unit, measured in the same rounds."""

    name: str
    unit: str
    macs: int
    makespan: Timing


@dataclass(frozen=True)
class Energy:
    """What an inference takes besides the idle device, in a loop.

    Attributes:
        source: the meter.
        idle_w: what the whole device draws at rest, in watts.
        network_mj: of the network, in millijoules.
        baselines_mj: of each baseline.
    """

    source: str
    idle_w: float
    network_mj: float
    baselines_mj: tuple[float, ...]


@dataclass(frozen=True)
class BenchResult:
    """What a bundle did on a device.

    Attributes:
        config: the network.
        device: name; `simulated` and `software_gpu` label what is no real unit.
        units: of branch 0 and of branch 1.
        makespan, again: the same network twice in each round (A/A).
        syncs: overhead after each phase but the last.
        change: of the network's time from the first to the last third of a launch, relative; what heats up, slows down.
        difference: largest difference of the logits to the exporting host's, relative; None on simulated units.
        energy: None where it was not measured; `no_energy` says why.
    """

    config: ModelConfig
    device: str
    simulated: bool
    software_gpu: bool
    units: tuple[str, ...]
    condition: Mapping[str, str]
    makespan: Timing
    again: Timing
    segments: tuple[SegmentTiming, ...]
    syncs: tuple[Timing, ...]
    baselines: tuple[Baseline, ...]
    change: float
    difference: float | None
    energy: Energy | None
    no_energy: str

    @property
    def aa_ratio(self) -> float:
        """Median makespan over the median of the same network measured again."""
        return self.makespan.us / self.again.us

    @property
    def overlap(self) -> float:
        """Sum of all segments' solo times over the makespan: 1 is no gain from the second unit, 2 the most."""
        return sum(segment.solo.us for segment in self.segments) / self.makespan.us

    @property
    def overlap_ceiling(self) -> float:
        """What the overlap would be without contention and sync: stem, head and unequal branches keep it below 2."""
        return _ceiling(self.segments)

    @property
    def branch_overlap(self) -> float:
        """Sum of solo times over the time until the later branch's end, in the phases in which both work."""
        both = self._both()
        ends: dict[int, float] = {}
        for segment in both:
            ends[segment.phase] = max(ends.get(segment.phase, 0.0), segment.concurrent.us)
        return sum(segment.solo.us for segment in both) / sum(ends.values()) if both else 1.0

    @property
    def branch_overlap_ceiling(self) -> float:
        """What `branch_overlap` would be without contention."""
        return _ceiling(self._both())

    def _both(self) -> list[SegmentTiming]:
        phases = [segment.phase for segment in self.segments]
        return [segment for segment in self.segments if phases.count(segment.phase) == 2]


def _ceiling(segments: Sequence[SegmentTiming]) -> float:
    longest: dict[int, float] = {}
    for segment in segments:
        longest[segment.phase] = max(longest.get(segment.phase, 0.0), segment.solo.us)
    return sum(segment.solo.us for segment in segments) / sum(longest.values()) if segments else 1.0


def run_bench(
    bundle: Bundle,
    device: Device,
    units: Sequence[Unit],
    *,
    samples: int = 100,
    launches: int = 3,
    baselines: Sequence[tuple[Bundle, Unit]] = (),
    deadline_s: float = 1800.0,
    on_launch: Callable[[int, int], None] = lambda _done, _total: None,
) -> BenchResult:
    """Measure a bundle.

    Args:
        bundle: exported with TFLite.
        device: to run on.
        units: one for each branch.
        samples: recorded runs at least, shared among the launches.
        launches: processes.
        baselines: base models, each with its unit.
        deadline_s: for one launch.
        on_launch: called with launches done and in all.

    Raises:
        BenchError: the device could not run it.
        BundleError: a baseline has two branches.
        WrongOutput: the outputs are not those of the exporting host.
    """
    rounds = -(-samples // (launches * REPEATS))
    with tempfile.TemporaryDirectory(prefix="syncnas-bench-") as folder:
        session = _Session(bundle, device, units, baselines, Path(folder))
        meter, reason = device.power_meter()
        total = launches + (meter is not None)
        runs: list[Run] = []
        for launch in range(launches):
            plan = session.plan(rounds, seed=launch)
            run_with_retries(device, plan, on_run=runs.append, deadline_s=deadline_s)
            on_launch(launch + 1, total)
        result = session.result(runs)
        if meter is None:
            return dataclasses.replace(result, no_energy=reason)
        loops: list[Run] = []
        try:
            run_with_retries(device, session.power_plan(meter, result), on_run=loops.append, deadline_s=deadline_s)
            result = dataclasses.replace(result, energy=_energy(meter, loops))
        except (BenchError, MeasurementError) as error:
            # The latencies are in: they are not lost for it.
            result = dataclasses.replace(result, no_energy=str(error))
        on_launch(total, total)
        return result


def _energy(meter: PowerMeter, loops: Sequence[Run]) -> Energy:
    """Of steps of one job each: the network nearly idle, the network, and each baseline."""
    rest, network, *others = loops
    at_rest_w = idle_w(rest, network)
    first, *rest_mj = (inference_mj(run, at_rest_w) for run in (network, *others))
    return Energy(meter.source, at_rest_w, first, tuple(rest_mj))


class _Session:
    """One bundle on one device: its jobs, and the result of their runs."""

    def __init__(
        self,
        bundle: Bundle,
        device: Device,
        units: Sequence[Unit],
        baselines: Sequence[tuple[Bundle, Unit]],
        folder: Path,
    ) -> None:
        self._bundle, self._device, self._folder = bundle, device, folder
        self._branches = bundle.config.branch_count
        self._units = list(units[: self._branches])
        self._files: list[Path] = []
        self._simulated = device.facts().simulated
        self._image, self._logits = bundle.reference()
        self._baselines = list(baselines)
        self._jobs = self._network_jobs()
        for i, (base, unit) in enumerate(self._baselines):
            self._jobs.append(self._baseline_job(i, base, unit))

    def _add_files(self, bundle: Bundle) -> list[int]:
        first = len(self._files)
        self._files += [bundle.tflite(branch) for branch in range(bundle.config.branch_count)]
        return list(range(first, len(self._files)))

    def _network_jobs(self) -> list[Job]:
        files = self._add_files(self._bundle)
        image = self._folder / "image.f32"
        segments = self._bundle.segments
        pictures = sum(feed is Feed.IMAGE for segment in segments for feed in segment.feeds)
        np.concatenate([self._image.astype("<f4").ravel()] * pictures).tofile(image)
        jobs = [
            network_job(
                name,
                segments,
                files=files,
                units=range(self._branches),
                image=None if self._simulated else image,
                output=None if self._simulated else self._folder / f"{name}.f32",
            )
            for name in NETWORK_JOBS
        ]
        for branch in range(self._branches):
            jobs.append(solo_job(f"solo{branch}", segments, branch, file=files[branch], unit=branch))
        return jobs

    def _baseline_job(self, index: int, base: Bundle, unit: Unit) -> Job:
        if base.config.branch_count != 1:
            raise BundleError(f"{base.folder}: has two branches; a baseline is a base model of one branch.")
        if unit not in self._units:
            self._units.append(unit)
        at = self._units.index(unit)
        files = self._add_files(base)
        return network_job(f"baseline{index}", base.segments, files=files, units=[at])

    def plan(self, rounds: int, seed: int) -> BenchPlan:
        """One launch."""
        step = Step("bench", tuple(self._jobs), rounds=rounds, discard=DISCARD, repeats=REPEATS)
        return BenchPlan(tuple(self._units), tuple(self._files), (step,), seed=seed, spin_us=SPIN_US)

    def power_plan(self, meter: PowerMeter, result: BenchResult) -> BenchPlan:
        """One launch that measures energy."""
        network, *baselines = self._jobs[0], *self._jobs[len(NETWORK_JOBS) + self._branches :]
        us = [result.makespan.us, *(base.makespan.us for base in result.baselines)]
        loops = [Loop(job.name, job, time) for job, time in zip((network, *baselines), us, strict=True)]
        return power_plan(self.plan(1, seed=0), meter, [Loop("idle", network, us[0], resting=True), *loops])

    def result(self, runs: Sequence[Run]) -> BenchResult:
        """What the launches' runs say."""
        config = self._bundle.config
        segments = []
        for branch in range(self._branches):
            for place, segment in enumerate(s for s in cut(config) if s.branch == branch):
                solo = _pool(runs, f"solo{branch}", _busy(0, place))
                beside = _pool(runs, "network", _busy(branch, segment.phase))
                segments.append(SegmentTiming(segment.name, branch, segment.phase, solo, beside))
        segments.sort(key=lambda timing: (timing.phase, timing.branch))
        return BenchResult(
            config=config,
            device=self._device.name,
            simulated=self._simulated,
            software_gpu=any(unit.software for unit in self._units),
            units=tuple(str(unit) for unit in self._units[: self._branches]),
            condition=flat_text(self._device.condition().to_dict()),
            makespan=_pool(runs, "network", lambda job: job.makespan_us),
            again=_pool(runs, "again", lambda job: job.makespan_us),
            segments=tuple(segments),
            syncs=tuple(
                _pool(runs, "network", lambda job, p=phase: job.sync_overhead_us(p))  # type: ignore[misc]
                for phase in range(segments[-1].phase)
            ),
            baselines=tuple(
                Baseline(
                    base.config.name,
                    str(unit),
                    base.config.macs(),
                    _pool(runs, f"baseline{i}", lambda job: job.makespan_us),
                )
                for i, (base, unit) in enumerate(self._baselines)
            ),
            change=_change([run.job("network").makespan_us for run in runs]),
            difference=None if self._simulated else self._check_outputs(),
            energy=None,
            no_energy="",
        )

    def _check_outputs(self) -> float:
        precision = "fp16" if any(unit.precision == "fp16" for unit in self._units) else "fp32"
        worst = 0.0
        for job in self._jobs[: len(NETWORK_JOBS)]:
            assert job.output is not None
            found = np.fromfile(job.output, dtype="<f4")
            scale = max(float(np.abs(self._logits).max()), 1e-9)
            difference = float(np.abs(found - self._logits.ravel()).max()) / scale
            if not difference <= TOLERANCE[precision]:
                raise WrongOutput(
                    f"{self._bundle.folder}: on {self._device.name} the logits differ from the exporting host's by "
                    f"{difference:.2g} (relative), more than {TOLERANCE[precision]:g}; its times count for nothing."
                )
            worst = max(worst, difference)
        return worst


def _busy(lane: int, phase: int) -> Callable[[JobRun], Floats]:
    return lambda job: job.call(lane, phase).busy_us


def _change(launches: Sequence[Floats]) -> float:
    """Median over launches of the last third's median over the first third's, less 1."""
    ratios = []
    for us in launches:
        third = -(-len(us) // 3)
        ratios.append(float(np.median(us[-third:]) / np.median(us[:third])))
    return round(statistics.median(ratios) - 1, 4)


def _pool(runs: Sequence[Run], job: str, value: Callable[[JobRun], Floats]) -> Timing:
    pooled = np.concatenate([value(run.job(job)) for run in runs])
    return Timing(tuple(round(float(us), 3) for us in pooled))


def result_to_json(result: BenchResult) -> dict[str, Any]:
    """The result as a JSON value: medians and percentiles, and every raw sample under ``raw``."""
    return {
        "schema": f"{SCHEMA}/{VERSION}",
        "name": result.config.name,
        "strategy": result.config.strategy,
        "macs": result.config.macs(),
        "device": result.device,
        "simulated": result.simulated,
        "software_gpu": result.software_gpu,
        "units": list(result.units),
        "condition": dict(result.condition),
        "makespan_us": round(result.makespan.us, 3),
        "makespan_p10_us": round(result.makespan.p10_us, 3),
        "makespan_p90_us": round(result.makespan.p90_us, 3),
        "aa_ratio": round(result.aa_ratio, 4),
        "overlap": round(result.overlap, 4),
        "overlap_ceiling": round(result.overlap_ceiling, 4),
        "branch_overlap": round(result.branch_overlap, 4),
        "branch_overlap_ceiling": round(result.branch_overlap_ceiling, 4),
        "change": round(result.change, 4),
        "output_difference": result.difference,
        "energy": dataclasses.asdict(result.energy) if result.energy else None,
        "no_energy": result.no_energy or None,
        "segments": [
            {
                "name": s.name,
                "branch": s.branch,
                "phase": s.phase,
                "solo_us": round(s.solo.us, 3),
                "concurrent_us": round(s.concurrent.us, 3),
            }
            for s in result.segments
        ],
        "syncs": [{"after_phase": i, "overhead_us": round(t.us, 3)} for i, t in enumerate(result.syncs)],
        "baselines": [
            {"name": b.name, "unit": b.unit, "macs": b.macs, "makespan_us": round(b.makespan.us, 3)}
            for b in result.baselines
        ],
        "raw": {
            "makespan_us": list(result.makespan.samples_us),
            "again_us": list(result.again.samples_us),
            "segments": [
                {"solo_us": list(s.solo.samples_us), "concurrent_us": list(s.concurrent.samples_us)}
                for s in result.segments
            ],
            "syncs_us": [list(t.samples_us) for t in result.syncs],
            "baselines_us": [list(b.makespan.samples_us) for b in result.baselines],
        },
        "config": config_to_json(result.config),
    }


def read_result(path: Path) -> BenchResult:
    """Read what ``bench --out`` wrote.

    Raises:
        DocumentError: naming file, field and remedy.
    """
    top = Fields(read_json(path, DocumentError), str(path), DocumentError)
    top.schema(SCHEMA, VERSION)
    config = config_from_fields(top.fields("config"), f"{path}: config")
    raw = top.fields("raw")
    segments = cut(config)
    times = [
        (_timing(fields, "solo_us"), _timing(fields, "concurrent_us"))
        for fields in raw.each("segments", len(segments), len(segments))
    ]
    syncs = raw.items("syncs_us", segments[-1].phase, segments[-1].phase)
    baselines = list(top.each("baselines", 0, 64))
    raw_baselines = raw.items("baselines_us", len(baselines), len(baselines))
    return BenchResult(
        config=config,
        device=top.text("device"),
        simulated=top.flag("simulated"),
        software_gpu=top.flag("software_gpu"),
        units=tuple(str(unit) for unit in top.items("units", 1, 2)),
        condition=top.mapping("condition"),
        makespan=_timing(raw, "makespan_us"),
        again=_timing(raw, "again_us"),
        segments=tuple(
            SegmentTiming(s.name, s.branch, s.phase, solo, beside)
            for s, (solo, beside) in zip(segments, times, strict=True)
        ),
        syncs=tuple(_timing(Fields({"us": item}, f"{path}: raw: syncs_us", DocumentError), "us") for item in syncs),
        baselines=tuple(
            Baseline(
                fields.text("name"),
                fields.text("unit"),
                fields.integer("macs", 0, 2**62),
                _timing(Fields({"us": item}, f"{path}: raw: baselines_us", DocumentError), "us"),
            )
            for fields, item in zip(baselines, raw_baselines, strict=True)
        ),
        change=top.number("change", -1.0, 1e6) if top.has("change") else 0.0,
        difference=top.number("output_difference", 0.0, 1e9) if top.has("output_difference") else None,
        energy=_read_energy(top.fields("energy"), len(baselines)) if top.has("energy") else None,
        no_energy=top.text("no_energy", max_length=1000) if top.has("no_energy") else "",
    )


def _read_energy(fields: Fields, baselines: int) -> Energy:
    return Energy(
        fields.text("source"),
        fields.number("idle_w", -1e6, 1e6),
        fields.number("network_mj", -1e12, 1e12),
        fields.numbers("baselines_mj", (baselines, baselines), -1e12, 1e12),
    )


def _timing(fields: Fields, key: str) -> Timing:
    return Timing(fields.numbers(key, (1, 10_000_000), -1e12, 1e12))
