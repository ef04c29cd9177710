"""Measuring a device for a base model: what, in which order, and how the profile comes out of it.

One launch of the runner goes through these steps; several launches are made, since a process now and then reads
wrong as a whole. Every finished step is journalled before the next is started.

    solo       for each width ratio: both chains (see `points`) and the whole base network, on unit 0 and on
               unit 1 in turns
    together   the add chain on both units in step, the same part on both at the same time: contention
    networks   four narrow two-branch networks, adding or concatenating after every stage, stem and head on
               either branch: the overhead of every sync, fork and join in its place
"""

from __future__ import annotations

import datetime
import statistics
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import syncnas_deploy
from syncnas_bench import BenchPlan, Call, Device, Job, JobRun, Lane, Run, Step, Unit, Work, run_with_retries
from syncnas_deploy.errors import MeasurementError, WrongOutput
from syncnas_deploy.journal import Journal
from syncnas_deploy.latency.outputs import OutputCheck
from syncnas_deploy.latency.points import (
    Point,
    PointGraph,
    at_ratio,
    chain,
    graph_work,
    network_graph,
    width_at,
)
from syncnas_deploy.latency.profile import (
    ContentionRow,
    DeviceProfile,
    InvocationRow,
    NetworkRow,
    PointRow,
    Sample,
    SyncPlace,
    SyncRow,
    base_digest,
    flat_text,
)
from syncnas_deploy.latency.schedule import SPIN_US, network_job, works
from syncnas_deploy.models.config import ModelConfig, SyncOp, branched
from syncnas_deploy.models.lowering import lower
from syncnas_deploy.models.segments import cut
from syncnas_deploy.models.weights import parameter_shapes, random_weights
from syncnas_exporters import write_tflite

Floats = NDArray[np.float64]

CHAIN_OPS = (SyncOp.ADD, SyncOp.CONCAT)
LAUNCH_DISAGREEMENT = 0.25
"""Launches whose medians differ by more than this make a profile carry a warning."""


@dataclass(frozen=True)
class Settings:
    """How much is measured.

    Attributes:
        ratios: of expanded widths to the base's; 1.0 is among them.
        together_ratio: of the chains that measure contention.
        network_ratio: of the networks that measure syncs.
        launches: processes.
        rounds: recorded runs of each point in a launch.
        warmup: unrecorded rounds before them.
        seed: of weights and inputs.
        deadline_s: for one launch.
    """

    ratios: tuple[float, ...] = (0.15, 0.4, 0.7, 1.0, 1.4)
    together_ratio: float = 0.7
    network_ratio: float = 0.4
    launches: int = 4
    rounds: int = 16
    warmup: int = 2
    seed: int = 0
    deadline_s: float = 1800.0


@dataclass(frozen=True)
class Progress:
    """A step is done: steps done, steps in all, seconds gone and still to go."""

    done: int
    total: int
    step: str
    elapsed_s: float
    eta_s: float


