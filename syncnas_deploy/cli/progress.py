"""How a task's progress is shown: one live line on a terminal, few lines in a pipe."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Literal

import click

from syncnas_deploy.cli.terminal import clear_live, note, notes_are_live, show_live
from syncnas_deploy.progress import Progress

Volume = Literal["quiet", "usual", "verbose"]
VOLUME = "syncnas_deploy.volume"
"""Where a command's `Volume` is in click's context."""
LEAST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 60.0
"""The shortest time between two states of the live line, and the longest between two lines in a pipe."""
SHARES = 10
"""In a pipe there is a line for so many equal parts of a task."""
BAR = 20


def volume() -> Volume:
    """How much the running command says on stderr besides errors."""
    context = click.get_current_context(silent=True)
    found: Volume = context.meta.get(VOLUME, "usual") if context else "usual"
    return found


class Shown:
    """Shows the progress of one task, or of the same task on several devices.

    Args:
        task: what is done, in a few words.
    """

    def __init__(self, task: str) -> None:
        self._task, self._volume, self._live = task, volume(), notes_are_live()
        self._states: dict[str, str] = {}
        self._last: dict[str, tuple[int, float]] = {}
        self._lock, self._told = threading.Lock(), self._live
        if self._live and self._volume != "quiet":
            show_live(f"{task} ...")

    def __call__(self, progress: Progress, name: str = "") -> None:
        """Show it, unless something was shown just before. `name` is the device's where there are several."""
        with self._lock:
            if self._volume == "quiet" or not self._is_due(progress, name):
                return
            self._states[name] = f"{name}: {_text(progress)}" if name else _text(progress)
            if self._live and self._volume == "usual":
                share = progress.done / max(progress.total, 1)
                bar = f"[{'#' * int(BAR * share):-<{BAR}}] " if len(self._states) == 1 else ""
                show_live("; ".join(self._states.values()), bar)
            else:
                note(*([] if self._told else [self._task]), self._states[name])
                self._told = True

    def note(self, text: str) -> None:
        """A sentence for the user, in the course of the task."""
        if self._volume != "quiet":
            note(text)

    def _is_due(self, progress: Progress, name: str) -> bool:
        part, now = SHARES * progress.done // max(progress.total, 1), time.monotonic()
        before, at = self._last.get(name, (-1, 0.0))
        ended = progress.done == progress.total
        if self._volume == "verbose":
            due = True
        elif self._live:
            due = ended or now - at >= LEAST_PAUSE_S
        else:
            due = part != before or now - at >= LONGEST_PAUSE_S
        if due:
            self._last[name] = (part, now)
        return due


@contextlib.contextmanager
def showing(task: str) -> Iterator[Shown]:
    """Show a task's progress until the block ends. On a terminal the first sign comes at once."""
    shown = Shown(task)
    try:
        yield shown
    finally:
        clear_live()


def duration_text(seconds: float) -> str:
    """A duration as people say it: ``45 s``, ``3 min 20 s``, ``2 h 05 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def _text(progress: Progress) -> str:
    share = 100 * progress.done // max(progress.total, 1)
    if progress.eta_s is None:
        left = f"{duration_text(progress.elapsed_s)} so far"
    else:
        left = f"{duration_text(progress.eta_s)} left"
    return f"{share:3} %  {progress.doing}; {left}" + (f"; {progress.so_far}" if progress.so_far else "")
