"""A part of this suite runs as on macOS and on Windows: with what they lack taken away from our modules."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.other_systems import ROOT, SYSTEMS, environment_as

CHOSEN = (
    "tests/files/test_journal.py",
    "tests/files/test_output.py",
    "tests/bench/test_doctor.py",
    "tests/bench/test_files.py",
    "tests/bench/test_plan.py",
    "tests/bench/test_work_folder.py",
    "tests/bench/test_writer_lock.py",
    "tests/bench/adb/test_adb_choice.py",
    "tests/bench/adb/test_adb_device.py",
    "tests/bench/adb/test_adb_link.py",
    "tests/bench/adb/test_adb_listing.py",
    "tests/bench/litert/test_store.py",
    "tests/search/evaluators/test_program.py",
    "tests/cli/test_terminal.py",
)
"""What writes files, locks them, starts programs and speaks ADB, and is cheap enough to run with each change."""
LINUX_ALONE = (
    "has_a_whole_table",  # this host's own LiteRT, as the next ones
    "missing_runtime_is_a_failure",
    "test_facts",
    "real_plan",
    "input_files_travel",
    "refused_before_a_byte",
    "twice_the_room",
    "installed_wheel_is_a_runtime",
    "somebody_else_may_write",  # rights of folders
    "unknown_key_is_refused",  # HOME is not where Windows has keys
    "kills_its_supervisor",  # on Linux its process group ends it
    "many_processes",  # dear, as the next ones
    "at_any_step",
    "flipped_bytes",
    "rewards_of_any_size",
    "eight_processes",
)
"""Tests, by a part of their name, of what the other system has not, or of what costs too much here."""


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_suite_as_on_another_system(system: str) -> None:
    left_out = f"not ({' or '.join(LINUX_ALONE)})"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", "-k", left_out]
    environment = environment_as(system)
    for name in ("SYNCNAS_NO_SKIPS", *(name for name in os.environ if name.startswith("PYTEST_"))):
        environment.pop(name, None)
    done = subprocess.run([*command, *CHOSEN], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
