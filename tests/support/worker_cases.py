"""Evaluators that workers can import, for tests: slow, deadly, wrong."""

from __future__ import annotations

import math
import multiprocessing
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from syncnas_deploy.errors import EvaluationError
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.search.evaluators import Evaluation
from tests.support.waiting import wait_for


@dataclass(frozen=True)
class Slow:
    """Rewards that look random and depend on strategy and seed; every evaluation leaves a file that names its process.

    Attributes:
        folder: for those files.
        seconds: of an evaluation.
        long: a strategy whose evaluation ends when all 18 have begun.
        deadly: strategies whose evaluation kills its process.
        deaths: how often each of them does.
        victim: a process that is killed in its first evaluation, when another one has begun its own.
        wrong: the strategy whose evaluation raises.
        fault: what it raises: a typed error, or another.
        noise: standard deviation between seeds.
    """

    folder: Path
    seconds: float = 0.0
    long: str = ""
    deadly: frozenset[str] = frozenset()
    deaths: int = 99
    victim: int = 0
    wrong: str = ""
    fault: str = "typed"
    noise: float = 0.0
    name: str = "slow"
    cost: str = "as told"

    @property
    def key(self) -> dict[str, object]:
        return {"name": self.name}

    @property
    def spread(self) -> float | None:
        return None if self.noise else 0.0

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        strategy = config.strategy or ""
        earlier = len(list(self.folder.glob(f"{strategy}-*")))
        (self.folder / f"{strategy}-{os.getpid()}-{time.monotonic_ns()}").touch()
        time.sleep(self.seconds)
        if strategy == self.long:
            wait_for(lambda: len(list(self.folder.iterdir())) == 18)
        if os.getpid() == self.victim:
            wait_for(lambda: len(pids_in(self.folder)) > 1)
            os.kill(os.getpid(), signal.SIGKILL)
        if strategy in self.deadly and earlier < self.deaths:
            os.kill(os.getpid(), signal.SIGKILL)
        if strategy == self.wrong:
            raise EvaluationError("typed and clear.") if self.fault == "typed" else RuntimeError("not\nforeseen")
        scatter = math.sin(seed) * math.sqrt(2) * self.noise
        return Evaluation(true_reward(strategy) + scatter, 0.0, {"pid": float(os.getpid())})


def pids_in(folder: Path) -> set[int]:
    """The processes that left files of `Slow` there."""
    return {int(path.name.split("-")[1]) for path in folder.iterdir()}


def true_reward(strategy: str) -> float:
    """Without noise."""
    return 0.7 + 0.1 * math.sin(sum(ord(c) * (i + 1) ** 2 for i, c in enumerate(strategy)))


@dataclass(frozen=True)
class Threads:
    """Reports how many threads torch has where it runs."""

    name: str = "threads"
    cost: str = "instant"
    spread: float = 0.0

    @property
    def key(self) -> dict[str, object]:
        return {"name": self.name}

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        import torch

        return Evaluation(0.5, 0.0, {"torch": float(torch.get_num_threads())})


def worker_pids() -> tuple[int, ...]:
    """The worker processes of this process that run now."""
    return tuple(child.pid for child in multiprocessing.active_children() if child.pid is not None)


def is_running(pid: int) -> bool:
    """Whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
