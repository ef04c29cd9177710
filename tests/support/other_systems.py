"""Running this suite, or a program, as on macOS or Windows: see `other_system/sitecustomize.py` for how far that goes.

`python -m tests.support.other_systems windows ARGUMENT...` gives the arguments to pytest there. All tests run, but for
those that need what the system has not, which say so: `@pytest.mark.needs("signals")`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[2]
SYSTEMS = ("macos", "windows")
PLAYED = os.environ.get("SYNCNAS_TESTS_AS", "")
SYSTEM = PLAYED or {"darwin": "macos", "win32": "windows"}.get(sys.platform, "linux")

NOT_PLAYED = frozenset({"host units", "native code"})
"""What another system has of its own, and is not played: LiteRT's units there, and what a compiler makes for it."""
LINUX_ALONE = frozenset({"/proc", "subreapers", "stderr of C", "LiteRT for boards"})
LACKS = {
    "linux": frozenset[str](),
    "macos": LINUX_ALONE | {"power files"},
    "windows": LINUX_ALONE | {"fork", "signals", "process limits", "load averages", "file rights", "POSIX shell"},
}

COMPUTE_ALONE = ("networks/", "prediction/", "profiling/", "search/algorithms/", "search/widths/")
"""Rooms that ask nothing of a system themselves, since their files go through `files`: not tested as on another."""
BOTH_DIFFER = ("bench/", "files/")
"""Rooms with code for macOS alone. As on macOS they are tested, and what Windows has not; the rest is as there."""


def is_tested(room: str, needs: Iterable[str]) -> bool:
    """Whether a test of this room, a path, with these needs may show something new on the system that is played."""
    if PLAYED == "macos":
        return room.startswith(BOTH_DIFFER) or not LACKS["windows"].isdisjoint(needs)
    return not (PLAYED and room.startswith(COMPUTE_ALONE))


def lacking(needs: Iterable[str]) -> str:
    """The first of what a test needs that this run has not; "" if it has all.

    Raises:
        ValueError: there is no such need.
    """
    known = NOT_PLAYED.union(*LACKS.values())
    lacks = LACKS[SYSTEM] | (NOT_PLAYED if PLAYED else frozenset())
    names = list(needs)
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise ValueError(f"no system lacks {name!r}; needs are {', '.join(sorted(known))}.")
    return next((name for name in names if name in lacks), "")


def environment_as(system: str) -> dict[str, str]:
    """Environment of a process in which this project's modules find what that system has."""
    folders = [Path(__file__).with_name("other_system"), ROOT, ROOT / "exporters", ROOT / "bench"]
    paths = os.pathsep.join(map(str, folders))
    return {**os.environ, "PYTHONPATH": paths, "SYNCNAS_TESTS_AS": system}


def printed_as(system: str, code: str, **variables: str) -> str:
    """What a program prints there."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**environment_as(system), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


if __name__ == "__main__":
    if sys.platform != "linux" or not set(sys.argv[1:2]) & set(SYSTEMS):
        sys.exit("Usage, on Linux alone: python -m tests.support.other_systems macos|windows [ARGUMENT OF PYTEST]...")
    system, *arguments = sys.argv[1:]
    os.execve(sys.executable, [sys.executable, "-m", "pytest", *arguments], environment_as(system))
