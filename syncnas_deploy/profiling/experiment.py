"""What one launch of the runner measures: the files and steps of an experiment on two units.

pair_N     solo latency: both chains (see `parts`) of width pair N, and the whole network of its full widths as one
           graph, on unit 0 and on unit 1 in turns. The whole network on other units, too, such as all cores
networks   the overhead of every sync, fork and join in its place: four narrow two-branch networks, with ADD or CONCAT
           after every stage, and stem and head on either branch.
           Contention in its place: two networks of the base's widths, with ADD after every stage, and stem and head on
           either branch; both branches at once and each branch alone, in the same rounds
           Whether a unit became slower meanwhile: the base on either unit again
held_out   how far predictions are off: random two-branch networks

Where the device has a power meter, one more launch reads the power: nearly idle, each unit with the base, both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from syncnas_bench import BenchPlan, Call, Job, Lane, PowerMeter, Step, Unit
from syncnas_deploy.measuring.jobs import DISCARD, REPEATS, SPIN_US
from syncnas_deploy.measuring.power import PowerLoop, power_plan
from syncnas_deploy.networks.config import ModelConfig, SyncOp, branched
from syncnas_deploy.networks.lowering import network_graph
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.resizing import at_widths, ratio_widths
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.networks.widths import Widths
from syncnas_deploy.precision import FileFormat
from syncnas_deploy.prediction.rows import PowerState
from syncnas_deploy.profiling.parts import PointGraph, chain
from syncnas_deploy.profiling.random_networks import NetworkFiles, random_networks, write_network
from syncnas_deploy.profiling.timing_files import write_formats, write_to
from syncnas_deploy.profiling.width_design import WidthPair

CHAIN_OPS = (SyncOp.ADD, SyncOp.CONCAT)
NETWORKS, HELD_OUT = "networks", "held_out"
TOGETHER = "together"
"""Name of the job, where power is read, in which both units work all the time."""

_NARROW = 0.4
"""Width ratio of the networks that measure syncs.

Narrow blocks run fast, and the features that cross keep their full size.
"""


@dataclass(frozen=True)
class ProfileSettings:
    """How much is measured.

    Attributes:
        points: most points on each unit.
        error: width pairs are added until one was predicted within this relative error before it was used.
        launches: number of launches that measure each point.
        rounds: rounds of a launch; each has one turn of every job.
        discard: unrecorded runs at the start of a turn.
        repeats: recorded runs in a turn.
        networks: number of held-out networks, which say how far predictions are off.
        seed: of weights, inputs and held-out networks.
        deadline_s: longest duration of one launch, seconds.
    """

    points: int = 250
    error: float = 0.01
    launches: int = 5
    rounds: int = 3
    discard: int = DISCARD
    repeats: int = REPEATS
    networks: int = 8
    seed: int = 0
    deadline_s: float = 1800.0


def pair_step(pair: int) -> str:
    """Name of the step that measures a width pair."""
    return f"pair_{pair}"


def chain_job(op: SyncOp, unit: int) -> str:
    """Name of the job, in a pair's step, that runs the chain of an op on a unit."""
    return f"{op.name.lower()}_{unit}"


def whole_job(unit: int) -> str:
    """Name of the job that runs a pair's whole network on a unit; of pair 0 that is the base."""
    return f"whole_{unit}"


def step_words(step: str) -> str:
    """A step as a user knows it."""
    words = {
        pair_step(0): "the base on either unit",
        NETWORKS: "crossings between the units",
        HELD_OUT: "test networks",
    }
    return words.get(step) or f"channel widths, set {step.removeprefix(pair_step(0)[:-1])}"


def branch_job(network: str, branch: int) -> str:
    """Name of the job that runs a branch of a network without the other."""
    return f"{network}_branch{branch}"


