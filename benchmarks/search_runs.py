"""One run of a search algorithm on a tabulated space, and what is noted of it."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from syncnas_deploy.search.algorithms import ALGORITHMS, make_searcher
from syncnas_deploy.search.algorithms.searcher import Candidate, Searcher
from tests.support.search_spaces import STAGES, STRATEGIES, Float64Array, space

TPE = "optuna-tpe"
COMPARED = (*ALGORITHMS, TPE)
LIMIT = 300
TOP = 0.01
INDEX = {strategy: i for i, strategy in enumerate(STRATEGIES)}


@dataclass(frozen=True)
class Setting:
    """What decides a run.

    Attributes:
        algorithm: one of `COMPARED`.
        family: one of `search_spaces.FAMILIES`.
        seed: of the space and of the algorithm.
        in_flight: evaluations at the same time; the one begun first ends first.
    """

    algorithm: str
    family: str
    seed: int
    in_flight: int


@dataclass(frozen=True)
class RunOutcome:
    """What a run gave.

    Attributes:
        to_best: evaluations until the best strategy; None if it was not among the first `LIMIT`.
        to_top: ... until any of the best 1 % of the feasible ones.
        steps: (evaluation, regret) whenever the regret fell; regret is the distance to the best reward as a share
            of the distance from the best to the median.
        decision_ms: mean processor time of a decision.
    """

    to_best: int | None
    to_top: int | None
    steps: tuple[tuple[int, float], ...]
    decision_ms: float

    def regret_at(self, evaluations: int) -> float:
        """The regret after so many evaluations."""
        return next((regret for n, regret in reversed(self.steps) if n <= evaluations), 1.0)


def run(setting: Setting) -> RunOutcome:
    """Search until the best strategy is found, or `LIMIT` evaluations."""
    rewards = space(setting.family, setting.seed)
    searcher = make(setting, rewards)
    feasible = np.sort(rewards[~np.isnan(rewards)])
    best, top = feasible[-1], feasible[-max(1, int(TOP * len(feasible)))]
    unit = best - np.median(feasible)
    flying: list[Candidate] = []
    steps: list[tuple[int, float]] = []
    spent_s, decisions, done, highest, to_top = 0.0, 0, 0, -np.inf, None
    while done < LIMIT and highest < best:
        while len(flying) < setting.in_flight:
            started = time.process_time()
            candidate = searcher.ask()
            spent_s += time.process_time() - started
            decisions += 1
            if candidate is None:
                break
            if np.isnan(rewards[INDEX[candidate.strategy]]):
                # Known from the solver, and so free; only algorithms that are to learn of it get here.
                searcher.tell_infeasible(candidate)
            else:
                flying.append(candidate)
        candidate = flying.pop(0)
        reward = float(rewards[INDEX[candidate.strategy]])
        started = time.process_time()
        searcher.tell(candidate, reward)
        spent_s += time.process_time() - started
        done += 1
        if reward > highest:
            highest = reward
            steps.append((done, round(float((best - reward) / unit), 5)))
        if to_top is None and reward >= top:
            to_top = done
    to_best = done if highest >= best else None
    return RunOutcome(to_best, to_top, tuple(steps), round(1e3 * spent_s / decisions, 3))


def make(setting: Setting, rewards: Float64Array) -> Searcher:
    """The searcher of a run; all but two know from the start what is infeasible.

    `uct-published` and TPE are told when they ask, which costs them no evaluation either.
    """
    if setting.algorithm == TPE:
        return OptunaTpe(setting.seed, several=setting.in_flight > 1)
    known = [Candidate(s) for s, reward in zip(STRATEGIES, rewards, strict=True) if np.isnan(reward)]
    learns = setting.algorithm == "uct-published"
    return make_searcher(setting.algorithm, STAGES, seed=setting.seed, infeasible=() if learns else known)


class OptunaTrial(Protocol):
    """What is used of an Optuna trial."""

    def suggest_categorical(self, name: str, choices: list[str]) -> str:
        """A letter."""
        ...


class OptunaTpe:
    """Optuna's TPE, multivariate, one parameter per letter.

    A strategy that it asks for again is passed over, at no cost; after 10 of those in a row any new one is evaluated.
    """

    def __init__(self, seed: int, *, several: bool) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=True, constant_liar=several)
        self._study = optuna.create_study(direction="maximize", sampler=sampler)
        self._failed = optuna.trial.TrialState.FAIL
        self._trials: dict[Candidate, OptunaTrial] = {}
        self._rewards: dict[Candidate, float | None] = {}
        self._order = np.random.default_rng(seed).permutation(len(STRATEGIES))

    @property
    def key(self) -> dict[str, object]:
        """The name."""
        return {"algorithm": TPE}

    def ask(self) -> Candidate | None:
        """The next strategy of TPE that is new."""
        for _ in range(10):
            trial = self._study.ask()
            letters = [
                trial.suggest_categorical(f"stage{s}", ["a", "c"] + ["n"] * (s < STAGES - 1)) for s in range(STAGES)
            ]
            candidate = Candidate("".join(letters))
            if candidate not in self._rewards and candidate not in self._trials:
                self._trials[candidate] = trial
                return candidate
            self._study.tell(trial, state=self._failed)
        every = (Candidate(STRATEGIES[i]) for i in self._order)
        other = next((c for c in every if c not in self._rewards and c not in self._trials), None)
        if other is not None:
            self._study.enqueue_trial({f"stage{s}": op for s, op in enumerate(other.strategy)})
            trial = self._study.ask()
            for s in range(STAGES):
                trial.suggest_categorical(f"stage{s}", ["a", "c"] + ["n"] * (s < STAGES - 1))
            self._trials[other] = trial
        return other

    def tell(self, candidate: Candidate, reward: float, *, noise_variance: float | None = None) -> None:
        """See `Searcher`."""
        self._note(candidate, reward)

    def tell_infeasible(self, candidate: Candidate) -> None:
        """See `Searcher`."""
        self._note(candidate, None)

    def _note(self, candidate: Candidate, reward: float | None) -> None:
        self._rewards[candidate] = reward
        trial = self._trials.pop(candidate)
        if reward is None:
            self._study.tell(trial, state=self._failed)
        else:
            self._study.tell(trial, reward)


def outcome_json(setting: Setting, outcome: RunOutcome) -> dict[str, object]:
    """One row of results, plain JSON."""
    return {**dataclasses.asdict(setting), **dataclasses.asdict(outcome)}
