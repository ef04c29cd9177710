"""Settings of a project, default names of results, completion, and what doctor says of the installation."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from syncnas_bench import SimDevice
from syncnas_bench.doctor import Check
from syncnas_deploy import pipeline
from syncnas_deploy.cli import cli
from syncnas_deploy.cli.settings import KINDS
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.formats import write_config
from syncnas_deploy.pipeline.toolchain import toolchain, what_first
from syncnas_deploy.prediction.profile_files import write_profile
from tests.support.latency_cases import law_profile
from tests.support.picture_cases import small_branched
from tests.support.program import Outcome, Program


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What `profile` and `bench` ask for, which they do not get."""
    found: dict[str, object] = {}

    def profile(model: ModelConfig, on: object, **named: object) -> None:
        found.update(named, base=model.name, device=on)
        raise click.exceptions.Exit(0)

    def device(name: str, environment: object) -> SimDevice:
        found.update(name=name, environment=environment)
        return SimDevice("phone")

    monkeypatch.setattr(pipeline, "profile", profile)
    monkeypatch.setattr(pipeline, "device", device)
    return found


def settings(program: Program, text: str, *words: object) -> Outcome:
    Path("syncnas.toml").write_text(text)
    return program(*words)


def test_settings_stand_for_options_and_are_said(program: Program, asked: dict[str, object]) -> None:
    Path("lib").mkdir()
    text = 'device = "sim:phone"\nunits = ["sim:cpu", "sim:gpu"]\nbase = "mnasnet_b1"\nruntime = "lib"\n'
    done = settings(program, text, "profile")
    assert (done.code, asked["name"], asked["units"], asked["base"]) == (
        0,
        "sim:phone",
        ("sim:cpu", "sim:gpu"),
        "mnasnet_b1",
    )
    assert str(asked["environment"].device_litert) == "lib"  # type: ignore[attr-defined]
    for line in ("device = sim:phone", "units = sim:cpu, sim:gpu", "base = mnasnet_b1", "runtime = lib"):
        assert f"syncnas.toml: {line}\n" in done.err


def test_a_setting_is_said_once(program: Program) -> None:
    Path("lib").mkdir()
    done = settings(program, 'runtime = "lib"\ndevice = "sim:phone"\n', "doctor")
    assert done.code == 0 and [done.err.count(f"syncnas.toml: {key}") for key in ("runtime", "device")] == [1, 1]


def test_what_is_simulated_has_no_gpu_and_its_label_once(program: Program) -> None:
    for name in ("phone", "duo", "midrange"):
        checks = [
            check["name"] for check in json.loads(program("doctor", "--device", f"sim:{name}", "--json").out)["checks"]
        ]
        assert "GPU" not in checks and "units" in checks
    listed = program("devices", "--simulated").out
    assert listed.count("follow a law") == 1 and "sim:phone" in listed
    assert all(
        unit["note"]
        for device in json.loads(program("devices", "--json").out)
        if device["simulated"]
        for unit in device["units"]
    )


def test_pictures_of_the_project_are_for_units_that_nobody_named(program: Program, asked: dict[str, object]) -> None:
    Path("pictures").mkdir()
    text = 'calibrate = "pictures"\nbase = "mnasnet_b1"\n'
    assert "syncnas.toml: calibrate = pictures\n" in settings(program, text, "profile", "--device", "sim:duo").err
    assert asked["calibrate"] == Path("pictures")
    named = ("profile", "--device", "sim:duo", "--unit", "sim:left", "--unit", "sim:right")
    assert "calibrate" not in settings(program, text, *named).err and asked["calibrate"] is None
    assert "calibrate" not in settings(program, f'{text}units = ["sim:left", "sim:right"]', "profile").err
    Path("pictures").rmdir()
    done = settings(program, text, "profile", "--device", "sim:duo")
    assert done.code == 4 and done.err.endswith("syncnas.toml: calibrate 'pictures' does not exist; correct it.\n")


def test_options_and_variables_go_first(
    program: Program, asked: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = 'device = "sim:phone"\nunits = ["a", "b"]\nbase = "mnasnet_b1"\n'
    words = ("profile", "--base", "fbnet_c", "--unit", "sim:gpu", "--unit", "sim:cpu", "--device", "sim:duo")
    done = settings(program, text, *words)
    assert ("syncnas.toml" in done.err, asked["name"], asked["base"], asked["units"]) == (
        False,
        "sim:duo",
        "fbnet_c",
        ("sim:gpu", "sim:cpu"),
    )
    monkeypatch.setenv("ANDROID_SERIAL", "sim:steps")
    settings(program, text, "profile")
    assert asked["name"] == "sim:steps"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('devise = "host"', "Did you mean 'device'?"),
        ('unit = ["a", "b"]', "Did you mean 'units'?"),
        ("[project]\nname = 1", "'project' is no setting"),
        ('units = ["cpu:1"]', "'units' must be a list of two texts"),
        ('units = "cpu:1"', "'units' must be a list of two texts"),
        ("device = 5", "'device' must be a text"),
        ("units = [1, 2]", "'units' must be a list of two texts"),
        ("units = []", "'units' must be a list of two texts, found 0; correct it."),
        ('units = ["cpu:1", ""]', "'units' is empty in one place; fill it or remove it."),
        *((f'{key} = "{text}"', f"{key!r} is empty; fill it or remove it.") for key in KINDS if key != "units"
          for text in ("", " ")),
        ("device = host", "cannot be read as TOML"),
        ("a" * 70_000, "more than 65536 bytes"),
        ("device = " + "[" * 30_000, "cannot be read as TOML"),
        ("device = " + "{a=" * 15_000, "cannot be read as TOML"),
        *((f"{key} = {'1' * count}", "cannot be read as TOML (a number has too many digits); correct it or remove it.")
          for key, count in (("device", 5_000), ("units", 4_301), ("base", 60_000))),
    ],
)  # fmt: skip
def test_settings_that_are_none_are_refused(program: Program, text: str, says: str) -> None:
    done = settings(program, text, "profile", "--device", "sim:phone")
    assert done.code == 3 and says in done.err and done.err.count("\n") == 1