class Experiment:
    """The files and steps that measure one base model on two units.

    Args:
        base: a base model.
        units: of branch 0 and of branch 1, then others that run whole networks alone.
        settings: how much to measure.
        folder: where the model files go.

    Attributes:
        chains: parts in running order, by (number of the width pair, ADD or CONCAT).
        pairs: width pairs so far; pair 0 has the base's widths.
        narrow: the networks that measure syncs, by name.
        wide: the networks that measure contention, by name.
        held_out: the random networks.
    """

    def __init__(self, base: ModelConfig, units: Sequence[Unit], settings: ProfileSettings, folder: Path) -> None:
        self.base, self.units, self.settings = base, tuple(units), settings
        self._formats = tuple(FileFormat.of(unit) for unit in units)
        self._files: list[Path] = []
        self._add_file = write_to(folder, self._files)
        self.chains: dict[tuple[int, SyncOp], tuple[PointGraph, ...]] = {}
        self.pairs: list[WidthPair] = []
        self._solo: list[Step] = []
        widths = ratio_widths(base, _NARROW)
        self.narrow: dict[str, ModelConfig] = {}
        jobs = []
        for op in CHAIN_OPS:
            for trunk in (0, 1):
                name = f"{op.name.lower()}_trunk{trunk}"
                strategy = op.value * len(base.stages)
                placement = Placement(trunk)
                self.narrow[name] = branched(base, strategy, Widths.both(widths), name=name, placement=placement)
                jobs.append(self._write(self.narrow[name]).job(name))
        self.wide: dict[str, ModelConfig] = {}
        for trunk in (0, 1):
            name, placement = f"wide_trunk{trunk}", Placement(trunk)
            strategy = SyncOp.ADD.value * len(base.stages)
            self.wide[name] = branched(base, strategy, Widths.both(base.widths), name=name, placement=placement)
            written = self._write(self.wide[name])
            jobs += [written.job(name), *(written.solo(branch_job(name, branch), branch) for branch in (0, 1))]
        self._networks = self._step(NETWORKS, jobs)
        self.held_out = random_networks(base, settings.networks, settings.seed)
        jobs = [self._write(config).job(config.name) for config in self.held_out]
        self._held_out = (self._step(HELD_OUT, jobs),) if jobs else ()

    def _write(self, config: ModelConfig) -> NetworkFiles:
        return write_network(config, self.settings.seed, self._add_file, self._formats[:2])

    def add_pair(self, pair: WidthPair) -> None:
        """Add one more width pair to what is measured."""
        number = len(self.pairs)
        self.pairs.append(pair)
        graphs = []
        for op in CHAIN_OPS:
            parts = chain(self.base, pair.of(op), op, self.settings.seed, f"{op.value}_")
            self.chains[number, op] = parts
            graphs += [part.graph for part in parts]
        sized = at_widths(self.base, pair.full)
        whole = network_graph(sized, random_weights(parameter_shapes(sized), self.settings.seed), "whole")
        written = write_formats(f"pair{number}", [*graphs, whole], self._formats, self._add_file)
        files = [written[form] for form in self._formats]
        jobs = [self._chain_job(number, op, unit, files[unit]) for op in CHAIN_OPS for unit in (0, 1)]
        jobs += [Job.solo(whole_job(unit), unit, Call(0, file, "whole")) for unit, file in enumerate(files)]
        self._solo.append(self._step(pair_step(number), jobs))

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of one launch, with all width pairs so far."""
        base = {whole_job(0), whole_job(1)}
        again = tuple(job for job in self._solo[0].jobs if job.name in base) if self._solo else ()
        networks = dataclasses.replace(self._networks, jobs=(*self._networks.jobs, *again))
        return (*self._solo, networks, *self._held_out)

    def plan(self, steps: Sequence[str], seed: int) -> BenchPlan:
        """The plan of one launch, with the named steps."""
        wanted = tuple(step for step in self.steps if step.name in set(steps))
        return BenchPlan(self.units, tuple(self._files), wanted, seed=seed, spin_us=SPIN_US)

    def power_plan(self, meter: PowerMeter, latency_us: Mapping[str, float]) -> BenchPlan:
        """The plan of one launch that reads the power in each `PowerState`, with the base's widths.

        Args:
            meter: the device's power meter.
            latency_us: duration of a run, microseconds, by the name of a job of pair 0.
        """
        jobs = {job.name: job for job in self._solo[0].jobs}
        chains = [jobs[chain_job(SyncOp.ADD, unit)] for unit in (0, 1)]
        jobs[TOGETHER] = Job(TOGETHER, tuple(job.lanes[0] for job in chains))
        run_us = {**latency_us, TOGETHER: max(latency_us[job.name] for job in chains)}
        states: dict[PowerState, str] = {
            "idle": whole_job(0),
            "unit_0": whole_job(0),
            "unit_1": whole_job(1),
            "both": TOGETHER,
        }
        loops = [PowerLoop(state, jobs[name], run_us[name], resting=state == "idle") for state, name in states.items()]
        return power_plan(self.plan([pair_step(0)], self.settings.seed), meter, loops)

    def _chain_job(self, number: int, op: SyncOp, unit: int, file: int) -> Job:
        calls = []
        for phase, part in enumerate(self.chains[number, op]):
            sources: tuple[Any, ...] = ("external",) if part.point.part == "stem" else ("own",)
            if part.point.part == "sync":
                sources = ("own", "own" if part.joins else "external")
            elif part.point.part == "invocation":
                sources = ("external", "external")
            calls.append(Call(phase, file, part.graph.name, sources))
        return Job(chain_job(op, unit), (Lane(unit, tuple(calls)),))

    def _step(self, name: str, jobs: Sequence[Job]) -> Step:
        own = self.settings
        return Step(name, tuple(jobs), rounds=own.rounds, discard=own.discard, repeats=own.repeats)
