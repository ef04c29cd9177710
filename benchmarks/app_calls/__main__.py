"""What a call costs an app beyond the makespan it is told: in C and in Java, on two CPU units of this host.

    python -m benchmarks.app_calls [--config syncnas_mobilenet_v2_100] [--turns 10] [--runs 300]

Each turn has three processes one after another: C, Java, and C again (A/A). Prints a row a turn with the 10th
percentile and the median of each, in microseconds. Both wake two sleeping units; what Java adds is the difference.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from syncnas_bench.library import app_classes, app_header, app_library
from syncnas_bench.local.host import find_litert
from syncnas_deploy import pipeline

HERE = Path(__file__).parent


def beyond_us(*command: object) -> tuple[float, float]:
    """10th percentile and median of what a process prints in nanoseconds."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
    values = np.array([int(line) for line in done.stdout.splitlines() if line.lstrip("-").isdigit()]) / 1e3
    return float(np.percentile(values, 10)), float(np.median(values))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="syncnas_mobilenet_v2_100")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--runs", type=int, default=300)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="syncnas-calls-") as work:
        bundle = pipeline.export(args.config, Path(work) / "bundle").folder
        library, program = app_library("x86_64-linux"), Path(work) / "app_calls"
        flags = ["-O2", f"-I{app_header().parent}", HERE / "app_calls.c", library, f"-Wl,-rpath,{library.parent}"]
        subprocess.run([*map(str, ["cc", *flags, "-o", program])], check=True)
        subprocess.run([*map(str, ["javac", "-cp", app_classes(), "-d", work, HERE / "AppCalls.java"])], check=True)
        words = (find_litert(), bundle, args.runs)
        java = ("java", f"-Djava.library.path={library.parent}", "-cp", f"{work}:{app_classes()}", "AppCalls", *words)
        print(f"{'turn':>6}{'C p10':>10}{'C':>10}{'Java p10':>10}{'Java':>10}{'C p10':>10}{'C':>10}{'Java - C':>10}")
        rows = []
        for turn in range(1, args.turns + 1):
            first, between, again = (beyond_us(*each) for each in ((program, *words), java, (program, *words)))
            rows.append((*first, *between, *again, between[1] - (first[1] + again[1]) / 2))
            print(f"{turn:>6}" + "".join(f"{value:10.1f}" for value in rows[-1]), flush=True)
        medians = [statistics.median(column) for column in zip(*rows, strict=True)]
        print(f"{'median':>6}" + "".join(f"{value:10.1f}" for value in medians))


if __name__ == "__main__":
    main()
