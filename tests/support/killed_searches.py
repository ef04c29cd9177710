"""Searches, and workers of theirs, that are killed at random moments and gone on with.

A child process searches (capacity evaluator, made-up latencies) and says on stdout when an evaluation is finished.
It, or with several workers one of its worker processes, is killed by SIGKILL after a random time. After a search was
killed its journal is checked, and the next child goes on. With one worker the journal must be that of an
uninterrupted search at every moment. With several, the order of results is left to chance: there the search must end
with every candidate evaluated once, and the same journal, gone on with twice, must end in the same bytes.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.search.evaluators import Capacity, Evaluation
from syncnas_deploy.search.loop import SearchProgress, SearchSettings, search
from syncnas_deploy.search.results import SearchResult
from syncnas_deploy.search.workers.base import InProcess
from syncnas_deploy.search.workers.local import LocalWorkers
from tests.support.synthetic import SyntheticTable, toy_base
from tests.support.worker_cases import is_running, worker_pids

CHECKOUT = Path(__file__).resolve().parents[2]
DEPTHS = (1, 2, 2, 1, 1)
EVALUATION_S = 0.004
START_S = 0.4
LEAVE_S = 60.0
"""How long workers may take to leave after their search was killed."""
# Too little for about a quarter of the 162 strategies.
BUDGET_US = 771.0


class SlowCapacity(Capacity):
    """`capacity`, taking a little while so that kills fall into evaluations as well as between them."""

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        """As `Capacity`; the seconds are stated, not measured, so that results can be compared."""
        time.sleep(EVALUATION_S * (1 + seed % 4))
        evaluation = super().evaluate(config, seed)
        return Evaluation(evaluation.reward, EVALUATION_S, evaluation.details)


@dataclass
class Report:
    """What a series of kills did.

    Attributes:
        kills: processes killed, searches and workers.
        workers_killed: of these, worker processes.
        hits: searches killed that had finished an evaluation and not the search.
        ends: searches that came to their end, each after many kills.
        lost: evaluations said to be finished that the journal lacked afterwards.
        doubled: evaluations that were in a journal twice.
        strayed: with one worker, kills after which the journal was not the beginning of an uninterrupted search's.
        set_aside: evaluations that lost their worker twice, which the journal says.
        wrong_ends: searches that ended with another result than they must.
        left: worker processes that lived on without their search.
    """

    kills: int = 0
    workers_killed: int = 0
    hits: int = 0
    ends: int = 0
    lost: int = 0
    doubled: int = 0
    strayed: int = 0
    set_aside: int = 0
    wrong_ends: int = 0
    left: int = 0

    @property
    def good(self) -> bool:
        """Whether nothing was wrong."""
        return not (self.lost or self.doubled or self.strayed or self.wrong_ends or self.left)


def run_search(journal_path: Path | None, trials: int, *, workers: int = 1, announce: bool = False) -> SearchResult:
    """The search that is killed."""
    base = toy_base(DEPTHS)

    def say(progress: SearchProgress) -> None:
        print(progress.trial.strategy, *worker_pids(), flush=True)

    return search(
        base,
        SyntheticTable(base, 1),
        [BUDGET_US],
        SlowCapacity(),
        SearchSettings(trials=trials, algorithm="uct", seed=4),
        workers=InProcess() if workers == 1 else LocalWorkers(workers),
        journal_path=journal_path,
        on_progress=say if announce else lambda _: None,
    )


@dataclass
class Killer:
    """Kills searches of one journal until it has killed enough, and notes what that did."""

    journal: Path
    kills: int
    trials: int
    workers: int
    rng: np.random.Generator
    expected: SearchResult = field(init=False)
    report: Report = field(default_factory=Report)

    def __post_init__(self) -> None:
        self.expected = run_search(None, self.trials)

    def run(self) -> Report:
        """All kills, and the end of the last search."""
        while self.report.kills < self.kills:
            # A search that has come to its end begins anew: every kill shall hit a search.
            if len(rows_of(self.journal)) == len(self.expected.trials):
                self._check_end()
            self._start_and_kill()
        self._check_end()
        return self.report

    def _start_and_kill(self) -> None:
        """One child: some of its workers are killed, and then itself."""
        options = [str(self.journal), str(self.trials), str(self.workers)]
        command = [sys.executable, "-m", "tests.support.killed_searches", *options]
        report, pids = self.report, set[int]()
        # A worker that is just being started when its search is killed says so on stderr.
        errors = self.journal.with_name("stderr")
        with (
            errors.open("w") as stderr,
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True, cwd=CHECKOUT) as child,
        ):
            assert child.stdout is not None
            # Some kills fall into the start and the replay, the others shortly after an evaluation.
            early = self.rng.random() < 0.2
            lines = [] if early else [child.stdout.readline()]
            if not early and self.workers > 1:
                for _ in range(int(self.rng.integers(4))):
                    lines.append(child.stdout.readline())
                    pids |= _pids(lines)
                    self._kill_a_worker(lines[-1])
            time.sleep(float(self.rng.uniform(0, START_S if early else 6 * EVALUATION_S)))
            child.kill()
            lines += child.stdout.readlines()
        report.kills += 1
        if child.returncode not in (0, -signal.SIGKILL):
            raise RuntimeError(f"the search ended by itself with code {child.returncode}: {errors.read_text()[-500:]}")
        report.hits += child.returncode != 0 and any(lines)
        self._check_journal([line.split()[0] for line in lines if line.strip()])
        self._check_left(pids | _pids(lines))

    def _kill_a_worker(self, line: str) -> None:
        """One of those that a line names; a little later, so that it hits an evaluation or the time between."""
        pids = sorted(_pids([line]))
        if pids:
            time.sleep(float(self.rng.uniform(0, 3 * EVALUATION_S)))
            with suppress(ProcessLookupError):
                os.kill(int(self.rng.choice(pids)), signal.SIGKILL)
                self.report.kills += 1
                self.report.workers_killed += 1

    def _check_journal(self, finished: list[str]) -> None:
        strategies = [str(row["strategy"]) for row in rows_of(self.journal)]
        order = [trial.strategy for trial in self.expected.trials]
        self.report.lost += len(set(finished) - set(strategies))
        self.report.doubled += len(strategies) - len(set(strategies))
        if self.workers == 1:
            self.report.strayed += strategies != order[: len(strategies)]

    def _check_left(self, pids: set[int]) -> None:
        deadline = time.monotonic() + LEAVE_S
        while (left := [pid for pid in pids if is_running(pid)]) and time.monotonic() < deadline:
            time.sleep(0.005)
        self.report.left += len(left)

    def _check_end(self) -> None:
        """Go on to the end, compare, and remove the journal."""
        report, path = self.report, self.journal
        if self.workers > 1 and path.exists():
            self._check_twice()
        result = run_search(path, self.trials, workers=self.workers)
        report.ends += 1
        report.set_aside += sum(trial.failed for trial in result.trials)
        if self.workers == 1:
            report.wrong_ends += result != self.expected
        else:
            expected = {trial.strategy: trial.reward for trial in self.expected.trials}
            rewards = {t.strategy: expected[t.strategy] if t.failed else t.reward for t in result.trials}
            report.wrong_ends += rewards != expected or len(result.trials) != len(expected)
        path.unlink()

    def _check_twice(self) -> None:
        """The same beginning of a journal, gone on with twice by one worker, ends in the same bytes and result."""
        lines = self.journal.read_bytes().splitlines(keepends=True)
        beginning = b"".join(lines[: int(self.rng.integers(1, len(lines) + 1))]) if lines else b""
        ends = []
        for name in ("one", "two"):
            copy = self.journal.with_name(name)
            copy.write_bytes(beginning)
            result = run_search(copy, self.trials)
            ends.append((result, copy.read_bytes()))
            copy.unlink()
        self.report.wrong_ends += ends[0] != ends[1]


def rows_of(journal_path: Path) -> list[dict[str, object]]:
    """The whole rows of a journal, in order."""
    if not journal_path.exists():
        return []
    whole = journal_path.read_bytes().split(b"\n")[:-1]
    return [json.loads(line)["row"] for line in whole[1:]]


def _pids(lines: list[str]) -> set[int]:
    return {int(word) for line in lines for word in line.split()[1:]}


def kill_and_compare(folder: Path, *, kills: int, trials: int, seed: int, workers: int = 1) -> Report:
    """Kill searches and workers `kills` times, let the last search end, and compare."""
    return Killer(folder / "search.journal", kills, trials, workers, np.random.default_rng(seed)).run()


def child() -> None:
    """The process that is killed: journal, trials, workers."""
    path, trials, workers = sys.argv[1:]
    run_search(Path(path), int(trials), workers=int(workers), announce=True)


if __name__ == "__main__":
    child()
