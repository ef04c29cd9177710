"""How far what is shown can be trusted: the same network twice, drift, launches, held-out networks, warnings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate

import numpy as np

from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.benchmarking.trust import trust
from syncnas_deploy.prediction.drift import drift
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.report.html.markup import Markup, joined, ms, number, tag
from syncnas_deploy.report.html.plot import Plot
from syncnas_deploy.report.html.subjects import Subject
from syncnas_deploy.report.judgement import drift_text
from syncnas_deploy.report.tables import expected_error_text

MOST_DOTS = 1000
CLIPPED = 97.0
"""Percentile above which runs stand at the edge: one slow run would make all others a line."""


def trust_section(subjects: Sequence[Subject], profiles: Sequence[DeviceProfile]) -> Markup:
    """Charts, and then every reason to doubt."""
    results = [subject.result for subject in subjects if subject.result is not None]
    charts = [_twice(result) for result in results]
    charts += [_held_out(profile, subjects) for profile in profiles if profile.held_out]
    found = [line for subject in subjects for line in _checks(subject)]
    found += [("" if p.level == "trustworthy" else "bad", f"the profile is {p.level}") for p in profiles]
    found += [("bad" if text in p.doubts else "", text) for p in profiles for text in p.warnings]
    found += [("", expected_error_text(profile)) for profile in profiles]
    checks = tag("ul", [tag("li", text, class_=kind or None) for kind, text in dict.fromkeys(found)], class_="checks")
    return joined(tag("div", charts, class_="two"), checks)


def _checks(subject: Subject) -> Iterator[tuple[str, str]]:
    result = subject.result
    if result is None:
        return
    judged = trust(result)
    yield ("" if judged.level == "trustworthy" else "bad"), f"{subject.name}: the measurement is {judged.level}"
    yield from (("bad", reason) for reason in judged.reasons)
    yield "", f"the same network twice: {result.aa_ratio:.3f}; within a launch its time changed by {result.change:+.1%}"
    yield from (("bad", text) for text in result.warnings)
    if result.difference is not None:
        yield "", f"logits equal the exporting host's within {result.difference:.1e} (relative)"
    if subject.profile is not None and len(result.today_us) == 2:
        found = drift(result.config, subject.profile, result.today_us)
        yield "", drift_text(found, result.units, result.makespan.median_us)


def _twice(result: BenchResult) -> Markup:
    """Both measurements of the same network, run by run, with the borders of launches."""
    both = [np.array(samples.samples_us) / 1e3 for samples in (result.makespan, result.again)]
    highest = max(min(float(np.percentile(values, CLIPPED)), 3 * float(np.median(values))) for values in both)
    clipped = sum(int((values > highest).sum()) for values in both)
    plot = Plot.around([(1, float(min(values.min() for values in both))), (len(both[0]), highest)])
    for border in list(accumulate(result.launch_samples))[:-1]:
        plot.bars([(border + 0.5, -1e12, 1e12)], "faint")
    for unit, values in enumerate(both):
        chosen = np.unique(np.linspace(0, len(values) - 1, min(len(values), MOST_DOTS)).round().astype(int))
        points = [(int(i) + 1, min(float(values[i]), highest)) for i in chosen]
        plot.dots(points, f"u{unit} tiny")
        plot.line([(i + 1, us) for i, us in _rolling(values)], f"u{unit}")
    edge = f"; {clipped} slow runs at the edge" if clipped else ""
    title = f"The same network twice (A/A {result.aa_ratio:.3f}), run by run{edge}"
    told = f"Makespans of both measurements, medians {ms(result.makespan.median_us)} and {ms(result.again.median_us)}."
    return plot.figure(title, told, ("run; lines between launches", "ms"))


def _rolling(values: np.ndarray) -> list[tuple[float, float]]:
    """Medians of a sixth of the runs, at their middles."""
    window = max(1, len(values) // 6)
    starts = range(0, len(values) - window + 1, max(1, window // 6))
    return [(i + (window - 1) / 2, float(np.median(values[i : i + window]))) for i in starts]


def _held_out(profile: DeviceProfile, subjects: Sequence[Subject]) -> Markup:
    """Predictions beside measurements of networks that the table was not made from, and of those of this page."""
    rows = [(row.predicted_us / 1e3, row.sample.median_us / 1e3, row) for row in profile.held_out]
    own = [
        (subject.prediction.makespan_us / 1e3, subject.result.makespan.median_us / 1e3)
        for subject in subjects
        if subject.profile is profile and subject.prediction is not None and subject.result is not None
    ]
    values = [value for predicted, measured in [*((p, m) for p, m, _ in rows), *own] for value in (predicted, measured)]
    edge = 0.05 * (max(values) - min(values))
    ends = (min(values) - edge, max(values) + edge)
    plot = Plot(ends, ends)
    plot.line([(ends[0], ends[0]), (ends[1], ends[1])], "faint")
    plot.bars([(p, row.sample.p10_us / 1e3, row.sample.p90_us / 1e3) for p, _, row in rows], "u0")
    tips = [
        f"{row.strategy}: predicted {number(p)} ms, measured {number(m)} ms, {row.error:+.1%}" for p, m, row in rows
    ]
    plot.dots([(p, m) for p, m, _ in rows], "u0", tips)
    if own:
        plot.dots(own, "u1", [f"this network: predicted {number(p)} ms, measured {number(m)} ms" for p, m in own])
    title = f"{len(rows)} held-out networks" + (", and this one (the orange square)" if own else "")
    told = f"Measured over predicted latency; on the line both are the same. {expected_error_text(profile)}"
    return plot.figure(title, told, ("predicted, ms", "measured, ms"))
