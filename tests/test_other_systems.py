"""What a test says that it needs is looked up by the system that this is, or that is played."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.support import other_systems
from tests.support.documents import ROOT
from tests.support.other_systems import COMPUTE_ALONE, is_tested, lacking


@pytest.mark.parametrize(
    ("system", "played", "needs", "missing"),
    [
        ("linux", False, ("signals", "/proc", "host units"), ""),
        ("macos", True, ("signals", "/proc"), "/proc"),
        ("macos", True, ("host units",), "host units"),
        ("macos", False, ("host units", "signals"), ""),
        ("windows", True, ("native code", "signals"), "native code"),
        ("windows", False, ("native code", "signals"), "signals"),
        ("windows", False, (), ""),
    ],
)
def test_a_need_is_met_or_named(
    monkeypatch: pytest.MonkeyPatch, system: str, played: bool, needs: tuple[str, ...], missing: str
) -> None:
    monkeypatch.setattr(other_systems, "SYSTEM", system)
    monkeypatch.setattr(other_systems, "PLAYED", system if played else "")
    assert lacking(needs) == missing


@pytest.mark.parametrize("names", [["signal"], ["Signals"], [""], [["signals"]], ["signals", "zzz"]])
def test_a_need_that_no_system_lacks_is_a_mistake(names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(other_systems, "SYSTEM", "windows")
    with pytest.raises(ValueError, match="needs are /proc, "):
        lacking(names)


@pytest.mark.parametrize("words", [[], ["plan9"], ["Windows"], ["linux", "tests"], ["--help"]])
def test_another_word_than_a_system_is_told_in_one_line(words: list[str]) -> None:
    command = [sys.executable, "-m", "tests.support.other_systems", *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and "macos|windows" in done.stderr


@pytest.mark.parametrize(
    ("played", "room", "needs", "tested"),
    [
        ("", "networks/test_x.py", (), True),
        ("windows", "networks/test_x.py", (), False),
        ("windows", "search/workers/test_x.py", (), True),
        ("macos", "search/workers/test_x.py", (), False),
        ("macos", "cli/test_x.py", ("signals",), True),
        ("macos", "cli/test_x.py", ("host units",), False),
        ("macos", "files/test_x.py", (), True),
    ],
)
def test_what_is_tested_twice(
    monkeypatch: pytest.MonkeyPatch, played: str, room: str, needs: tuple[str, ...], tested: bool
) -> None:
    monkeypatch.setattr(other_systems, "PLAYED", played)
    assert is_tested(room, needs) is tested


@pytest.mark.parametrize("room", COMPUTE_ALONE)
def test_what_is_tested_here_alone_asks_nothing_of_a_system(room: str) -> None:
    asks = {"os", "sys", "signal", "socket", "subprocess", "ctypes", "platform", "multiprocessing", "tempfile"}
    for path in (ROOT / "syncnas_deploy" / room).rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        called = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
        files = [call for call in called if call == "open" or call.endswith((".open", ".read_text", ".write_text"))]
        assert not names & asks and not files, path
