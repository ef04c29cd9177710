"""From a device to a verdict in one command, whatever interrupts it."""

from __future__ import annotations

import dataclasses
import json
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from syncnas_bench import SIM_DEVICES, SimDevice, UnitError
from syncnas_deploy import pipeline
from syncnas_deploy.benchmarking.result_files import read_result, result_to_json
from syncnas_deploy.benchmarking.trust import verdict_of
from syncnas_deploy.bundle import read_bundle
from syncnas_deploy.cli import cli
from syncnas_deploy.errors import DatasetError, InfeasibleBudget, OutputExists, UnknownEvaluator
from syncnas_deploy.files.output import write_json
from syncnas_deploy.networks.formats import write_config
from syncnas_deploy.pipeline.assess import Assessment, _commands
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.report.comparison import read_all
from tests.support.picture_cases import small_config
from tests.support.program import Program
from tests.support.worker_cases import wait_for

SETTINGS = pipeline.AssessSettings(
    evaluator="capacity", trials=12, samples=36, profile=ProfileSettings(launches=2, networks=1)
)
INTERRUPTIONS = 10


def device(transfer_us: float = 15.0) -> SimDevice:
    """sim:phone without noise, so that the same is measured however often one begins."""
    cpu, gpu = (
        dataclasses.replace(law, vices=dataclasses.replace(law.vices, noise=0.0)) for law in SIM_DEVICES["phone"]
    )
    return SimDevice("phone", (cpu, dataclasses.replace(gpu, transfer_us=transfer_us)))


class Interrupter:
    """Interrupts when it is told something for the nth time."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, _: object) -> None:
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


def kept(folder: Path) -> dict[str, object]:
    """What an assessment's folder says, without times of day and conditions of this machine."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_dir() or name == "search/search.journal":
            continue
        found[name] = path.read_bytes()
        if name == "profile.json":
            value = json.loads(path.read_text())
            found[name] = {key: value[key] for key in ("base", "units", "points", "networks", "syncs", "contention")}
        elif name == "bench.json":
            value = json.loads(path.read_text())
            found[name] = (value["macs"], value["verdict"]["answer"], [row["role"] for row in value["baselines"]])
        elif name == "search/search.json":
            value = json.loads(path.read_text())
            found[name] = {**value, "profile": value["profile"]["device"]}
        elif name == "search/history.csv":
            found[name] = [",".join(line.split(",")[:5]) for line in path.read_text().splitlines()]
        elif name == "page.html":
            found[name] = path.read_text().split("<main")[1].split("</h1>")[0]
        elif name == "commands.sh":
            found[name] = path.read_text().replace(str(folder), "F")
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Assessment:
    return pipeline.assess(device(), "mobilenet_v2", tmp_path_factory.mktemp("whole") / "a", SETTINGS)


def test_it_ends_with_a_verdict_by_measurement(whole: Assessment) -> None:
    verdict = verdict_of(whole.result)
    assert verdict is not None and verdict.answer == "pays" and verdict.rival_units == "sim:gpu"
    rivals = [b for b in whole.result.baselines if b.role == "rival"]
    assert [b.unit for b in rivals] == ["sim:cpu", "sim:gpu"]
    for rival in rivals:
        assert rival.makespan.median_us == pytest.approx(whole.result.makespan.median_us, rel=0.02)
    *_, verdict_line, simulated, by_macs = read_all([whole.folder / "bench.json"]).to_text().splitlines()
    assert verdict_line.startswith("It pays: ") and "SIMULATED" in simulated and "accuracy was not" in by_macs


def test_an_assessment_interrupted_ten_times_is_the_same(whole: Assessment, tmp_path: Path) -> None:
    rng, out = random.Random(0), tmp_path / "a"
    interrupted = 0
    while interrupted < INTERRUPTIONS:
        # The first five notices come at once where much is done; later ones are inside of search and bench.
        interrupt = Interrupter(rng.randint(2, min(4 + interrupted, 10)))
        with pytest.raises(KeyboardInterrupt):
            pipeline.assess(device(), "mobilenet_v2", out, SETTINGS, on_progress=interrupt, on_notice=interrupt)
        interrupted += 1
    pipeline.assess(device(), "mobilenet_v2", out, SETTINGS)
    assert kept(out) == kept(whole.folder)


def test_a_worthless_bench_is_measured_again(whole: Assessment, tmp_path: Path) -> None:
    out = Path(shutil.copytree(whole.folder, tmp_path / "a"))
    spoilt = msgspec.structs.replace(whole.result, change=0.5)
    write_json(out / "bench.json", result_to_json(spoilt))
    again = pipeline.assess(device(), "mobilenet_v2", out, SETTINGS)
    assert again.result.change == 0.0 and read_result(out / "bench.json") == again.result
    # Of another device, or with fewer samples than are asked for: measured again, too.
    for other in ({"facts": {**whole.result.facts, "name": "sim:other"}}, {"units": ("sim:gpu", "sim:cpu")}):
        write_json(out / "bench.json", result_to_json(msgspec.structs.replace(whole.result, **other)))
        assert pipeline.assess(device(), "mobilenet_v2", out, SETTINGS).result.units == whole.result.units
    more = pipeline.assess(device(), "mobilenet_v2", out, dataclasses.replace(SETTINGS, samples=72))
    assert len(more.result.makespan.samples_us) == 72


