"""How many evaluations a search takes to the best strategy, beside what people would use otherwise.

    python -m benchmarks.search_efficiency --results DIR [--algorithms surrogate,uct] [--families mid,zen]
        [--seeds 0-99] [--in-flight 1,4,8] [--minutes 4]

Runs what is not in DIR/runs.jsonl yet, for `--minutes` at most, so that it can be done in slices; then writes
DIR/summary.csv and DIR/regret.svg and prints the table. `--seeds` also chooses what is summarised. optuna-tpe is left
out, by name, where Optuna is not installed (`pip install syncnas-deploy[bench]`). Families: see `search_spaces`.

A run of all takes about two hours on one core, most of it TPE.
"""

from __future__ import annotations

import argparse
import csv
import importlib.util
import io
import json
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.search_plot import regret_plot
from benchmarks.search_runs import COMPARED, LIMIT, TPE, RunOutcome, Setting, outcome_json, run
from syncnas_deploy.files.output import write_text
from tests.support.search_spaces import FAMILIES

Group = tuple[str, str, int]
"""Family, algorithm, in flight."""


def settings(options: argparse.Namespace) -> Iterator[Setting]:
    """Every run that was asked for, seed by seed, so that an unfinished series compares equal seeds."""
    first, last = (int(part) for part in options.seeds.split("-"))
    for seed in range(first, last + 1):
        for family in options.families.split(","):
            for in_flight in map(int, options.in_flight.split(",")):
                for algorithm in options.algorithms.split(","):
                    yield Setting(algorithm, family, seed, in_flight)


def read(path: Path) -> dict[Setting, RunOutcome]:
    """The runs that are there; a last line that is not whole is left out."""
    runs: dict[Setting, RunOutcome] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            row = json.loads(line)
        except json.JSONDecodeError:
            continue
        setting = Setting(row["algorithm"], row["family"], row["seed"], row["in_flight"])
        steps = tuple((n, regret) for n, regret in row["steps"])
        runs[setting] = RunOutcome(row["to_best"], row["to_top"], steps, row["decision_ms"])
    return runs


def complete(requested: Iterable[Setting], known: dict[Setting, RunOutcome], path: Path, minutes: float) -> int:
    """Run what is missing until the time is up; how many runs are still missing."""
    missing = [setting for setting in requested if setting not in known]
    end = time.monotonic() + 60 * minutes
    with path.open("a", encoding="utf-8") as file:
        for number, setting in enumerate(missing):
            if time.monotonic() > end:
                return len(missing) - number
            known[setting] = run(setting)
            file.write(json.dumps(outcome_json(setting, known[setting])) + "\n")
            file.flush()
    return 0


def summary(group: Group, outcomes: Sequence[RunOutcome]) -> dict[str, object]:
    """One row of the table; a miss counts as infinitely many evaluations."""
    family, algorithm, in_flight = group
    best = [np.inf if o.to_best is None else o.to_best for o in outcomes]
    top = [np.inf if o.to_top is None else o.to_top for o in outcomes]
    low, middle, high = (quantile(best, q) for q in (0.1, 0.5, 0.9))
    return {
        "family": family,
        "algorithm": algorithm,
        "in_flight": in_flight,
        "seeds": len(outcomes),
        "best_p10": low,
        "best_median": middle,
        "best_p90": high,
        "top_median": quantile(top, 0.5),
        "top_p90": quantile(top, 0.9),
        "regret_at_50": round(float(np.median([o.regret_at(50) for o in outcomes])), 3),
        "misses": sum(o.to_best is None for o in outcomes),
        "decision_ms": round(float(np.mean([o.decision_ms for o in outcomes])), 2),
    }


def quantile(values: Sequence[float], share: float) -> str:
    """A quantile of numbers of evaluations, `>300` where that is among the misses."""
    ordered = sorted(values)
    at = share * (len(ordered) - 1)
    low, high = ordered[int(at)], ordered[min(int(at) + 1, len(ordered) - 1)]
    return f">{LIMIT}" if not np.isfinite(high) else f"{low + (at - int(at)) * (high - low):g}"


def table(rows: Sequence[Mapping[str, object]]) -> str:
    """Rows in columns."""
    names = list(rows[0])
    lines = [names, *([str(row[name]) for name in names] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--algorithms", default=",".join(COMPARED))
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--seeds", default="0-99")
    parser.add_argument("--in-flight", default="1")
    parser.add_argument("--minutes", type=float, default=1e6)
    options = parser.parse_args()
    if TPE in options.algorithms.split(",") and importlib.util.find_spec("optuna") is None:
        print(f"{TPE} is left out: Optuna is not installed", file=sys.stderr)
        options.algorithms = ",".join(name for name in options.algorithms.split(",") if name != TPE)
    options.results.mkdir(parents=True, exist_ok=True)
    path = options.results / "runs.jsonl"
    requested = list(settings(options))
    known = read(path)
    missing = complete(requested, known, path, options.minutes)
    groups: dict[Group, list[RunOutcome]] = defaultdict(list)
    for setting in requested:
        if setting in known:
            groups[(setting.family, setting.algorithm, setting.in_flight)].append(known[setting])
    if not groups:
        print("nothing was run", file=sys.stderr)
        return 1
    rows = [summary(group, outcomes) for group, outcomes in sorted(groups.items())]
    text = io.StringIO()
    out = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    out.writeheader()
    out.writerows(rows)
    write_text(options.results / "summary.csv", text.getvalue(), force=True)
    one = {(family, algorithm): o for (family, algorithm, in_flight), o in groups.items() if in_flight == 1}
    if one:
        write_text(options.results / "regret.svg", regret_plot(one), force=True)
    print(table(rows))
    if missing:
        print(f"{missing} runs are still missing; run it again", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main())