def test_a_runtime_that_is_not_there(program: Program) -> None:
    done = settings(program, 'runtime = "gone"', "doctor", "--device", "host")
    assert done.code == 4 and "runtime 'gone' does not exist" in done.err


def test_results_have_default_names(program: Program, monkeypatch: pytest.MonkeyPatch, mobilenet: ModelConfig) -> None:
    monkeypatch.setattr(pipeline, "device", lambda _name, _environment: SimDevice("phone"))
    write_profile(Path("law.profile.json"), law_profile(mobilenet))
    write_config(Path("net.json"), small_branched(8))
    bench = ("bench", "small_nca.bundle", "--samples", 6, "--launches", 1)
    for words in (
        ("search", "--profile", "law.profile.json", "--evaluator", "capacity", "--trials", 2),
        ("draw", "net.json"),
        ("export", "net.json"),
        bench,
        bench,
    ):
        assert program(*words).code == 0, words
    names = {path.name for path in Path().iterdir() if not path.name.startswith(".")}
    assert names >= {"law.search", "small_nca.svg", "small_nca.bundle"}
    assert names >= {"small_nca-sim-phone.bench.json", "small_nca-sim-phone-2.bench.json"}
    assert program("draw", "net.json").code == 8


COMPLETIONS = [
    (["predict"], "mob", "mobilenet_v2"),
    (["profile", "--base"], "mna", "mnasnet_b1"),
    (["predict", "x", "--profile"], "mob", "mobilenet_v2-sim-phone"),
    (["search", "--evaluator"], "cap", "capacity"),
    (["search", "--evaluator"], "tr", "train:"),
    (["bench", "b", "--device"], "sim:p", "sim:phone"),
    (["profile", "--device"], "a", "all"),
    (["doctor", "--device"], "h", "host"),
    (["report"], "mobilenet_v2-", "mobilenet_v2-sim-phone"),
    (["eval"], "fb", "fbnet_c"),
    (["weights", "inherit", "w", "--config"], "sync", "syncnas_fbnet_c_100"),
]


@pytest.mark.parametrize(("words", "incomplete", "wanted"), COMPLETIONS)
def test_names_are_completed(words: list[str], incomplete: str, wanted: str) -> None:
    found = ShellComplete(cli, {}, "syncnas-deploy", "_X").get_completions(words, incomplete)
    assert wanted in [item.value for item in found if item.type == "plain"]


def test_doctor_looks_at_the_installation_and_says_what_first(program: Program) -> None:
    told = json.loads(program("doctor", "--device", "sim:phone", "--json").out)
    found = {check["name"]: check for check in told["installation"]}
    assert {"syncnas-deploy", "[torch]", "[onnx]", "[timm]", "adb", "runtimes"} <= found.keys()
    assert told["first"].startswith("first: ")
    assert program("doctor", "--device", "sim:phone").out.rstrip("\n").endswith(told["first"])


@pytest.mark.parametrize("device", ["phone", "duo", "midrange"])
def test_the_help_of_doctor_says_what_its_output_ends_with(device: str, program: Program) -> None:
    help_text = " ".join(program("doctor", "--help").out.split())
    assert "Below the table stands what to do first, then the next command." in help_text
    told = program("doctor", "--device", f"sim:{device}")
    table, first = told.out.rstrip("\n").split("\n\n")
    assert "\n" in table and first.startswith(("first: ", "nothing is in the way"))
    assert told.err.splitlines()[-1].startswith("next, ")


def test_what_is_missing_says_its_extra_and_the_gravest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.metadata

    def version(_name: str) -> str:
        raise importlib.metadata.PackageNotFoundError

    monkeypatch.setattr(importlib.metadata, "version", version)
    advice = {check.name: check.advice for check in toolchain()}
    assert "pip install 'syncnas-deploy[torch]'" in advice["[torch]"]
    warning, failure = Check("load", "warning", "9", "close them"), Check("runtime", "failure", "", "install it")
    assert what_first([Check("system", "ok", "x", "y"), warning, failure]) == "first: install it (runtime: )"
    assert what_first([warning]).startswith("first: close them") and what_first([]) == ""


def test_a_search_is_of_the_base_that_the_profile_holds(program: Program, mobilenet: ModelConfig) -> None:
    write_profile(Path("p.json"), law_profile(mobilenet))
    write_config(Path("best.json"), branched(mobilenet, "nnnnnna"))
    done = program(
        "weights", "inherit", "none.npz", "--config", "best.json", "--base", "p.json", "--out", "o.safetensors"
    )
    assert done.code == 4 and "none.npz: no such file" in done.err
