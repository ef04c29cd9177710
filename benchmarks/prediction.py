"""Predicted against measured makespan, on strategies and widths that the profile has never seen.

    python benchmarks/prediction.py --profile host.json [--strategies 20] [--seed 1] [--launches 4] [--rounds 25]

Draws strategies at random; every other one gets random widths instead of widths solved for 1.0x of the base. All
networks are measured interleaved, each twice a round: the second one says how far two equal things read apart (A/A).
Prints every row, then the median and worst error beside the same of A/A.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from syncnas_bench import BenchPlan, Device, Job, Run, Step, Unit
from syncnas_deploy import pipeline
from syncnas_deploy.bundle import graphs
from syncnas_deploy.latency.predict import ProfileCosts, predict
from syncnas_deploy.latency.profile import DeviceProfile
from syncnas_deploy.latency.profile_files import read_profile
from syncnas_deploy.latency.schedule import SPIN_US, network_job, works
from syncnas_deploy.models.config import ModelConfig, branched
from syncnas_deploy.models.segments import cut
from syncnas_deploy.models.weights import parameter_shapes, random_weights
from syncnas_deploy.search.strategy import random_strategy
from syncnas_deploy.search.widths import WidthSolver
from syncnas_exporters import write_tflite

BATCH = 20
"""Networks in one launch of the runner."""


def draw(base: ModelConfig, profile: DeviceProfile, count: int, seed: int) -> list[ModelConfig]:
    """`count` networks of different strategies."""
    rng = np.random.default_rng(seed)
    costs = ProfileCosts(profile, base)
    solver = WidthSolver(base, costs, pipeline.budget_us("1.0x", profile))
    drawn: dict[str, ModelConfig] = {}
    while len(drawn) < count:
        strategy = random_strategy(rng, len(base.stages))
        if strategy in drawn:
            continue
        if len(drawn) % 2 and solver.minimum_us(strategy) < solver.budget_us:
            expanded = solver.solve(strategy).expanded
        else:
            expanded = tuple(
                tuple(
                    tuple(width(costs, rng, branch, s, i, strategy[s] == "c") for i in range(len(stage.branches[0])))
                    for s, stage in enumerate(base.stages)
                )
                for branch in (0, 1)
            )
        drawn[strategy] = branched(base, strategy, expanded, trunk=int(rng.integers(2)))
    return list(drawn.values())


def width(costs: ProfileCosts, rng: np.random.Generator, branch: int, stage: int, block: int, halved: bool) -> int:
    """A random width among those that the profile covers."""
    return int(rng.choice(costs.block_us(branch, stage, block, halved)[0]))


def measure(configs: Sequence[ModelConfig], device: Device, units: Sequence[Unit], rounds: int, seed: int) -> list[Run]:
    """One launch a batch: every network twice a round, interleaved."""
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="syncnas-prediction-") as folder:
        for first in range(0, len(configs), BATCH):
            files: list[Path] = []
            jobs: list[Job] = []
            for config in configs[first : first + BATCH]:
                lowered = graphs(config, random_weights(parameter_shapes(config), 0))
                segments = cut(config)
                at = [len(files), len(files) + 1]
                for branch in (0, 1):
                    path = Path(folder) / f"{config.name}_{branch}.tflite"
                    path.write_bytes(write_tflite([lowered[s.name] for s in segments if s.branch == branch]))
                    files.append(path)
                for name in (config.name, f"{config.name}_again"):
                    jobs.append(network_job(name, segments, works(lowered), files=at, units=(0, 1)))
            jobs.sort(key=lambda job: job.name.endswith("_again"))
            step = Step("networks", tuple(jobs), rounds=rounds, warmup=2, discard=1)
            plan = BenchPlan(tuple(units), tuple(files), (step,), seed=seed, spin_us=SPIN_US)
            device.run(plan, on_run=runs.append)
    return runs


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", type=Path, required=True)
    parser.add_argument("--device", default="host")
    parser.add_argument("--strategies", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--launches", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=25)
    args = parser.parse_args()
    profile = read_profile(args.profile)
    base, device = pipeline.base_model(profile.base), pipeline.device(args.device)
    units = pipeline.units_of(device, profile.units)
    configs = draw(base, profile, args.strategies, args.seed)
    found: dict[str, list[float]] = {}
    for launch in range(args.launches):
        for run in measure(configs, device, units, args.rounds, launch):
            for job in run.jobs:
                found.setdefault(job.name, []).append(float(np.median(job.makespan_us)))
    errors, repeats = [], []
    print(f"{profile.kind} profile of {base.name} on {args.device}, units {profile.units[0]} and {profile.units[1]}")
    print(f"{'network':32} {'predicted us':>12} {'measured us':>12} {'error %':>8} {'A/A %':>8}")
    for config in configs:
        predicted = predict(config, base, profile).makespan_us
        measured, again = (float(np.median(found[name])) for name in (config.name, f"{config.name}_again"))
        errors.append(100 * (predicted / measured - 1))
        repeats.append(100 * (again / measured - 1))
        print(f"{config.name:32} {predicted:12.1f} {measured:12.1f} {errors[-1]:8.1f} {repeats[-1]:8.1f}")
    for name, values in (("error", errors), ("A/A", repeats)):
        size = np.abs(values)
        print(
            f"{name}: median {np.median(size):.1f} %, worst {size.max():.1f} %, bias {np.median(values):+.1f} %, "
            f"within 5 %: {np.mean(size <= 5):.0%}, within 10 %: {np.mean(size <= 10):.0%}"
        )


if __name__ == "__main__":
    main()
