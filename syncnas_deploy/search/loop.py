"""The search loop: ask what is next, evaluate it wherever a worker is free, write it down, tell the searcher.

Strategies that no widths bring within a budget are known from the solver: they are never proposed and cost no
evaluation. Where rewards depend on a seed, the last fifth of the trials is for the leaders: they are evaluated again
until it is sure which is the best, see `leaders`.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import itertools
import math
import numbers
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncnas_deploy.errors import (
    WRONG_USE,
    InfeasibleBudget,
    JournalMismatch,
    MeasurementError,
    SettingsError,
    StrategyError,
)
from syncnas_deploy.files.journal import Journal
from syncnas_deploy.networks.config import ModelConfig, check_strategy
from syncnas_deploy.networks.formats import config_to_json
from syncnas_deploy.networks.widths import WIDTH_STEP
from syncnas_deploy.progress import Progress
from syncnas_deploy.search.algorithms import ALGORITHMS, DEFAULT_ALGORITHM, make_searcher
from syncnas_deploy.search.algorithms.searcher import Candidate, Searcher
from syncnas_deploy.search.candidates import CandidateSpace, Forecast, digest
from syncnas_deploy.search.evaluators import Evaluation, Evaluator, LearningEvaluator, described, picture_error
from syncnas_deploy.search.leaders import Leaders
from syncnas_deploy.search.results import Best, SearchResult, Trial
from syncnas_deploy.search.rows import SearchRow
from syncnas_deploy.search.widths.solver import CostTable
from syncnas_deploy.search.workers.base import Done, Failed, InProcess, Lost, Task, TaskOutcome, Workers

JOURNAL_KIND = "search"
REPEAT_SHARE = 5
"""One in so many trials is reserved for evaluating the leaders again, where rewards depend on a seed."""
_NAMES = {
    "base": "base model",
    "base_sha256": "base model",
    "budgets_us": "--budget",
    "evaluator": "--evaluator",
    "infeasible_sha256": "--max-energy",
    "searcher": "--algorithm",
    "seed": "--seed",
    "table_sha256": "--profile or --width-step",
}
"""What the parts of a search's key are called."""
NEW_WORKERS_S = 2.0
"""While all workers are busy: how often the loop looks whether new ones came."""


@dataclass(frozen=True)
class SearchSettings:
    """How a search goes.

    Attributes:
        trials: evaluations, repeated ones included; fewer when there are no more candidates.
        algorithm: what proposes candidates, one of `algorithms.ALGORITHMS`.
        seed: decides ties in the searcher and, with the strategy, each evaluation's seed.
        max_energy_mj: most energy of one inference, millijoules; None for no limit.
        width_step: widths are multiples of it, channels; None: of what the profile says of each unit.

    Raises:
        SettingsError: one of them is none of these.
    """

    trials: int = 100
    algorithm: str = DEFAULT_ALGORITHM
    seed: int = 0
    max_energy_mj: float | None = None
    width_step: int | None = None

    def __post_init__(self) -> None:
        energy, step = self.max_energy_mj, self.width_step
        wanted = {
            "trials": (_is_whole(self.trials, 1), "a whole number from 1 on"),
            "algorithm": (self.algorithm in ALGORITHMS, f"one of {', '.join(ALGORITHMS)} (MCTS is uct)"),
            "seed": (_is_whole(self.seed, 0), "a whole number from 0 on"),
            "max_energy_mj": (energy is None or _is_energy(energy), "millijoules above 0, or None"),
            "width_step": (
                step is None or (_is_whole(step, 1) and step % WIDTH_STEP == 0),
                f"a multiple of {WIDTH_STEP}",
            ),
        }
        for name, (fits, words) in wanted.items():
            if not fits:
                found = repr(getattr(self, name))[:40]
                raise SettingsError(f"A search's {name} is {words}, found {found}; correct it.", code=WRONG_USE)


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool) and int(value) >= least


