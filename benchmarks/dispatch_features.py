"""Do features of work groups make predictions worse where a unit has none? One profile, fitted with and without.

    python -m benchmarks.dispatch_features [--devices steps memory restless] [--profiles FILE ...] [--networks 100]

A profile's curves are fitted twice to the same points: once by rules of work groups that the likelihood may take, and
once without any. Nothing is measured anew. Both predict the same networks: for a simulated device, on a virtual clock,
as many as asked for; for a profile file, such as this host's, its held-out networks. Half of the simulated ones have
widths solved by the first fit.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks import phones
from benchmarks.prediction import draw, summary
from syncnas_bench.work_groups import WorkGroupRule
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.prediction import dispatch
from syncnas_deploy.prediction.predict import predict
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.profile_files import load_profile
from syncnas_deploy.profiling.fit import fitted


def refitted(profile: DeviceProfile, rules: Sequence[WorkGroupRule] = dispatch.CANDIDATES) -> DeviceProfile:
    """The profile with curves fitted to its own points, where only these rules are thought of."""
    with phones.rules(*rules):
        first, second = (model.shape for model in fitted(profile.base, profile.points))
    return msgspec.structs.replace(profile, shapes=(first, second))


def compare(name: str, profile: DeviceProfile, configs: Sequence[ModelConfig], found_us: Sequence[float]) -> None:
    """Print how far both fits are off for both branches at once."""
    for text, one in (("with the features", refitted(profile)), ("without", refitted(profile, ()))):
        errors = [
            100 * (predict(config, one).makespan_us / us - 1) for config, us in zip(configs, found_us, strict=True)
        ]
        numbers = "  ".join(f"{key} {value:6.2f}" for key, value in summary(errors).items())
        chosen = " and ".join(str(shape.rule or "no rule") for shape in one.shapes)
        print(f"{name:20} {text:18} {numbers}  {chosen}", flush=True)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", nargs="*", default=["steps", "memory", "restless"])
    parser.add_argument("--profiles", nargs="*", type=Path, default=[])
    parser.add_argument("--networks", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    for name in args.devices:
        profile = phones.profiled(name, args.seed)
        configs = draw(profile.base, profile, args.networks, args.seed, phones.BUDGET)
        compare(f"sim:{name}", profile, configs, phones.measured(name, configs, args.seed)[:, 0].tolist())
    for path in args.profiles:
        profile = load_profile(path)
        configs = [row.config(profile.base, f"held_out{i}") for i, row in enumerate(profile.held_out)]
        compare(path.name, profile, configs, [row.sample.median_us for row in profile.held_out])


if __name__ == "__main__":
    main()
