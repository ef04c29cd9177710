"""Where the time goes, unit by unit; and what was predicted beside what was measured, segment by segment."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from syncnas_deploy.report.html.gantt import short_name
from syncnas_deploy.report.html.markup import Content, Markup, data_table, joined, micro, percent, tag
from syncnas_deploy.report.html.subjects import Subject
from syncnas_deploy.report.judgement import outlook_text
from syncnas_deploy.report.timeline import Timeline, median_timeline, timeline_of_prediction

KINDS = {
    "work": "work, as long as alone",
    "slowed": "slower since the other unit works",
    "crossing": "crossings",
    "wait": "waits for the other unit",
    "idle": "nothing to do",
}
WORST = 0.5
"""Relative error that fills half of an error bar."""


def time_section(subject: Subject) -> Markup:
    """Shares of the makespan by unit, predicted and measured."""
    shares = [_shares(subject, unit) for unit in range(len(subject.units))]
    parts = []
    for unit, (text, by_source) in enumerate(zip(subject.units, shares, strict=True)):
        bars = [_stack(name, found) for name, found in by_source.items()]
        rows = [
            [joined(tag("i", class_=f"sw {kind}"), told), *(f"{100 * found[kind]:.1f}" for found in by_source.values())]
            for kind, told in KINDS.items()
        ]
        head: list[Content] = ["% of the makespan", *by_source]
        table = data_table(head, rows, caption=f"Where the time of {text} goes")
        parts.append(tag("div", tag("h3", text), bars, table, class_=f"share u{unit}"))
    note = "Measured: the median run. How long work takes alone is the median of other runs, with the other unit idle."
    outlook = None
    if subject.profile is not None and subject.prediction is not None:
        outlook = tag(
            "p", outlook_text(subject.config, subject.profile, subject.prediction).capitalize() + ".", class_="note"
        )
    return joined(tag("div", parts, class_="two"), tag("p", note, class_="note"), outlook)


def _shares(subject: Subject, unit: int) -> dict[str, dict[str, float]]:
    """Shares of the makespan that a unit spends on each of `KINDS`, predicted and measured."""
    found = {}
    if subject.prediction is not None:
        segments = [s for phase in subject.prediction.phases for s in phase.segments if s.branch == unit]
        alone_us = sum(segment.solo_us for segment in segments)
        found["predicted"] = _of_timeline(timeline_of_prediction(subject.prediction), unit, alone_us)
    if subject.result is not None:
        alone_us = sum(s.solo.median_us for s in subject.result.segments if s.branch == unit)
        found["measured"] = _of_timeline(median_timeline(subject.result), unit, alone_us)
    return found


def _of_timeline(timeline: Timeline, unit: int, alone_us: float) -> dict[str, float]:
    work_us = timeline.spent_us(unit, "work")
    alone_us = min(alone_us, work_us)
    spent_us = {"work": alone_us, "slowed": work_us - alone_us}
    spent_us |= {kind: timeline.spent_us(unit, kind) for kind in ("crossing", "wait", "idle")}
    return {kind: us / timeline.makespan_us for kind, us in spent_us.items()}


def _stack(name: str, found: Mapping[str, float]) -> Markup:
    pieces = [tag("i", class_=kind, style=f"width:{percent(share)}") for kind, share in found.items() if share > 0]
    told = ", ".join(f"{KINDS[kind]} {share:.1%}" for kind, share in found.items())
    return tag(
        "div",
        tag("span", name),
        tag("div", pieces, class_="stack", role="img", aria_label=f"{name}: {told}"),
        class_="stacked",
    )


def segments_section(subject: Subject) -> Markup:
    """The table of a network's segments, and how far each was off."""
    result = subject.result
    said = {} if subject.prediction is None else {s.name: s for p in subject.prediction.phases for s in p.segments}
    names = [s.name for s in result.segments] if result else list(said)
    measured = {s.name: s for s in result.segments} if result else {}
    rows: list[list[Content]] = []
    for name in names:
        guess, samples = said.get(name), measured.get(name)
        branch = samples.branch if samples else said[name].branch
        found_us = samples.concurrent.median_us if samples else None
        row: list[Content] = [
            joined(tag("i", class_=f"sw u{branch}"), _readable(name, branch)),
            micro(guess.concurrent_us) if guess else "-",
            micro(found_us) if found_us is not None else "-",
        ]
        if samples:
            low, high = np.percentile(samples.concurrent.samples_us, (10, 90))
            row += [f"{micro(float(low))} to {micro(float(high))}", micro(samples.solo.median_us)]
        else:
            row += ["-", micro(guess.solo_us) if guess else "-"]
        rows.append([*row, _error(guess.concurrent_us / found_us - 1 if guess and found_us else None)])
    total: list[Content] = ["whole network", micro(subject.prediction.makespan_us) if subject.prediction else "-"]
    if result is not None:
        times = result.makespan
        total += [micro(times.median_us), f"{micro(times.p10_us)} to {micro(times.p90_us)}", "-"]
        total.append(_error(subject.prediction.makespan_us / times.median_us - 1 if subject.prediction else None))
    else:
        total += ["-", "-", "-", "-"]
    head = ["segment", "predicted (us)", "measured (us)", "p10 to p90", "alone", "error"]
    note = (
        "Both units at work; alone: the other unit idle. Medians of segments do not add up to the median of the whole."
    )
    table = data_table(head, [*rows, total], caption=f"Segments of {subject.name}, microseconds", wide=(3, 4))
    return joined(table, tag("p", note, class_="note"))


def _readable(name: str, branch: int) -> str:
    """A segment's name with blanks, so that it may be folded."""
    if "_branch" not in name:
        return name
    first = "phase " if name.startswith("phase") else ""
    return f"{first}{short_name(name)} · {branch}"


def _error(error: float | None) -> Content:
    """A relative error as text, with a bar from the middle."""
    if error is None:
        return "-"
    length = percent(min(0.5, 0.5 * abs(error) / WORST))
    side = f"right:50%;width:{length}" if error < 0 else f"left:50%;width:{length}"
    told = f"{round(error, 3) + 0.0:+.1%}" if abs(error) < 10 else f"{error:+.2g}"
    return joined(tag("i", tag("i", style=side), class_="bar", aria_hidden="true"), tag("span", told, class_="err"))
