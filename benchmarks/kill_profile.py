"""Kill a profile at random moments and go on with it: no finished step is lost, and the end holds all of them.

    python -m benchmarks.kill_profile [--adb] [--kills 200] [--seed 0]

See `tests/support/killed_profiles.py`. Prints one JSON line; exit code 1 if anything was lost.
With --adb the runner runs on the tests' stand-in for a phone, at the other end of ADB's protocol.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from tests.support.killed_profiles import kill_and_compare


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--adb", action="store_true", help="on the tests' stand-in for a phone")
    args = parser.parse_args()
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="syncnas-kill-") as folder:
        report = kill_and_compare(args.kills, args.seed, Path(folder), adb=args.adb)
    print(json.dumps({**asdict(report), "seconds": round(time.monotonic() - started, 1)}))
    sys.exit(0 if report.sound else 1)


if __name__ == "__main__":
    main()
