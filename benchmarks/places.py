"""Does a segment take as long in a network as where the profile measures it? Stem, a middle segment and head, by place.

    python -m benchmarks.places [--base mobilenet_v2] [--rounds 10] [--launches 6] [--spin 2000]

A network with two branches at the base's widths, measured in the same rounds in four places: its parts in the chain
that a profile measures, its branches alone, the whole network, and, in a launch of its own with nothing else, the
whole network again, as `bench` runs it. Beside them the base as one graph. A segment's time in the chain is 100 %;
each place is told by the median over launches. How far the launches of one place lie apart, and how far those of the
base do, says what is chance of a launch. Stem and head run alone in their phase. A middle segment runs beside its
partner, so what it takes in a network and in two chains at once holds contention.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.prediction import base_jobs
from syncnas_bench import BenchPlan, Run, Step
from syncnas_deploy import pipeline
from syncnas_deploy.measuring.jobs import SPIN_US
from syncnas_deploy.networks.config import ModelConfig, SyncOp, branched
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.segments import Segment
from syncnas_deploy.networks.widths import Widths
from syncnas_deploy.prediction.rows import INVOCATION_OPS
from syncnas_deploy.profiling.experiment import TOGETHER, Experiment, ProfileSettings, chain_job, pair_step, whole_job
from syncnas_deploy.profiling.parts import PointGraph
from syncnas_deploy.profiling.random_networks import write_network
from syncnas_deploy.profiling.timing_files import write_to
from syncnas_deploy.profiling.width_design import first_pairs

Of = Callable[[Run], float]
"""Microseconds in a launch."""
PLACES = ("chain", "chains together", "branch alone", "network", "network by itself")


def at_base_widths(base: ModelConfig) -> list[ModelConfig]:
    """Two networks of both branches at the base's widths, ADD after each stage: stem and head on either branch."""
    op = SyncOp.ADD.value * len(base.stages)
    widths = Widths.both(base.widths)
    return [branched(base, op, widths, name=f"trunk{trunk}", placement=Placement(trunk)) for trunk in (0, 1)]


def shown(segments: Sequence[Segment]) -> list[Segment]:
    """Stem, both segments of the middle phase, head."""
    middle = segments[-1].phase // 2
    return [segment for segment in segments if segment.stem or segment.head or segment.phase == middle]


def chain_us(parts: Sequence[PointGraph], segment: Segment, job: str, lane: int) -> Of:
    """A segment's parts in a chain, as one invocation: their sum less the invocations between them."""
    wanted = {("block", block.stage, block.index) for block in segment.blocks}
    wanted |= {("stem", -1, -1)} if segment.stem else set()
    wanted |= {("head", -1, -1)} if segment.head else set()
    wanted |= {("sync", segment.sync_stage, -1)} if segment.sync_stage is not None else set()
    points = [part.point for part in parts]
    phases = [i for i, point in enumerate(points) if (point.part, point.stage, point.block) in wanted]
    assert len(phases) == len(wanted)
    few, many = INVOCATION_OPS
    trivial = {point.width: i for i, point in enumerate(points) if point.part == "invocation"}

    def us(run: Run) -> float:
        found = [call_us(job, lane, phase)(run) for phase in (trivial[few], trivial[many], *phases)]
        once_us = found[0] - few * (found[1] - found[0]) / (many - few)
        return sum(found[2:]) - (len(phases) - 1) * once_us

    return us


def chain_add(unit: int) -> str:
    """Name of the job of the ADD chain."""
    return chain_job(SyncOp.ADD, unit)


def call_us(job: str, lane: int, phase: int) -> Of:
    """Median duration of one call."""
    return lambda run: float(np.median(run.job(job).call(lane, phase).busy_us))


def makespan_us(job: str) -> Of:
    """Median makespan of a job."""
    return lambda run: float(np.median(run.job(job).makespan_us))


def spread(runs: Sequence[Run], of: Of) -> tuple[float, float, float]:
    """Smallest, median and largest launch, microseconds."""
    us = [of(run) for run in runs]
    return min(us), statistics.median(us), max(us)


def told(place: tuple[float, float, float], chain: float) -> str:
    """A place against the chain, and its launches, in %."""
    low, middle, high = (100 * (us / chain - 1) for us in place)
    return f"{middle:+6.1f} ({low:+.1f} to {high:+.1f})".rjust(26)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="mobilenet_v2")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--launches", type=int, default=6)
    parser.add_argument(
        "--spin", type=int, default=SPIN_US, help="how long a waiting unit polls, us; default: %(default)s"
    )
    args = parser.parse_args()
    base, device = pipeline.base_model(args.base), pipeline.device("host")
    units = device.default_units()
    with tempfile.TemporaryDirectory(prefix="syncnas-places-") as folder:
        experiment = Experiment(base, units, ProfileSettings(networks=0), Path(folder))
        experiment.add_pair(first_pairs(base)[0])
        planned = experiment.plan([pair_step(0)], seed=0)
        files = list(planned.files)
        networks = [write_network(config, 0, write_to(Path(folder), files)) for config in at_base_widths(base)]
        step = planned.steps[0]
        measured_jobs = {TOGETHER, *(name(unit) for name in (chain_add, whole_job) for unit in (0, 1))}
        jobs = [job for job in step.jobs if job.name in measured_jobs]
        jobs += base_jobs(base, 0, write_to(Path(folder), files))
        for network in networks:
            jobs.append(network.job(network.config.name))
            jobs += [network.solo(f"{network.config.name}_solo{branch}", branch) for branch in (0, 1)]

        def measured(step: Step) -> list[Run]:
            runs: list[Run] = []
            for launch in range(args.launches):
                plan = BenchPlan(units, tuple(files), (step,), seed=launch, spin_us=args.spin)
                device.run(plan, on_run=runs.append)
            return runs

        together = measured(dataclasses.replace(step, jobs=tuple(jobs), rounds=args.rounds))
        own = {}
        for network in networks:
            alone = (network.job(network.config.name),)
            own[network.config.name] = measured(dataclasses.replace(step, jobs=alone, rounds=args.rounds))
    parts = experiment.chains[0, SyncOp.ADD]
    print(f"{base.name} on units {units[0]} and {units[1]}: us in the chain, then over it, %; launches from to, %")
    print(f"{'segment':30} {'us':>7} " + " ".join(f"{place:>26}" for place in PLACES))
    for network in networks:
        for segment in shown(network.segments):
            branch, name = segment.branch, network.config.name
            place = [s for s in network.segments if s.branch == branch].index(segment)
            places = (
                spread(together, chain_us(parts, segment, chain_add(branch), 0)),
                spread(together, chain_us(parts, segment, TOGETHER, branch)),
                spread(together, call_us(f"{name}_solo{branch}", 0, place)),
                spread(together, call_us(name, branch, segment.phase)),
                spread(own[name], call_us(name, branch, segment.phase)),
            )
            title = f"{segment.name} on {units[branch]}"
            print(
                f"{title:30} {places[0][1]:7.0f} " + " ".join(told(p, places[0][1]) for p in (places[0], *places[1:]))
            )
    for unit in (0, 1):
        in_chains = spread(together, makespan_us(whole_job(unit)))
        own_file = spread(together, makespan_us(f"base{unit}_0"))
        print(f"the base on {units[unit]}, in the chains' file: {in_chains[1]:.0f} us {told(in_chains, in_chains[1])}")
        print(f"the base on {units[unit]}, in a file of its own: {own_file[1]:.0f} us {told(own_file, in_chains[1])}")


if __name__ == "__main__":
    main()
