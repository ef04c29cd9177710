"""Kill a search and its workers at random moments and go on: no finished evaluation is lost or counted twice.

    python -m benchmarks.kill_search [--kills 200] [--workers 1] [--seed 0]

See `tests/support/killed_searches.py`. It needs no device. Prints one JSON line; exit code 1 if anything was wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from tests.support.killed_searches import kill_and_compare


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    # With several workers a search goes on until every candidate is evaluated: then all ends must be alike.
    trials = options.trials if options.workers == 1 else 1_000
    with tempfile.TemporaryDirectory() as folder:
        report = kill_and_compare(
            Path(folder), kills=options.kills, trials=trials, seed=options.seed, workers=options.workers
        )
    print(json.dumps(asdict(report)))
    return 0 if report.good else 1


if __name__ == "__main__":
    sys.exit(main())
