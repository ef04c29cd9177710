"""What values look like in Python and in a notebook."""

from __future__ import annotations

import dataclasses
import json
import sys
import types
import xml.etree.ElementTree
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

import syncnas_deploy as sd
from syncnas_bench import SimDevice
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.pipeline.road import Road
from syncnas_deploy.progress import Progress
from syncnas_deploy.report.notebook import show_progress
from syncnas_deploy.shown import ms_text
from tests.support.latency_cases import law_profile
from tests.support.picture_cases import small_branched

HOSTILE = "<script>alert(1)</script>&\x1b[2J" + 300 * "x"


@pytest.mark.parametrize(
    ("us", "digits", "text"),
    [
        (23_412.0, 1, "23.4"),
        (2_341.2, 1, "2.34"),
        (234.12, 1, "0.234"),
        (45.123, 3, "0.0451"),
        (0.9, 1, "0.000900"),
        (999.96, 1, "1.000"),
        (1_234_567.0, 1, "1,234.6"),
        (0.0, 3, "0.000"),
        (-234.12, 1, "-0.234"),
    ],
)
def test_milliseconds_have_three_digits_that_say_something(us: float, digits: int, text: str) -> None:
    assert ms_text(us, digits) == text


@pytest.fixture(scope="module")
def values(mobilenet: ModelConfig, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """One of each kind of value."""
    profile, folder = law_profile(mobilenet), tmp_path_factory.mktemp("values")
    found = sd.search(profile, budget=[1.0, 2.0], evaluator="capacity", settings=sd.SearchSettings(trials=3))
    bundle = sd.export(small_branched(8), folder / "b")
    result = sd.bench(bundle, SimDevice("phone"), samples=6, launches=1)
    return {
        "DeviceProfile": profile,
        "Found": found,
        "FoundNetwork": found.main,
        "SearchResult": found.result,
        "ModelConfig": found.config,
        "Prediction": found.prediction,
        "Bundle": bundle,
        "BenchResult": result,
        "Assessment": sd.Assessment(folder, (), (Road(folder, profile, "1.0x", found.prediction, bundle, result),)),
        "Drawing": sd.draw(found.config, profile=profile),
        "SimDevice": SimDevice("phone"),
    }


KINDS = ("DeviceProfile", "Found", "FoundNetwork", "SearchResult", "ModelConfig", "Prediction", "Bundle",
         "BenchResult", "Assessment", "Drawing", "SimDevice")  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_repr_is_one_line_of_less_than_200_characters(values: Mapping[str, Any], kind: str) -> None:
    text = repr(values[kind])
    assert text.startswith(f"<{kind} ") and len(text) < 200 and text.isprintable() and " at 0x" not in text


def test_a_repr_stays_short_whatever_a_file_says(values: Mapping[str, Any]) -> None:
    config = dataclasses.replace(values["ModelConfig"], name=HOSTILE)
    for value in (
        config,
        dataclasses.replace(values["Bundle"], config=config, weights=HOSTILE),
        msgspec.structs.replace(values["BenchResult"], config=config, device=HOSTILE),
        msgspec.structs.replace(values["DeviceProfile"], created=HOSTILE),
        dataclasses.replace(values["Prediction"], config=config),
    ):
        text = repr(value)
        assert len(text) < 200 and text.isprintable() and text.endswith(">")


class Tags(HTMLParser):
    """Which tags there are, each closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.all: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.all.add(tag)
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("kind", ["DeviceProfile", "Found", "Prediction", "BenchResult", "Assessment"])
def test_a_notebook_shows_a_table_with_what_it_comes_to(values: Mapping[str, Any], kind: str) -> None:
    text, tags = values[kind]._repr_html_(), Tags()
    tags.feed(text)
    assert tags.open == [] and "table" in tags.all
    says = {"DeviceProfile": "expected error", "Found": "pay", "Prediction": "total"}
    assert says.get(kind, "trustworthy") in text


def test_what_a_file_says_is_text_in_a_notebook(values: Mapping[str, Any]) -> None:
    config = dataclasses.replace(values["ModelConfig"], name=HOSTILE)
    for value in (
        msgspec.structs.replace(values["BenchResult"], config=config, device=HOSTILE),
        msgspec.structs.replace(values["DeviceProfile"], created=HOSTILE, units=(HOSTILE, "cpu:1")),
        dataclasses.replace(values["Prediction"], config=config),
    ):
        assert "<script" not in value._repr_html_() and "\x1b" not in value._repr_html_()
    assert "<script" not in config._repr_svg_()


@pytest.mark.parametrize("kind", ["ModelConfig", "Prediction", "FoundNetwork", "Drawing"])
def test_a_notebook_shows_a_picture(values: Mapping[str, Any], kind: str) -> None:
    text = values[kind]._repr_svg_()
    assert xml.etree.ElementTree.fromstring(text).tag.endswith("svg")
    # Bars of predicted times, where those are known.
    assert (" us" in text) == (kind != "ModelConfig")


def test_a_base_has_a_picture_too_and_a_bare_prediction_none(mobilenet: ModelConfig, values: Mapping[str, Any]) -> None:
    assert "mobilenet_v2" in (mobilenet._repr_svg_() or "")
    assert "nnnnnnc" in (branched(mobilenet, "nnnnnnc")._repr_svg_() or "")
    assert dataclasses.replace(values["Prediction"], config=None, profile=None)._repr_svg_() is None


@pytest.mark.parametrize(
    ("kind", "columns"),
    [
        ("Found", {"trial", "strategy", "predicted_us", "reward", "outcome"}),
        ("Prediction", {"name", "branch", "phase", "solo_us", "concurrent_us"}),
        ("BenchResult", {"name", "branch", "phase", "unit", "solo_us", "concurrent_us"}),
        ("DeviceProfile", {"unit", "part", "stage", "block", "width", "median_us"}),
    ],
)
def test_rows_are_dicts_of_plain_values(values: Mapping[str, Any], kind: str, columns: set[str]) -> None:
    rows = values[kind].rows()
    assert rows and all(row.keys() == rows[0].keys() >= columns for row in rows)
    assert {type(value) for row in rows for value in row.values()} <= {int, float, str, bool, type(None)}
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


@pytest.mark.parametrize("kernel", [None, "absent", "there"])
def test_progress_is_one_line_in_a_notebook_and_silent_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], kernel: str | None
) -> None:
    told: list[tuple[dict[str, str], bool]] = []
    shell = types.SimpleNamespace(kernel=kernel if kernel == "there" else None, execution_count=3)
    if kernel is not None:
        monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))  # type: ignore[arg-type]
        display = types.SimpleNamespace(
            publish_display_data=lambda shown, transient, update: told.append((shown, update))
        )
        monkeypatch.setitem(sys.modules, "IPython.display", display)  # type: ignore[arg-type]
    else:
        monkeypatch.delitem(sys.modules, "IPython", raising=False)
    for done in range(5):
        show_progress(Progress(done=done, total=4, doing="a <b>", elapsed_s=1.0, eta_s=2.0, so_far="best"))
    shell.execution_count = 4
    show_progress(Progress(done=0, total=4, doing="more", elapsed_s=0.0))
    assert capfd.readouterr() == ("", "")
    if kernel != "there":
        assert told == []
        return
    # The first, the last, and those between that are not too close; a new cell has a new line.
    assert told[0][1] is False and told[-1][1] is False and all(u for _, u in told[1:-1])
    assert "a &lt;b&gt;, 2 s left; best" in told[0][0]["text/html"] and "[4/4]" in told[-2][0]["text/plain"]


def test_a_drawing_is_its_text(values: Mapping[str, Any], tmp_path: Path) -> None:
    drawn = sd.draw(values["ModelConfig"], tmp_path / "d.svg")
    assert drawn == (tmp_path / "d.svg").read_text(encoding="utf-8") == drawn._repr_svg_()
    assert isinstance(drawn, str)
