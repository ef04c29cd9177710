"""Are unseen networks predicted on phones as they are? Simulated phones on a virtual clock.

    python -m benchmarks.phones [--devices midrange flagship mali shared] [--networks 200] [--seed 1] [--compare]

Each device is profiled as `profile` does it, with at most 250 points a unit. Then networks that it has not seen are
predicted and measured, both branches at once and each alone. Every other network has random widths. The others have
widths solved for a budget that all strategies meet, where a search would look and a wrong prediction is chosen first.

With --compare the same networks are also predicted without any work-group rule, and with a wrong one forced.
"""

from __future__ import annotations

import argparse
import functools
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import numpy as np

from benchmarks.prediction import WAYS, draw, predicted_us, summary
from syncnas_bench import BenchPlan, Run, SimDevice, Step
from syncnas_bench.work_groups import WorkGroupRule
from syncnas_deploy import pipeline
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.prediction import dispatch
from syncnas_deploy.prediction.predict import predict
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.profiling import random_networks
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.profiling.random_networks import write_network
from syncnas_deploy.profiling.timing_files import write_to

PHONES = ("midrange", "flagship", "mali", "shared")
SETTINGS = ProfileSettings(rounds=2, discard=0, repeats=3)
RUNS = 5
"""Runs of each network; their median counts."""
BUDGET = "2.0x"
WRONG = WorkGroupRule("adreno", 32, 4)
"""A rule that none of the phones has."""


@contextmanager
def rules(*candidates: WorkGroupRule) -> Iterator[None]:
    """Only these rules are thought of."""
    with mock.patch.object(dispatch, "CANDIDATES", candidates):
        yield


def profiled(name: str, seed: int) -> DeviceProfile:
    """A profile of a simulated device, as `profile` makes it."""
    with tempfile.TemporaryDirectory(prefix="syncnas-phones-") as folder:
        out = Path(folder) / "p.json"
        return pipeline.profile("mobilenet_v2", SimDevice(name, seed=seed), out=out, settings=SETTINGS)


@functools.cache
def _found(name: str, config: ModelConfig, seed: int) -> tuple[float, ...]:
    """What one network takes: both branches at once, and each alone, microseconds."""
    device = SimDevice(name, seed=seed)
    with tempfile.TemporaryDirectory(prefix="syncnas-phones-") as folder:
        files: list[Path] = []
        with mock.patch.object(random_networks, "random_weights", lambda shapes, _: zeros(shapes)):
            network = write_network(config, 0, write_to(Path(folder), files))
        jobs = (network.job("0"), network.solo("1", 0), network.solo("2", 1))
        step = Step("networks", jobs, rounds=1, discard=0, repeats=RUNS)
        runs: list[Run] = []
        device.run(BenchPlan(device.default_units(), tuple(files), (step,), seed=seed), on_run=runs.append)
        return tuple(float(np.median(job.makespan_us)) for job in runs[0].jobs)


def measured(name: str, configs: Sequence[ModelConfig], seed: int) -> np.ndarray:
    """What networks take on a device. [networks, ways], microseconds"""
    return np.array([_found(name, config, seed + number) for number, config in enumerate(configs)])


def zeros(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """Weights that cost nothing to draw; a simulated device never looks at them."""
    return {name: np.zeros(shape, dtype=np.float32) for name, shape in shapes.items()}


def told(text: str, profile: DeviceProfile, configs: Sequence[ModelConfig], found_us: np.ndarray) -> None:
    """Print how far predictions are off, by way."""
    errors = 100 * (np.array([predicted_us(predict(config, profile)) for config in configs]) / found_us - 1)
    for way, column in zip(WAYS, errors.T, strict=True):
        found = summary([float(error) for error in column])
        print(f"  {text:24} {way:10} " + "  ".join(f"{key} {value:6.1f}" for key, value in found.items()), flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", nargs="+", default=PHONES)
    parser.add_argument("--networks", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--compare", action="store_true")
    args = parser.parse_args()
    for name in args.devices:
        begin_s = time.process_time()
        profile = profiled(name, args.seed)
        points = [sum(row.unit == unit for row in profile.points) for unit in (0, 1)]
        cpu_s, rule = time.process_time() - begin_s, profile.shapes[1].rule
        print(f"sim:{name}: {points[0]} and {points[1]} points, {cpu_s:.1f} s of CPU; {rule or 'no rule'}", flush=True)
        others = {}
        if args.compare:
            for text, candidates in (("no rule", ()), (f"forced: {WRONG}", (WRONG,))):
                with rules(*candidates):
                    others[text] = profiled(name, args.seed)
        for text, one in {"as profiled": profile, **others}.items():
            configs = draw(profile.base, one, args.networks, args.seed, BUDGET)
            told(text, one, configs, measured(name, configs, args.seed))


if __name__ == "__main__":
    main()
