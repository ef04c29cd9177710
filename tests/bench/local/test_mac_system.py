"""What the Mac's runner asks of macOS, compiled for this host with a program that plays macOS."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.documents import ROOT

pytestmark = pytest.mark.needs("native code")

NATIVE, DARWIN = ROOT / "bench" / "native", ROOT / "tests" / "support" / "darwin"


def asked(folder: Path, *, objc: int = 1, refused: int = 0) -> list[str]:
    """What the program prints.

    Args:
        objc: whether there is an Objective-C library.
        refused: what macOS answers to the wish for a quality of service.
    """
    sources = [NATIVE / "system_darwin.c", NATIVE / "failure.c", DARWIN / "program.c"]
    words = ["-D_GNU_SOURCE", "-D__APPLE__", f"-DOBJC={objc}", f"-DREFUSED={refused}", f"-I{NATIVE}", f"-I{DARWIN}"]
    command = [sys.executable, "-m", "ziglang", "cc", "-std=c11", "-Wall", "-Wextra", "-Werror", *words]
    subprocess.run([*command, *map(str, sources), "-pthread", "-o", str(folder / "program")], check=True)
    done = subprocess.run([folder / "program"], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_threads_prefer_fast_cores_and_each_task_has_a_pool(tmp_path: Path) -> None:
    assert asked(tmp_path) == [
        "quality 0x21 0",
        "plain 0 ",
        "pinned 1 macOS pins no thread to a core; ask for cpu:4 without cores",
        "one: pools 1, popped 0",
        "two: pools 2, popped 1",
        "end: pools 2, popped 2",
    ]


@pytest.mark.parametrize(("objc", "refused"), [(0, 0), (1, 22), (0, 22)])
def test_without_pools_tasks_run_and_a_refusal_is_told(tmp_path: Path, objc: int, refused: int) -> None:
    lines = asked(tmp_path, objc=objc, refused=refused)
    assert lines[-1] == f"end: pools {2 * objc}, popped {2 * objc}"
    assert ("macOS refused" in lines[1]) == (refused > 0)
