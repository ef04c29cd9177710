"""Which device is meant: the one that is named, ANDROID_SERIAL's, the only phone attached, or this host."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from syncnas_bench import Choice, DeviceAmbiguous, DeviceNotFound, default_device, discovery
from syncnas_bench.discovery import phone_specs
from syncnas_bench.environment import Environment
from syncnas_deploy import pipeline
from tests.support.adb_cases import free_port, no_server_env
from tests.support.fake_adb_server import FakeAdbServer, listing


def chosen(*lines: str, **env: str) -> Choice:
    with FakeAdbServer(listing(*lines)) as server:
        return default_device(Environment(server.env | env))


def test_the_only_phone_is_meant_and_said() -> None:
    choice = chosen("R58M123 device model:Nine", "R5CT456 offline")
    assert choice == Choice("R58M123", "the device is R58M123, the only one attached")


def test_android_serial_comes_first_and_nobody_is_asked() -> None:
    assert chosen("A device", "B device", ANDROID_SERIAL="C") == Choice("C", "")
    assert default_device(Environment({"ANDROID_SERIAL": "C", "ANDROID_ADB_SERVER_PORT": "no port"})) == Choice("C", "")


def test_of_several_phones_none_is_meant() -> None:
    with pytest.raises(DeviceAmbiguous, match=r"2 devices are attached \(A, B\); name one with --device"):
        chosen("A device", "B device", "C unauthorized")


def test_a_phone_that_waits_is_told_of() -> None:
    choice = chosen("A unauthorized")
    assert choice.spec == "host"
    assert "A is unauthorized: unlock it and accept this computer's key" in choice.note


def test_nobody_there_is_this_host_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = no_server_env(tmp_path)
    monkeypatch.setattr(discovery, "LOOK_S", 600.0)
    start = time.monotonic()
    assert default_device(Environment(env)) == Choice("host", "")
    assert time.monotonic() - start < 60, "nobody is waited for where nothing listens"
    assert default_device(Environment({"ANDROID_ADB_SERVER_PORT": "no port"})) == Choice("host", "")
    assert pipeline.device(None, Environment(env)).name == "host"


def test_a_server_that_hangs_does_not_hold_anyone_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "CALL_S", 600.0)
    with FakeAdbServer(None) as server:
        start = time.monotonic()
        assert default_device(Environment(server.env)) == Choice("host", "")
        assert time.monotonic() - start < 60, "it is given up after LOOK_S"


def test_all_means_every_phone_and_no_device_twice() -> None:
    with FakeAdbServer(listing("A device", "B device", "C offline", "$(id) device")) as server:
        assert phone_specs(Environment(server.env)) == ("A", "B", "$(id)")
        assert pipeline.device_names(["all"], Environment(server.env)) == ("A", "B", "$(id)")
        assert pipeline.device_names(["host", "all"], Environment(server.env)) == ("host", "A", "B", "$(id)")
        for names in (["A", "all"], ["host", "host"]):
            with pytest.raises(DeviceAmbiguous, match="named twice"):
                pipeline.device_names(names, Environment(server.env))
    with pytest.raises(DeviceNotFound, match="No phone is attached"):
        pipeline.device_names(["all"], Environment({"ANDROID_ADB_SERVER_PORT": str(free_port())}))
