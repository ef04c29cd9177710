"""Predicted against measured latency, on strategies and widths that the profile has never seen.

    python -m benchmarks.prediction --profile host.json [--strategies 200] [--seed 1] [--launches 4] [--rounds 3]

Files are in the formats of the profile's units: for int8 give a profile of cpu:1@0:int8 and cpu:1@1:int8, for a mixed
pair one of cpu:1@0:int8 and gpu:fp16:software.

Draws strategies at random; every other one gets random widths, the others widths solved for 1.0x of the base. Each
network is measured three ways, all interleaved: both branches at once, and each branch alone on its unit; and each
way twice a round: the second says how far two equal things read apart (A/A). Each is measured again in every launch,
minutes later: how far the first launch and the last read apart is the noise ceiling of any prediction that is made
once and holds for later (A/A later). The base network runs in the rounds of every 20 networks, five turns in each, and
says by how much the machine itself has changed since the profile was taken (drift). Prints every network, then for each
way the errors as predicted, at that day's speed (`syncnas_deploy.prediction.drift`), both A/A, and Kendall's tau.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from syncnas_bench import BenchPlan, Call, Device, Job, Run, Step, Unit
from syncnas_deploy import pipeline
from syncnas_deploy.measuring.jobs import DISCARD, REPEATS, SPIN_US
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.lowering import network_graph
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.strategy import random_strategy
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.precision import FileFormat
from syncnas_deploy.prediction.drift import Drift, drift
from syncnas_deploy.prediction.predict import Prediction, ProfileCosts
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.profile_files import load_profile
from syncnas_deploy.profiling.random_networks import random_widths, write_network
from syncnas_deploy.profiling.timing_files import AddFile, write_formats, write_to
from syncnas_deploy.search.widths.solver import WidthSolver

BATCH = 20
"""Networks in one launch of the runner."""
BASE_TURNS = 5
"""Turns of the base network in each round: one turn alone would add its own scatter to every error."""
WAYS = ("concurrent", "solo 0", "solo 1")


def draw(base: ModelConfig, profile: DeviceProfile, count: int, seed: int, budget: str = "1.0x") -> list[ModelConfig]:
    """`count` networks of different strategies; every other one has widths solved for the budget, if it can have."""
    rng = np.random.default_rng(seed)
    solver = WidthSolver(base, ProfileCosts(profile, Placement()), pipeline.budget_us(budget, profile))
    drawn: dict[str, ModelConfig] = {}
    while len(drawn) < count:
        strategy = random_strategy(rng, len(base.stages))
        if strategy in drawn:
            continue
        if len(drawn) % 2 and solver.minimum_us(strategy) < solver.budget_us:
            widths = solver.solve(strategy).widths
        else:
            widths = random_widths(base, strategy, rng)
        drawn[strategy] = branched(base, strategy, widths, placement=Placement(int(rng.integers(2))))
    return list(drawn.values())


PLAIN = (FileFormat(), FileFormat())


def base_jobs(base: ModelConfig, batch: int, add_file: AddFile, formats: Sequence[FileFormat] = PLAIN) -> list[Job]:
    """The base network as one graph, on each unit in its format, in the rounds of a batch."""
    graph = network_graph(base, random_weights(parameter_shapes(base), 0), "whole")
    files = write_formats("base", [graph], formats, add_file)
    return [Job.solo(f"base{unit}_{batch}", unit, Call(0, files[form], "whole")) for unit, form in enumerate(formats)]


def measure(
    configs: Sequence[ModelConfig],
    base: ModelConfig,
    device: Device,
    units: Sequence[Unit],
    rounds: int,
    seed: int,
    *,
    on_run: Callable[[Run], None],
    deadline_s: float = 36_000,
) -> None:
    """One launch per batch: every network three ways, twice a round, and the base."""
    formats = [FileFormat.of(unit) for unit in units]
    for first in range(0, len(configs), BATCH):
        with tempfile.TemporaryDirectory(prefix="syncnas-prediction-") as folder:
            files: list[Path] = []
            add_file = write_to(Path(folder), files)
            networks = [write_network(config, 0, add_file, formats) for config in configs[first : first + BATCH]]
            jobs = []
            for again in ("", "_again"):
                for network in networks:
                    name = network.config.name
                    jobs.append(network.job(f"{name}{again}"))
                    jobs += [network.solo(f"{name}_solo{branch}{again}", branch) for branch in (0, 1)]
            for job in base_jobs(base, first // BATCH, add_file, formats):
                jobs += [replace(job, name=f"{job.name}_{turn}") for turn in range(BASE_TURNS)]
            step = Step("networks", tuple(jobs), rounds=rounds, discard=DISCARD, repeats=REPEATS)
            device.run(
                BenchPlan(tuple(units), tuple(files), (step,), seed=seed, spin_us=SPIN_US),
                on_run=on_run,
                deadline_s=deadline_s,
            )


def predicted_us(found: Prediction) -> list[float]:
    """Makespan, and each branch alone: its segments one after another."""
    solo = [sum(s.solo_us for phase in found.phases for s in phase.segments if s.branch == b) for b in (0, 1)]
    return [found.makespan_us, *solo]


def base_us(found: Mapping[str, Sequence[float]]) -> list[float]:
    """What the base network takes in all rounds, by unit. One batch alone would say more of its own scatter."""
    return [
        float(np.median([us for name, of_job in found.items() if name.startswith(f"base{unit}_") for us in of_job]))
        for unit in (0, 1)
    ]


def network_row(config: ModelConfig, found: Mapping[str, Sequence[float]], drifted: Drift) -> dict[str, Any]:
    """One network, by way: predicted and measured us, and in % error, A/A, error at that day's speed, A/A later."""
    row: dict[str, Any] = {"name": config.name}
    for i, (way, us, today_us) in enumerate(
        zip(WAYS, predicted_us(drifted.made), predicted_us(drifted.today), strict=True)
    ):
        name = config.name + (f"_solo{i - 1}" if i else "")
        measured, again = (float(np.median(found[key])) for key in (name, f"{name}_again"))
        once, later = found[name][0], found[name][-1]
        row[way] = (us, measured, *(100 * (x / measured - 1) for x in (us, again, today_us)), 100 * (later / once - 1))
    return row


