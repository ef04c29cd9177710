"""What a page says, how large it is, and that no text of a file becomes a part of it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from syncnas_deploy.errors import DocumentError
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.formats import write_config
from syncnas_deploy.report.comparison import Comparison, read_all
from syncnas_deploy.report.drawing.svg import PALETTE
from syncnas_deploy.report.html.document import ON_PAGES, page_text
from syncnas_deploy.report.html.markup import Markup, data_script, joined, tag
from syncnas_deploy.report.html.plot import Plot, round_values
from tests.support import page_cases
from tests.support.page_cases import HOSTILE, UNPRINTABLE
from tests.support.program import Program

LARGEST_BYTES = 2_000_000
MOST_CPU_S = 2.0


class Elements(HTMLParser):
    """The elements of a page, their attributes, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("text", [HOSTILE, UNPRINTABLE, "<" * 10_000_000, "\ud800 half"])
def test_a_text_stays_a_text_wherever_it_stands(text: str) -> None:
    markup = tag("p", text, [text, None], title=text, data_t=text) + data_script({text[:2000]: [text[:2000]]}, "d")
    found = Elements(markup).found
    assert [name for name, _ in found] == ["p", "script"] and set(found[0][1]) == {"title", "data-t"}
    assert len(markup) < 60_000 and all(c.isprintable() or c == "\u00a0" for c in markup)


def test_markup_is_made_of_parts() -> None:
    made = tag("a", "x", Markup("<b>y</b>"), 3, class_="c", hidden=True, title=None)
    assert made == '<a class="c" hidden>x<b>y</b>3</a>'
    assert joined("<", [made]) == "&lt;" + made


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (3.0, 3.0), (-1e300, 1e300), (0.0, 0.0), (1e-9, 2e-9), (5e14, 5e14 + 1)]
)
def test_a_chart_of_any_range_has_its_labels(low: float, high: float) -> None:
    plot = Plot((low, high), (low, high))
    plot.line([(low, low), (high, high)], "u0")
    drawn = plot.figure("t", "d", ("x", "y"))
    assert "nan" not in drawn and "inf" not in drawn and drawn.count("<span") > 3


def test_round_values_lie_within() -> None:
    assert round_values(0.0, 1.0, 4) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert round_values(2511.0, 3490.0, 4) == [2750.0, 3000.0, 3250.0]


@pytest.mark.parametrize("name", ["phone", "hostile", "large", "comparison"])
def test_a_page_is_one_file_that_asks_for_nothing(pages: dict[str, Path], name: str) -> None:
    text = pages[name].read_text(encoding="utf-8")
    assert len(text.encode()) < LARGEST_BYTES
    for element, attributes in Elements(text).found:
        assert element not in ("img", "iframe", "object", "embed", "form", "base"), element
        assert not any(key.startswith("on") for key in attributes), attributes
        for key in ("src", "href"):
            target = attributes.get(key) or "#"
            assert target.startswith(("#", "data:")), target[:60]


def test_its_only_script_is_the_one_that_the_policy_names(pages: dict[str, Path]) -> None:
    text = pages["hostile"].read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert len(scripts) == 1 and text.count("<script") == 2  # the other one is data
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert f"script-src &#x27;sha256-{digest}&#x27;" in text
    assert text.index("Content-Security-Policy") < text.index("<style")


def test_hostile_texts_are_shown_as_they_are(pages: dict[str, Path]) -> None:
    shown = Elements(pages["hostile"].read_text(encoding="utf-8")).text
    assert HOSTILE in shown and "\u202e" not in shown and "\x1b" not in shown


def test_it_says_first_whether_it_pays_and_what_was_measured(phone: list[Path], pages: dict[str, Path]) -> None:
    shown = Elements(pages["phone"].read_text(encoding="utf-8").partition("<main")[2]).text
    verdict = json.loads(phone[-1].read_text())["verdict"]
    assert verdict["sentence"] in shown and shown.index("It pays") < shown.index("What was measured on what")
    assert re.findall("<h2>(.*?)</h2>", pages["phone"].read_text(encoding="utf-8")) == [
        "What was measured on what", "One inference on both units", "Where the time goes",
        "Predicted and measured, by segment", "Architecture", "Search", "Latency table",
        "Can this be trusted?", "How to repeat it",
    ]  # fmt: skip
    for text in ("SIMULATED", "What each stage's letter is worth", "Contention", "held-out", "run 1", "sha256"):
        assert text in shown, text
    assert "MEASURED" not in shown


def test_a_large_search_and_a_whole_profile_are_quickly_a_page(tmp_path: Path) -> None:
    paths = page_cases.large(tmp_path / "l")
    comparison = read_all(paths)
    assert len(comparison.searches[0].history) == 1458
    began = time.process_time()
    page_text(comparison)
    assert time.process_time() - began < MOST_CPU_S


def test_each_kind_of_file_has_a_page_of_its_own(phone: list[Path], mobilenet: ModelConfig, tmp_path: Path) -> None:
    write_config(tmp_path / "c.json", branched(mobilenet, "nnnannc"))
    for path in (*phone, tmp_path / "c.json"):
        assert "<h1" in page_text(read_all([path]))
    with pytest.raises(DocumentError, match="nothing to show"):
        page_text(Comparison())


def test_the_command_writes_it_and_says_where(phone: list[Path], program: Program, tmp_path: Path) -> None:
    done = program("report", *phone, "--html", tmp_path / "p.html")
    assert done.code == 0 and f"the page is {tmp_path / 'p.html'}" in done.err
    assert (tmp_path / "p.html").read_text().startswith("<!doctype html>")
    again = program("report", *phone, "--html", tmp_path / "p.html")
    assert again.code == 8 and "--force" in again.err


def test_of_an_assessments_folder_everything_is_on_the_page(
    phone: list[Path], program: Program, tmp_path: Path
) -> None:
    done = program("report", phone[0].parent, "--html", tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert done.code == 0 and all(f'id="{name}"' in text for name in ("timeline", "search", "latency"))


def test_a_search_that_is_not_finished_is_told(tmp_path: Path) -> None:
    (tmp_path / "search.journal").write_text("{}\n")
    with pytest.raises(DocumentError, match="has not finished"):
        read_all([tmp_path])


def test_an_assessment_has_its_page(phone: list[Path]) -> None:
    text = (phone[0].parent / "page.html").read_text(encoding="utf-8")
    assert "syncnas-deploy assess" not in text and "--trials 12" in text


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


@pytest.mark.parametrize("scheme", [0, 1])
def test_whatever_text_a_drawing_has_can_be_read(scheme: int) -> None:
    roles = {role: pair[scheme] for role, pair in {**PALETTE, **ON_PAGES}.items()}
    grounds = {"ink": "page box tint0 tint1", "muted": "page box tint0 tint1", "warning": "page box",
               "strong0": "page tint0 box", "strong1": "page tint1 box"}  # fmt: skip
    for ink, behind in grounds.items():
        for ground in behind.split():
            dark, light = sorted((luminance(roles[ink]), luminance(roles[ground])))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, ground)
