"""What other systems tell of a computer, by stand-ins for their tools; and what they lack, taken away."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from syncnas_bench.conditions import ComputerCondition, Condition
from syncnas_bench.doctor import computer_checks
from syncnas_bench.systems import PowerAndHeat, Readings, System, by_psutil, here, macos, windows
from syncnas_bench.systems.linux import Linux
from tests.support.other_systems import SYSTEMS, printed_as

SYSCTL = """hw.model: Mac14,7
machdep.cpu.brand_string: Apple M2
hw.memsize: 17179869184
hw.perflevel0.logicalcpu: 4
kern.bootsessionuuid: 6A1F0C2E-0000
"""
PMSET = "System-wide power settings:\nCurrently in use:\n standby 1\n lowpowermode         {}\n sleep 1\n"


def answering(monkeypatch: pytest.MonkeyPatch, answers: dict[str, str]) -> None:
    """The tools of macOS say this."""
    macos._sysctl.cache_clear()
    monkeypatch.setattr(macos, "_ask", lambda program, *_: answers.get(program.rpartition("/")[2], ""))


def test_a_mac_tells_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, {"sysctl": SYSCTL})
    mac = macos.MacOS()
    facts = mac.facts()
    assert (facts.model, facts.cpu_model, facts.memory_bytes) == ("Mac14,7", "Apple M2", 16 << 30)
    assert (mac.cores(), mac.boot_id()) == ((0, 1, 2, 3), "6A1F0C2E-0000")
    assert mac.process_space().startswith("6A1F0C2E-0000 ")


@pytest.mark.parametrize("text", ["", "sysctl: unknown oid 'hw.perflevel0.logicalcpu'\n", "hw.memsize: much\n"])
def test_a_mac_that_tells_little_is_no_error(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    answering(monkeypatch, {"sysctl": text})
    mac = macos.MacOS()
    assert (mac.facts().model, mac.facts().memory_bytes) == ("unknown", 0)
    assert mac.cores() == tuple(range(os.cpu_count() or 1)) and mac.boot_id().isdigit()


@pytest.mark.needs("load averages")
@pytest.mark.parametrize(
    ("pmset", "saving"),
    [(PMSET.format(0), "false"), (PMSET.format(1), "true"), (" powermode 2\n", "false"), ("", "absent")],
)
def test_power_and_heat_of_a_mac(monkeypatch: pytest.MonkeyPatch, pmset: str, saving: str) -> None:
    answering(monkeypatch, {"pmset": pmset})
    more = macos.MacOS().readings().power_and_heat
    assert more is not None and more.power_saving == saving
    assert more.thermal_pressure == "absent"  # no notification on this system


@pytest.mark.parametrize(("level", "pressure"), [(0, "nominal"), (2, "heavy"), (4, "sleeping"), (9, "absent")])
def test_thermal_pressure_is_a_notification(monkeypatch: pytest.MonkeyPatch, level: int, pressure: str) -> None:
    class Library:
        @staticmethod
        def notify_get_state(token: ctypes.c_int, state: object) -> int:
            state._obj.value = level  # type: ignore[attr-defined]
            return 0 if token.value == 7 else 1

    monkeypatch.setattr(macos, "_pressure_token", lambda: (Library, 7))
    assert macos._thermal_pressure() == pressure


@pytest.mark.parametrize(
    ("text", "started"),
    [
        ("S    Fri Nov 27 02:51:27 2026\n", "1795747887"),
        ("Ss+  Thu Jan  1 00:00:05 1970\n", "5"),
        ("Z    Fri Nov 27 02:51:27 2026\n", ""),
        ("", ""),
        ("S    nonsense\n", ""),
    ],
)
def test_when_a_process_of_a_mac_was_started(monkeypatch: pytest.MonkeyPatch, text: str, started: str) -> None:
    answering(monkeypatch, {"ps": text})
    assert macos.MacOS().process_started(1) == started


def test_windows_tells_what_its_registry_has(monkeypatch: pytest.MonkeyPatch) -> None:
    found = {
        "SystemManufacturer": "LENOVO",
        "SystemProductName": "21CB",
        "ProcessorNameString": "A CPU",
        "BootId": "42",
    }
    monkeypatch.setattr(windows, "_registry", lambda _, name: found.get(name, ""))
    facts = windows.Windows().facts()
    assert (facts.model, facts.cpu_model, windows.Windows().boot_id()) == ("LENOVO 21CB", "A CPU", "42")
    assert facts.memory_bytes > 0


@pytest.mark.parametrize("system", [pytest.param(Linux(), marks=pytest.mark.needs("/proc")), windows.Windows()])
def test_processes_are_told_apart_by_when_they_began(system: System) -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        begun = system.process_started(child.pid)
        assert begun.isdigit() and begun == system.process_started(child.pid)
        assert begun != system.process_started(os.getppid()) or system.process_started(os.getppid()) == ""
    finally:
        child.communicate()
    assert system.process_started(child.pid) == ""
    assert system.process_space()


@pytest.mark.parametrize(
    ("more", "name", "status"),
    [
        ({"powered": "battery"}, "power", "warning"),
        ({"powered": "mains"}, "power", "ok"),
        ({"power_saving": "true"}, "power saving", "warning"),
        ({"thermal_pressure": "heavy"}, "heat", "warning"),
        ({"thermal_pressure": "absent"}, "heat", "ok"),
    ],
)
def test_what_spoils_numbers_on_a_computer(
    monkeypatch: pytest.MonkeyPatch, more: dict[str, str], name: str, status: str
) -> None:
    told = PowerAndHeat(**{"powered": "mains", "power_saving": "false", "thermal_pressure": "nominal", **more})
    monkeypatch.setattr(type(here()), "readings", lambda _: Readings(power_and_heat=told))
    condition = Condition.read()
    assert isinstance(condition, ComputerCondition)
    json.dumps(condition.to_dict(), allow_nan=False)
    assert {check.name: check.status for check in computer_checks(condition)}[name] == status


@pytest.mark.needs("/proc")
def test_linux_has_no_more_than_before() -> None:
    condition = Condition.read()
    assert type(condition) is Condition and list(computer_checks(condition)) == []


def test_a_battery_that_tells_nonsense_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise TypeError("no such thing")

    monkeypatch.setattr("psutil.sensors_battery", broken)
    assert by_psutil.powered() == "absent"


IMPORT_ALL = """
import importlib, pkgutil, sys
for name in ("syncnas_bench", "syncnas_exporters", "syncnas_deploy"):
    package = importlib.import_module(name)
    for found in pkgutil.walk_packages(package.__path__, name + "."):
        if ".training" not in found.name and not found.name.endswith(("__main__", ".zen", ".dask")):
            importlib.import_module(found.name)
