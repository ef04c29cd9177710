"""What a user reads at the end: the next command, how to go on after an interruption, and what stands in the way."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from syncnas_bench import SIM_DEVICES, SimDevice
from syncnas_deploy import pipeline
from syncnas_deploy.benchmarking.trust import Trust
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.cli.fitting import fitted, folded_command
from syncnas_deploy.errors import JournalMismatch, MeasurementError, OutputExists
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.formats import write_config
from syncnas_deploy.prediction.profile_files import write_profile
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.report.page import Page, Table
from tests.support.latency_cases import RATIOS, exactly, law_profile, whole_us
from tests.support.picture_cases import small_config
from tests.support.program import Program

INTERRUPTED = {
    "search --profile law.json --out 'my found' --force": (
        "go on with: syncnas-deploy search --profile law.json --out 'my found' --resume"
    ),
    "profile --base mobilenet_v2 --device sim:duo --out p.json": (
        "go on with: syncnas-deploy profile --base mobilenet_v2 --device sim:duo --out p.json --resume"
    ),
    "train mobilenet_v2 --path set --out run --resume": (
        "go on with: syncnas-deploy train mobilenet_v2 --path set --out run --resume"
    ),
    "assess --device sim:duo --out a": "give the same command again: syncnas-deploy assess --device sim:duo --out a",
    "predict mobilenet_v2 --profile law.json": (
        "give the same command again: syncnas-deploy predict mobilenet_v2 --profile law.json"
    ),
}


@pytest.mark.parametrize("command", list(INTERRUPTED))
def test_an_interrupted_command_says_how_it_goes_on(
    command: str, law: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pipeline, shlex.split(command)[0], interrupted)
    done = program(*shlex.split(command))
    assert done.code == 130
    assert done.err.splitlines()[-2:] == [
        "syncnas-deploy: Interrupted; what was finished is kept.",
        INTERRUPTED[command],
    ]


@pytest.mark.parametrize(("slower", "raised"), [(1.0, False), (4.0, True), (20.0, True)])
def test_the_budget_that_is_suggested_can_be_met(
    slower: float, raised: bool, mobilenet: ModelConfig, program: Program
) -> None:
    law = law_profile(mobilenet)
    contention = tuple(msgspec.structs.replace(row, factor=slower * row.factor) for row in law.contention)
    write_profile(Path("p.json"), msgspec.structs.replace(law, contention=contention))
    done = program("report", "p.json")
    (told,) = [line.partition(": ")[2] for line in done.err.splitlines() if line.startswith("next, search")]
    assert done.code == 0 and ("--budget" in told) == raised, told
    words = [word for word in shlex.split(told)[1:] if word not in ("--evaluator", "capacity")]
    found = program(*words, "--evaluator", "capacity", "--trials", 1, "--out", "found")
    assert found.code == 0, found.err


OUT: dict[str, str] = {
    "search --profile law.json --evaluator capacity --out file": "is a file, and a folder is needed",
    "export mobilenet_v2 --out file": "is not a bundle but a file, and a folder is needed",
    "assess --device sim:duo --evaluator capacity --out file": "is a file, and a folder is needed",
    "train mobilenet_v2 --path . --out file": "is not a folder",
    "profile --base mobilenet_v2 --device sim:duo --out folder": "is no file but a folder",
    "draw mobilenet_v2 --out folder.svg": "is no file but a folder",
    "report law.json --learning folder.svg": "is no file but a folder",
    "report law.json --html file": "give --force to replace it",
    "predict best.json --profile law.json --trace file": "give --force to replace it",
    "predict best.json --profile law.json --trace folder": "is no file but a folder",
    "compare law.json law.json --html file": "give --force to replace it",
    "compare law.json law.json --html device": "exists and is no file",
    "report law.json --html device --force": "exists and is no file",
    "predict best.json --profile law.json --trace device --force": "exists and is no file",
    "search --profile law.json --evaluator capacity --watch device --force --out s": "exists and is no file",
    "search --profile law.json --evaluator capacity --watch folder --out s": "is no file but a folder",
}


@pytest.mark.parametrize("command", list(OUT))
def test_a_file_where_a_folder_is_needed_and_the_other_way_round(
    command: str, law: Path, mobilenet: ModelConfig, program: Program
) -> None:
    write_config(Path("best.json"), branched(mobilenet, "nnnnnna"))
    Path("file").write_text("mine")
    Path("device").symlink_to(os.devnull)
    for name in ("folder", "folder.svg"):
        Path(name).mkdir()
    done = program(*shlex.split(command))
    assert (done.code, done.out) == (8, "") and OUT[command] in done.err and done.err.count("\n") == 1
    assert Path("file").read_text() == "mine"
    assert {path.name for path in Path().iterdir() if path.name[0] != "."} == {
        "device", "file", "folder", "folder.svg", "law.json", "best.json"
    }  # fmt: skip


SEARCHED = "search --profile law.json --evaluator capacity --trials 2 --out found"
OTHER: dict[str, str] = {
    "--budget 1.2x": "its --budget is 4.2 ms, here it is 5.04 ms",
    "--budget 1.0x --budget 1.2x": "its --budget is 4.2 ms, here it is 4.2 ms, 5.04 ms",
    "--seed 4": "its --seed is 0, here it is 4",
    "--algorithm random": 'its --algorithm is "',
    "--evaluator table:t.csv": "its --evaluator",
    "--evaluator zen": 'its --evaluator is "capacity", here it is "zen"',
    "--profile other.json": "its --profile or --width-step is another one",
    "--profile slower.json": "its --profile or --width-step is another one",
    "--width-step 8": "its --profile or --width-step is another one",
}


@pytest.mark.parametrize("change", list(OTHER))
def test_another_search_is_named_by_its_option(
    change: str, law: Path, program: Program, mobilenet: ModelConfig
) -> None:
    profile = law_profile(mobilenet)
    slower = [msgspec.structs.replace(row, factor=row.factor + 0.1) for row in profile.contention]
    other = msgspec.structs.replace(profile, contention=tuple(slower))
    write_profile(Path("other.json"), other)
    whole = [
        msgspec.structs.replace(row, sample=exactly(1.1 * whole_us(mobilenet, row.unit, RATIOS[row.pair])))
        for row in profile.networks
    ]
    write_profile(Path("slower.json"), msgspec.structs.replace(other, networks=tuple(whole)))
    Path("t.csv").write_text("strategy,reward\naaaaaaa,1\n")
    assert program(*shlex.split(SEARCHED)).code == 0
    words = shlex.split(SEARCHED)
    for option, value in zip(shlex.split(change)[::2], shlex.split(change)[1::2], strict=True):
        if option in words and option != "--budget":
            at = words.index(option)
            del words[at : at + 2]
        words += [option, value]
    done = program(*words, "--resume")
    assert done.code == 3 and OTHER[change] in done.err and "_us" not in done.err and "sha256" not in done.err
    assert done.err.endswith("ask for the same, or remove it or choose another --out.\n")


@pytest.mark.parametrize(
    ("change", "units", "error", "says"),
    [
        ({"budget": "1.9x"}, (), JournalMismatch, "its --budget is .* ms, here it is .* ms"),
        ({"evaluator": "table:t.csv"}, (), JournalMismatch, "its --evaluator"),
        (
            {"profile": ProfileSettings(launches=2, networks=1)},
            (),
            OutputExists,
            'its --launches is "1", here it is "2"',
        ),
        ({}, ("sim:right", "sim:left"), OutputExists, "sim:left and sim:right, not of sim:right and sim:left"),
    ],
)
def test_an_assessment_with_another_option_says_which(
    change: dict[str, Any],
    units: tuple[str, ...],
    error: type[Exception],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("strategy,reward\naaa,1\n")
    settings = pipeline.AssessSettings("1.5x", "capacity", 2, 6, ProfileSettings(launches=1, rounds=1, networks=1))
    device, base = SimDevice("duo", SIM_DEVICES["duo"]), small_config(8)

    def enough(text: str) -> None:
        if text.startswith("4/5"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.assess(device, base, Path("a"), settings, on_notice=enough)
    with pytest.raises(error, match=says):
        pipeline.assess(device, base, Path("a"), dataclasses.replace(settings, **change), units=units)


def test_a_drawing_by_a_doubtful_profile_says_so(law: Path, program: Program) -> None:
    done = program("draw", "mobilenet_v2", "--profile", law, "--out", "d.svg")
    assert done.code == 0 and "the profile is doubtful (1 warning: made by hand)" in done.err


@pytest.mark.parametrize(
    ("error", "warnings", "told"),
    [
        (0.03, (), ["search"]),
        (0.03, ("the load was 14.0",), ["doubtful, profile", "search"]),
        (0.12, (), ["doubtful, profile", "search"]),
        (-0.5, ("the load was 14.0",), ["worthless, profile"]),
    ],
)
def test_what_comes_after_a_profile_depends_on_how_far_it_can_be_trusted(
    error: float, warnings: tuple[str, ...], told: list[str], mobilenet: ModelConfig, program: Program
) -> None:
    law = law_profile(mobilenet)
    (row,) = law.held_out
    off = msgspec.structs.replace(row, predicted_us=(1 + error) * row.sample.median_us)
    device = {"name": "sim:duo"}
    write_profile(Path("p.json"), msgspec.structs.replace(law, held_out=(off,), warnings=warnings, device=device))
    steps = [line for line in program("report", "p.json").err.splitlines() if line.startswith("next, ")]
    assert len(steps) == len(told) and all(words in step for words, step in zip(told, steps, strict=True)), steps
    again = "syncnas-deploy profile --device sim:duo --base p.json --unit sim:left --unit sim:right --out p-again.json"
    assert ("profile" not in told[0]) or steps[0].endswith(again)


MEASURED = "assess --device sim:phone --evaluator capacity --trials 2 --samples 6 --out 'my phone'"
BENCHED = "bench {bundle} --device sim:phone --samples 6"
WORTHLESS = {
    MEASURED: MEASURED,
    BENCHED: BENCHED,
    f"{BENCHED} --out 'my bench'": f"{BENCHED} --out 'my bench' --force",
    f"{BENCHED} --out=bench.json --force": f"{BENCHED} --out=bench.json --force",
    f"{BENCHED} --json": None,
}


@pytest.mark.parametrize("command", list(WORTHLESS))
def test_what_was_worthless_says_with_which_command_it_is_measured_again(
    command: str, bundle: Bundle, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "device", lambda *_: SimDevice("phone"))
    monkeypatch.setattr("syncnas_deploy.benchmarking.trust.trust", lambda _: Trust("worthless", ("it was made up",)))
    told = program(*shlex.split(command.format(bundle=bundle.folder)))
    again = WORTHLESS[command]
    steps = [line for line in told.err.splitlines() if line.startswith("next, ")]
    assert told.code == 6 and "worthless: it was made up. It is kept; measure again." in told.err, told.err
    said = f"next, measure again on a quiet device: syncnas-deploy {again}"
    assert steps == ([said.format(bundle=bundle.folder)] if again else [])


def test_an_assessment_that_failed_on_its_way_says_the_command(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failed(*_: Any, **__: Any) -> None:
        raise MeasurementError("It cannot be right; try.")

    Path("a").mkdir()
    Path("a/profile.json").write_text("{}")
    monkeypatch.setattr(pipeline, "assess", failed)
    told = program("assess", "--device", "sim:phone", "--out", "a")
    assert told.code == 6
    assert "in a; go on with: syncnas-deploy assess --device sim:phone --out a\n" in told.err


def test_a_command_is_folded_as_a_shell_reads_it() -> None:
    words = ["syncnas-deploy", "search", "--profile", "'my file.json'", "--budget", "1.0x", "--out", "f" * 30]
    lines = folded_command(words, 40)
    assert all(len(line) <= 40 for line in lines)
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == [*words[:3], "my file.json", *words[4:]]


LONG = "a text that is much longer than its cell, with 12,345.6 in it"
TABLES: dict[str, tuple[Table, int, Callable[[list[str]], bool]]] = {
    "long texts fold": (
        Table(["what", "us"], [[LONG, 1234567.5]]),
        40,
        lambda lines: "1,234,567.5" in lines[2] and len(lines) == 5,
    ),
    "spare columns go, the least important one first": (
        Table(["one", "two", "three"], [[1e9, 2e9, 3e9]] * 2, spare=(0, 1)),
        40,
        lambda lines: "1 column is left out: one;" in lines[-2] and "2,000,000,000.0" in lines[2],
    ),
    "all columns stay where there is room": (
        Table(["one", "two", "three"], [[1e9, 2e9, 3e9]], spare=(0, 1)),
        80,
        lambda lines: "left out" not in "".join(lines),
    ),
    "a wide script": (Table(["name"], [["幅" * 40]]), 40, lambda lines: len(lines) == 4),
    "a long word": (Table(["name", "us"], [["x" * 90, 1.5]]), 40, lambda lines: "1.5" in lines[2]),
    "what is too wide goes below, with column 0 again": (
        Table(
            ["file", *(f"on a-device-with-a-long-name-{i}.json (ms)" for i in range(3))],
            [["x" * 8, 1e6, 2e6, 3e6]] * 2,
        ),
        60,
        lambda lines: (
            [sum("xxx" in line for line in lines), sum("file" in line for line in lines)] == [4, 2]
            and all(
                sum(number in line for line in lines) == 2 for number in ("1,000,000.0", "2,000,000.0", "3,000,000.0")
            )
            and "left out" not in "".join(lines)
        ),
    ),
    "a name of 200 characters": (
        Table(["name", "(ms)"], [["n" * 200, 0.04512]]),
        80,
        lambda lines: "0.0451" in lines[2] and len(lines) < 6,
    ),
    "long names are parted at their joints": (
        Table(
            ["file", *(f"on mobilenet_v2-simulated-phone-{i}.json (ms)" for i in "ab"), "units"],
            [["x", 1.5, 2.5, "cpu:1"]],
        ),
        80,
        lambda lines: all(
            word.endswith(("-", "_", ".", "on", "json", "(ms)"))
            for word in " ".join(lines[:3]).split()
            if len(word) > 5
        ),
    ),
    "numbers stay whole in a narrow column 0": (
        Table(["3.045-3.469-123", "b"], [["1.045-3.469-123", "x" * 60]]),
        76,
        lambda lines: "1.045-3.469-123" in lines[2],
    ),
    "a path": (
        Table(["place", "us"], [["/a/folder/with/a/long/name/of/a/file.json", 1.5]]),
        40,
        lambda lines: [line.split()[0] for line in lines[2:]] == ["/a/folder/with/a/long/name/of/a/", "file.json"],
    ),
    "an empty table": (Table(["name", "us"], []), 40, lambda lines: lines[0].split() == ["name", "us"]),
}


@pytest.mark.parametrize("name", list(TABLES))
def test_a_table_is_fitted(name: str) -> None:
    from rich.cells import cell_len

    table, width, holds = TABLES[name]
    lines = fitted(Page(table), width, colour=False)
    assert max(cell_len(line) for line in lines) <= width and holds(lines), lines
