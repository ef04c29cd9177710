"""What is shared says what a device is like, and not which one it is; it still tells another device from it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from syncnas_bench import DeviceFacts, PowerMeter, SimDevice
from syncnas_bench.conditions import Condition
from syncnas_deploy import pipeline
from syncnas_deploy.benchmarking.result_files import read_result
from syncnas_deploy.benchmarking.run import _BundleJobs
from syncnas_deploy.errors import OutputExists, ProfileMismatch
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.prediction.identity import facts_to_share, label, other_name, text_to_share
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.profile_files import load_profile, write_profile
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.report.comparison import read_all
from syncnas_deploy.report.drawing.plots import learning_plot
from tests.support.latency_cases import quick

SETTINGS = ProfileSettings(launches=1, rounds=2, discard=1, repeats=1, networks=1)
NAMES = ("R58M123ABC", "192.168.1.77:5555", "usb:1-2.3")
BOOT = "0ec5dd1a-3b5f-4f52-8f2e-7f1d4f6d1c11"


class Phone(SimDevice):
    """A phone with a serial or an address; its times are simulated, and it says that they are measured."""

    def __init__(self, name: str, model: str = "Example Phone 8") -> None:
        super().__init__("duo", quick("duo"))
        self._serial, self._model = name, model

    @property
    def name(self) -> str:
        return self._serial

    def facts(self) -> DeviceFacts:
        return dataclasses.replace(
            super().facts(),
            name=self._serial,
            model=self._model,
            simulated=False,
            boot_id=BOOT,
            cpu_model="SM8",
            runtime="/home/alice/lib/libLiteRt.so",
        )

    def condition(self) -> Condition:
        return dataclasses.replace(super().condition(), boot_id=BOOT)

    def power_meter(self) -> tuple[PowerMeter | None, str]:
        return None, f"{self._serial}: cannot read /home/alice/tool/gauge, nor /sys/class/power/x."


def profiled(name: str, out: Path, **options: Any) -> DeviceProfile:
    return pipeline.profile("mobilenet_v2", Phone(name), out=out, settings=SETTINGS, **options)


@pytest.mark.parametrize("name", NAMES)
def test_a_profile_does_not_tell_which_device_it_is_of(name: str, tmp_path: Path) -> None:
    profile = profiled(name, tmp_path / "p.json")
    text = (tmp_path / "p.json").read_text()
    for private in (name, BOOT, "alice", "boot_id", "monotonic_ns"):
        assert private not in text
    assert profile == load_profile(tmp_path / "p.json")
    assert profile.device["name"] == profile.device["model"] == "Example Phone 8"
    assert profile.device["identity"] == "left out: serial or address, boot id, paths"
    for shown in (read_all([tmp_path / "p.json"]).to_text(), json.dumps(read_all([tmp_path / "p.json"]).to_json())):
        assert name not in shown and "Example Phone 8" in shown
    # It still tells the device from others of its model.
    assert profiled(name, tmp_path / "p.json", resume=True) == profile
    with pytest.raises(OutputExists, match="is a finished profile of another run"):
        profiled("R58M999XYZ", tmp_path / "p.json", resume=True)
    assert profile.versions["runtime"] == profile.device["runtime"] == "libLiteRt.so"
    found = pipeline.check_profile(profile, Phone(name))
    assert found.holds and found.differences == ()
    for other in (Phone("R58M999XYZ"), Phone(name, "Example Phone 9")):
        with pytest.raises(ProfileMismatch, match=r"says nothing about .*; give --device"):
            pipeline.check_profile(profile, other)


def test_it_tells_where_that_is_asked_for(tmp_path: Path) -> None:
    profile = profiled(NAMES[0], tmp_path / "p.json", keep_identity=True)
    assert (profile.device["name"], profile.device["boot_id"]) == (NAMES[0], BOOT)
    assert profile.device["identity"] == "kept: serial or address, boot id, paths"
    assert profiled(NAMES[0], tmp_path / "p.json", resume=True) == profile
    with pytest.raises(ProfileMismatch, match=r"name is 'R58M123ABC', not '192.168"):
        pipeline.check_profile(profile, Phone(NAMES[1]))
    learning = msgspec.structs.replace(profile, learning=load_profile("mobilenet_v2-sim-phone").learning)
    assert NAMES[0] not in learning_plot(learning)


@pytest.mark.parametrize("keep", [False, True])
def test_a_bench_result_does_not_tell_either(
    mobilenet: ModelConfig, tmp_path: Path, keep: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_BundleJobs, "_check_outputs", lambda _: 0.0)  # nothing was computed
    bundle = pipeline.export(branched(mobilenet, "nnnnnna"), tmp_path / "b")
    profile = profiled(NAMES[1], tmp_path / "p.json")
    phone, out = Phone(NAMES[1]), tmp_path / "r.json"
    pipeline.predict_bench(bundle, phone, profile)
    with pytest.raises(ProfileMismatch, match="it is of another device than 'R58M123ABC'"):
        pipeline.predict_bench(bundle, Phone(NAMES[0]), profile)
    result = pipeline.bench(bundle, phone, samples=6, launches=1, out=out, keep_identity=keep)
    for private in (NAMES[1], BOOT, "alice", "boot_id"):
        assert (private in out.read_text()) == keep
    assert result == read_result(out)
    assert result.device == (NAMES[1] if keep else "Example Phone 8")
    (shown,) = read_all([tmp_path / "p.json", out]).to_json()["results"]
    assert shown["predicted"] is not None


@pytest.mark.parametrize(
    ("facts", "shown"),
    [
        ({"name": "host", "model": "unknown", "cpu_model": "Xeon"}, "host"),
        ({"name": "sim:phone", "simulated": "True", "model": "m", "cpu_model": "c"}, "sim:phone"),
        ({"name": "R58M1", "simulated": "False", "model": "Pixel", "cpu_model": "c"}, "Pixel"),
        ({"name": "R58M1", "simulated": "False", "model": "unknown", "cpu_model": "SM8"}, "SM8"),
        ({"name": "R58M1", "simulated": "False", "model": "unknown", "cpu_model": "unknown"}, "unknown device"),
    ],
)
def test_what_a_device_is_called(facts: dict[str, str], shown: str) -> None:
    shared = facts_to_share({**facts, "serial": "secret", "boot_id": BOOT}, keep=False)
    assert label(facts) == label(shared) == shared["name"] == shown
    assert ("mark" in shared) == (shown != facts["name"])
    assert not {"serial", "boot_id"} & shared.keys()
    assert other_name(shared, facts) == "" and other_name(facts, shared) == ""


def test_two_documents_of_a_device_have_no_text_in_common_that_tells_it() -> None:
    facts = {"name": NAMES[0], "model": "m", "cpu_model": "c"}
    marks = {facts_to_share(facts, keep=False)["mark"] for _ in range(20)}
    assert len(marks) == 20 and all(len(mark.partition(":")[2]) == 4 for mark in marks)


def test_older_documents_are_compared_by_their_names(tmp_path: Path) -> None:
    new = profiled(NAMES[0], tmp_path / "p.json")
    facts = {name: text for name, text in new.device.items() if name not in ("identity", "mark")}
    for name, fits in ((NAMES[0], True), (NAMES[1], False)):
        old = msgspec.structs.replace(new, device={**facts, "name": name, "boot_id": BOOT})
        write_profile(tmp_path / "old.json", old)
        assert load_profile(tmp_path / "old.json") == old
        assert (old.other_device(new.device, new.units) == "") == fits
        assert (new.other_device(old.device, new.units) == "") == fits


@pytest.mark.parametrize(
    ("text", "shared"),
    [
        ("R58M1: lost; see R58M1", "Pixel: lost; see Pixel"),
        ("cannot read /home/alice/a b/x.txt.", "cannot read a b/x.txt."),
        ("no energy: '/sys/class/power_supply/bms/current_now' gave 0", "no energy: 'current_now' gave 0"),
        ("3 of 4 launches, 1/2 of it, and/or cpu:1@0", "3 of 4 launches, 1/2 of it, and/or cpu:1@0"),
    ],
)
def test_sentences_lose_names_and_folders(text: str, shared: str) -> None:
    assert text_to_share(text, {"name": "R58M1", "model": "Pixel", "cpu_model": "c"}, keep=False) == shared
    assert text_to_share(text, {"name": "R58M1"}, keep=True) == text