class Experiment:
    """The files and steps that measure one base model on two units.

    Args:
        base: a base model.
        units: of branch 0 and of branch 1.
        settings: how much to measure.
        folder: where the model files go.
    """

    def __init__(self, base: ModelConfig, units: Sequence[Unit], settings: Settings, folder: Path) -> None:
        self._base, self._units, self._settings, self._folder = base, tuple(units), settings, folder
        self._files: list[Path] = []
        self.chains: dict[tuple[float, SyncOp], tuple[PointGraph, ...]] = {}
        self.steps: list[Step] = []
        chain_files = {}
        for ratio in settings.ratios:
            chain_files[ratio] = self._write_chains(ratio)
            self.steps.append(self._solo_step(ratio, chain_files[ratio]))
        self.steps.append(self._together_step(chain_files[settings.together_ratio]))
        self.networks = self._write_networks()
        self.steps.append(self._network_step())

    def plan(self, steps: Sequence[str], seed: int) -> BenchPlan:
        """One launch of the named steps."""
        wanted = tuple(step for step in self.steps if step.name in set(steps))
        return BenchPlan(self._units, tuple(self._files), wanted, seed=seed, spin_us=SPIN_US)

    def _add_file(self, name: str, data: bytes) -> int:
        path = self._folder / name
        path.write_bytes(data)
        self._files.append(path)
        return len(self._files) - 1

    def _write_chains(self, ratio: float) -> int:
        seed, base = self._settings.seed, self._base
        graphs = []
        for op in CHAIN_OPS:
            self.chains[ratio, op] = chain(base, ratio, op, seed, f"{op.value}_")
            graphs += [part.graph for part in self.chains[ratio, op]]
        sized = at_ratio(base, ratio)
        whole = network_graph(sized, random_weights(parameter_shapes(sized), seed), "whole")
        self._whole_work = Work(*graph_work(whole))
        return self._add_file(f"ratio{ratio:g}.tflite", write_tflite([*graphs, whole]))

    def _solo_step(self, ratio: float, file: int) -> Step:
        jobs = []
        for op in CHAIN_OPS:
            jobs += [self._chain_job(ratio, op, unit, file) for unit in (0, 1)]
        for unit in (0, 1):
            call = Call(0, file, "whole", work=self._whole_work, output_bytes=4 * self._base.classes)
            jobs.append(Job.solo(f"whole_{unit}", unit, call))
        return self._step(f"solo_{ratio:g}", jobs)

    def _chain_job(self, ratio: float, op: SyncOp, unit: int, file: int) -> Job:
        calls = []
        for phase, part in enumerate(self.chains[ratio, op]):
            sources: tuple[Any, ...] = ("own",) if phase else ("external",)
            if part.point.part == "sync":
                sources = ("own", "own" if part.joins else "external")
            output = part.graph.tensors[part.graph.outputs[0]].shape
            calls.append(
                Call(
                    phase,
                    file,
                    part.graph.name,
                    sources,
                    work=Work(*graph_work(part.graph)),
                    output_bytes=4 * int(np.prod(output)),
                )
            )
        return Job(f"{op.name.lower()}_{unit}", (Lane(unit, tuple(calls)),))

    def _together_step(self, file: int) -> Step:
        ratio = self._settings.together_ratio
        lanes = [self._chain_job(ratio, SyncOp.ADD, unit, file).lanes[0] for unit in (0, 1)]
        return self._step("together", [Job("together", tuple(lanes))])

    def _write_networks(self) -> dict[str, ModelConfig]:
        base, ratio = self._base, self._settings.network_ratio
        widths = [[width_at(block, ratio) for block in stage.branches[0]] for stage in base.stages]
        networks = {}
        for op in CHAIN_OPS:
            for trunk in (0, 1):
                name = f"{op.name.lower()}_trunk{trunk}"
                strategy = op.value * len(base.stages)
                networks[name] = branched(base, strategy, [widths, widths], name=name, trunk=trunk)
        return networks

    def _network_step(self) -> Step:
        jobs = []
        for name, config in self.networks.items():
            weights = random_weights(parameter_shapes(config), self._settings.seed)
            segments = cut(config)
            graphs = {segment.name: lower(segment, config, weights) for segment in segments}
            files = [
                self._add_file(
                    f"{name}_branch{branch}.tflite",
                    write_tflite([graphs[s.name] for s in segments if s.branch == branch]),
                )
                for branch in (0, 1)
            ]
            jobs.append(network_job(name, segments, works(graphs), files=files, units=(0, 1)))
        return self._step("networks", jobs)

    def _step(self, name: str, jobs: Sequence[Job]) -> Step:
        # Each recorded run comes right after an unrecorded one of the same job, as inference in a loop does.
        rounds, warmup = self._settings.rounds, self._settings.warmup
        return Step(name, tuple(jobs), rounds=rounds, warmup=warmup, discard=1)


