"""What a call costs an app beyond the makespan it is told: in C and in Java, on two CPU units of this host.

    python -m benchmarks.app_calls [--config syncnas_mobilenet_v2_100] [--turns 10] [--rounds 50] [--calls 10]

Each turn is a process of Java in which C, Java's `Network.run` and C again (A/A) call one network in turns, `--calls`
times each. The clock is read around them all: read by Java after each call, it would itself take longer than what is
looked for, since a network drives the clock's code out of the caches, too. Each call wakes two sleeping units, which
takes most of it and varies by more than Java's part; so differences are taken in each round. Prints a row a turn:
medians, in microseconds a call.
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
from syncnas_deploy.arrays import Float64Array

HERE = Path(__file__).parent


def beyond_us(*command: object) -> Float64Array:
    """What a process prints, [rounds, 3]: C, Java, and C again."""
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=True)
    rows = [line.split() for line in done.stdout.splitlines() if line[:1].isdigit()]
    return np.array(rows, dtype=np.float64) / 1e3


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="syncnas_mobilenet_v2_100")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--calls", type=int, default=10)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="syncnas-calls-") as work:
        bundle = pipeline.export(args.config, Path(work) / "bundle").folder
        library, timer = app_library("x86_64-linux"), Path(work) / "libapp_calls.so"
        flags = ["-O2", "-shared", "-fPIC", f"-I{app_header().parent}", f"-Wl,-rpath,{library.parent}"]
        subprocess.run([*map(str, ["cc", *flags, HERE / "app_calls.c", library, "-o", timer])], check=True)
        subprocess.run([*map(str, ["javac", "-cp", app_classes(), "-d", work, HERE / "AppCalls.java"])], check=True)
        java = ("java", f"-Djava.library.path={library.parent}", "-cp", f"{work}:{app_classes()}", "AppCalls")
        print(f"{'turn':>6}{'C':>10}{'Java':>10}{'C again':>10}{'Java - C':>10}{'A/A':>10}")
        rows = []
        for turn in range(1, args.turns + 1):
            first, between, again = beyond_us(*java, find_litert(), bundle, args.calls, args.rounds, timer).T
            columns = (first, between, again, between - (first + again) / 2, again - first)
            rows.append([float(np.median(column)) for column in columns])
            print(f"{turn:>6}" + "".join(f"{value:10.1f}" for value in rows[-1]), flush=True)
        medians = [statistics.median(column) for column in zip(*rows, strict=True)]
        print(f"{'median':>6}" + "".join(f"{value:10.1f}" for value in medians))


if __name__ == "__main__":
    main()
