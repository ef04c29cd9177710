"""Several devices at once: each into its own file, and one's failure is its own."""

from __future__ import annotations

import dataclasses
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncnas_bench.adb.device import AdbDevice
from syncnas_deploy import pipeline
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import config_text
from syncnas_deploy.prediction.profile_files import read_profile
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.progress import Progress
from tests.support.adb_cases import new_phone, no_server_env
from tests.support.adb_daemon import AdbDaemon
from tests.support.configs import parse_config
from tests.support.program import Program

UNITS = ("sim:left", "sim:right")
QUICK = ProfileSettings(launches=1, rounds=3, discard=1, repeats=1, networks=1)


@pytest.fixture(scope="module")
def tiny(mobilenet: ModelConfig) -> ModelConfig:
    """The base model at 32 pixels."""
    return parse_config(json.dumps(json.loads(config_text(mobilenet)) | {"name": "tiny", "input_size": 32}), "tiny")


@pytest.fixture
def phones() -> Iterator[list[AdbDaemon]]:
    with new_phone() as first, new_phone() as second:
        yield [first, second]


@pytest.fixture
def names(phones: list[AdbDaemon], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The phones' names, with an environment that leads to them. Their units are simulated."""
    measured = AdbDevice.facts
    monkeypatch.setattr(AdbDevice, "facts", lambda device: dataclasses.replace(measured(device), simulated=True))
    for name, value in no_server_env(tmp_path).items():
        monkeypatch.setenv(name, value)
    return [phone.address for phone in phones]


def test_both_are_measured_at_the_same_time(tiny: ModelConfig, names: list[str], tmp_path: Path) -> None:
    meeting = threading.Barrier(2, timeout=60)
    seen: list[tuple[str, str]] = []

    def on_progress(name: str, progress: Progress) -> None:
        seen.append((name, progress.doing))
        if progress.done == 1:
            meeting.wait()  # broken, and the test fails, unless the other one is under way too

    outcomes = pipeline.profile_many(
        tiny, names, folder=tmp_path / "out", units=UNITS, settings=QUICK, on_progress=on_progress
    )
    assert [outcome.error for outcome in outcomes] == [None, None]
    for name, outcome in zip(names, outcomes, strict=True):
        assert outcome.profile is not None and outcome.device == name
        assert read_profile(outcome.path) == outcome.profile
        assert outcome.path == tmp_path / "out" / f"tiny-{name.replace(':', '-')}.profile.json"
        assert [doing.removeprefix("launch 1 of 1: ") for who, doing in seen if who == name] == [
            "the base on either unit",
            "channel widths, set 1",
            "channel widths, set 2",
            "channel widths, set 3",
            "crossings between the units",
            "test networks",
            "launch 1 is done",
        ]


def test_an_interruption_keeps_every_devices_finished_steps(
    tiny: ModelConfig, names: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = {name: threading.Event() for name in names}
    raised = threading.Event()
    join = threading.Thread.join

    def on_progress(name: str, progress: Progress) -> None:
        """A device goes on after its first row when both have one and the interruption is there."""
        if progress.done:
            begun[name].set()
            raised.wait(60)

    def interrupted(thread: threading.Thread, timeout: float | None = None) -> None:
        if thread.name in names and all(event.wait(60) for event in begun.values()):
            monkeypatch.setattr(threading.Thread, "join", join)
            raised.set()
            raise KeyboardInterrupt
        join(thread, timeout)

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pipeline.profile_many(tiny, names, folder=tmp_path, units=UNITS, settings=QUICK, on_progress=on_progress)
    assert not list(tmp_path.glob("*.json"))
    assert [len(path.read_text().splitlines()) > 1 for path in tmp_path.glob("*.journal")] == [True, True]
    outcomes = pipeline.profile_many(tiny, names, folder=tmp_path, units=UNITS, settings=QUICK, resume=True)
    assert all(outcome.profile for outcome in outcomes)


def test_one_failure_is_told_with_its_exit_code(
    tiny: ModelConfig,
    phones: list[AdbDaemon],
    names: list[str],
    tmp_path: Path,
    program: Program,
) -> None:
    (tmp_path / "tiny.json").write_text(config_text(tiny))
    (phones[1].root / "free_kib").write_text("1\n")
    words = ["profile", "--base", "tiny.json", "--launches", 1, "--rounds", 3, "--unit", UNITS[0], "--unit", UNITS[1]]
    words += ["--device", names[0], "--device", names[1], "--out", "out"]
    code, out, err = program(*words, "--json")
    good, bad = json.loads(out)
    assert code == 6 and good["device"] == names[0] and good["profile"]["base"]["name"] == "tiny"
    assert bad == {"device": names[1], "error": bad["error"]} and "MB are needed" in bad["error"]
    assert f"{names[0]}: 100 %  launch 1 is done" in err and f"{names[1]}: {bad['error']}" in err
    (phones[1].root / "free_kib").unlink()
    code, out, _ = program(*words, "--resume")
    assert code == 0 and out.count("written to out/tiny-127.0.0.1-") == 2


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["--device", "host", "--device", "host"], 2, "host is named twice"),
        (["--device", "host", "--device", "sim:duo", "--out", "x.json"], 2, "name a folder for their profiles"),
        (["--device", "all"], 4, "No phone is attached"),
    ],
)
def test_wrong_use_is_one_sentence(words: list[str], code: int, says: str, program: Program) -> None:
    found, out, err = program("profile", "--base", "mobilenet_v2", *words)
    assert (found, out) == (code, "") and says in err
