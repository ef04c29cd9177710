"""Kill a search at random moments and go on with it: no finished evaluation is lost, and the end is the same.

    python -m benchmarks.kill_search [--kills 200] [--seed 0]

A child process searches (capacity evaluator, made-up latencies) and says on stdout when an evaluation is
finished; it is killed by SIGKILL after a random time, its journal is checked, and the next child goes on.
Run it from the top of the checkout; it needs no device. Prints one JSON line; exit code 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.synthetic import SyntheticTable, toy_base
from syncnas_deploy.models.config import ModelConfig
from syncnas_deploy.search.evaluators import Capacity, Evaluation
from syncnas_deploy.search.run import Progress, search
from syncnas_deploy.search.trials import SearchResult

CHECKOUT = Path(__file__).resolve().parents[1]
DEPTHS = (1, 2, 2, 1, 1)
EVALUATION_S = 0.004
START_S = 0.4
# Too little for about a quarter of the 162 strategies.
BUDGET_US = 771.0


class SlowCapacity(Capacity):
    """`capacity`, taking a little while so that kills fall into evaluations as well as between them."""

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        """As `Capacity`; the seconds are stated, not measured, so that results can be compared."""
        time.sleep(EVALUATION_S)
        evaluation = super().evaluate(config, seed)
        return Evaluation(evaluation.reward, EVALUATION_S, evaluation.details)


@dataclass(frozen=True)
class Report:
    """What a series of kills did.

    Attributes:
        kills: processes killed.
        hits: of these, the ones that had finished an evaluation and not the search.
        lost: evaluations said to be finished that the journal lacked afterwards.
        strayed: kills after which the journal held other strategies than the uninterrupted search tries.
        same_end: whether the last run's result equals that of an uninterrupted one.
        trials: evaluations of the whole search.
    """

    kills: int
    hits: int
    lost: int
    strayed: int
    same_end: bool
    trials: int


def run_search(journal_path: Path | None, trials: int, *, announce: bool = False) -> SearchResult:
    """The search that is killed."""
    base = toy_base(DEPTHS)
    table = SyntheticTable(base, 1)

    def say(progress: Progress) -> None:
        print(progress.done, flush=True)

    return search(
        base,
        table,
        BUDGET_US,
        SlowCapacity(),
        trials=trials,
        seed=4,
        journal_path=journal_path,
        on_progress=say if announce else lambda _: None,
    )


def kill_and_compare(folder: Path, *, kills: int, trials: int, seed: int) -> Report:
    """Kill the search `kills` times, let it end, and compare."""
    rng = np.random.default_rng(seed)
    journal_path = folder / "search.journal"
    command = [sys.executable, "-m", "benchmarks.kill_search", "--child", str(journal_path), str(trials)]
    expected = run_search(None, trials)
    order = [trial.strategy for trial in expected.trials]
    done, hits, lost, strayed = 0, 0, 0, 0
    for _ in range(kills):
        # A search that has come to its end begins anew: every kill shall hit a search.
        if done >= trials:
            journal_path.unlink()
            done = 0
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT) as child:
            assert child.stdout is not None
            # Some kills fall into the start and the replay, the others shortly after an evaluation.
            early = rng.random() < 0.2
            said = [] if early else [child.stdout.readline()]
            time.sleep(float(rng.uniform(0, START_S if early else 6 * EVALUATION_S)))
            child.kill()
            said += child.stdout.readlines()
        if child.returncode not in (0, -signal.SIGKILL):
            raise RuntimeError(f"the search ended by itself with exit code {child.returncode}")
        hits += child.returncode != 0 and any(said)
        finished = max((int(line) for line in said if line.strip()), default=done)
        rows = strategies_of(journal_path)
        done = len(rows)
        strayed += rows != order[:done]
        lost += max(finished - done, 0)
    result = run_search(journal_path, trials)
    strayed += strategies_of(journal_path) != order
    return Report(kills, hits, lost, strayed, result == expected, trials)


def strategies_of(journal_path: Path) -> list[str]:
    """The strategies of the whole rows of a journal, in order."""
    if not journal_path.exists():
        return []
    whole = journal_path.read_bytes().split(b"\n")[:-1]
    return [json.loads(line)["row"]["strategy"] for line in whole[1:]]


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", nargs=2, metavar=("JOURNAL", "TRIALS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        run_search(Path(options.child[0]), int(options.child[1]), announce=True)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        report = kill_and_compare(Path(folder), kills=options.kills, trials=options.trials, seed=options.seed)
    print(json.dumps(report.__dict__))
    return 0 if report.same_end and not report.lost and not report.strayed else 1


if __name__ == "__main__":
    sys.exit(main())
