"""Is drift told apart from error? A profile and a bench in turns, and drift of a known size.

    python -m benchmarks.drift [--times N] [--budget 1.0x]      this host, N alternations of profile and bench
    python -m benchmarks.drift --simulated                      a simulated device made slower by 2, 5, 10 and 20 %

A prediction is compared with the measurement as it was made, and at the speed that the base has in the bench's own
rounds. The second figure is the model's error; the difference of both is the device's drift.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from syncnas_bench import Device, HostDevice, SimDevice
from syncnas_deploy import pipeline
from syncnas_deploy.benchmarking.trust import trust
from syncnas_deploy.prediction.drift import drift
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.search.loop import SearchSettings

SLOWER = (1.02, 1.05, 1.1, 1.2)
NETWORK_TRIALS = 24


def told(profile: DeviceProfile, on: Device, bundle: Path) -> tuple[float, float, float, str]:
    """Drift, error as made and error at today's speed, relative, and how far the bench can be trusted."""
    result = pipeline.bench(bundle, on, units=profile.units, samples=200, profile=profile, rivals=False)
    found = drift(result.config, profile, result.today_us)
    measured_us = result.makespan.median_us
    made, today = (prediction.makespan_us / measured_us - 1 for prediction in (found.made, found.today))
    return statistics.mean(found.slowness) - 1, made, today, trust(result).level


def prepared(on: Device, folder: Path, budget: str, settings: ProfileSettings) -> tuple[DeviceProfile, Path]:
    """A profile, and the bundle of a network that was searched with it."""
    profile = pipeline.profile("mobilenet_v2", on, out=folder / "p.json", settings=settings)
    how = SearchSettings(NETWORK_TRIALS)
    found = pipeline.search(profile, budget=budget, evaluator="capacity", settings=how)
    return profile, pipeline.export(found.config, folder / "bundle").folder


def alternate(times: int, budget: str, folder: Path) -> None:
    """Profile and bench the same network in turns on this host."""
    on, today_errors = HostDevice(), []
    _, bundle = prepared(on, folder, budget, ProfileSettings())
    print("turn  drift (%)  error as made (%)  at today's speed (%)  trust")
    for turn in range(times):
        profile = pipeline.profile("mobilenet_v2", on, out=folder / f"p{turn}.json")
        slower, made, today, level = told(profile, on, bundle)
        today_errors.append(abs(today))
        print(f"{turn + 1:4}  {100 * slower:+9.1f}  {100 * made:+17.1f}  {100 * today:+20.1f}  {level}", flush=True)
    print(f"at today's speed: median {statistics.median(today_errors):.1%}, largest {max(today_errors):.1%}")


def recover(folder: Path) -> None:
    """Drift of a known size on a simulated device."""
    settings = ProfileSettings(launches=3, networks=4)
    profile, bundle = prepared(SimDevice("phone"), folder, "1.0x", settings)
    print("injected (%)  recovered (%)  error as made (%)  at today's speed (%)")
    for slower in SLOWER:
        found, made, today, _ = told(profile, SimDevice("phone", pace=_paced(slower)), bundle)
        print(f"{100 * slower - 100:12.1f}  {100 * found:13.1f}  {100 * made:+17.1f}  {100 * today:+20.1f}", flush=True)


def _paced(slower: float) -> Callable[[int, int, float], float]:
    return lambda launch, unit, elapsed_s: slower


def main() -> None:
    """Run one of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10, help="alternations; default: 10")
    parser.add_argument("--budget", default="1.2x", help="latency of the network; default: 1.2x")
    parser.add_argument("--simulated", action="store_true", help="drift of a known size instead")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="syncnas-drift-") as folder:
        if args.simulated:
            recover(Path(folder))
        else:
            alternate(args.times, args.budget, Path(folder))


if __name__ == "__main__":
    main()
