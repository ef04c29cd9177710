"""Benchmarking a bundle: both branches at once on two units, each branch alone, and baselines beside them.

Everything is interleaved in one step: each round has one turn of every job, so noise from other programs hits all jobs
alike. The network is measured twice. The ratio of its two medians (A/A) says how much two equal things can differ.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from syncnas_bench import BenchError, BenchPlan, Device, Job, JobRun, PowerMeter, Run, Step, Unit, run_with_retries
from syncnas_bench.work_folder import work_folder
from syncnas_deploy.arrays import Float64Array
from syncnas_deploy.benchmarking.result import Baseline, BenchResult, Energy, RunSamples, SegmentSamples
from syncnas_deploy.benchmarking.stamps import stamps_of
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.bundle_network import network_job
from syncnas_deploy.errors import BundleError, MeasurementError, WrongOutput
from syncnas_deploy.measuring.jobs import DISCARD, REPEATS, SPIN_US, solo_job
from syncnas_deploy.measuring.power import PowerLoop, idle_w, inference_mj, power_plan
from syncnas_deploy.measuring.usable import Anchor, UsableRuns, keeper, usable
from syncnas_deploy.networks.segments import Feed, cut
from syncnas_deploy.precision import FileFormat, export_options, tolerance
from syncnas_deploy.prediction.profile import flat_text
from syncnas_deploy.verdict import USUAL_SLOPE

NETWORK, AGAIN = "network", "again"
LEAST_WINDOW = 9
"""Samples of a rolling median: fewer would call noise a change."""
STEP = "bench"
DEADLINE_S = 1800.0
"""For one launch."""


def solo_name(branch: int) -> str:
    """Name of the job that runs one branch alone."""
    return f"solo{branch}"


def baseline_name(index: int) -> str:
    """Name of the job that runs a baseline."""
    return f"baseline{index}"


@dataclass(frozen=True)
class Asked:
    """A network of one branch to be measured beside the bundle; see `result.Baseline`."""

    bundle: Bundle
    unit: Unit
    role: Literal["baseline", "today", "rival"] = "baseline"
    predicted_us: float | None = None
    reward: float | None = None
    standard_error: float = 0.0
    slope: float = USUAL_SLOPE

    def measured(self, makespan: RunSamples) -> Baseline:
        """It with its times."""
        config = self.bundle.config
        return Baseline(
            name=config.name,
            unit=str(self.unit),
            macs=config.macs(),
            makespan=makespan,
            role=self.role,
            predicted_us=self.predicted_us,
            reward=self.reward,
            standard_error=self.standard_error,
            slope=self.slope,
        )


def run_bench(
    bundle: Bundle,
    device: Device,
    units: Sequence[Unit],
    *,
    samples: int = 100,
    launches: int = 3,
    baselines: Sequence[Asked] = (),
    energy: bool = True,
    on_launch: Callable[[str], None] = lambda _: None,
) -> BenchResult:
    """Measure a bundle.

    Args:
        bundle: exported with TFLite.
        device: to run on.
        units: one for each branch.
        samples: recorded runs at least, shared among the launches.
        launches: processes.
        baselines: networks of one branch to measure in the same rounds.
        energy: whether it is measured, where the device has a power meter.
        on_launch: called after each launch, with words for it.

    Raises:
        BenchError: the device could not run it.
        BundleError: a baseline has two branches, or a branch's file is not what its unit runs.
        WrongOutput: the outputs are not those of the exporting host.
        MeasurementError: the device was never fit to be measured.
    """
    for files, on in ((bundle, list(units)), *((asked.bundle, [asked.unit]) for asked in baselines)):
        _check_formats(files, on)
    rounds = -(-samples // (launches * REPEATS))
    with work_folder("bench") as folder:
        jobs = _BundleJobs(bundle, device, units, baselines, folder)
        meter, reason = device.power_meter() if energy else (None, "")
        runs: dict[tuple[int, str], Run] = {}
        before = flat_text(device.condition().to_dict())
        for launch in range(launches):
            plan = jobs.plan(rounds, seed=launch)
            run_with_retries(device, plan, on_run=keeper(runs, launch), deadline_s=DEADLINE_S)
            on_launch(f"launch {launch + 1} of {launches}")
        result = msgspec.structs.replace(jobs.result(usable(runs, [Anchor(STEP, NETWORK)])), before=before)
        if meter is None:
            return msgspec.structs.replace(result, no_energy=reason)
        loops: list[Run] = []
        try:
            run_with_retries(device, jobs.power_plan(meter, result), on_run=loops.append, deadline_s=DEADLINE_S)
            result = msgspec.structs.replace(result, energy=_energy(meter, loops))
        except (BenchError, MeasurementError) as error:
            # The latencies are measured. They are kept although the power cannot be read.
            result = msgspec.structs.replace(result, no_energy=str(error))
        on_launch("power")
        return result


def _check_formats(bundle: Bundle, units: Sequence[Unit]) -> None:
    """Refuse a file whose format is not what its unit says of its files: the numbers would bear the wrong name."""
    for branch, (form, unit) in enumerate(zip(bundle.formats, units, strict=False)):
        if not form.runs_on(unit):
            wanted = [FileFormat.exported(one) for one in units[: len(bundle.formats)]]
            remedy = f"name the unit {fitting(unit, form)}, or " if unit.kind == "cpu" else ""
            remedy += f"export it again with: {' '.join(['syncnas-deploy export CONFIG', *export_options(wanted)])}"
            raise BundleError(f"{bundle.folder}: branch {branch} is {form.refused_by(unit)}; {remedy}")


def fitting(unit: Unit, form: FileFormat) -> Unit:
    """A CPU unit that runs files of a format; other units as they are."""
    if unit.kind != "cpu":
        return unit
    return dataclasses.replace(unit, precision="int8" if form.precision == "int8" else "fp32", split=form.split_kernels)


def _energy(meter: PowerMeter, loops: Sequence[Run]) -> Energy:
    """Energy from runs of steps of one job each, in this order: nearly idle, the network, each baseline."""
    rest, network, *others = loops
    at_rest_w = idle_w(rest, network)
    first, *rest_mj = (inference_mj(run, at_rest_w) for run in (network, *others))
    return Energy(meter.source, at_rest_w, first, tuple(rest_mj))


class _BundleJobs:
    """One bundle on one device: its jobs, and the result of their runs."""

    def __init__(
        self,
        bundle: Bundle,
        device: Device,
        units: Sequence[Unit],
        baselines: Sequence[Asked],
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
        for i, asked in enumerate(self._baselines):
            self._jobs.append(self._baseline_job(i, asked.bundle, asked.unit))

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
            for name in (NETWORK, AGAIN)
        ]
        for branch in range(self._branches):
            jobs.append(solo_job(solo_name(branch), segments, branch, file=files[branch], unit=branch))
        return jobs

    def _baseline_job(self, index: int, base: Bundle, unit: Unit) -> Job:
        if base.config.branch_count != 1:
            raise BundleError(f"{base.folder}: has two branches; a baseline is a base model of one branch.")
        if unit not in self._units:
            self._units.append(unit)
        at = self._units.index(unit)
        files = self._add_files(base)
        return network_job(baseline_name(index), base.segments, files=files, units=[at])

    def plan(self, rounds: int, seed: int) -> BenchPlan:
        """One launch."""
        step = Step(STEP, tuple(self._jobs), rounds=rounds, discard=DISCARD, repeats=REPEATS)
        return BenchPlan(tuple(self._units), tuple(self._files), (step,), seed=seed, spin_us=SPIN_US)

    def power_plan(self, meter: PowerMeter, result: BenchResult) -> BenchPlan:
        """One launch that reads the power in each loop."""
        by_name = {job.name: job for job in self._jobs}
        latency_us = {NETWORK: result.makespan.median_us}
        latency_us |= {baseline_name(i): base.makespan.median_us for i, base in enumerate(result.baselines)}
        loops = [PowerLoop(name, by_name[name], run_us) for name, run_us in latency_us.items()]
        idle = PowerLoop("idle", by_name[NETWORK], latency_us[NETWORK], resting=True)
        return power_plan(self.plan(1, seed=0), meter, [idle, *loops])

    def result(self, counted: UsableRuns) -> BenchResult:
        """The result of the usable launches."""
        config, runs = self._bundle.config, list(counted.runs.values())
        facts = self._device.facts()
        segments = []
        for branch in range(self._branches):
            for place, segment in enumerate(s for s in cut(config) if s.branch == branch):
                solo = _pool(runs, solo_name(branch), _busy(0, place))
                beside = _pool(runs, NETWORK, _busy(branch, segment.phase))
                segments.append(SegmentSamples(segment.name, branch, segment.phase, solo, beside))
        segments.sort(key=lambda samples: (samples.phase, samples.branch))
        return BenchResult(
            config=config,
            device=self._device.name,
            simulated=self._simulated,
            software_gpu=any(unit.software for unit in self._units),
            units=tuple(str(unit) for unit in self._units[: self._branches]),
            facts=flat_text(facts.to_dict()),
            condition=flat_text(self._device.condition().to_dict()),
            makespan=_pool(runs, NETWORK, lambda job: job.makespan_us),
            again=_pool(runs, AGAIN, lambda job: job.makespan_us),
            segments=tuple(segments),
            syncs=tuple(
                _pool(runs, NETWORK, lambda job, p=phase: job.sync_overhead_us(p))  # type: ignore[misc]
                for phase in range(segments[-1].phase)
            ),
            baselines=tuple(
                asked.measured(_pool(runs, baseline_name(i), lambda job: job.makespan_us))
                for i, asked in enumerate(self._baselines)
            ),
            change=_change([run.job(NETWORK).makespan_us for run in runs]),
            difference=None if self._simulated else self._check_outputs(),
            warnings=counted.warnings,
            launch_samples=tuple(len(run.job(NETWORK).makespan_us) for run in runs),
            stamps=stamps_of([run.job(NETWORK) for run in runs], [(s.branch, s.phase) for s in segments]),
        )

    def _check_outputs(self) -> float:
        limit = tolerance([unit.precision for unit in self._units[: self._branches]])
        largest = 0.0
        for job in (job for job in self._jobs if job.name in (NETWORK, AGAIN)):
            assert job.output is not None
            found = np.fromfile(job.output, dtype="<f4")
            scale = max(float(np.abs(self._logits).max()), 1e-9)
            difference = float(np.abs(found - self._logits.ravel()).max()) / scale
            if not difference <= limit:
                raise WrongOutput(
                    f"{self._bundle.folder}: on {self._device.name} the logits differ from the exporting host's by "
                    f"{difference:.2g} (relative), more than {limit:g}; its times do not count."
                )
            largest = max(largest, difference)
        return largest


def _busy(lane: int, phase: int) -> Callable[[JobRun], Float64Array]:
    return lambda job: job.call(lane, phase).busy_us


def _change(launches: Sequence[Float64Array]) -> float:
    """Largest relative change within a launch, by rolling medians; median over launches. Above 0: it became slower."""
    found = []
    for us in launches:
        window = min(len(us), max(LEAST_WINDOW, len(us) // 4))
        rolling = np.median(np.lib.stride_tricks.sliding_window_view(us, window), axis=1)
        low, high = int(np.argmin(rolling)), int(np.argmax(rolling))
        change = float(rolling[high] / rolling[low] - 1)
        found.append(change if high > low else -change / (1 + change))
    return round(statistics.median(found), 4)


def _pool(runs: Sequence[Run], job: str, value: Callable[[JobRun], Float64Array]) -> RunSamples:
    pooled = np.concatenate([value(run.job(job)) for run in runs])
    return RunSamples(tuple(round(float(us), 3) for us in pooled))