def _is_energy(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and 0 < float(value) < math.inf


@dataclass(frozen=True, kw_only=True)
class SearchProgress(Progress):
    """How far a search is, in evaluations, those of earlier runs included; one whose leader is sure ends before.

    Attributes:
        front: the best so far by budget; None while every one was infeasible.
        trial: the one that just ended.
    """

    front: tuple[Best | None, ...]
    trial: Trial

    @property
    def best(self) -> Best | None:
        return self.front[-1]


def search(
    base: ModelConfig,
    table: CostTable,
    budgets_us: Sequence[float],
    evaluator: Evaluator,
    settings: SearchSettings,
    *,
    forecast: Forecast | None = None,
    workers: Workers | None = None,
    journal_path: Path | None = None,
    anew: bool = False,
    fresh: bool = False,
    on_progress: Callable[[SearchProgress], None] = lambda _: None,
    on_notice: Callable[[str], None] = lambda _: None,
    keep: Callable[[SearchResult], None] = lambda _: None,
) -> SearchResult:
    """Search the strategies of a base model for the largest reward within one or several latency budgets.

    A journal that is there already is continued: its evaluations are told to the searcher again, in their order.
    With one worker the end is that of a run that was never interrupted. With several workers nothing finished is lost.
    More trials than before extend the run.

    Args:
        base: a model of one branch.
        table: latencies of its parts.
        budgets_us: the latencies that a network may take, ascending.
        evaluator: gives a network its reward.
        settings: how the search goes.
        forecast: latency and energy of networks; None: the table's sum, and no energy. A limit on energy needs it.
        workers: who evaluates; this process where None. They are closed in the end.
        journal_path: the file of finished evaluations; None for no file.
        anew: drop the journal that is there.
        fresh: refuse a journal that is there.
        on_progress: called after each evaluation.
        on_notice: called with a sentence about the evaluator's cost, and about each worker that was lost and each
            candidate that is set aside.
        keep: writes down the result, while nobody else may write the journal.

    Raises:
        InfeasibleBudget: no strategy meets the smallest budget, or no evaluation gave a reward.
        JournalMismatch: the journal is of another run.
        OutputExists: it is there, and was to be `fresh`.
        MeasurementError: the evaluator gave a reward that is not finite.
        WorkersUnavailable: no workers are left.
    """
    with contextlib.closing(workers or InProcess()) as pool:
        candidates = CandidateSpace(base, table, budgets_us, forecast=forecast, max_energy_mj=settings.max_energy_mj)
        searcher = make_searcher(
            settings.algorithm,
            candidates.stages,
            seed=settings.seed,
            infeasible=tuple(candidates.infeasible),
            budgets=len(budgets_us),
        )
        loop = _SearchRun(candidates, searcher, evaluator, settings, on_notice)
        on_notice(described(evaluator))
        if journal_path is None:
            loop.run(pool, None, on_progress)
            return loop.result()
        key = _key(candidates, searcher, evaluator, settings)
        with Journal(journal_path, kind=JOURNAL_KIND, key=key, names=_NAMES, anew=anew, fresh=fresh) as journal:
            loop.replay(journal)
            loop.run(pool, journal, on_progress)
            result = loop.result()
            journal.check()
            keep(result)
            journal.check()
    return result


class _SearchRun:
    """The state of one search: `run` is the loop, `_learn` is where every evaluation ends up."""

    def __init__(
        self,
        candidates: CandidateSpace,
        searcher: Searcher,
        evaluator: Evaluator,
        settings: SearchSettings,
        on_notice: Callable[[str], None],
    ) -> None:
        self._candidates = candidates
        self._searcher = searcher
        self._evaluator = evaluator
        self._seed = settings.seed
        self._notice = on_notice
        noisy = evaluator.spread != 0.0
        reserve = settings.trials // REPEAT_SHARE if noisy else 0
        self._explorations = min(settings.trials - reserve, candidates.count)
        self._total = self._explorations + min(reserve, self._explorations // (REPEAT_SHARE - 1))
        if candidates.count < settings.trials - reserve:
            on_notice(
                f"no more than {candidates.count} candidates meet a budget, so there are at most {self._total} trials; "
                "a larger --budget allows more"
            )
        self._leaders = Leaders(evaluator.spread, functools.partial(picture_error, evaluator))
        # What is finished and what is on its way, by candidate and repetition.
        self._trials: dict[tuple[Candidate, int], Trial] = {}
        self._in_flight: dict[tuple[Candidate, int], Task] = {}
        # First evaluations in their order, for evaluators that learn.
        self._first_evaluations: list[Evaluation] = []
        # Tasks whose worker was lost: those to be handed out again, and all that ever were.
        self._lost_tasks: list[Task] = []
        self._lost_once: set[tuple[Candidate, int]] = set()

    # --- what is known ---

    def replay(self, journal: Journal) -> None:
        """Tell the searcher what earlier runs evaluated; a row that is there twice counts once."""
        for number, value in enumerate(journal.rows, start=2):
            where = f"{journal.path}: line {number}"
            row = SearchRow.parse(value, where)
            if not self._is_candidate(row):
                raise JournalMismatch(
                    f"{where} has strategy {row.candidate.strategy[:40]!r}, which this search could not have tried; "
                    "remove the file or choose another --out."
                )
            if (row.candidate, row.repeat) not in self._trials:
                self._learn(row)

    def _is_candidate(self, row: SearchRow) -> bool:
        """Whether a row is of a candidate that can be evaluated, and a repetition of one that was."""
        candidate, stages = row.candidate, self._candidates.stages
        try:
            check_strategy(candidate.strategy, stages)
        except StrategyError:
            return False
        feasible = candidate not in self._candidates.infeasible and 0 <= candidate.budget < len(
            self._candidates.budgets_us
        )
        known = row.repeat == 0 or (row.repeat > 0 and (candidate, 0) in self._trials)
        return feasible and known

    def _learn(self, row: SearchRow) -> Trial:
        """Note an evaluation and tell the searcher, for every budget within which its network is a candidate."""
        candidate, evaluation = row.candidate, row.evaluation
        solved = self._candidates.widths(candidate)
        trial = Trial(
            len(self._trials) + 1,
            candidate,
            row.repeat,
            self._candidates.predicted_us(candidate),
            self._candidates.energy_mj(candidate),
            solved.widths,
            evaluation,
            row.failed,
        )
        self._trials[candidate, row.repeat] = trial
        if not row.repeat and not row.failed:
            self._first_evaluations.append(evaluation)
        if evaluation.reward is not None:
            scored = self._leaders.add(candidate, trial.number, evaluation)
            error = self._leaders.seed_error(scored)
            variance = None if error is None else min(error, 1e150) ** 2
            for twin in self._candidates.twins(candidate):
                self._searcher.tell(twin, scored.mean, noise_variance=variance)
        elif row.failed and row.repeat:
            self._leaders.close(candidate)
        else:
            self._leaders.remove(candidate)
            for twin in self._candidates.twins(candidate):
                self._searcher.tell_infeasible(twin)
        return trial

    def result(self) -> SearchResult:
        """All trials, and the best by budget.

        Raises:
            InfeasibleBudget: nothing that could be the best.
        """
        trials, front = tuple(self._trials.values()), []
        for best, budget_us in zip(self._front(), self._candidates.budgets_us, strict=True):
            if best is None:
                raise self._all_infeasible(trials, budget_us)
            front.append(best)
        return SearchResult(tuple(front), trials, self._candidates.infeasible, self._candidates.budgets_us)

    def _all_infeasible(self, trials: tuple[Trial, ...], budget_us: float) -> InfeasibleBudget:
        counts = Counter(t.outcome for t in trials if self._candidates.budgets_us[t.candidate.budget] <= budget_us)
        failed = f", and {counts['failed']} failed" if counts["failed"] else ""
        return InfeasibleBudget(
            f"The evaluator {self._evaluator.name} found all {counts['infeasible']} strategies it was given within "
            f"{budget_us:.0f} us infeasible{failed}; raise --trials and give --resume, or raise the budget."
        )

    def _front(self) -> tuple[Best | None, ...]:
        """The best so far by budget."""
        return tuple(self._best(budget) for budget in range(len(self._candidates.budgets_us)))

    def _best(self, budget: int) -> Best | None:
        leader = self._leaders.best(budget)
        if leader is None:
            return None
        solved = self._candidates.widths(leader.candidate)
        return Best(
            self._candidates.budgets_us[budget],
            solved.strategy,
            self._candidates.placement,
            self._candidates.predicted_us(leader.candidate),
            self._candidates.energy_mj(leader.candidate),
            solved.widths,
            leader.mean,
            len(leader.rewards),
            self._leaders.standard_error(leader),
            self._leaders.is_sure(budget),
        )

    # --- what is next ---

    def run(self, workers: Workers, journal: Journal | None, on_progress: Callable[[SearchProgress], None]) -> None:
        """Evaluate until there are enough trials, or the best is sure, or nothing is left."""
        started, before = time.monotonic(), len(self._trials)
        while True:
            self._hand_out(workers)
            if not self._in_flight:
                return
            outcome = self._next_finished(workers, NEW_WORKERS_S)
            if outcome is None:
                continue
            if isinstance(outcome, Failed):
                self._keep_finished(workers, journal)
                raise outcome.error
            trial = self._end(outcome, journal)
            if trial is not None:
                done, elapsed_s, front = len(self._trials), time.monotonic() - started, self._front()
                best = ", ".join(f"{b.strategy} {b.reward:.4g}" for b in front if b)
                on_progress(
                    SearchProgress(
                        done=done,
                        total=self._total,
                        doing=f"{done} of {self._total} trials",
                        elapsed_s=elapsed_s,
                        eta_s=elapsed_s / (done - before) * max(self._total - done, 0),
                        so_far=f"best {best}" if best else "none yet",
                        front=front,
                        trial=trial,
                    )
                )

    def _hand_out(self, workers: Workers) -> None:
        """Give every free worker a task, as long as there are any."""
        while self._lost_tasks or len(self._trials) + len(self._in_flight) < self._total:
            if not workers.free():
                return
            task = self._lost_tasks.pop() if self._lost_tasks else self._next_task()
            if task is None:
                return
            self._in_flight[task.candidate, task.repeat] = task
            workers.submit(task)

    def _next_task(self) -> Task | None:
        """A new candidate, or one of the leaders again; None where neither helps now."""
        explored = sum(not repeat for _, repeat in (*self._trials, *self._in_flight))
        if explored < self._explorations:
            candidate = self._ask()
            if candidate is not None:
                evaluator = self._evaluator
                if isinstance(evaluator, LearningEvaluator):
                    evaluator = evaluator.informed(self._first_evaluations)
                return self._task(candidate, 0, evaluator)
        in_flight = Counter(candidate for candidate, _ in self._in_flight)
        for budget in range(len(self._candidates.budgets_us)):
            leader = self._leaders.to_repeat(budget, in_flight)
            if leader is not None:
                begun = self._trials.keys() | self._in_flight.keys()
                repeat = next(r for r in itertools.count(1) if (leader, r) not in begun)
                return self._task(leader, repeat, self._evaluator)
        return None

    def _ask(self) -> Candidate | None:
        """The searcher's next network that is not on its way within another budget."""
        while (asked := self._searcher.ask()) is not None:
            candidate = self._candidates.twins(asked)[0]
            if (candidate, 0) not in self._in_flight:
                return candidate
        return None

    def _task(self, candidate: Candidate, repeat: int, evaluator: Evaluator) -> Task:
        seed = evaluation_seed(self._seed, candidate.strategy, repeat)
        return Task(candidate, repeat, self._candidates.config(candidate), evaluator, seed)

    # --- what came back ---

    def _end(self, outcome: Done | Lost, journal: Journal | None) -> Trial | None:
        """Write down and learn what a worker did; None where the task is handed out again."""
        task = outcome.task
        del self._in_flight[task.candidate, task.repeat]
        if isinstance(outcome, Done):
            evaluation, failed = outcome.evaluation, False
        elif (task.candidate, task.repeat) not in self._lost_once:
            self._lost_once.add((task.candidate, task.repeat))
            self._lost_tasks.append(task)
            self._notice(f"{task.config.name}: {outcome.how}; its evaluation is handed out again.")
            return None
        else:
            evaluation, failed = Evaluation(None, 0.0, note="its worker was lost twice"), True
            self._notice(f"{task.config.name}: {outcome.how}, for the second time; it is set aside as failed.")
        row = SearchRow.of(task.candidate, task.repeat, evaluation, failed=failed)
        if journal is not None:
            journal.append(row.to_json())
        return self._learn(row)

    def _keep_finished(self, workers: Workers, journal: Journal | None) -> None:
        """Before an error ends the search, write down what others have finished by now."""
        while self._in_flight and (outcome := self._next_finished(workers, 0.0)) is not None:
            if isinstance(outcome, Done):
                self._end(outcome, journal)

    def _next_finished(self, workers: Workers, timeout_s: float) -> TaskOutcome | None:
        """What came back next; a failure where a number in it is not finite."""
        outcome = workers.next_finished(timeout_s)
        if not isinstance(outcome, Done):
            return outcome
        evaluation = outcome.evaluation
        numbers = {"reward": evaluation.reward, "spread": evaluation.spread, **evaluation.details}
        for name, value in numbers.items():
            if value is not None and not math.isfinite(value):
                error = MeasurementError(
                    f"The evaluator {self._evaluator.name} gave strategy {outcome.task.candidate.strategy} the {name} "
                    f"{value}; it must be finite, so correct the evaluator."
                )
                return Failed(outcome.task, error)
        return outcome


def evaluation_seed(seed: int, strategy: str, repeat: int = 0) -> int:
    """A seed for one evaluation: from search seed, strategy and repetition, never from the order."""
    text = f"{seed}:{strategy}" + (f":{repeat}" if repeat else "")
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")


def _key(
    candidates: CandidateSpace, searcher: Searcher, evaluator: Evaluator, settings: SearchSettings
) -> dict[str, object]:
    """What decides the course of a search, as plain JSON; the number of trials and of workers does not."""
    limit: dict[str, object] = {}
    if settings.max_energy_mj is not None:
        limit["infeasible_sha256"] = digest(sorted(map(str, candidates.infeasible)))
    return {
        "base": candidates.base.name,
        "base_sha256": digest(config_to_json(candidates.base)),
        "table_sha256": candidates.table_digest(),
        "budgets_us": list(candidates.budgets_us),
        **limit,
        "evaluator": evaluator.key,
        "seed": int(settings.seed),
        "trunk": candidates.placement.trunk,
        "twin_stem": candidates.placement.twin_stem,
        "searcher": searcher.key,
    }
