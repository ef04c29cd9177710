"""The commands against a device over ADB: doctor, profile, bench of a bundle, with real LiteRT numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncnas_deploy import pipeline
from syncnas_deploy.prediction.profile_files import read_profile
from tests.support.adb_cases import new_phone, no_server_env
from tests.support.killed_profiles import kill_and_compare
from tests.support.program import Program

pytestmark = pytest.mark.needs("host units")
CHECKOUT = Path(__file__).resolve().parents[3]


@pytest.fixture(params=["direct-new", "direct-old", "server-new"])
def serial(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A phone and the way to it, put into this process's environment."""
    way, _, age = str(request.param).partition("-")
    server = request.getfixturevalue("server") if way == "server" else None
    with new_phone(legacy=age == "old") as phone:
        for name, value in (server.env if server else no_server_env(tmp_path)).items():
            monkeypatch.setenv(name, value)
        yield server.connect(phone) if server else phone.address


def test_the_road_on_a_phone(serial: str, tmp_path: Path, program: Program) -> None:
    code, out, _ = program("doctor", "--device", serial, "--json")
    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert code == 0, checks
    assert checks["connection"]["value"].startswith(serial)
    assert checks["heat"]["status"] == "ok" and checks["runtime"]["status"] == "ok"
    units = ["--unit", "cpu:1@0", "--unit", "cpu:1@1"]
    options = ["--base", "mobilenet_v2", *units, "--launches", 1, "--rounds", 3, "--out", "phone.json"]
    code, out, err = program("profile", "--device", serial, *options)
    assert code == 0, err
    profile = read_profile(tmp_path / "phone.json")
    # Whose phone it is is not said; that it is the same one is still known.
    assert profile.kind == "measured" and profile.device["name"] == "Example Test Phone"
    assert serial not in (tmp_path / "phone.json").read_text()
    assert 100 < profile.table.network_us(0) < 1e6
    pipeline.export("syncnas_mobilenet_v2_100", tmp_path / "bundle")
    pipeline.export("mobilenet_v2", tmp_path / "base")
    code, out, err = program(
        "bench", "bundle", "--device", serial, *units, "--samples", 5, "--launches", 1,
        "--baseline", "base@cpu:1@0", "--profile", "phone.json", "--json",
    )  # fmt: skip
    # On a busy machine the numbers may be worthless, which the exit code says; they are written all the same.
    assert code == 0 or (code == 6 and "The measurement is worthless" in err), err
    result = json.loads(out)
    assert result["trust"]["level"] in ("trustworthy", "doubtful", "worthless")
    assert result["device"] == "Example Test Phone" and not result["simulated"]
    assert result["output_difference"] < 1e-3
    assert result["makespan_us"] > 0 and result["predicted"]["makespan_us"] > 0


def test_a_doctor_that_finds_a_failure_exits_with_5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Program
) -> None:
    for name, value in no_server_env(tmp_path).items():
        monkeypatch.setenv(name, value)
    with new_phone() as daemon:
        (daemon.root / "free_kib").write_text("9000\n")
        code, out, _ = program("doctor", "--device", daemon.address, "--json")
    assert code == 5 and json.loads(out)["status"] == "failure"


def test_a_phone_that_is_gone_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: Program
) -> None:
    for name, value in no_server_env(tmp_path).items():
        monkeypatch.setenv(name, value)
    code, out, err = program("doctor", "--device", "127.0.0.1:9")
    assert code in (4, 5) and out == "" and err.count("\n") == 1


def test_a_host_that_is_killed_loses_no_finished_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    report = kill_and_compare(3, 1, tmp_path, adb=True)
    assert report.kills == 3 and report.profiles > 0 and report.sound, report
