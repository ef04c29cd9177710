"""What crossings cost, and how many a search then buys, on simulated phones on a virtual clock.

    python -m benchmarks.crossings [--costs 10 400 850] [--phones midrange flagship shared] [--searches 10]

The GPU of a phone like `sim:flagship` gets crossings of each cost; the phones have their own. Printed is what a profile
finds of it, and how many synchronizations the best network of each search has: the dearer a crossing, the fewer. The
budget is the same time for all costs, and twice the base's latency on each phone. Rewards are made up:
multiply-accumulates, and what mixing both branches brings, less and less with each sync. How much a stage's sync brings
is drawn anew for each search.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from syncnas_bench import SIM_DEVICES, SimDevice, SimUnit
from syncnas_deploy import pipeline
from syncnas_deploy.networks.config import ModelConfig, SyncOp
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.search.evaluators.evaluation import Evaluation
from syncnas_deploy.search.loop import SearchSettings

SETTINGS = ProfileSettings(launches=3, rounds=2, discard=0, repeats=3, networks=2)
Laws = tuple[SimUnit, SimUnit]
BUDGET = "8ms"
PHONE_BUDGET = "2.0x"


@dataclass(frozen=True)
class MixingAndWork:
    """Rewards like accuracies: a doubling of the work brings 3.5 %, mixing at most 3 %.

    Attributes:
        seed: of what a sync brings, by stage.
    """

    seed: int
    name: str = "mixing-and-work"
    cost: str = "instant"
    spread: float = 0.0

    @property
    def key(self) -> dict[str, object]:
        """See `Evaluator`."""
        return {"name": self.name, "seed": self.seed}

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        """See `Evaluator`; the seed does not matter."""
        benefit = np.random.default_rng(self.seed).uniform(0.5, 1.5, len(config.stages))
        synced = [stage for stage, op in enumerate(config.sync_ops) if op is not SyncOp.NONE]
        mixed = 1 - math.exp(-float(np.sum(benefit[synced] * np.sqrt(np.diff([-1, *synced])))) / 3)
        return Evaluation(0.05 * math.log(config.macs() / 3e8) + 0.03 * mixed + 0.7, 0.0)


def laws_with(cost_us: float) -> Laws:
    """The units of sim:flagship, with crossings of one cost: half down, half up."""
    cpu, gpu = SIM_DEVICES["flagship"]
    return cpu, dataclasses.replace(gpu, transfer_us=cost_us / 2, back_us=cost_us / 2)


def profiled(name: str, laws: Laws, seed: int) -> DeviceProfile:
    """A profile of such a phone."""
    with tempfile.TemporaryDirectory(prefix="syncnas-crossings-") as folder:
        device = SimDevice(name, laws, seed=seed)
        return pipeline.profile("mobilenet_v2", device, out=Path(folder) / "p.json", settings=SETTINGS)


def found_us(profile: DeviceProfile) -> list[float]:
    """What each sync takes that is not hidden: the GPU's download, the barrier, and its upload."""
    return [row.downloads_us[1] + row.barrier_us + row.uploads_us[1] for row in profile.syncs if row.place == "sync"]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--costs", type=float, nargs="*", default=[10.0, 400.0, 850.0])
    parser.add_argument("--phones", nargs="*", default=["midrange", "flagship", "shared"])
    parser.add_argument("--searches", type=int, default=10)
    parser.add_argument("--trials", type=int, default=40)
    args = parser.parse_args()
    cases: list[tuple[str, str, Laws, str]] = [
        (f"{cost:.0f} us", "flagship", laws_with(cost), BUDGET) for cost in args.costs
    ]
    cases += [(f"sim:{name}", name, SIM_DEVICES[name], PHONE_BUDGET) for name in args.phones]
    print(f"{'crossing':>13} {'true us':>8} {'found us':>9} {'worst us':>9}  syncs of the best of each search, median")
    for text, name, laws, budget in cases:
        profile = profiled(name, laws, 1)
        true_us = laws[1].move_us(0) + laws[1].move_us(0, back=True)
        found = found_us(profile)
        worst = max(found, key=lambda us: abs(us - true_us))
        counts = []
        for seed in range(args.searches):
            settings = SearchSettings(args.trials, seed=seed)
            best = pipeline.search(profile, budget=budget, evaluator=MixingAndWork(seed), settings=settings)
            counts.append(sum(letter != "n" for letter in best.main.best.strategy[:-1]))
        told = f"{text:>13} {true_us:8.0f} {statistics.median(found):9.1f} {worst:9.1f}"
        print(f"{told}  {counts}, {statistics.median(counts):g}", flush=True)


if __name__ == "__main__":
    main()
