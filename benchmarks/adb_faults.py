"""Repeats each fault of a device over ADB against the tests' stand-in for a phone, and counts what came of it.

    python -m benchmarks.adb_faults [--only NAME] [--times N]

Nothing here has met a physical phone: the device is a folder on this machine; clients, runner and LiteRT are real.
Each line says how often what happened; a word in capitals is a failure, and the exit code is 1 if there was one.
How fast files travel is in `benchmarks.adb_throughput`, kills of the host in `benchmarks.kill_profile --adb`.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.support import adb_fault_cases as cases
from tests.support.adb_cases import new_phone
from tests.support.hostile import CASES, sandbox
from tests.support.lease_race import race

_FAILED = re.compile(r"\b(?!SIG)[A-Z]{4,}\b")
PROCESSES, LEASE_TRIES = 8, 1000
HOSTILE = 500


def repeated(fault: cases.Fault, name: str, times: int, home: Path) -> Iterator[str]:
    """Provoke a fault on a fresh phone, many times."""
    rng = random.Random(name)
    for _ in range(times):
        with new_phone() as phone:
            bench = cases.Bench(phone, home)
            outcome = fault(bench, rng)
            yield outcome if bench.is_clean() else f"{outcome}, NOT CLEANED UP"
            bench.close()


def hostile(times: int) -> Iterator[str]:
    """Hostile names, files, texts, packets and rows, in turns."""
    with sandbox() as box:
        for index in range(times):
            name = list(CASES)[index % len(CASES)]
            yield box.provoke(CASES[name], random.Random(f"{name} {index}"))


def leases(times: int, home: Path) -> Iterator[str]:
    """Eight processes of two hosts ask for the same device."""
    with new_phone() as phone:
        found = race(phone, home, processes=PROCESSES, tries=-(-times // PROCESSES))
        yield from ["held"] * (found.held - found.overlaps)
        yield from ["HELD BY TWO AT ONCE"] * found.overlaps
        yield from ["busy"] * (found.tries - found.held)


def report(name: str, outcomes: Iterator[str]) -> bool:
    """Print what came of a fault; whether all went well."""
    start, counts = time.monotonic(), Counter(outcomes)
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    print(f"{name}: {told} ({time.monotonic() - start:.0f} s)", flush=True)
    return not any(_FAILED.search(text) for text in counts)


def main() -> None:
    """Run the table, or the rows whose names hold a text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, help="how often each fault is provoked; default: 50 or more")
    parser.add_argument("--only", default="", help="rows whose names hold this text")
    args = parser.parse_args()
    sound = True
    with tempfile.TemporaryDirectory(prefix="syncnas-faults-") as folder:
        home = Path(folder)
        for name, (fault, times) in cases.FAULTS.items():
            if args.only in name:
                sound &= report(name, repeated(fault, name, args.times or times, home))
        if args.only in "adb server restarted":
            sound &= report("adb server restarted", cases.server_restarts(args.times or cases.TIMES, home))
        if args.only in "hostile names and files":
            sound &= report("hostile names and files", hostile(args.times or HOSTILE))
        if args.only in "lease":
            sound &= report("lease", leases(args.times or LEASE_TRIES, home))
    sys.exit(0 if sound else 1)


if __name__ == "__main__":
    main()
