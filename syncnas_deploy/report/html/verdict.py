"""The first screen: does it pay, by how much, how sure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncnas_deploy.benchmarking.app_times import AppTimes
from syncnas_deploy.benchmarking.result import BenchResult, RunSamples
from syncnas_deploy.benchmarking.trust import trust, verdict_of
from syncnas_deploy.report.comparison import Comparison
from syncnas_deploy.report.html.markup import Markup, badges, joined, ms, percent, tag
from syncnas_deploy.report.html.probes import probe_name
from syncnas_deploy.report.html.subjects import Subject, probe_labels, profile_labels
from syncnas_deploy.report.judgement import foretold_text, how_much
from syncnas_deploy.report.tables import expected_error_text, probe_rules
from syncnas_deploy.verdict import Verdict, crossings_text

MOST_VERDICTS = 4
SMALL_ERROR = 0.02
"""Relative error of a prediction that nobody needs to be warned of."""
_NOTHING = "Nothing of one branch was measured beside it, so whether two units pay is not known; bench with --profile."
_ROLES = {
    "own": "two branches",
    "app": "the same network in an app",
    "rival": "rival: one branch in the same time",
    "today": "the base model",
}


def verdict_section(comparison: Comparison, subjects: Sequence[Subject]) -> Markup:
    """The page's answer, with its doubts."""
    measured = [subject.result for subject in subjects if subject.result is not None]
    if measured:
        answers = [_of_result(result, subjects[i]) for i, result in enumerate(measured)]
        return joined(*[tag("div", answer, class_="answer") for answer in answers])
    if comparison.searches and comparison.searches[0].verdicts:
        lines: list[Markup] = []
        for row in comparison.searches[0].verdicts[:MOST_VERDICTS]:
            lines += [_headline(row.verdict), _sentences(row.verdict, f"Within {row.budget}: ")]
        return joined(_badges(subjects[0].labels, subjects[0].name), *lines)
    if comparison.apps:
        app = comparison.apps[0]
        head = tag("h1", f"{ms(app.makespan.median_us)} in an app, on {' and '.join(app.units)}")
        return joined(_badges(("MEASURED",), app.config.name), head, tag("p", _NOTHING, class_="lead"))
    if comparison.profiles:
        profile = comparison.profiles[0]
        head = tag("h1", f"{profile.base.name} on {profile.device.get('name', 'a device')}: its latency table")
        told = tag("p", expected_error_text(profile), class_="lead")
        sure = tag("p", tag("strong", f"The profile is {profile.level}."), class_=f"sure {profile.level}")
        return joined(_badges(profile_labels(profile)), head, told, sure, _doubts(profile.doubts))
    if comparison.probes and not subjects:
        probe = comparison.probes[0]
        told = joined(tag("h1", probe_name(probe)), [tag("p", rule, class_="lead") for rule in probe_rules(probe)[:1]])
        return joined(_badges(probe_labels(probe)), told)
    head = tag("h1", subjects[0].name if subjects else "Nothing was measured")
    return joined(head, tag("p", "Nothing was measured on a device.", class_="lead"))


def _of_result(result: BenchResult, subject: Subject) -> Markup:
    found, judged = verdict_of(result), trust(result)
    if found is None:
        head = tag("h1", f"{ms(result.makespan.median_us)} on {' and '.join(result.units)}")
        told = joined(
            head, tag("p", _NOTHING if result.config.branch_count == 2 else result.config.name, class_="lead")
        )
    else:
        told = joined(_headline(found), _sentences(found), _foretold(result, subject))
    sure = None
    if found is None or judged.level == "trustworthy":
        told_level = tag("strong", f"The measurement is {judged.level}.")
        sure = joined(tag("p", told_level, class_=f"sure {judged.level}"), _doubts(judged.reasons))
    left = tag("div", _badges(subject.labels, subject.name), told, sure)
    return joined(tag("div", left, _contenders(result, subject.apps), class_="duo"), _tiles(result, subject))


def _foretold(result: BenchResult, subject: Subject) -> Markup | None:
    if subject.prediction is None or subject.profile is None:
        return None
    said = foretold_text(result, subject.prediction, subject.profile)
    return tag("p", f"{said[0].upper()}{said[1:]}.", class_="note") if said else None


def _badges(labels: Sequence[str], name: str = "") -> Markup:
    return tag("p", badges(labels), name, class_="eyebrow")


def _headline(found: Verdict) -> Markup:
    """The answer, and by how much."""
    by = how_much(found)
    seems = " seems" if "seem" in found.opening else ""
    answer = tag("em", found.opening, class_=found.answer.replace(" ", "-") + seems)
    return tag("h1", answer, f": {by[0]}" if by else "")


