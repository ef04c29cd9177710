"""A hardware GPU for a few minutes: measure what only it can tell.

    python -m benchmarks.hardware_gpu [--minutes 5] [--out DIR] [--cpu cpu:4@0-3] [--software]
    python -m benchmarks.hardware_gpu --table DIR
    python -m benchmarks.hardware_gpu --pack FOLDER --python 3.12

The steps come in order of worth: what is there; the base on the GPU beside the CPU; CPU alone, GPU alone and both at
once; where a GPU call's time goes; crossings by bytes and direction; a profile; networks that it has not seen,
predicted and measured; overlap; the same and a profile in fp16. A step has several sizes and takes the largest that
fits in its share of the minutes; a step that does not fit is skipped, and said to be. Each row is on disk before the
next is measured: what cuts the run short loses one row. --table prints the table of what is there.

A software GPU is refused unless --software is given; then every row and the table say so, and where it is slow,
networks are measured for small images. --pack gathers all that the run needs into a folder, for a machine without a
network.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TextIO

from benchmarks.hardware_gpu.pack import PackError, pack
from benchmarks.hardware_gpu.place import check_gpu, cpu_unit
from benchmarks.hardware_gpu.plan import STEPS
from benchmarks.hardware_gpu.rows import Rows, RowsError, read_rows
from benchmarks.hardware_gpu.session import BASE, CONFIG, LABEL, NoGpu, Session, perform
from benchmarks.hardware_gpu.table import table
from syncnas_bench import BenchError
from syncnas_deploy import pipeline
from syncnas_deploy.errors import SyncNasError
from syncnas_deploy.networks.formats import load_config

INTERRUPTED = 130
MOST_MINUTES = 24 * 60
TABLE = "table.txt"


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hardware_gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--minutes", type=float, default=5.0, help="for everything (default 5)")
    parser.add_argument("--out", type=Path, help="folder of the results (default hardware-gpu-TIME)")
    parser.add_argument("--cpu", metavar="UNIT", help="CPU unit (default: half of the cores, at most eight)")
    parser.add_argument("--software", action="store_true", help="run on a software GPU")
    other = parser.add_mutually_exclusive_group()
    other.add_argument("--table", type=Path, metavar="DIR", help="print the table of a folder of results and leave")
    other.add_argument("--pack", type=Path, metavar="FOLDER", help="gather what a run needs into a folder and leave")
    parser.add_argument("--python", default="3.12", metavar="VERSION", help="Python there, for --pack (default 3.12)")
    return parser.parse_args(arguments)


def _tell(text: str, file: TextIO | None = None) -> None:
    # A terminal may be gone; the results are in files.
    with contextlib.suppress(OSError):
        print(text, file=file or sys.stderr, flush=True)


def _interrupt(_number: int, _frame: object) -> None:
    """Whoever ends the run early still gets the table."""
    raise KeyboardInterrupt


def run(args: argparse.Namespace) -> int:
    """Measure, step by step, and print the table; the exit code."""
    if not 0 < args.minutes <= MOST_MINUTES:
        raise RowsError(f"--minutes is not above 0 and at most {MOST_MINUTES}; give 5, say.")
    check_gpu(software=args.software)
    device = pipeline.device("host")
    cpu = cpu_unit(device, args.cpu)
    out = args.out or Path(time.strftime("hardware-gpu-%Y%m%d-%H%M%S"))
    base, network = pipeline.base_model(BASE), load_config(CONFIG)
    if (out / TABLE).exists():
        raise RowsError(f"{out}: has a {TABLE} already; choose another --out.")
    rows = Rows(out, software=args.software)
    session = Session(device, cpu, args.software, rows, out, 60 * args.minutes, base, network)
    if args.software:
        session.learn(gpu_us=600_000.0)
    _tell(f"{f'{LABEL}: ' if args.software else ''}{session.cpu} and {session.gpu('fp32')}, rows in {out}")
    # A shell's background job inherits an ignored SIGINT.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    code = 0
    try:
        for step in STEPS:
            perform(step, session, _tell)
    except KeyboardInterrupt:
        code = INTERRUPTED
        _tell("stopped; this is what is there")
    except RowsError as error:
        code = 1
        _tell(str(error))
    rows.close()
    text = table(read_rows(out))
    _tell(text, sys.stdout)
    try:
        with (out / TABLE).open("x") as file:  # fails where one appeared meanwhile
            file.write(text + "\n")
    except OSError as error:
        code = code or 1
        _tell(f"{out / TABLE}: cannot be written ({error.strerror}); --table {out} prints it again.")
    return code


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; the exit code."""
    args = _arguments(arguments)
    try:
        if args.pack:
            _tell(pack(args.pack, args.python))
        elif args.table:
            text = table(read_rows(args.table))
            print(text, flush=True)
        else:
            return run(args)
    except (RowsError, NoGpu, PackError, BenchError, SyncNasError) as error:
        _tell(str(error))
        return 1
    except KeyboardInterrupt:
        _tell("stopped")
        return INTERRUPTED
    except OSError:  # nobody reads it any more, or the disk is full
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