@pytest.mark.parametrize("name", ["bundle", "bench.json", "commands.sh", "page.html", "search", "int8"])
def test_files_of_something_else_are_refused_before_anything_is_measured(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("syncnas-deploy bench my own notes")
    with pytest.raises(OutputExists, match=f"holds files of something else, {name} for one"):
        pipeline.assess(device(), "mobilenet_v2", tmp_path, SETTINGS)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("change", "units", "error"),
    [
        ({"evaluator": "nosuch"}, (), UnknownEvaluator),
        ({"budget": "0.8"}, (), InfeasibleBudget),
        ({}, ("sim:gpu",), UnitError),
        ({"calibrate": Path("nowhere")}, (), DatasetError),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_measured(
    change: dict[str, Any], units: tuple[str, ...], error: type[Exception], tmp_path: Path
) -> None:
    with pytest.raises(error):
        pipeline.assess(device(), "mobilenet_v2", tmp_path / "a", dataclasses.replace(SETTINGS, **change), units=units)
    assert not (tmp_path / "a").exists()


def test_the_commands_tell_no_serial_and_the_base_as_it_was_given(whole: Assessment) -> None:
    text = _commands("R58M123ABC", "my models/b.json", whole.roads, "capacity", SETTINGS, whole.folder)
    assert "R58M123ABC" not in text and '--device "$ANDROID_SERIAL"' in text and "--base 'my models/b.json'" in text


def test_the_commands_do_the_same_one_by_one(whole: Assessment) -> None:
    lines = [shlex.split(line) for line in (whole.folder / pipeline.COMMANDS).read_text().splitlines()]
    assert [line[1] for line in lines] == ["doctor", "profile", "search", "export", "bench", "report"]
    for words in lines:
        command = cli.commands[words[1]]
        command.make_context(words[1], words[2:])  # every option and argument is one that the command has


def test_where_the_budget_cannot_be_met_the_least_latency_is_searched(tmp_path: Path) -> None:
    told: list[str] = []
    done = pipeline.assess(device(3000.0), "mobilenet_v2", tmp_path / "a", SETTINGS, on_notice=told.append)
    assert any("two branches take at least" in text for text in told)
    verdict = verdict_of(done.result)
    assert verdict is not None and verdict.answer == "does not pay"


def ended_twice(words: Sequence[str]) -> bytes:
    """The first profile of an assessment that was ended as its int8 road began, and once more in its middle."""
    kept = b""
    for number, begun in ((signal.SIGTERM, "profile.json.journal"), (signal.SIGINT, "bundle")):
        with subprocess.Popen(
            [sys.executable, "-c", "from syncnas_deploy.cli import main; main()", *words],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # below `nohup` it would be ignored
        ) as running:
            wait_for(lambda begun=begun: Path("a/int8", begun).exists() or running.poll() is not None)  # type: ignore[misc]
            running.send_signal(number)
            _, said = running.communicate(timeout=300)
        assert running.returncode == 128 + number and "Traceback" not in said, said
        assert f"give the same command again: syncnas-deploy {' '.join(words)}\n" in said
        kept = kept or Path("a/profile.json").read_bytes()
    return kept


@pytest.mark.needs("signals", "host units")
def test_the_same_units_in_int8_stand_beside_each_other_although_it_was_ended_twice(program: Program) -> None:
    write_config(Path("small.json"), small_config(8))
    units = ("--unit", "cpu:1", "--unit", "cpu:2")
    words = ["assess", "--base", "small.json", "--device", "host", *units, "--evaluator", "capacity", "--trials", "2"]
    words += ["--budget", "9.0x", "--samples", "6", "--int8", "--out", "a"]
    kept = ended_twice(words)
    told = program(*words)
    assert told.code in (0, 6), told.err  # a busy machine measures what is worthless, and says so
    assert Path("a/profile.json").read_bytes() == kept
    mine, int8 = (
        {path.relative_to(folder) for path in folder.rglob("*") if path.relative_to(folder).parts[0] != "int8"}
        for folder in (Path("a"), Path("a/int8"))
    )
    assert mine - {Path("commands.sh"), Path("page.html")} == int8
    table = told.out.partition("does it pay, by the units' formats:")[2].splitlines()[3:5]
    assert [line.split("  ")[0] for line in table] == ["cpu:1 + cpu:2", "cpu:1:int8 + cpu:2:int8"]
    assert len(re.findall("(?:This|the) measurement is ", told.out)) == 2
    assert read_bundle(Path("a/int8/bundle")).precisions == ("int8", "int8")
    page, commands = Path("a/page.html").read_text(), Path("a/commands.sh").read_text()
    assert "cpu:1:int8 and cpu:2:int8" in page and page.count('class="answer"') == 2
    assert "--profile a/int8/profile.json --timing-only --out a/int8/bundle" in commands
    assert [path.parent.name for path in pipeline.documents_in(["a"]) if path.name == "bench.json"] == ["a", "int8"]
    assert program("compare", "a", "a").code == 0
    measured = {path: path.read_bytes() for path in Path("a").rglob("profile.json")}
    again = program(*words, "--json")
    assert {path: path.read_bytes() for path in Path("a").rglob("profile.json")} == measured and len(measured) == 2
    assert json.loads(again.out)["int8"]["units"] == ["cpu:1:int8", "cpu:2:int8"]


def test_simulated_units_have_no_other_format(whole: Assessment, tmp_path: Path) -> None:
    told: list[str] = []
    out, settings = Path(shutil.copytree(whole.folder, tmp_path / "a")), dataclasses.replace(SETTINGS, int8=True)
    again = pipeline.assess(device(), "mobilenet_v2", out, settings, on_notice=told.append)
    assert len(again.roads) == 1 and told[0] == "int8: sim:cpu and sim:gpu have no other format that would be int8"


def test_the_command_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    ran = CliRunner().invoke(cli, ["assess", "--device", "sim:nobody", "--out", str(tmp_path / "a")])
    assert ran.exit_code and "there is no simulated device" in str(ran.exception)
    assert not (tmp_path / "a").exists()