def _sentences(found: Verdict, opening: str = "") -> Markup:
    by = how_much(found)
    sure = tag("p", "In 95 of 100 cases: ", tag("strong", by[1]), ".", class_="between") if by else None
    why = found.because
    lead, doubts = tag("p", f"{opening}{why[:1].upper()}{why[1:]}", class_="lead"), _doubts(found.doubts)
    return joined(sure, doubts, lead) if by else joined(lead, doubts)


def _doubts(texts: Sequence[str]) -> Markup | None:
    return tag("ul", [tag("li", text) for text in texts], class_="doubts") if texts else None


@dataclass(frozen=True)
class _Bar:
    """A network in the comparison."""

    units: str
    name: str
    macs: int
    samples: RunSamples
    role: str


def _contenders(result: BenchResult, apps: Sequence[AppTimes]) -> Markup:
    """Latencies of the network, here and in apps, and of all that was measured beside it."""
    own = _Bar(" and ".join(result.units), result.config.name, result.config.macs(), result.makespan, "own")
    bars = [own, *(_Bar(b.unit, b.name, b.macs, b.makespan, b.role) for b in result.baselines)]
    bars += [_Bar(" and ".join(app.units), own.name, own.macs, app.makespan, "app") for app in apps]
    usual = 2 * max(bar.samples.median_us for bar in bars)
    longest = 1.02 * min(usual, max(bar.samples.p90_us for bar in bars))
    bars.sort(key=lambda bar: bar.samples.median_us)

    def row(bar: _Bar) -> Markup:
        samples = bar.samples
        role = "one branch" if bar.role == "own" and result.config.branch_count == 1 else _ROLES.get(bar.role, bar.role)
        label = tag(
            "span", tag("b", bar.units), tag("small", f"{bar.name}, {bar.macs / 1e6:,.0f} M MACs; {role}"), class_="bl"
        )
        low, high = (min(1.0, us / longest) for us in (samples.p10_us, samples.p90_us))
        spread = f"left:{percent(low)};width:{percent(high - low)}"
        drawn = tag(
            "span",
            tag("i", style=f"width:{percent(samples.median_us / longest)}"),
            tag("u", style=spread),
            class_="bb",
            aria_hidden="true",
        )
        return tag("li", label, drawn, tag("span", ms(samples.median_us), class_="bv"), class_=bar.role)

    beyond = "; at the edge it goes on" if longest < max(bar.samples.p90_us for bar in bars) else ""
    note = tag("figcaption", f"Latency. Bar: median; line: 10th to 90th percentile{beyond}.")
    return tag("figure", note, tag("ol", [row(bar) for bar in bars], class_="cmp"), class_="contenders")


def _tiles(result: BenchResult, subject: Subject) -> Markup:
    samples, count = result.makespan, len(result.makespan.samples_us)
    tiles = [
        (
            "Measured",
            ms(samples.median_us),
            f"{ms(samples.p10_us)} to {ms(samples.p90_us)} in 8 of 10 of {count} runs",
            "",
        )
    ]
    for app in subject.apps:
        app_us, runs = app.makespan.median_us, len(app.makespan.samples_us)
        beside = f"{app_us / samples.median_us:.2f} of the bench's time; {runs} runs"
        tiles.append(("In an app", ms(app_us), beside, ""))
    if subject.prediction is not None:
        error = subject.prediction.makespan_us / samples.median_us - 1
        expected = None if subject.profile is None else subject.profile.expected_error
        told = "" if expected is None else f"; 9 of 10 networks were within {expected:.1%}"
        bad = expected is not None and abs(error) > max(expected, SMALL_ERROR)
        tiles.append(("Predicted", ms(subject.prediction.makespan_us), f"{error:+.1%} off{told}", "bad" if bad else ""))
    if result.config.branch_count == 2:
        most = f"at most {result.overlap_ceiling:.2f} with these segments"
        if result.crossings_us:
            most += f"; {crossings_text(result.crossings_us)}"
        tiles.append(("Overlap", f"{result.overlap:.2f}", most, ""))
    apart = abs(result.aa_ratio - 1) > 0.03
    tiles.append(("Same network twice", f"{result.aa_ratio:.3f}", "A/A; 1 is no difference", "bad" if apart else ""))
    if result.difference is not None:
        equal = "equal" if result.difference == 0 else f"{result.difference:.1e} off"
        tiles.append(("Outputs", equal, "beside the exporting host's, relative", ""))
    if result.energy is not None:
        tiles.append(("Energy", f"{result.energy.network_mj:.3g} mJ", "of an inference besides the idle device", ""))
    parts = [
        tag("div", tag("dt", name), tag("dd", tag("b", value), tag("small", more)), class_=f"tile {kind}".strip())
        for name, value, more, kind in tiles
    ]
    return tag("dl", parts, class_="tiles")
