"""Workers: who carries out evaluations, here or elsewhere, and what comes back.

The loop submits a task wherever a worker is free and takes results as they come. Whoever carries it out, a task is
its network, evaluator and seed, so it can be handed out again where a worker was lost.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import syncnas_deploy
from syncnas_deploy.errors import EvaluationError, SyncNasError, UnknownWorkers
from syncnas_deploy.models.config import ModelConfig
from syncnas_deploy.search.evaluators import Evaluation, Evaluator
from syncnas_deploy.search.searcher import Candidate

MAX_PROCESSES = 256
SCHEMES = ("tcp://", "tls://")


@dataclass(frozen=True)
class Task:
    """One evaluation to be done.

    Attributes:
        candidate: what is evaluated.
        repeat: how often it was evaluated before.
        config: its network.
        evaluator: by which.
        seed: of the evaluation.
    """

    candidate: Candidate
    repeat: int
    config: ModelConfig
    evaluator: Evaluator
    seed: int

    def carry_out(self) -> Evaluation:
        """Evaluate."""
        return self.evaluator.evaluate(self.config, self.seed)


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


Outcome = Done | Failed | Lost


class Workers(Protocol):
    """Those who carry out tasks; closed after use."""

    def free(self) -> int:
        """How many tasks can be submitted now: at least one where none is in flight.

        Raises:
            WorkersUnavailable: none is in flight, and no worker is there or comes.
        """
        ...

    def submit(self, task: Task) -> None:
        """Hand out a task; there must be a free worker."""
        ...

    def next_finished(self, timeout_s: float | None = None) -> Outcome | None:
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
        """See `Workers`."""
        return 1 if self._task is None else 0

    def submit(self, task: Task) -> None:
        """See `Workers`."""
        self._task = task

    def next_finished(self, timeout_s: float | None = None) -> Outcome | None:
        """See `Workers`; the evaluation happens here, however long it takes."""
        task, self._task = self._task, None
        if task is None:
            return None
        try:
            return Done(task, task.carry_out())
        except SyncNasError as e:
            return Failed(task, e)

    def close(self) -> None:
        """See `Workers`."""
        self._task = None


def sendable(error: Exception, task: str) -> SyncNasError:
    """An error of an evaluation as one that can be sent to another process."""
    if isinstance(error, SyncNasError):
        return error
    first = next(iter(str(error).splitlines()), "")[:200]
    return EvaluationError(
        f"The evaluation of {task} failed in a worker ({type(error).__name__}: {first}); with --workers 1 and "
        "SYNCNAS_DEBUG=1 you see where."
    )


def make_workers(text: str | int = 1, resources: Mapping[str, float] | None = None) -> Workers:
    """The workers that `text` names: a number of processes here, or a dask scheduler's address.

    Args:
        text: 1 for this process, more for so many others, ``tcp://HOST:PORT`` or ``tls://HOST:PORT``.
        resources: what each evaluation needs of a dask worker's resources, by name.

    Raises:
        UnknownWorkers: none of these.
        WorkersUnavailable: no scheduler or no workers there, or of another version.
        MissingDependency: dask.distributed is needed and not installed.
    """
    text = str(text)
    if text.startswith(SCHEMES):
        from syncnas_deploy.search.dask_workers import DaskWorkers

        return DaskWorkers(text, resources or {})
    if resources:
        raise UnknownWorkers("Only dask workers have resources; give --workers tcp://HOST:PORT with --worker-resource.")
    if not text.isdecimal() or not 1 <= int(text[:9]) <= MAX_PROCESSES:
        raise UnknownWorkers(
            f"{text[:80]!r} names no workers; give a number of processes, 1 to {MAX_PROCESSES}, or tcp://HOST:PORT of "
            "a dask scheduler."
        )
    if int(text) == 1:
        return InProcess()
    from syncnas_deploy.search.local_workers import LocalWorkers

    return LocalWorkers(int(text))


@functools.cache
def code_version() -> str:
    """This program's version and a digest of its code: results of different ones are not mixed."""
    digest = hashlib.sha256()
    package = Path(syncnas_deploy.__file__).parent
    for path in sorted(package.rglob("*.py")):
        digest.update(str(path.relative_to(package)).encode() + path.read_bytes())
    return f"{syncnas_deploy.__version__}+{digest.hexdigest()[:12]}"
