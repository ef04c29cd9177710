"""The page itself: its sections in order, its style and its script, in one file that asks no network for anything."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from syncnas_deploy.errors import DocumentError, ProfileMismatch
from syncnas_deploy.files.output import write_text
from syncnas_deploy.report.comparison import Comparison
from syncnas_deploy.report.contrast.sheets import Sheet
from syncnas_deploy.report.drawing.architecture import draw
from syncnas_deploy.report.drawing.svg import PALETTE
from syncnas_deploy.report.html.gantt import timeline_section
from syncnas_deploy.report.html.latency import latency_section
from syncnas_deploy.report.html.markup import Markup, data_script, joined, tag
from syncnas_deploy.report.html.measured import measured_section
from syncnas_deploy.report.html.probes import probe_name, probe_section
from syncnas_deploy.report.html.searches import search_section
from syncnas_deploy.report.html.sheets import sheets_section
from syncnas_deploy.report.html.sources import read_sources, repeat_section
from syncnas_deploy.report.html.subjects import Subject, subjects
from syncnas_deploy.report.html.timing import segments_section, time_section
from syncnas_deploy.report.html.trust import trust_section
from syncnas_deploy.report.html.verdict import verdict_section
from syncnas_deploy.report.html.words import Explainer

ON_PAGES = {"faint": ("#6f7a86", "#8793a0")}
"""Roles that need more contrast on a page than in a drawing: text stands in them."""
POLICY = (
    "default-src 'none'; script-src '{script}'; style-src 'unsafe-inline'; img-src data:; "
    "base-uri 'none'; form-action 'none'"
)
"""Nothing but this one script runs, and nothing is loaded. Styles stand in attributes: lengths of bars."""

Section = tuple[str, str, Markup]
"""Its name in the address and among the links, its heading, and what is in it."""


def write_page(
    path: Path,
    comparison: Comparison,
    *,
    commands: str = "",
    sheets: Sequence[Sheet] = (),
    force: bool = False,
) -> None:
    """Write the page of a comparison.

    Args:
        comparison: what `read_all` gave; its files become downloads.
        commands: those that made all of it, where they are known.
        sheets: of a comparison of these files; they come first.

    Raises:
        OutputExists: `path` is there and `force` was not given.
        OutputError: it cannot be written.
        DocumentError: there is nothing to show.
    """
    write_text(path, page_text(comparison, commands=commands, sheets=sheets), force=force)


def page_text(comparison: Comparison, *, commands: str = "", sheets: Sequence[Sheet] = ()) -> str:
    """The whole file. Raises DocumentError where there is nothing to show."""
    shown = subjects(comparison)
    if not (shown or comparison.profiles or comparison.probes):
        raise DocumentError("There is nothing to show on a page; name a profile, a search, a bundle or a bench result.")
    data: dict[str, object] = {}
    head = sheets_section(sheets) if sheets else verdict_section(comparison, shown)
    sections: list[Section] = [
        ("verdict", "", head),
        (*_what_it_is(comparison, shown), measured_section(comparison, shown)),
    ]
    timelines, known = [], [subject for subject in shown if subject.result or subject.prediction]
    for place, subject in enumerate(known):
        markup, runs = timeline_section(subject, place)
        timelines.append(_named(subject.name, markup, len(known)))
        if runs is not None:
            data[str(place)] = runs
    if known:
        times = [_named(subject.name, time_section(subject), len(known)) for subject in known]
        segments = [_named(subject.name, segments_section(subject), len(known)) for subject in known]
        sections += [
            ("timeline", "One inference on both units", joined(*timelines)),
            ("time", "Where the time goes", joined(*times)),
            ("segments", "Predicted and measured, by segment", joined(*segments)),
        ]
    drawings = [_named(subject.name, _architecture(subject), len(shown)) for subject in shown]
    if drawings:
        sections.append(("architecture", "Architecture", joined(*drawings)))
    if comparison.searches:
        found = [_named(s.folder.name, search_section(s), len(comparison.searches)) for s in comparison.searches]
        sections.append(("search", "Search", joined(*found)))
    if comparison.profiles:
        tables = [
            _named(f"{p.base.name} on {p.device.get('name', 'a device')}", latency_section(p), len(comparison.profiles))
            for p in comparison.profiles
        ]
        sections.append(("latency", "Latency table", joined(*tables)))
    if comparison.probes:
        probed = [joined(tag("h3", probe_name(p)), probe_section(p, comparison.probed(p))) for p in comparison.probes]
        sections.append(("probes", "Width probes", joined(*probed)))
    sections.append(("trust", "Can this be trusted?", trust_section(shown, comparison.profiles)))
    sections.append(
        ("repeat", "How to repeat it", repeat_section(comparison, read_sources(comparison.paths), commands))
    )
    if shown:
        title = shown[0].name
    elif comparison.profiles:
        title = f"{comparison.profiles[0].base.name}, a profile"
    else:
        title = f"{comparison.probes[0].base}, a width probe"
    title = f"comparison: {title}" if sheets else title
    explained = Explainer().explained
    return document(title, [(place, heading, explained(content)) for place, heading, content in sections], data)


def _what_it_is(comparison: Comparison, shown: Sequence[Subject]) -> tuple[str, str]:
    """Name and heading of the cards: networks that nothing has run were not measured."""
    if comparison.results or comparison.apps or comparison.probes or not shown:
        return "measured", "What was measured on what"
    if comparison.searches or any(subject.prediction for subject in shown):
        return "predicted", "What was predicted from what"
    return "shown", "What is shown"


def _named(name: str, content: Markup, count: int) -> Markup:
    """A part of a section, with its name where there are several."""
    return joined(tag("h3", name, class_="subject") if count > 1 else None, content)


def _architecture(subject: Subject) -> Markup:
    try:
        svg = draw(subject.config, profile=subject.profile, part_of_page=True)
    except ProfileMismatch:
        svg = draw(subject.config, part_of_page=True)
    label = f"Drawing of {subject.name}"
    return tag("div", Markup(svg), class_="scroll tall", tabindex=0, role="region", aria_label=label)


def document(title: str, sections: Sequence[Section], data: object, *, refresh_s: int | None = None) -> str:
    """A whole HTML file.

    Args:
        title: of the page.
        sections: in order; one without a heading has its own.
        data: for the script.
        refresh_s: seconds after which a browser loads the page again; never where None.
    """
    folder = files("syncnas_deploy.report.html")
    script = (folder / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    head = joined(
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY.format(script=f"sha256-{digest}")),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", http_equiv="refresh", content=refresh_s) if refresh_s else None,
        tag("title", f"{title} - syncnas-deploy"),
        tag("link", rel="icon", href="data:,"),
        tag("style", Markup(_style((folder / "page.css").read_text(encoding="utf-8")))),
    )
    links = [tag("a", place.capitalize(), href=f"#{place}") for place, heading, _ in sections if heading]
    top = tag(
        "header",
        tag("p", tag("strong", "syncnas-deploy"), " ", tag("span", title)),
        tag("nav", links, aria_label="Sections"),
        tag("button", "Dark", id="theme", type="button", hidden=True),
    )
    body = [
        tag("section", tag("h2", heading) if heading else None, content, id=place)
        for place, heading, content in sections
    ]
    tip = tag("div", "", id="tip", role="status", hidden=True)
    parts = joined(
        tag("a", "To the content", href="#main", class_="skip"),
        top,
        tag("main", body, id="main"),
        tip,
        data_script(data, "data"),
        tag("script", Markup(script)),
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{parts}</body></html>\n'


def _style(css: str) -> str:
    """The style sheet with the palette's colours as variables, for light and dark."""
    roles = {**PALETTE, **ON_PAGES}
    light, dark = ("".join(f"--{role}:{pair[i]};" for role, pair in roles.items()) for i in (0, 1))
    drawing = "".join(f".f-{role}{{fill:var(--{role})}}.s-{role}{{stroke:var(--{role})}}" for role in roles)
    return css.replace("/* light */", light).replace("/* dark */", dark) + drawing
