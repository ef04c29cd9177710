"""The page of a task that runs: how far it is, and what it has found so far. A browser loads it again by itself."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from syncnas_bench.files import regular_bytes
from syncnas_deploy.errors import OutputError
from syncnas_deploy.files.output import check_output, write_text
from syncnas_deploy.progress import Progress
from syncnas_deploy.report.html.document import document
from syncnas_deploy.report.html.markup import Markup, percent, tag
from syncnas_deploy.report.html.plot import LARGEST, Plot
from syncnas_deploy.report.html.searches import WholeTrial, history_plot

EVERY_S = 5.0
"""A page is not written more often, and a browser does not load it more often."""
MOST_BYTES = 64 << 20
"""Of what is read for a page; a larger journal has no chart."""
MOST_STEPS = 12

Charts = Callable[[], Sequence[Markup]]
"""What has been found so far, read anew from what the task writes."""


class LivePage:
    """A page that is written again and again while a task runs.

    Args:
        path: the file; an HTML page of an earlier task may be replaced.
        title: what runs.
        charts: what it has found so far.
        force: replace a file that is there.
        clock: seconds that pass.

    Raises:
        OutputExists: `path` is there and `force` was not given.
        OutputError: it cannot be written. Later on a page that cannot be written is left out: the task goes on.
    """

    def __init__(
        self, path: Path, title: str, charts: Charts, *, force: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._path, self._title, self._charts, self._clock = path, title, charts, clock
        self._began, self._written = clock(), -math.inf
        self._state: tuple[int, int, float | None] = (0, 0, None)
        self._steps: list[tuple[str, float]] = []
        check_output(path, force=force)
        write_text(path, self._text(running=True), force=force)

    def tell(self, progress: Progress) -> None:
        """Note how far the task is; the page is written if the last one is old enough."""
        now = self._clock()
        self._state = progress.done, progress.total, progress.eta_s
        self._steps = [*self._steps, (progress.doing, now - self._began)][-MOST_STEPS:]
        if now - self._written >= EVERY_S:
            self._write(running=True)

    def end(self) -> None:
        """The task has ended, or was interrupted: the last page is not loaded again."""
        self._write(running=False)

    def _write(self, *, running: bool) -> None:
        try:
            write_text(self._path, self._text(running=running))
            self._written = self._clock()
        except OutputError:
            return

    def _text(self, *, running: bool) -> str:
        done, total, eta_s = self._state
        share = done / total if total else 0.0
        told = f"{done:,} of {total:,}" if total else "it begins"
        left = f"about {eta_s:,.0f} s to go" if running and eta_s is not None and math.isfinite(eta_s) else ""
        state = "running" if running else "it does not run any more"
        filled = tag("i", class_="work", style=f"width:{percent(share)}")
        bar = tag("div", filled, class_="stack", role="img", aria_label=told)
        when = time.strftime("%Y-%m-%d %H:%M:%S")
        rows = [tag("li", f"{seconds:,.0f} s: {doing}") for doing, seconds in reversed(self._steps)]
        head = [
            tag("p", tag("b", state.upper(), class_="badge"), f"written {when}", class_="eyebrow"),
            tag("h1", f"{self._title}: {told}"),
            tag("div", bar, class_="u0"),
            tag("p", left, class_="lead"),
            tag("div", self._charts(), class_="two"),
            tag("ol", rows, class_="checks") if rows else None,
        ]
        refresh_s = int(EVERY_S) if running else None
        return document(self._title, [("progress", "", tag("div", head))], {}, refresh_s=refresh_s)


def search_charts(journal: Path) -> Sequence[Markup]:
    """Rewards so far, from a search's journal; a line that is just being written is left out."""
    trials: list[WholeTrial] = []
    for line in _text_of(journal).split("\n")[1:]:
        try:
            row = json.loads(line)["row"]
            reward, partial, strategy = float(row["reward"]), bool(row["partial"]), str(row["strategy"])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        if not partial and abs(reward) < LARGEST:
            trials.append(WholeTrial(len(trials) + 1, strategy, 0.0, 0.0, reward))
    return [history_plot(trials)] if trials else []


def training_charts(history: Path) -> Sequence[Markup]:
    """Losses and accuracy by epoch, from a run's history."""
    columns: dict[str, list[tuple[float, float]]] = {"train_loss": [], "val_loss": [], "top1": []}
    for row in csv.DictReader(io.StringIO(_text_of(history))):
        for name, points in columns.items():
            try:
                epoch, value = float(row["epoch"]), float(row[name])
            except (ValueError, KeyError, TypeError):
                continue
            if abs(value) < LARGEST:
                points.append((epoch, value))
    charts = []
    losses = [columns["train_loss"], columns["val_loss"]]
    if all(losses):
        plot = Plot.around([*losses[0], *losses[1]])
        for kind, points in zip(("u0", "u1"), losses, strict=True):
            plot.line(points, kind)
            plot.dots(points, kind)
        told = (
            f"Losses of {len(losses[0])} epochs; the last ones are {losses[0][-1][1]:.4f} and {losses[1][-1][1]:.4f}."
        )
        charts.append(plot.figure("Loss: training blue, validation orange", told, ("epoch", "nats")))
    if columns["top1"]:
        plot = Plot.around(columns["top1"])
        plot.line(columns["top1"], "u0")
        plot.dots(columns["top1"], "u0")
        told = f"Accuracy of {len(columns['top1'])} epochs; the last one is {columns['top1'][-1][1]:.4f}."
        charts.append(plot.figure("Top-1 accuracy in validation", told, ("epoch", "share")))
    return charts


def _text_of(path: Path) -> str:
    try:
        if regular_bytes(path) > MOST_BYTES:
            return ""
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
