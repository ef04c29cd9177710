"""How far a task is: the one noun with which profiling, searching, training, evaluating and benchmarking report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a task is.

    Attributes:
        done, total: parts of the task; the total stays as it was at first.
        doing: what is being done or was just done, in words that a user knows.
        elapsed_s: seconds since this process began it.
        eta_s: estimated seconds to go; None before the first part is done.
        so_far: what was found up to now, such as the best; "" for nothing.
    """

    done: int
    total: int
    doing: str
    elapsed_s: float
    eta_s: float | None = None
    so_far: str = ""


OnProgress = Callable[[Progress], None]


class Pace:
    """Reports a task's progress part by part, and what is left at this pace.

    Args:
        on_progress: gets the reports.
        total: parts of the whole task, at most.
        done: parts that an earlier process did.
    """

    def __init__(self, on_progress: OnProgress, total: int, done: int = 0) -> None:
        self._on_progress, self._total = on_progress, total
        self._done, self._before, self._shown = done, done, done
        self._started = time.monotonic()

    def expect(self, left: int) -> None:
        """There are so many parts left, more or fewer than was thought: the total stays, and the share never falls."""
        change = self._total - left - self._done
        self._done, self._before = self._done + change, self._before + change

    def begin(self, doing: str) -> None:
        """Report what comes next."""
        self._tell(doing, "")

    def step(self, doing: str, *, parts: int = 1, so_far: str = "") -> None:
        """Report that parts are done."""
        self._done += parts
        self._tell(doing, so_far)

    def _tell(self, doing: str, so_far: str) -> None:
        self._shown = max(self._shown, self._done)
        elapsed_s, did = time.monotonic() - self._started, self._done - self._before
        eta_s = elapsed_s / did * (self._total - self._done) if did else None
        self._on_progress(
            Progress(
                done=self._shown,
                total=self._total,
                doing=doing,
                elapsed_s=elapsed_s,
                eta_s=eta_s,
                so_far=so_far,
            )
        )
