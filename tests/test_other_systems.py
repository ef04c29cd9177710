"""A part of this suite runs as on macOS and on Windows: with what they lack taken away from our modules."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.other_systems import ROOT, SYSTEMS, environment_as

CHOSEN = (
    "tests/files",
    "tests/bench/test_doctor.py",
)
"""What writes files, starts programs, and speaks ADB; cheap enough to run with each change."""
LINUX_ALONE = ()
"""Tests, by a part of their name, that ask Linux's own questions."""


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_suite_as_on_another_system(system: str) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", *CHOSEN]
    environment = {**environment_as(system), "PYTEST_XDIST_WORKER": ""}
    environment.pop("SYNCNAS_NO_SKIPS", None)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
