"""Running Python as on macOS or Windows, as far as that can be shown here: see `other_system/sitecustomize.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
SYSTEMS = ("macos", "windows")


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
