"""How much longer the first runs of a job take after another job has run, on this host.

    python -m benchmarks.turns [--rounds 20] [--launches 4]

The base network and four random two-branch networks take turns of sixteen runs, all recorded. Prints, for each job's
first runs in a turn, the median over rounds of their time over the median of the turn's last eight runs; the last
column is such a run too, against the same: what is noise.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.prediction import base_jobs
from syncnas_bench import BenchPlan, Run, Step
from syncnas_deploy import pipeline
from syncnas_deploy.measuring.jobs import SPIN_US
from syncnas_deploy.profiling.random_networks import random_networks, write_network
from syncnas_deploy.profiling.timing_files import write_to

TURN, LAST = 16, 8
SHOWN = (1, 2, 3, 4, 6, 8, 12)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", default="mobilenet_v2")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--launches", type=int, default=4)
    args = parser.parse_args()
    base, device = pipeline.base_model(args.base), pipeline.device("host")
    files: list[Path] = []
    runs: list[Run] = []
    with tempfile.TemporaryDirectory(prefix="syncnas-turns-") as folder:
        add_file = write_to(Path(folder), files)
        jobs = [*base_jobs(base, 0, add_file)]
        jobs += [write_network(config, 0, add_file).job(config.name) for config in random_networks(base, 4, 1)]
        step = Step("turns", tuple(jobs), rounds=args.rounds, repeats=TURN)
        plan = BenchPlan(device.default_units(), tuple(files), (step,), spin_us=SPIN_US)
        for _ in range(args.launches):
            device.run(plan, on_run=runs.append)
    print("time over that of the last runs of the turn, %: run " + ", ".join(map(str, SHOWN)))
    for job in jobs:
        turns = np.concatenate([run.job(job.name).makespan_us.reshape(args.rounds, TURN) for run in runs])
        over = np.median(turns / np.median(turns[:, -LAST:], axis=1, keepdims=True), axis=0)
        print(f"{job.name:28} " + " ".join(f"{100 * (over[run - 1] - 1):+6.1f}" for run in SHOWN))


if __name__ == "__main__":
    main()
