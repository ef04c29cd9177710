"""What a page says, how large it is, and that no text of a file becomes a part of it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import shlex
import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from syncnas_deploy.benchmarking.app_times import AppTimes
from syncnas_deploy.benchmarking.result import RunSamples
from syncnas_deploy.benchmarking.trust import verdict_of
from syncnas_deploy.bundle_manifest import AgainstFp32, BranchFile
from syncnas_deploy.cli import cli
from syncnas_deploy.errors import DocumentError
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.formats import load_config, write_config
from syncnas_deploy.networks.scaling import at_width
from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.prediction.profile_files import write_profile
from syncnas_deploy.report.comparison import Comparison, read_all
from syncnas_deploy.report.drawing.svg import PALETTE
from syncnas_deploy.report.html.document import ON_PAGES, page_text
from syncnas_deploy.report.html.markup import Markup, data_script, joined, tag
from syncnas_deploy.report.html.plot import Plot, round_values
from syncnas_deploy.report.html.searches import WholeTrial, trial_charts
from syncnas_deploy.report.html.sources import SERIAL
from syncnas_deploy.report.html.subjects import formats_of
from syncnas_deploy.report.html.words import WORDS
from syncnas_deploy.report.tables import bench_page, profile_page
from tests.support import page_cases
from tests.support.latency_cases import law_profile
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


@pytest.mark.parametrize(("low", "high"), [(3.4838, 3.4852), (12_345.1, 12_345.9), (1e5, 1e5 + 1e-6), (0.0, 1.0)])
def test_labels_of_an_axis_differ(low: float, high: float) -> None:
    drawn = Plot((low, high), (low, high)).figure("t", "d", ("x", "y"))
    labels = re.findall(r'<span style="(?:left|top):[^>]*>([^<]*)</span>', drawn)
    assert len(labels) >= 4 and len(set(labels)) == len(labels) / 2


def test_round_values_lie_within() -> None:
    assert round_values(0.0, 1.0, 4) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert round_values(2511.0, 3490.0, 4) == [2750.0, 3000.0, 3250.0]


@pytest.mark.parametrize("name", ["phone", "hostile", "large", "probe", "demo", "comparison"])
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
    opening, _, because = verdict["sentence"].partition(": ")
    assert opening == "It pays" and shown.index(opening) < shown.index(because[1:])
    assert shown.index(because[1:]) < shown.index("What was measured on what")
    assert re.findall("<h2>(.*?)</h2>", pages["phone"].read_text(encoding="utf-8")) == [
        "What was measured on what", "One inference on both units", "Where the time goes",
        "Predicted and measured, by segment", "Architecture", "Search", "Latency table",
        "Can this be trusted?", "How to repeat it",
    ]  # fmt: skip
    for text in (
        "SIMULATED",
        "sim:cpu (upper lanes)",
        "sim:gpu (lower lanes)",
        "What each stage's letter is worth",
        "Contention",
        "held-out",
        "run 1",
        "sha256",
    ):
        assert text in shown, text
    assert "MEASURED" not in shown


@pytest.mark.parametrize(
    ("change", "opening", "doubt"),
    [
        ({}, "It pays", ""),
        ({"before": {"load_1min": "12", "cores": "2"}}, "It seems to pay", "the measurement is doubtful: the load was"),
        (
            {"change": -0.07},
            "It seems to pay",
            "the measurement is doubtful: within a launch its time changed by -7.0%",
        ),
        ({"change": 0.3}, "Cannot tell whether it pays", "the measurement is worthless: within a launch its time"),
    ],
)
def test_terminal_and_page_say_the_same_verdict_and_its_doubt_once(
    change: dict[str, Any], opening: str, doubt: str, phone: list[Path]
) -> None:
    read = read_all(phone)
    read.results = [msgspec.structs.replace(read.results[0], **change)]
    verdict = verdict_of(read.results[0])
    assert verdict is not None and verdict.opening == opening and doubt in f"{verdict.sentence} {verdict.doubts}"
    first_screen = page_text(read).partition("<main")[2].partition("</section>")[0]
    shown, told = Elements(first_screen).text.lower(), str(bench_page(read.results[0])).lower()
    for text in (opening.lower(), verdict.because.lower(), *verdict.doubts):
        assert text.lower() in shown and text.lower() in told, text
    for text in (shown, told):
        odd = len(re.findall("doubtful|worthless", text))
        assert odd == bool(doubt) and ("this measurement is trustworthy" in told) == (not doubt), text


@pytest.mark.parametrize(
    ("error", "warnings", "level"),
    [(0.01, (), "trustworthy"), (0.01, ("it was hot",), "doubtful"), (0.2, (), "doubtful"), (0.9, (), "worthless")],
)
def test_a_profile_says_how_far_it_can_be_trusted(
    error: float, warnings: tuple[str, ...], level: str, mobilenet: ModelConfig
) -> None:
    law = law_profile(mobilenet)
    held_out = tuple(
        msgspec.structs.replace(row, predicted_us=row.sample.median_us * (1 + error)) for row in law.held_out
    )
    profile = msgspec.structs.replace(law, held_out=held_out, warnings=warnings)
    first_screen = page_text(Comparison(profiles=[profile])).partition("<main")[2].partition("</section>")[0]
    told = str(profile_page(profile))
    assert f"The profile is {level}." in Elements(first_screen).text
    assert (f"the profile is {level} (" in told) == (level != "trustworthy"), told


@pytest.mark.parametrize("name", ["phone", "probe", "demo", "comparison"])
def test_a_word_is_explained_once_where_it_stands_first(pages: dict[str, Path], name: str) -> None:
    sections = pages[name].read_text(encoding="utf-8").partition("<main")[2].split("<section")[1:]
    texts = [re.sub("<[^>]*>", " ", section) for section in sections]
    for word, meaning in WORDS.items():
        uses = [bool(re.search(rf"\b{word}", text, re.I)) for text in texts]
        told = [text.count(f" {word} : {meaning} ") for text in texts]
        assert sum(told) == any(uses) and (not any(uses) or told.index(1) == uses.index(True)), word


def test_regret_is_shown_where_every_strategy_was_tried(pages: dict[str, Path]) -> None:
    assert [name for name, page in pages.items() if "Regret: " in page.read_text(encoding="utf-8")] == ["large"]


@pytest.mark.parametrize(("budgets", "infeasible", "shown"), [(1, 16, True), (2, 16, False), (1, 15, False)])
def test_what_no_widths_allow_was_tried_too(budgets: int, infeasible: int, shown: bool) -> None:
    every = all_strategies(3)
    trials = [WholeTrial(i, every[i], 1000.0, 900.0 + i, reward) for i, reward in enumerate((0.5, 0.9), 1)]
    others = [strategy for strategy in every if strategy not in (every[1], every[2])][:infeasible]
    assert ("Regret: " in (trial_charts(trials, others, [950.0], 3, budgets) or "")) == shown


@pytest.mark.parametrize(("rivals_us", "drawn"), [([920.0, 935.0], 2), ([920.0, 5.0], 1), ([5.0], 0), ([], 0)])
def test_rivals_are_on_the_front_where_their_latency_is(rivals_us: list[float], drawn: int) -> None:
    trials = [WholeTrial(i, "nna", 1000.0, 900.0 + 10.0 * i, 0.1 * i) for i in range(1, 5)]
    text = trial_charts(trials, (), rivals_us, 3, 1) or ""
    path = re.search(r'class="l u1 dashed" d="([^"]*)"', text)
    assert path is not None and path[1].count("M") == drawn
    assert ("line: the front; dashed: rivals" in text) == bool(drawn) and ("Rivals of one" in text) == bool(rivals_us)


def test_a_probe_stands_over_the_curve_of_its_profile(pages: dict[str, Path], tmp_path: Path) -> None:
    shown = Elements(pages["probe"].read_text(encoding="utf-8")).text
    for text in ("Width probes", "Stage 7 block 1 of mobilenet_v2 on sim:gpu", "two standard deviations", "explained"):
        assert text in shown, text
    alone = page_cases.probed(tmp_path)[:1]
    found = Elements(page_text(read_all(alone))).text
    assert "Stage 7 block 1" in found and "the profile's curve" not in found and "SIMULATED" in found


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[:1],
        lambda rows: rows[::-1],
        lambda rows: tuple(msgspec.structs.replace(row, width=row.width + 10_000) for row in rows),
        lambda rows: rows + rows,
    ],
)
def test_a_probe_of_any_widths_has_its_chart(change: Callable[[Any], Any]) -> None:
    read = read_all(page_cases.demo())
    read.probes = [msgspec.structs.replace(probe, rows=change(probe.rows)) for probe in read.probes]
    assert "Latency over expanded width" in page_text(read)


def test_what_an_app_measured_stands_beside_the_bench(phone: list[Path]) -> None:
    read = read_all(phone)
    times = RunSamples(tuple(0.9 * us for us in read.results[0].makespan.samples_us))
    read.apps.append(AppTimes(read.results[0].config, ("cpu:4", "gpu:fp16"), times, "0" * 64))
    shown = Elements(page_text(read)).text
    assert "0.90 of the bench's time" in shown and "the same network in an app" in shown
    alone = Elements(page_text(Comparison(bundles=read.bundles, apps=read.apps))).text
    assert "in an app, on cpu:4 and gpu:fp16" in alone and "Nothing was measured on a device" not in alone


@pytest.mark.parametrize(
    ("units", "formats"),
    [
        (("cpu:1@0", "cpu:1@1"), "fp32 and fp32"),
        (("cpu:1@0:int8:split", "gpu:fp16"), "int8 with split kernels and fp16"),
        (("cpu:4:int8", "gpu:software"), "int8 and fp32"),
        (("sim:cpu", "sim:gpu"), ""),
        (("npu", "gpu"), ""),
    ],
)
def test_a_card_names_the_formats(phone: list[Path], units: tuple[str, str], formats: str) -> None:
    assert formats_of(units) == formats
    result = msgspec.structs.replace(read_all(phone).results[0], units=units)
    assert f"TFLite, {formats}".rstrip(", ") in Elements(page_text(Comparison(results=[result]))).text


def test_a_bundles_card_names_its_files_formats(phone: list[Path]) -> None:
    (bundle,) = read_all(phone[2:3]).bundles
    branches = (BranchFile("int8"), BranchFile("fp16"))
    mixed = replace(bundle, branches=branches, against_fp32=AgainstFp32(100, 0.02, 0.97))
    shown = Elements(page_text(Comparison(bundles=[mixed]))).text
    for text in ("int8 and fp16", "TIMING ONLY", "logits 2.0e-02 off (rms), 97% of 100 the same class"):
        assert text in shown, text


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


@pytest.mark.parametrize(
    ("files", "device", "menu"),
    [
        (("search", "profile.json"), "sim:phone", "Predicted"),
        (("search/best.json", "profile.json"), "sim:phone", "Predicted"),
        (("bundle", "profile.json"), "sim:phone", "Predicted"),
        (("search",), "", "Predicted"),
        (("bundle",), "", "Shown"),
        (("profile.json",), "", "Measured"),
        (("bench.json", "profile.json"), "sim:phone", "Measured"),
    ],
)
def test_a_page_names_the_device_and_what_is_there(
    phone: list[Path], files: tuple[str, ...], device: str, menu: str
) -> None:
    text = page_text(read_all([phone[0].parent / name for name in files]))
    title, first = re.findall("<title>(.*?) - syncnas", text)[0], text.partition("<main")[2].partition("<h2")[0]
    assert title.endswith(f" on {device}") if device else " on " not in title
    assert device in first and re.findall('<nav.*?<a href="#(.*?)">(.*?)<', text) == [(menu.lower(), menu)]


def test_an_assessment_has_its_page(phone: list[Path]) -> None:
    text = (phone[0].parent / "page.html").read_text(encoding="utf-8")
    assert "syncnas-deploy assess" not in text and "--trials 12" in text


def commands_of(page: str) -> list[list[str]]:
    found = re.findall("<li><code>(.*?)</code>", page.partition('class="commands"')[2].partition("</ol>")[0])
    return [shlex.split(html.unescape(line).replace(SERIAL, "a-serial"))[1:] for line in found]


def test_every_command_to_repeat_it_is_one(pages: dict[str, Path]) -> None:
    for path in pages.values():
        found = commands_of(path.read_text(encoding="utf-8"))
        assert found
        for name, *words in found:
            cli.commands[name].make_context(name, words)


@pytest.mark.parametrize("change", ["width", "name", "classes", ""])
def test_a_base_of_ones_own_is_a_config_to_be_named(mobilenet: ModelConfig, tmp_path: Path, change: str) -> None:
    base = {
        "width": lambda: at_width(mobilenet, 0.5),
        "name": lambda: replace(mobilenet, name="mine"),
        "classes": lambda: replace(mobilenet, classes=10),
        "": lambda: mobilenet,
    }[change]()
    profile = law_profile(base)
    settings = {"launches": "2", "rounds": "4", "seed": "7"}
    text = page_text(Comparison(profiles=[msgspec.structs.replace(profile, settings=settings)]))
    words = " ".join(commands_of(text)[0])
    assert f"--base {'BASE.json' if change else 'mobilenet_v2'} " in words and "--launches 2 --rounds 4" in words
    assert ("BASE.json: the config of the base model" in text) == bool(change)
    write_profile(tmp_path / "p.json", profile)
    (tmp_path / "BASE.json").write_text(json.dumps(json.loads((tmp_path / "p.json").read_text())["base"]))
    assert load_config(tmp_path / "BASE.json") == base


@pytest.mark.parametrize(
    ("key", "told"),
    [
        ({"evaluator": {"name": "capacity"}, "searcher": {"algorithm": "uct"}, "seed": 3},
         "--evaluator capacity --algorithm uct --trials 24 --seed 3"),
        ({"evaluator": {"name": "zen", "input_size": 96}, "searcher": {"algorithm": "uct", "normalise": False},
          "seed": 0},
         "--evaluator zen:96 --algorithm uct-published --trials 24 --seed 0"),
        ({"evaluator": {"name": "train"}, "seed": True}, "--evaluator train:FOLDER --trials 24 --out"),
        ({"evaluator": 1, "searcher": {"algorithm": ["uct"]}, "seed": -1}, "--evaluator EVALUATOR --trials 24 --out"),
        (None, "--evaluator EVALUATOR --trials 24 --out"),
    ],
)  # fmt: skip
def test_a_search_is_repeated_as_its_files_tell(tmp_path: Path, key: object, told: str) -> None:
    shutil.copytree(page_cases.demo()[1], tmp_path / "s")
    (tmp_path / "s" / "search.json").unlink()
    if key is not None:
        (tmp_path / "s" / "search.journal").write_text(json.dumps({"journal": 1, "kind": "search", "key": key}) + "\n")
    [words] = commands_of(page_text(read_all([tmp_path / "s"])))
    assert told in " ".join(words)
    cli.commands["search"].make_context("search", words[1:])


HOW = {
    "schema": "syncnas-deploy/search/1", "versions": {"syncnas-deploy": "0.2.0", "torch": "2.8.0"},
    "base": "mobilenet_v2",
    "profile": {"device": "d", "sha256": "0" * 64}, "budgets": ["1.5x", "1.0x"], "algorithm": "uct", "seed": 7,
    "trials": 40, "done": 20,
}  # fmt: skip
RECIPE = {"epochs": 9, "input_size": 96, "batch": 64, "smallest_crop": 0.35, "rate": None}


@pytest.mark.parametrize(
    ("evaluator", "told", "stand_in"),
    [
        ({"name": "zen", "input_size": 64}, "zen:64", ""),
        ({"name": "train", "recipe": RECIPE, "width": 0.5, "halving": 3},
         "train:FOLDER,epochs=9,size=96,batch=64,crop=0.35,width=0.5,halving=3", "FOLDER: the folder of pictures"),
        ({"name": "inherit", "recipe": {**RECIPE, "rate": 0.1}, "epochs": 0},
         "inherit:WEIGHTS,FOLDER,epochs=0,size=96,batch=64,crop=0.35,rate=0.1", "WEIGHTS: the base"),
        ({"name": "command", "program": "python"}, "command:PROGRAM", "PROGRAM: the program"),
        ({"name": "table"}, "table:TABLE", "TABLE: the file"),
        ({"name": "a score of mine"}, "EVALUATOR", "EVALUATOR: what rated"),
        ({"name": ["<b>"], "recipe": 1}, "EVALUATOR", "EVALUATOR: what rated"),
        ({"name": "train", "recipe": {"epochs": "9;rm", "batch": True, "input_size": 1e9}}, "train:FOLDER", "FOLDER"),
    ],
)  # fmt: skip
def test_a_search_is_repeated_as_its_own_file_tells(
    tmp_path: Path, evaluator: dict[str, object], told: str, stand_in: str
) -> None:
    shutil.copytree(page_cases.demo()[1], tmp_path / "s")
    (tmp_path / "s" / "search.json").write_text(json.dumps({**HOW, "evaluator": evaluator}))
    text = page_text(read_all([tmp_path / "s"]))
    [words] = commands_of(text)
    rest = f"--evaluator {told} --algorithm uct --trials 40 --seed 7 --out s"
    assert " ".join(words[3:]) == f"--budget 1.5x --budget 1.0x {rest}" and stand_in in text
    assert "s: torch" in text and "2.8.0" in text and "s: rated by" in text
    cli.commands["search"].make_context("search", words[1:])


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