def measure(
    base: ModelConfig,
    device: Device,
    units: Sequence[Unit],
    settings: Settings,
    journal_path: Path,
    *,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> DeviceProfile:
    """Measure a device for a base model, going on where the journal ends.

    Args:
        base: a base model.
        device: to measure on.
        units: of branch 0 and of branch 1.
        settings: how much to measure.
        journal_path: holds every finished step; a journal of another run is refused.
        on_progress: called after every step.

    Raises:
        JournalMismatch: the journal is of another run.
        BenchError: the device could not measure.
        WrongOutput: it computed something else than this host, three times.
        MeasurementError: what came back cannot be right.
    """
    key = {
        "base": base_digest(base),
        "device": device.name,
        "units": [str(unit) for unit in units],
        "settings": settings_text(settings),
        "version": syncnas_deploy.__version__,
    }
    started = datetime.datetime.now(datetime.timezone.utc)
    with (
        Journal(journal_path, kind="profile", key=key) as journal,
        tempfile.TemporaryDirectory(prefix="syncnas-profile-") as folder,
    ):
        experiment = Experiment(base, units, settings, Path(folder))
        names = [step.name for step in experiment.steps]
        outputs = OutputCheck(experiment.plan(names, settings.seed), Path(folder))
        done = {(int(row["launch"]), str(row["step"])) for row in journal.rows}
        total, at_start = settings.launches * len(names), len(done)
        for launch in range(settings.launches):
            missing = [name for name in names if (launch, name) not in done]
            if not missing:
                continue

            def keep(run: Run, launch: int = launch) -> None:
                outputs.check(run)
                journal.append({"launch": launch, "step": run.step, "run": run.to_json()})
                done.add((launch, run.step))
                elapsed = (datetime.datetime.now(datetime.timezone.utc) - started).total_seconds()
                left = elapsed / (len(done) - at_start) * (total - len(done))
                on_progress(Progress(len(done), total, run.step, elapsed, left))

            plan = outputs.plan_of(missing)
            run_with_retries(device, plan, on_run=keep, redo=(WrongOutput,), deadline_s=settings.deadline_s)
        runs = valid_runs({(int(row["launch"]), str(row["step"])): Run.from_json(row["run"]) for row in journal.rows})
        return assemble(base, device, units, settings, experiment, runs, started)


Runs = Mapping[tuple[int, str], Run]


def valid_runs(runs: Runs) -> Runs:
    """Runs by (launch, step) without the launches in which a step is marked invalid (heat, battery, a changed clock).

    A launch counts as a whole: what its steps are compared with was measured in the same launch.

    Raises:
        MeasurementError: no launch is left.
    """
    spoiled = {launch: str(run.metadata["invalid"]) for (launch, _), run in runs.items() if run.metadata.get("invalid")}
    kept = {key: run for key, run in runs.items() if key[0] not in spoiled}
    if not kept:
        reasons = ", ".join(sorted(set(spoiled.values())))
        raise MeasurementError(
            f"The device was never fit to be measured ({reasons}); let it cool, charge it, keep the screen as it is, "
            "and measure again."
        )
    return kept


def is_of(profile: DeviceProfile, base: ModelConfig, device: Device, units: Sequence[Unit], settings: Settings) -> bool:
    """Whether a profile is what `measure` would have made of these arguments."""
    return (
        profile.base_sha256 == base_digest(base)
        and profile.device.get("name") == device.name
        and profile.units == tuple(str(unit) for unit in units)
        and profile.settings == settings_text(settings)
    )


def settings_text(settings: Settings) -> dict[str, str]:
    """Settings as text, for journal and profile."""
    return {
        "ratios": ", ".join(f"{ratio:g}" for ratio in settings.ratios),
        "together_ratio": f"{settings.together_ratio:g}",
        "network_ratio": f"{settings.network_ratio:g}",
        "launches": str(settings.launches),
        "rounds": str(settings.rounds),
        "warmup": str(settings.warmup),
        "seed": str(settings.seed),
    }


def assemble(
    base: ModelConfig,
    device: Device,
    units: Sequence[Unit],
    settings: Settings,
    experiment: Experiment,
    runs: Runs,
    created: datetime.datetime,
) -> DeviceProfile:
    """The profile of valid runs, by (launch, step): the same runs give the same tables."""
    facts = device.facts()
    launches = sorted({launch for launch, _ in runs})
    points: dict[tuple[int, Point], dict[int, list[Floats]]] = defaultdict(lambda: defaultdict(list))
    networks, invocations = [], []
    for ratio in settings.ratios:
        for unit in (0, 1):
            totals, wholes = [], []
            for launch in launches:
                run = runs[launch, f"solo_{ratio:g}"]
                parts_us = 0.0
                for op in CHAIN_OPS:
                    parts = experiment.chains[ratio, op]
                    for part, us in zip(parts, _calls_us(run.job(f"{op.name.lower()}_{unit}")), strict=True):
                        points[unit, part.point][launch].append(us)
                        if op is SyncOp.ADD and part.point.part != "sync":
                            parts_us += float(np.median(us))
                whole = run.job(f"whole_{unit}").makespan_us
                wholes.append(whole)
                count = sum(part.point.part != "sync" for part in experiment.chains[ratio, SyncOp.ADD])
                totals.append(np.array([(parts_us - float(np.median(whole))) / (count - 1)]))
            networks.append(NetworkRow(unit, ratio, Sample.of(wholes)))
            invocations.append(InvocationRow(unit, ratio, Sample.of(totals)))
    rows = tuple(
        PointRow(unit, point, Sample.of(np.concatenate(by_launch[launch]) for launch in sorted(by_launch)))
        for (unit, point), by_launch in points.items()
    )
    if any(row.sample.us <= 0 for row in rows):
        raise MeasurementError("A measured latency is not above 0 us; the device's clock cannot be trusted.")
    return DeviceProfile(
        kind="simulated" if facts.simulated else "measured",
        base=base.name,
        base_sha256=base_digest(base),
        stages=len(base.stages),
        units=(str(units[0]), str(units[1])),
        device=flat_text(facts.to_dict()),
        versions={"syncnas-deploy": syncnas_deploy.__version__, "runtime": facts.runtime},
        condition=flat_text(device.condition().to_dict()),
        created=created.isoformat(timespec="seconds"),
        settings=settings_text(settings),
        warnings=_warnings(rows, networks, settings.launches - len(launches)),
        points=rows,
        networks=tuple(networks),
        invocations=tuple(invocations),
        contention=_contention(base, settings, experiment, runs),
        syncs=_syncs(base, settings, experiment, runs),
    )


def _calls_us(job: JobRun, lane: int = 0) -> list[Floats]:
    return [phase.busy_us for phase in job.lanes[lane].phases]


def _contention(
    base: ModelConfig,
    settings: Settings,
    experiment: Experiment,
    runs: Runs,
) -> tuple[ContentionRow, ...]:
    """By unit and stage: its blocks' time in step with the other unit over their time alone, in the same launch.

    Times are sums of the blocks' medians; the factor is the median over launches.
    """
    parts = experiment.chains[settings.together_ratio, SyncOp.ADD]
    rows = []
    for unit in (0, 1):
        factors: dict[int, list[float]] = defaultdict(list)
        for launch in sorted({launch for launch, _ in runs}):
            loaded = _calls_us(runs[launch, "together"].job("together"), unit)
            solo = _calls_us(runs[launch, f"solo_{settings.together_ratio:g}"].job(f"add_{unit}"))
            sums: dict[int, list[float]] = defaultdict(lambda: [0.0, 0.0])
            for part, slow, fast in zip(parts, loaded, solo, strict=True):
                if part.point.part == "block":
                    sums[part.point.stage][0] += float(np.median(slow))
                    sums[part.point.stage][1] += float(np.median(fast))
            for stage, (slow_us, fast_us) in sums.items():
                factors[stage].append(slow_us / fast_us)
        rows += [ContentionRow(unit, s, round(statistics.median(factors[s]), 4)) for s in range(len(base.stages))]
    return tuple(rows)


def _syncs(
    base: ModelConfig,
    settings: Settings,
    experiment: Experiment,
    runs: Runs,
) -> tuple[SyncRow, ...]:
    rows = []
    for name, config in experiment.networks.items():
        op = config.sync_ops[-1]
        segments = cut(config)
        for phase in range(segments[-1].phase):
            place: SyncPlace = "fork" if phase == 0 else "join" if phase == len(base.stages) else "sync"
            if place == "fork" and op is not SyncOp.ADD:
                continue
            jobs = [runs[launch, "networks"].job(name) for launch in sorted({launch for launch, _ in runs})]
            downloads, barrier, uploads = crossing_us(jobs, phase)
            rows.append(
                SyncRow(
                    trunk=config.trunk,
                    place=place,
                    stage=phase - 1,
                    op=SyncOp.NONE if place == "fork" else op,
                    bytes=max(segment.output_bytes for segment in segments if segment.phase == phase),
                    downloads_us=downloads,
                    barrier_us=barrier,
                    uploads_us=uploads,
                    sample=Sample.of(job.sync_overhead_us(phase) for job in jobs),
                )
            )
    return tuple(rows)


def crossing_us(jobs: Sequence[JobRun], phase: int) -> tuple[tuple[float, float], float, tuple[float, float]]:
    """Downloads by unit, barrier, and uploads by unit at the crossing after a phase: medians of launches' medians.

    A unit that has no call before (after) the crossing has no download (upload).
    """
    parts: dict[str, list[float]] = defaultdict(list)
    for job in jobs:
        before = {lane: call for lane in (0, 1) if (call := job.lanes[lane].at(phase)) is not None}
        after = {lane: call for lane in (0, 1) if (call := job.lanes[lane].at(phase + 1)) is not None}
        arrived = np.maximum.reduce([call.arrive_ns for call in before.values()])
        released = np.maximum.reduce([call.arrive_ns + call.wait_ns for call in before.values()])
        parts["barrier"].append(float(np.median(released - arrived)))
        for lane in (0, 1):
            down = before[lane].arrive_ns - before[lane].end_ns if lane in before else np.zeros(1)
            up = after[lane].begin_ns - released if lane in after else np.zeros(1)
            parts[f"down{lane}"].append(float(np.median(down)))
            parts[f"up{lane}"].append(float(np.median(up)))
    us = {name: round(max(0.0, statistics.median(values)) / 1e3, 3) for name, values in parts.items()}
    return (us["down0"], us["down1"]), us["barrier"], (us["up0"], us["up1"])


def _warnings(rows: Sequence[PointRow], networks: Sequence[NetworkRow], spoiled: int) -> tuple[str, ...]:
    """What a reader of the numbers should know."""
    apart = [row for row in networks if row.sample.disagreement > LAUNCH_DISAGREEMENT]
    texts = [
        f"unit {row.unit}: the base network at width ratio {row.ratio:g} differed by "
        f"{row.sample.disagreement:.0%} between launches"
        for row in apart
    ]
    if spoiled:
        texts.append(f"{spoiled} launches were left out: the device was hot, low on battery, or changed meanwhile")
    noisy = sum(row.sample.disagreement > LAUNCH_DISAGREEMENT for row in rows)
    if noisy:
        texts.append(f"{noisy} of {len(rows)} points differed by more than {LAUNCH_DISAGREEMENT:.0%} between launches")
    return tuple(texts)
