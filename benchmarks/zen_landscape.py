"""Measure a landscape: the zen score of every strategy, with widths solved for a latency budget.

    python -m benchmarks.zen_landscape [--out tests/support/data/zen_mobilenet_v2.csv] [--minutes 60]

Columns: strategy, reward (empty where no widths meet the budget) and second (the score again with other weights
and images: the difference is zen's own noise). It goes on from the rows that are there, first with the column
`reward`, and stops after `--minutes`. Run it from the top of the checkout; it takes about 25 minutes per column on
one core.
"""

from __future__ import annotations

import argparse
import csv
import io
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from syncnas_deploy import pipeline
from syncnas_deploy.files.output import write_text
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.prediction.predict import ProfileCosts, fastest_placement
from syncnas_deploy.prediction.profile_files import load_profile
from syncnas_deploy.search.algorithms.searcher import Candidate
from syncnas_deploy.search.candidates import CandidateSpace
from syncnas_deploy.search.evaluators import Zen

COLUMNS = ("reward", "second")
CANDIDATES_PER_WRITE = 25
Row = dict[str, str]


def networks(profile_name: str, budget: str) -> dict[str, ModelConfig | None]:
    """Every strategy with its network within the budget; None where there is none."""
    profile = load_profile(profile_name)
    costs = ProfileCosts(profile, fastest_placement(profile))
    candidates = CandidateSpace(profile.base, costs, [pipeline.budget_us(budget, profile)])
    everything = map(Candidate, all_strategies(candidates.stages))
    return {c.strategy: None if c in candidates.infeasible else candidates.config(c) for c in everything}


def measure(candidates: dict[str, ModelConfig | None], rows: dict[str, Row]) -> Iterator[None]:
    """Fill in what the rows lack, one score at a time."""
    zen = Zen()
    for column in COLUMNS:
        for number, (strategy, config) in enumerate(candidates.items()):
            row = rows.setdefault(strategy, {"strategy": strategy, "reward": "", "second": ""})
            if config is None or row[column]:
                continue
            seed = number + len(candidates) * COLUMNS.index(column)
            row[column] = f"{zen.evaluate(config, seed).reward:.5f}"
            yield


def write(path: Path, rows: dict[str, Row]) -> None:
    """The whole table."""
    text = io.StringIO()
    out = csv.DictWriter(text, ["strategy", *COLUMNS], lineterminator="\n")
    out.writeheader()
    out.writerows(rows.values())
    write_text(path, text.getvalue(), force=True)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("tests/support/data/zen_mobilenet_v2.csv"))
    parser.add_argument("--profile", default="mobilenet_v2-sim-phone")
    parser.add_argument("--budget", default="1.0x")
    parser.add_argument("--minutes", type=float, default=60.0)
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    rows: dict[str, Row] = {}
    if options.out.exists():
        with options.out.open(encoding="utf-8", newline="") as file:
            rows = {row["strategy"]: row for row in csv.DictReader(file)}
    candidates = networks(options.profile, options.budget)
    for done, _ in enumerate(measure(candidates, rows), start=1):
        if done % CANDIDATES_PER_WRITE == 0:
            write(options.out, rows)
        if time.monotonic() > end:
            break
    write(options.out, rows)
    feasible = sum(config is not None for config in candidates.values())
    counts = ", ".join(f"{sum(bool(row[column]) for row in rows.values())} of {column}" for column in COLUMNS)
    print(f"{options.out}: {feasible} feasible strategies; {counts}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
