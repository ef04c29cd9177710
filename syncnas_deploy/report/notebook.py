"""What a notebook shows of a value: a small table or a picture, and charts; a line of progress below the running cell.

IPython is never imported here: where it is not running already, there is no notebook.
"""

from __future__ import annotations

import base64
import sys
import threading
import time
from functools import singledispatch
from html import escape

from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.files.one_line import one_line
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.prediction.predict import Prediction
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.progress import Progress
from syncnas_deploy.report.comparison import Comparison
from syncnas_deploy.report.drawing import architecture
from syncnas_deploy.report.html.document import document, page_text
from syncnas_deploy.report.html.gantt import timeline_section
from syncnas_deploy.report.html.subjects import Subject
from syncnas_deploy.report.html.timing import segments_section
from syncnas_deploy.report.judgement import bench_lines
from syncnas_deploy.report.page import Page, Table
from syncnas_deploy.report.tables import comparison, expected_error_text, labels, prediction_page

_LEAST_PAUSE_S = 0.2
_WIDTH = "max-width: 480px"
_FRAME = "width: 100%; height: 640px; border: 0"


def page_html(page: Page) -> str:
    """A page's lines and tables as HTML; whatever is in them is text."""
    return "".join(_table_html(part) if isinstance(part, Table) else _line_html(part) for part in page.parts if part)


def _line_html(text: str) -> str:
    return f"<div>{escape(one_line(text))}</div>"


def _table_html(table: Table) -> str:
    sides = ["right" if numeric else "left" for numeric in table.numeric()]

    def row(tag: str, cells: list[str]) -> str:
        inside = (
            f'<{tag} style="text-align: {side}">{escape(cell)}</{tag}>' for side, cell in zip(sides, cells, strict=True)
        )
        return f"<tr>{''.join(inside)}</tr>"

    lines = [row("th", list(table.head)), *(row("td", cells) for cells in table.texts())]
    return f"<table>{''.join(lines)}</table>"


@singledispatch
def html(value: object) -> str:
    """A value as HTML: what it comes to, in words and numbers."""
    return _line_html(repr(value))


@html.register
def _(profile: DeviceProfile) -> str:
    whole: dict[int, float] = {row.unit: row.sample.median_us for row in profile.networks if row.pair == 0}
    rows = [[unit, whole.get(at)] for at, unit in enumerate(profile.whole_units)]
    kind = "" if profile.kind == "measured" else " [SIMULATED: no real device was measured]"
    head = f"{profile.base.name} on {profile.device.get('model', '')}, {profile.created}{kind}"
    warnings = f"{len(profile.warnings)} warnings, see .warnings" if profile.warnings else ""
    table = Table(["unit", "the base alone (us)"], rows)
    told = page_html(Page(head, table, f"{len(profile.points)} points", expected_error_text(profile), warnings))
    return told + charts(page_text(Comparison(profiles=[profile])))


@html.register
def _(prediction: Prediction) -> str:
    units = prediction.profile.units if prediction.profile else ("0", "1")
    expected = "" if prediction.profile is None else expected_error_text(prediction.profile, prediction.makespan_us)
    title = prediction.config.name if prediction.config else ""
    told = page_html(Page(title, prediction_page(prediction, units), expected)) + picture(prediction)
    if prediction.config is None:
        return told
    subject = Subject(prediction.config, units, None, prediction, prediction.profile)
    sections = [("timeline", "One inference on both units", timeline_section(subject, 0)[0])]
    sections.append(("segments", "Segments", segments_section(subject)))
    return told + charts(document(title, sections, {}))


@html.register
def _(result: BenchResult) -> str:
    title = f"{result.config.name} on {result.device} ({' + '.join(result.units)}){labels(result)}"
    told = page_html(Page(title, *comparison(result), *bench_lines(result)))
    return told + charts(page_text(Comparison(results=[result])))


def charts(text: str) -> str:
    """A page in a frame of its own, so that its style reaches nothing else."""
    return f'<details><summary>charts</summary><iframe style="{_FRAME}" srcdoc="{escape(text)}"></iframe></details>'


def svg(value: object) -> str | None:
    """A network's drawing, with predicted times where they are known; None for what has no network."""
    if isinstance(value, ModelConfig):
        return architecture.draw(value)
    config: ModelConfig | None = getattr(value, "config", None)
    if config is None:
        return None
    prediction = value if isinstance(value, Prediction) else getattr(value, "prediction", None)
    return architecture.draw(config, profile=getattr(prediction, "profile", None))


def picture(value: object) -> str:
    """A network's drawing inside of HTML: as an image, so that its style sheet reaches nothing else."""
    text = svg(value)
    if text is None:
        return ""
    data = base64.b64encode(text.encode()).decode()
    return f'<details><summary>drawing</summary><img style="{_WIDTH}" src="data:image/svg+xml;base64,{data}"></details>'


class _CellLine:
    """The line of progress below the running cell."""

    cell: object = None
    at = 0.0
    lock = threading.Lock()


def show_progress(progress: Progress) -> None:
    """The default of `on_progress`: in a notebook a line below the running cell, elsewhere nothing."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    if shell is None or getattr(shell, "kernel", None) is None:
        return
    with _CellLine.lock:
        now, same = time.monotonic(), _CellLine.cell == shell.execution_count
        if same and now - _CellLine.at < _LEAST_PAUSE_S and progress.done < progress.total:
            return
        _CellLine.cell, _CellLine.at = shell.execution_count, now
    left = "" if progress.eta_s is None else f", {progress.eta_s:.0f} s left"
    words = f"{progress.doing}{left}{'; ' if progress.so_far else ''}{progress.so_far}"
    shown = {
        "text/plain": f"[{progress.done}/{progress.total}] {one_line(words)}",
        "text/html": f'<progress value="{progress.done}" max="{progress.total}"></progress> {escape(one_line(words))}',
    }
    publish = sys.modules["IPython.display"].publish_display_data
    publish(shown, transient={"display_id": f"syncnas-{shell.execution_count}"}, update=same)
