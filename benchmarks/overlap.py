"""How much of the second unit's time is won: overlap of a two-branch network's branches on this host's two CPU units.

    python -m benchmarks.overlap [--config syncnas_mobilenet_v2_100] [--launches 6] [--samples 300]

Each round runs the network, the same again (A/A) and each branch alone; each launch is a new process. Prints a
row a launch: makespan, sum of both branches' solo times over the makespan for the whole network and for the phases
in which both branches work, and what these would be without any contention or sync (the ceiling: stem and head run
on one unit, and the branches are not equally long).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from syncnas_deploy import pipeline
from syncnas_deploy.benchmarking.result import BenchResult

COLUMNS = ("makespan us", "A/A", "overlap", "ceiling", "two-branch", "ceiling")


def launch_row(result: BenchResult) -> tuple[float, ...]:
    """One launch, by column."""
    whole = (result.makespan.median_us, result.aa_ratio, result.overlap, result.overlap_ceiling)
    return (*whole, result.branch_overlap, result.branch_overlap_ceiling)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="syncnas_mobilenet_v2_100")
    parser.add_argument("--device", default="host")
    parser.add_argument("--launches", type=int, default=6)
    parser.add_argument("--samples", type=int, default=300, help="in all launches together")
    args = parser.parse_args()
    device = pipeline.device(args.device)
    with tempfile.TemporaryDirectory(prefix="syncnas-overlap-") as folder:
        bundle = pipeline.export(args.config, Path(folder) / "bundle")
        results = [
            pipeline.bench(bundle, device, samples=args.samples // args.launches, launches=1)
            for _ in range(args.launches)
        ]
    print(f"{args.config} on {args.device}, units {' and '.join(results[0].units)}")
    print(f"{'launch':>7}" + "".join(f"{name:>13}" for name in COLUMNS))
    rows = [launch_row(result) for result in results]
    for number, row in enumerate(rows, start=1):
        print(f"{number:>7}{row[0]:13.1f}" + "".join(f"{value:13.3f}" for value in row[1:]))
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    print(f"{'median':>7}{medians[0]:13.1f}" + "".join(f"{value:13.3f}" for value in medians[1:]))


if __name__ == "__main__":
    main()
