"""The report for those who have not this computer: what they need is in it, and nobody's name."""

from __future__ import annotations

import getpass
import json
import platform
from pathlib import Path

import pytest

from syncnas_bench import HostDevice
from syncnas_bench.doctor import Check
from syncnas_bench.systems import evidence
from syncnas_deploy.pipeline.doctor_report import doctor_report
from tests.support.adb_cases import device_of, new_phone, no_server_env
from tests.support.program import Program

CRASH = {
    "exception": {"type": "EXC_BAD_ACCESS", "signal": "SIGSEGV", "subtype": "KERN_INVALID_ADDRESS at 0x0"},
    "termination": {"namespace": "SIGNAL", "code": 11, "indicator": "Segmentation fault: 11", "byProc": "exc handler"},
    "faultingThread": 1,
    "threads": [
        {"frames": []},
        {
            "queue": "com.apple.main-thread",
            "frames": [
                {"imageIndex": 1, "imageOffset": 64, "symbol": "compile", "symbolLocation": 8},
                {"imageIndex": 0, "imageOffset": 32},
            ],
        },
    ],
    "usedImages": [
        {"name": "syncnas-runner", "path": "/Users/somebody/x/syncnas-runner"},
        {"name": "libLiteRtMetalAccelerator.dylib", "path": "/Users/somebody/x/libLiteRtMetalAccelerator.dylib"},
    ],
    "crashReporterKey": "SECRET-KEY",
    "procPath": "/Users/somebody/x/syncnas-runner",
}
HEAD = {"app_name": "syncnas-runner", "timestamp": "2026-11-27 02:51:27.00 +0000", "os_version": "macOS 15.1 (24B83)"}


def crash_file(home: Path, text: str, name: str = "syncnas-runner-2026-11-27-025127.ips") -> Path:
    folder = home / "Library/Logs/DiagnosticReports"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return home


def test_it_says_how_the_runner_starts_here(program: Program, tmp_path: Path) -> None:
    done = program("doctor", "--device", "host", "--report", tmp_path / "r.json")
    assert done.code == 0, done.err
    report = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert report["runner"]["first run"]["ended"] == "exit code 0"
    assert {"system", "kernel", "arch", "python", "packages"} <= set(report["computer"])
    assert [check["name"] for check in report["checks"]][:2] == ["connection", "system"]
    assert "libLiteRt.so" in report["libraries"]
    again = program("doctor", "--device", "host", "--report", tmp_path / "r.json")
    assert again.code != 0 and "--force" in again.err


@pytest.mark.parametrize(
    "text",
    [
        "/home/jo.e/venv/lib/x.so is missing",
        "at jos-laptop",
        "C:\\Users\\jo e\\x.dll is missing",
        "key of joe: no",
        "joe",
    ],
)
def test_it_names_nobody(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "joe")
    monkeypatch.setattr(platform, "node", lambda: "jos-laptop.local")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/jo.e"))
    report = doctor_report(HostDevice(), [Check("x", "ok", text, text)], [Check("y", "ok", text)])
    shown = json.dumps(report)
    for name in ("jo.e", "joe", "jos-laptop", "jo e"):
        assert name not in shown, name


def test_a_crash_is_told_by_its_frames_alone(tmp_path: Path) -> None:
    crash_file(tmp_path, "old", "syncnas-runner-2026-01-01-000000.ips")
    found = evidence.last_crash("syncnas-runner", crash_file(tmp_path, json.dumps(HEAD) + "\n" + json.dumps(CRASH)))
    assert found["exception"]["signal"] == "SIGSEGV" and found["when"] == "2026-11-27"
    assert found["frames"] == ["libLiteRtMetalAccelerator.dylib compile+8", "syncnas-runner ?+32"]
    assert "somebody" not in json.dumps(found) and "SECRET" not in json.dumps(found)


@pytest.mark.parametrize("text", ["", "{}", "{}\n{}", "[]\n[]", json.dumps(HEAD) + "\n" + json.dumps({"threads": []})])
def test_a_report_that_makes_no_sense_is_none(tmp_path: Path, text: str) -> None:
    assert evidence.last_crash("syncnas-runner", crash_file(tmp_path, text)) == {}
    assert evidence.last_crash("syncnas-runner", tmp_path / "nowhere") == {}


@pytest.mark.parametrize(
    ("script", "ended"),
    [("echo 0.3; exit 3", "exit code 3"), ("kill -KILL $$", "signal SIGKILL"), ("kill -SEGV $$", "signal SIGSEGV")],
)
def test_a_first_run_says_how_it_ended(tmp_path: Path, script: str, ended: str) -> None:
    (tmp_path / "p").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "p").chmod(0o755)
    assert evidence.first_run(tmp_path / "p")["ended"] == ended
    assert "cannot be started" in evidence.first_run(tmp_path / "none")["ended"]


def test_it_does_not_name_a_phone(tmp_path: Path) -> None:
    with new_phone() as phone:
        serial = phone.address
        with device_of(serial, no_server_env(tmp_path)) as device:
            shown = json.dumps(doctor_report(device, device.examine(), [Check("adb", "ok", f"it has {serial}")]))
    assert serial not in shown and "Example Test Phone" in shown
