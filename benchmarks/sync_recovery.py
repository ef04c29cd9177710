"""What a profile finds of a known sync overhead, on simulated units whose features take a known time to cross.

    python -m benchmarks.sync_recovery [--overheads 7 160 400 1000] [--launches 2] [--rounds 8]

The second unit's features take half of each overhead down and half up. Found is, by place, what a profile says a
crossing takes that is not hidden: download, barrier and upload. Prints the median and the worst of all syncs.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
from pathlib import Path

from syncnas_bench import SIM_DEVICES, SimDevice, SimUnit
from syncnas_deploy import pipeline
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.profiling.experiment import ProfileSettings


def laws_with(overhead_us: float) -> tuple[SimUnit, SimUnit]:
    """The units of sim:steps without noise, with crossings of one length."""
    cpu, gpu = (
        dataclasses.replace(law, vices=dataclasses.replace(law.vices, noise=0.0)) for law in SIM_DEVICES["steps"]
    )
    return cpu, dataclasses.replace(gpu, transfer_us=overhead_us / 2, transfer_bytes_per_us=1e9)


def found_us(profile: DeviceProfile) -> list[float]:
    """What each sync takes: the second unit's download, the barrier, and its upload."""
    return [row.downloads_us[1] + row.barrier_us + row.uploads_us[1] for row in profile.syncs if row.place == "sync"]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--overheads", type=float, nargs="+", default=[7.0, 160.0, 400.0, 1000.0])
    parser.add_argument("--launches", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    args = parser.parse_args()
    settings = ProfileSettings(launches=args.launches, rounds=args.rounds, discard=1, repeats=1, networks=1)
    print(f"{'true us':>8} {'median us':>10} {'worst us':>9} {'syncs':>6}  within the larger of 5 % and 5 us")
    for overhead_us in args.overheads:
        with tempfile.TemporaryDirectory() as folder:
            device = SimDevice("known", laws_with(overhead_us), by_runner=True)
            profile = pipeline.profile("mobilenet_v2", device, out=Path(folder) / "p.json", settings=settings)
        found = found_us(profile)
        allowed = max(0.05 * overhead_us, 5.0)
        right = sum(abs(us - overhead_us) <= allowed for us in found)
        worst = max(found, key=lambda us: abs(us - overhead_us))
        print(f"{overhead_us:8.0f} {statistics.median(found):10.1f} {worst:9.1f} {len(found):6}  {right}")


if __name__ == "__main__":
    main()