def kendall_tau(a: Sequence[float], b: Sequence[float]) -> float:
    """Share of pairs that are ordered alike, less the share ordered otherwise."""
    x, y = np.asarray(a), np.asarray(b)
    upper = np.triu_indices(len(x), 1)
    return float(np.mean(np.sign(x[:, None] - x[None])[upper] * np.sign(y[:, None] - y[None])[upper]))


def summary(errors: Sequence[float]) -> dict[str, float]:
    """Of errors in %."""
    size = np.abs(errors)
    return {
        "median": float(np.median(size)),
        "worst": float(size.max()),
        "bias": float(np.median(errors)),
        "within_5": float(100 * np.mean(size <= 5)),
        "within_10": float(100 * np.mean(size <= 10)),
    }


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", required=True)
    parser.add_argument("--device", default="host")
    parser.add_argument("--strategies", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--launches", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, help="also write every number as JSON")
    args = parser.parse_args()
    profile = load_profile(args.profile)
    base, device = profile.base, pipeline.device(args.device)
    units = pipeline.units_of(device, profile.units)
    configs = draw(base, profile, args.strategies, args.seed)
    found: dict[str, list[float]] = {}

    def keep(run: Run) -> None:
        for job in run.jobs:
            found.setdefault(job.name, []).append(float(np.median(job.makespan_us)))

    for launch in range(args.launches):
        measure(configs, base, device, units, args.rounds, launch, on_run=keep)
    print(f"{profile.kind} profile of {base.name} on {args.device}, units {profile.units[0]} and {profile.units[1]}")
    print(f"{'network':24} " + " ".join(f"{way + ': predicted, measured us':>34} {'error, A/A %':>13}" for way in WAYS))
    table = []
    today_us = base_us(found)
    by_config = [drift(config, profile, today_us) for config in configs]
    slowness = by_config[0].slowness
    for config, drifted in zip(configs, by_config, strict=True):
        row = network_row(config, found, drifted) | {"strategy": config.strategy}
        cells = ["{:25.1f} {:8.1f} {:8.1f} {:4.1f}".format(*row[way]) for way in WAYS]
        table.append(row)
        print(f"{config.name[-23:]:24} " + " ".join(f"{cell:>48}" for cell in cells))
    for unit, slower in enumerate(slowness):
        print(f"drift of unit {unit}: the base network takes {100 * (slower - 1):+.1f} % against then")
    result: dict[str, dict[str, object]] = {"drift": {f"unit {unit}": slower for unit, slower in enumerate(slowness)}}
    for way in WAYS:
        rows = [row[way] for row in table]
        tau = kendall_tau([row[0] for row in rows], [row[1] for row in rows])
        told = {"error": 2, "at that day's speed": 4, "A/A": 3} | ({"A/A later": 5} if args.launches > 1 else {})
        result[way] = {name: summary([row[at] for row in rows]) for name, at in told.items()} | {"tau": tau}
        for name, at in told.items():
            numbers = summary([row[at] for row in rows]).items()
            text = ", ".join(f"{key.replace('_', ' ')} {value:.1f}" for key, value in numbers)
            print(f"{way} {name} (%): {text}" + (f"; tau {tau:.3f}" if name == "error" else ""))
    if args.out:
        args.out.write_text(json.dumps({"summary": result, "networks": table}, indent=1))


if __name__ == "__main__":
    main()
