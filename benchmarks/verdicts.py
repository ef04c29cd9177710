"""Is the verdict right? Simulated devices on which two branches pay, do not pay, or tie by construction.

    python -m benchmarks.verdicts [--runs N] [--only pays|loses|ties]

Each run profiles a device with other noise, searches it, and benches what was found with its rivals, as `assess` does.
The devices are simulated and their clock is virtual, so no other program on this machine disturbs them. A tie is made
by the cost of a crossing: it is raised until networks do as many multiply-accumulates as their best rivals, measured.
Exit code 1 if a verdict is wrong more often than the project promises.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import tempfile
from collections import Counter
from pathlib import Path

from syncnas_bench import SIM_DEVICES, SimDevice, SimUnit
from syncnas_deploy import pipeline
from syncnas_deploy.benchmarking.trust import verdict_of
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.search.loop import SearchSettings
from syncnas_deploy.verdict import Verdict

Laws = tuple[SimUnit, SimUnit]
PROFILE = ProfileSettings(launches=3, networks=4)
TRIALS = 40
CROSSING_US = (15.0, 1000.0)
"""Cost of a crossing that pays, and of one that does not; on the latter device the base's latency can just be met."""
BISECTIONS = 7
WANTED = {"pays": ("pays", 1.0), "loses": ("does not pay", 1.0), "ties": ("cannot tell", 0.9)}
"""By device: the right answer, and in which share of the runs it must be given."""


def with_crossing(transfer_us: float) -> Laws:
    """The units of sim:phone, with another cost of a crossing on the GPU."""
    cpu, gpu = SIM_DEVICES["phone"]
    return cpu, dataclasses.replace(gpu, transfer_us=transfer_us)


def assessed(laws: Laws, seed: int) -> tuple[Verdict, Verdict]:
    """The verdicts by prediction and by measurement."""
    device = SimDevice("phone", laws, seed=seed)
    with tempfile.TemporaryDirectory(prefix="syncnas-verdicts-") as text:
        folder = Path(text)
        profile = pipeline.profile("mobilenet_v2", device, out=folder / "p.json", settings=PROFILE)
        found = pipeline.search(profile, evaluator="capacity", settings=SearchSettings(TRIALS, seed=seed))
        bundle = pipeline.export(found.config, folder / "bundle")
        measured = verdict_of(pipeline.bench(bundle, device, units=profile.units, profile=profile))
        assert measured is not None
        return found.verdict, measured


def tie_us() -> float:
    """The cost of a crossing, microseconds, at which two branches gain nothing in the mean of three runs."""
    low_us, high_us = CROSSING_US
    for _ in range(BISECTIONS):
        middle_us = (low_us + high_us) / 2
        gains = [assessed(with_crossing(middle_us), seed)[1].gain or 0.0 for seed in (1001, 1002, 1003)]
        low_us, high_us = (middle_us, high_us) if sum(gains) > 0 else (low_us, middle_us)
    return (low_us + high_us) / 2


def main() -> None:
    """Print how often each answer was given, by device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=50, help="of each device; default: 50")
    parser.add_argument("--only", choices=list(WANTED), help="one device")
    args = parser.parse_args()
    tie = tie_us() if args.only in (None, "ties") else 0.0
    crossing_us = {"pays": CROSSING_US[0], "loses": CROSSING_US[1], "ties": tie}
    sound = True
    for name, (answer, share) in WANTED.items():
        if args.only not in (None, name):
            continue
        counts: dict[str, Counter[str]] = {"predicted": Counter(), "measured": Counter()}
        gains = []
        for seed in range(args.runs):
            predicted, measured = assessed(with_crossing(crossing_us[name]), seed)
            counts["predicted"][predicted.answer] += 1
            counts["measured"][measured.answer] += 1
            gains.append(measured.gain or 0.0)
        print(f"{name} (crossing {crossing_us[name]:.0f} us, gain {min(gains):+.3f} to {max(gains):+.3f}):", flush=True)
        for how, found in counts.items():
            print(f"  {how}: " + ", ".join(f"{count} {word}" for word, count in found.most_common()), flush=True)
        sound = sound and counts["measured"][answer] >= share * args.runs
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
