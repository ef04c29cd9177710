"""The timeline of both units: predicted above measured, on one axis."""

from __future__ import annotations

from collections.abc import Sequence

from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.report.html.markup import Markup, joined, micro, ms, percent, tag
from syncnas_deploy.report.html.plot import round_values
from syncnas_deploy.report.html.subjects import Subject
from syncnas_deploy.report.timeline import (
    Slice,
    Timeline,
    measured_timelines,
    median_timeline,
    timeline_of_prediction,
)

LABELLED = 0.88
"""Share of the axis that has labels; after it stands its unit."""


def timeline_section(subject: Subject, place: int) -> tuple[Markup, object]:
    """The lanes of one network, and what the slider needs for the other runs.

    Args:
        place: of the subject on the page; part of the names of its elements.
    """
    result = subject.result
    predicted = None if subject.prediction is None else timeline_of_prediction(subject.prediction)
    runs = [] if result is None else measured_timelines(result)
    median = None if result is None else median_timeline(result)
    shown = [timeline for timeline in (predicted, median) if timeline is not None]
    # Slower runs than nine of ten end beyond the edge: the axis is made for the others.
    usual = runs[int(0.9 * (len(runs) - 1))].makespan_us if runs else 0.0
    top_us = 1.02 * max(usual, *(timeline.makespan_us for timeline in shown))
    lanes = []
    if predicted is not None:
        lanes.append(_lanes("predicted", predicted, subject.units, top_us, f"Predicted: {ms(predicted.makespan_us)}"))
    if median is not None and result is not None:
        lanes.append(_lanes("measured", median, subject.units, top_us, _run_text(median, result), f"m{place}"))
    ticks = [us for us in round_values(0.0, top_us, 6) if us < top_us]
    grid = tag(
        "div", [tag("i", style=f"left:{percent(us / top_us)}") for us in ticks], class_="grid-lines", aria_hidden="true"
    )
    marks = [
        tag("span", f"{us / 1e3:g}", style=f"left:{percent(us / top_us)}") for us in ticks if us < LABELLED * top_us
    ]
    axis = tag("div", marks, tag("em", "ms"), class_="xs", aria_hidden="true")
    chart = tag("div", grid, lanes, axis, class_="gantt", role="group", aria_label=f"Timeline of {subject.name}")
    parts: list[Markup | None] = [_legend(subject, median or shown[0]), chart]
    data: object = None
    if median is not None and result is not None and len(runs) > 1:
        parts.append(_slider(place, runs, median))
        data = _runs_data(runs, result, top_us)
    if result is not None and not result.stamps:
        told = "This result is of an earlier version and has no time stamps; its lanes are made of the segments' times."
        parts.append(tag("p", told, class_="note"))
    return joined(*parts), data


def _lanes(
    kind: str, timeline: Timeline, units: Sequence[str], top_us: float, heading: str, identity: str | None = None
) -> Markup:
    head = tag("h3", heading, class_="run-name")
    tracks = [
        tag(
            "ol",
            [_slice(piece, top_us) for piece in timeline.of_unit(unit)],
            class_=f"track u{unit} {kind}",
            aria_label=f"{text}, {kind}",
        )
        for unit, text in enumerate(units)
    ]
    return tag("div", head, tracks, class_="lane", id=identity)


def _slice(piece: Slice, top_us: float) -> Markup:
    """A slice, as wide as it is long; what lasts no time is there for the slider alone."""
    place = f"left:{percent(piece.begin_us / top_us)};width:{percent(piece.duration_us / top_us)}"
    label = None
    if piece.kind == "work":
        name, us = short_name(piece.name), f"{piece.duration_us:,.0f}"
        label = joined(tag("b", name, class_="long" if len(name) > 2 else None), tag("i", us, class_=_length_class(us)))
    return tag(
        "li",
        label,
        tag("span", _tip(piece), class_="vh"),
        class_=piece.kind,
        style=place,
        hidden=piece.duration_us <= 0,
        tabindex=-1 if piece.kind in ("work", "wait") else None,
    )


def _length_class(number: str) -> str | None:
    """Whether a number in a slice needs more room than one of three digits: see page.css."""
    return "longer" if len(number) > 6 else "long" if len(number) > 3 else None


def _tip(piece: Slice) -> str:
    return f"{piece.name}: {micro(piece.duration_us)} us ({ms(piece.begin_us)} to {ms(piece.end_us)})"


def short_name(segment: str) -> str:
    """A segment's name where there is little room: the number of its phase, or stem, or head."""
    phase = segment.partition("_")[0]
    return phase.removeprefix("phase")


def _run_text(timeline: Timeline, result: BenchResult) -> str:
    count = len(result.makespan.samples_us)
    if timeline.run is None:
        return f"Measured, the median run: {ms(timeline.makespan_us)}"
    which = ", the median one" if timeline.run == result.median_run else ""
    return f"Measured, run {timeline.run + 1} of {count}{which}: {ms(timeline.makespan_us)}"


def _legend(subject: Subject, timeline: Timeline) -> Markup:
    lanes = [""] if len(subject.units) == 1 else [" (upper lanes)", " (lower lanes)"]
    named = enumerate(zip(subject.units, lanes, strict=True))
    units = [tag("li", tag("i", class_=f"sw u{unit}"), text, lane) for unit, (text, lane) in named]
    if len(subject.units) == 1:
        return tag("ul", units, class_="legend")
    crossings_us = max(timeline.spent_us(unit, "crossing") for unit in (0, 1))
    share = crossings_us / timeline.makespan_us
    kinds = [
        tag("li", tag("i", class_="sw wait"), "waits for the other unit"),
        tag("li", tag("i", class_="sw idle"), "nothing to do"),
        tag("li", tag("i", class_="sw crossing"), f"crossings: {micro(crossings_us)} us in all ({share:.1%})"),
    ]
    return tag("ul", units, kinds, class_="legend")


def _slider(place: int, runs: Sequence[Timeline], median: Timeline) -> Markup:
    label = tag(
        "label",
        "Other runs, from the fastest to the slowest",
        tag("input", type="range", min=0, max=len(runs) - 1, value=runs.index(median), data_runs=place),
    )
    return tag("p", label, class_="pick", hidden=True)


def _runs_data(runs: Sequence[Timeline], result: BenchResult, top_us: float) -> object:
    """Of each run its heading, and by unit where each slice ends, microseconds. The slices are the same in all."""
    return {
        "top": round(top_us, 1),
        "runs": [
            [_run_text(run, result), *([round(piece.end_us, 1) for piece in run.of_unit(unit)] for unit in _units(run))]
            for run in runs
        ],
    }


def _units(timeline: Timeline) -> list[int]:
    return sorted({piece.unit for piece in timeline.slices})
