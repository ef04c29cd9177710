"""The workers protocol: who carries out evaluations, here or elsewhere, and what comes back.

The loop submits a task wherever a worker is free and takes results as they come. Whoever carries it out, a task is
its network, evaluator and seed, so it can be handed out again where a worker was lost.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import syncnas_deploy
from syncnas_deploy.errors import EvaluationError, SyncNasError
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.search.algorithms.searcher import Candidate
from syncnas_deploy.search.evaluators import Evaluation, Evaluator, evaluated


@dataclass(frozen=True)
class Task:
    """One evaluation to be done.

    Attributes:
        candidate: what is evaluated.
        repeat: how often it was evaluated before.
        config: its network.
        evaluator: gives it its reward.
        seed: of the evaluation.
    """

    candidate: Candidate
    repeat: int
    config: ModelConfig
    evaluator: Evaluator
    seed: int

    def carry_out(self) -> Evaluation:
        return evaluated(self.evaluator, self.config, self.seed)


@dataclass(frozen=True)
class Done:
    """A task that came to its end."""

    task: Task
    evaluation: Evaluation


@dataclass(frozen=True)
class Failed:
    """A task whose evaluator raised an error."""

    task: Task
    error: SyncNasError


@dataclass(frozen=True)
class Lost:
    """A task whose worker is gone; `how` says what is known of it."""

    task: Task
    how: str


TaskOutcome = Done | Failed | Lost


class Workers(Protocol):
    """What carries out tasks; closed after use."""

    def free(self) -> int:
        """How many tasks can be submitted now: at least one where none is in flight.

        Raises:
            WorkersUnavailable: none is in flight, and no worker is there or comes.
        """
        ...

    def submit(self, task: Task) -> None:
        """Hand out a task; there must be a free worker."""
        ...

    def next_finished(self, timeout_s: float | None = None) -> TaskOutcome | None:
        """The next task that ended, in whatever way; None after the timeout. One must be in flight.

        Raises:
            WorkersUnavailable: the workers cannot be reached any more.
        """
        ...

    def close(self) -> None:
        """End what is in flight and let the workers go."""
        ...


class InProcess:
    """This process as its own only worker."""

    def __init__(self) -> None:
        self._task: Task | None = None

    def free(self) -> int:
        """1, or 0 with a task that is not carried out yet."""
        return 1 if self._task is None else 0

    def submit(self, task: Task) -> None:
        """Keep a task until its result is asked for."""
        self._task = task

    def next_finished(self, timeout_s: float | None = None) -> TaskOutcome | None:
        """Carry out the task, however long it takes."""
        task, self._task = self._task, None
        if task is None:
            return None
        try:
            return Done(task, task.carry_out())
        except SyncNasError as e:
            return Failed(task, e)

    def close(self) -> None:
        """Drop the task."""
        self._task = None


def sendable(error: Exception, name: str) -> SyncNasError:
    """An error of the evaluation of the network `name`, as one that can be sent to another process."""
    if isinstance(error, SyncNasError):
        return error
    first = next(iter(str(error).splitlines()), "")[:200]
    return EvaluationError(
        f"The evaluation of {name} failed in a worker ({type(error).__name__}: {first}); with --workers 1 and "
        "SYNCNAS_DEBUG=1 you see where."
    )


@functools.cache
def code_version() -> str:
    """This program's version and a digest of its code: results of different ones are not mixed."""
    digest = hashlib.sha256()
    package = Path(syncnas_deploy.__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode() + path.read_bytes())
    return f"{syncnas_deploy.__version__}+{digest.hexdigest()[:12]}"
