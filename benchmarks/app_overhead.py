"""What an app pays: a run by libsyncnas beside the runner's makespan of one network, on two CPU units of this host.

    python -m benchmarks.app_overhead [--config syncnas_mobilenet_v2_100] [--turns 10] [--runs 200]
    python -m benchmarks.app_overhead --other OLD/syncnas-runner      another runner in the library's place

Each turn has three processes one after another: the runner, the library, and the runner again (A/A), each with
`--runs` recorded runs of the same bundle on the same input, threads and spinning. Prints a row a turn: medians, the
library's ratio to the mean of both runners, and the A/A ratio beside it. `call us` is the least time of a whole call of
`syncnas_run` from Python beyond the makespan that it tells: waking both units, and what Python adds.
"""

from __future__ import annotations

import argparse
import ctypes
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from syncnas_bench import BenchPlan, HostDevice, Run, Step, Unit
from syncnas_bench.library import app_library
from syncnas_bench.local.host import find_litert
from syncnas_deploy import pipeline
from syncnas_deploy.bundle import Bundle, read_bundle
from syncnas_deploy.bundle_network import network_job
from syncnas_deploy.measuring.jobs import DISCARD, SPIN_US


class _Bundle(ctypes.Structure):
    _fields_ = (("folder", ctypes.c_char_p), ("files", ctypes.c_void_p), ("file_count", ctypes.c_size_t))


class _Options(ctypes.Structure):
    _fields_ = (
        ("struct_size", ctypes.c_size_t),
        ("units", ctypes.c_uint64 * 6),
        ("spin_us", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("runtime", ctypes.c_char_p),
        ("accelerators", ctypes.c_char_p),
        ("cache_folder", ctypes.c_char_p),
        ("memory", ctypes.c_size_t * 4),
    )


class _Times(ctypes.Structure):
    _fields_ = (("struct_size", ctypes.c_size_t), ("ns", ctypes.c_int64 * 5))


class _Error(ctypes.Structure):
    _fields_ = (("status", ctypes.c_int), ("sentence", ctypes.c_char * 768))


def app(folder: Path, runs: int, out: Path) -> None:
    """A process with the library: write its rows, print the least nanoseconds of a call beyond its makespan."""
    library = ctypes.CDLL(str(app_library("x86_64-linux")))
    library.syncnas_input.restype = ctypes.POINTER(ctypes.c_float)
    network, error = ctypes.c_uint64(), _Error()
    options = _Options(struct_size=ctypes.sizeof(_Options), spin_us=SPIN_US, runtime=str(find_litert()).encode())
    given = _Bundle(folder=str(folder).encode())

    def check(status: int) -> None:
        if status:
            raise SystemExit(error.sentence.decode())

    check(library.syncnas_open(ctypes.byref(given), ctypes.byref(options), ctypes.byref(network), ctypes.byref(error)))
    image = read_bundle(folder).reference()[0]
    ctypes.memmove(library.syncnas_input(network), image.ctypes.data, image.nbytes)
    check(library.syncnas_measure(network, runs, str(out).encode(), ctypes.byref(error)))
    times, least = _Times(struct_size=ctypes.sizeof(_Times)), 10**12
    for _ in range(runs):
        start = time.perf_counter_ns()
        check(library.syncnas_run(network, ctypes.byref(times), ctypes.byref(error)))
        least = min(least, time.perf_counter_ns() - start - times.ns[0])
    library.syncnas_close(network)
    print(least)


def runner_us(bundle: Bundle, image: Path, runs: int, program: Path | None = None) -> float:
    """Median makespan by the runner, the package's own where None."""
    job = network_job("network", bundle.segments, files=(0, 1), units=(0, 1), image=image)
    step = Step("network", (job,), rounds=1, discard=DISCARD, repeats=runs)
    units = (Unit("cpu", threads=1), Unit("cpu", threads=1))
    found: list[Run] = []
    plan = BenchPlan(units, (bundle.tflite(0), bundle.tflite(1)), (step,), spin_us=SPIN_US)
    HostDevice(runner=program).run(plan, on_run=found.append)
    return float(np.median(found[0].job("network").makespan_us))


def library_us(bundle: Bundle, image: Path, runs: int) -> tuple[float, float]:
    """Median makespan by the library, and the least of a call beyond it."""
    out = image.with_name("app.json")
    command = [sys.executable, "-m", "benchmarks.app_overhead", "--runs", str(runs), "--app", bundle.folder, out]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return pipeline.app_times(out, bundle).makespan.median_us, int(done.stdout) / 1e3


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="syncnas_mobilenet_v2_100")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--other", type=Path, metavar="RUNNER")
    parser.add_argument("--app", nargs=2, type=Path, metavar=("BUNDLE", "OUT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.app:
        app(args.app[0], args.runs, args.app[1])
        return
    middle = "other us" if args.other else "library us"
    print(f"{'turn':>6}{'runner us':>12}{middle:>12}{'runner us':>12}{'ratio':>8}{'A/A':>8}{'call us':>9}")
    rows = []
    with tempfile.TemporaryDirectory(prefix="syncnas-app-") as work:
        bundle = pipeline.export(args.config, Path(work) / "bundle")
        image = Path(work) / "image.f32"
        bundle.reference()[0].tofile(image)
        for turn in range(1, args.turns + 1):
            first = runner_us(bundle, image, args.runs)
            if args.other:
                between, call = runner_us(bundle, image, args.runs, args.other), float("nan")
            else:
                between, call = library_us(bundle, image, args.runs)
            again = runner_us(bundle, image, args.runs)
            rows.append((first, between, again, 2 * between / (first + again), again / first, call))
            print(f"{turn:>6}" + "{:12.1f}{:12.1f}{:12.1f}{:8.3f}{:8.3f}{:9.1f}".format(*rows[-1]), flush=True)
    medians = [statistics.median(column) for column in zip(*rows, strict=True)]
    print(f"{'median':>6}" + "{:12.1f}{:12.1f}{:12.1f}{:8.3f}{:8.3f}{:9.1f}".format(*medians))


if __name__ == "__main__":
    main()
