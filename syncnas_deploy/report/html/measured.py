"""What was measured on what: a card for each file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from syncnas_deploy.bundle import Bundle
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.width_probe import WidthProbe
from syncnas_deploy.report.comparison import Comparison
from syncnas_deploy.report.html.markup import Markup, badges, tag
from syncnas_deploy.report.html.subjects import Subject, formats_of, probe_labels, profile_labels


def measured_section(comparison: Comparison, subjects: Sequence[Subject]) -> Markup:
    cards = [*map(_result_card, (s for s in subjects if s.result)), *map(_profile_card, comparison.profiles)]
    for bundle in comparison.bundles:
        cards.append(_bundle_card(bundle))
    for search in comparison.searches:
        rows = {"best": search.best.name, "candidates": f"{len(search.history):,}", "folder": search.folder.name}
        cards.append(_card("Search", ("PREDICTED",), rows, ()))
    for app in comparison.apps:
        rows = {"network": app.config.name, "units": " and ".join(app.units), "runs": f"{len(app.makespan.samples_us)}"}
        cards.append(_card("In an app", ("MEASURED",), rows, ()))
    cards += map(_probe_card, comparison.probes)
    return tag("div", cards, class_="cards")


def _bundle_card(bundle: Bundle) -> Markup:
    facts = {
        "network": bundle.config.name,
        "weights": bundle.weights,
        "files": ", ".join(sorted({name.rpartition(".")[2] for name in bundle.files} - {"npz"})),
        "formats": " and ".join(map(str, bundle.formats)),
    }
    if (off := bundle.against_fp32) is not None:
        facts["beside fp32"] = f"logits {off.rms:.1e} off (rms), {off.agreement:.0%} of {off.pictures} the same class"
    return _card("Bundle", ("TIMING ONLY",) if bundle.timing_only else (), facts, ())


def _probe_card(probe: WidthProbe) -> Markup:
    facts = {
        "block": f"{probe.key} of {probe.base}",
        "unit": probe.unit,
        "widths": f"{probe.rows[0].width} to {probe.rows[-1].width}, {len(probe.rows)} of them",
        "made": probe.created,
    }
    return _card("Width probe", probe_labels(probe), facts, (("device", probe.device),))


def _result_card(subject: Subject) -> Markup:
    result = subject.result
    assert result is not None
    facts = {
        "network": result.config.name,
        "device": result.device,
        "units": " and ".join(result.units),
        "runs": f"{len(result.makespan.samples_us)} in {max(len(result.launch_samples), 1)} launches",
        "input": f"{result.config.input_size} px, batch 1",
        "formats": f"TFLite, {subject.formats}" if subject.formats else "TFLite",
    }
    groups = (
        ("device", result.facts),
        ("before the first launch", result.before),
        ("after the last", result.condition),
    )
    return _card("Bench result", subject.labels, facts, groups)


def _profile_card(profile: DeviceProfile) -> Markup:
    settings = profile.settings
    repeats = f"{settings.get('launches', '?')} launches of {settings.get('rounds', '?')} rounds"
    facts = {
        "base": profile.base.name,
        "device": profile.device.get("name", "a device"),
        "units": " and ".join(profile.units),
        "formats": formats_of(profile.units),
        "made": profile.created,
        "points": f"{len(profile.points)} in {repeats}",
    }
    groups = (
        ("device", profile.device),
        ("condition", profile.condition),
        ("versions", profile.versions),
        ("settings", settings),
    )
    return _card("Profile", profile_labels(profile), facts, groups)


def _card(
    title: str, labels: Sequence[str], facts: Mapping[str, str], groups: Sequence[tuple[str, Mapping[str, str]]]
) -> Markup:
    more = [part for name, values in groups if values for part in _facts(name, values)]
    details = tag("details", tag("summary", "all that is known of it"), more) if more else None
    rows = [tag("div", tag("dt", name), tag("dd", value)) for name, value in facts.items() if value]
    return tag(
        "article", tag("h3", title, " ", badges(labels)), tag("dl", rows, class_="facts"), details, class_="card"
    )


def _facts(name: str, values: Mapping[str, str]) -> Iterator[Markup]:
    yield tag("h4", name)
    rows = [tag("div", tag("dt", key), tag("dd", value)) for key, value in list(values.items())[:200]]
    yield tag("dl", rows, class_="facts")