from syncnas_bench.systems import here
print(type(here()).__name__)
"""


@pytest.mark.parametrize(("system", "name"), [("macos", "MacOS"), ("windows", "Windows")])
def test_every_module_can_be_imported_there(system: str, name: str) -> None:
    assert printed_as(system, IMPORT_ALL) == name


JOURNAL = r"""
import sys
from pathlib import Path
from syncnas_deploy.files.journal import Journal
from syncnas_deploy.files.output import write_json, write_text
rows = [{"n": 1, "s": "a\nb"}, {"n": 2, "s": "\u00e9\u4e2d"}]
with Journal(Path("j"), kind="search", key={}) as journal:
    for row in rows:
        journal.append(row)
with Journal(Path("j"), kind="search", key={}) as journal:
    assert list(journal.rows) == rows
write_text(Path("t"), "a\n\u4e2d\n")
write_json(Path("d"), {"\u4e2d": 1})
"""


@pytest.mark.parametrize("system", SYSTEMS)
def test_files_have_the_same_bytes_everywhere(system: str, tmp_path: Path) -> None:
    printed_as(system, JOURNAL)
    written = [(tmp_path / name).read_bytes() for name in "jtd"]
    for raw in written:
        assert b"\r" not in raw and raw.decode("utf-8").endswith("\n")
    for name in "jtd":
        (tmp_path / name).unlink()
    subprocess.run([sys.executable, "-c", JOURNAL], check=True)
    assert written == [(tmp_path / name).read_bytes() for name in "jtd"]


@pytest.mark.parametrize(("system", "folder"), [("macos", "home"), ("windows", "profile")])
def test_the_key_is_where_adb_looks_for_it(system: str, folder: str) -> None:
    code = "from syncnas_bench.environment import Environment as E; print(E.of_process().adb_keys.own.as_posix())"
    printed = printed_as(system, code, HOME="/home", USERPROFILE="/profile", ANDROID_USER_HOME="")
    assert printed == f"/{folder}/.android/adbkey"


@pytest.mark.parametrize("system", ["", *SYSTEMS])
def test_a_usb_port_that_may_not_be_opened_has_the_systems_remedy(system: str) -> None:
    code = "from syncnas_bench.adb.server import remedy_of; print(remedy_of('no permissions (user in plugdev)'))"
    assert ("udev" in printed_as(system, code)) == (system == "")


GROUP = """
import sys
from syncnas_bench.systems.processes import end_group, own_group, subprocess
sleep = "import time; time.sleep(600)"
code = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {sleep!r}]).pid, flush=True); {sleep}"
process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, **own_group())
child = int(process.stdout.readline())
end_group(process)
print(process.pid, child)
"""


@pytest.mark.parametrize("system", ["", *SYSTEMS])
def test_a_group_ends_with_what_it_started(system: str) -> None:
    left = [int(pid) for pid in printed_as(system, GROUP).split()]
    assert len(left) == 2
    while any(here().process_started(pid) for pid in left):
        time.sleep(0.01)  # until the kernel has ended them


@pytest.mark.parametrize(
    ("system", "text", "words"),
    [
        ("windows", r"C:\py\x.exe a 'b c'", [r"C:\py\x.exe", "a", "b c"]),
        ("windows", r'"C:\Program Files\x.exe" --n=1', [r"C:\Program Files\x.exe", "--n=1"]),
        ("macos", r"/bin/x a\ b #c", ["/bin/x", "a b", "#c"]),
        ("", r"x '' \"", ["x", "", '"']),
    ],
)
def test_a_command_line_is_split_as_the_system_does(system: str, text: str, words: list[str]) -> None:
    code = f"from syncnas_bench.systems.processes import split_words; print(split_words({text!r}))"
    assert printed_as(system, code) == repr(words)
