"""Temporary folders: private, and those of killed processes go."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from syncnas_bench.errors import NotWritable
from syncnas_bench.work_folder import work_folder

KILLED = """
import sys, time
sys.path[:0] = {paths}
from syncnas_bench.work_folder import work_folder
with work_folder("plan") as folder:
    (folder / "plan.txt").touch()
    print(folder, flush=True)
    time.sleep(600)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(place))
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def test_a_folder_is_private_and_gone_afterwards(place: Path) -> None:
    with work_folder("plan") as folder, work_folder("plan") as other:
        assert folder.parent == other.parent and folder != other
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
        (folder / "plan.txt").touch()
    assert list(place.iterdir()) == []


def test_the_folder_of_a_killed_process_goes_and_that_of_a_living_one_stays(place: Path) -> None:
    program = [sys.executable, "-c", KILLED.format(paths=[p for p in sys.path if p])]
    dead, alive = (subprocess.Popen(program, stdout=subprocess.PIPE, text=True) for _ in range(2))
    with dead, alive:
        assert dead.stdout is not None and alive.stdout is not None
        left, used = Path(dead.stdout.readline().strip()), Path(alive.stdout.readline().strip())
        dead.kill()
        dead.wait()
        assert (left / "plan.txt").exists()
        with work_folder("bench"):
            assert not left.exists() and (used / "plan.txt").exists()
        alive.kill()
    with work_folder("bench"):
        pass
    assert list(place.iterdir()) == []


@pytest.mark.parametrize(
    "kind", ["a link", "a file", pytest.param("open to all", marks=pytest.mark.needs("file rights"))]
)
def test_a_folder_that_somebody_else_may_write_is_not_used(place: Path, tmp_path: Path, kind: str) -> None:
    home = place / f"syncnas-{os.getuid()}"
    (tmp_path / "theirs").mkdir()
    if kind == "a link":
        home.symlink_to(tmp_path / "theirs")
    elif kind == "a file":
        home.touch()
    else:
        home.mkdir()
        home.chmod(0o777)
    (tmp_path / "theirs" / ".x.syncnas-lock").touch()
    with work_folder("plan") as folder:
        assert home not in folder.parents and (tmp_path / "theirs") not in folder.parents
    assert list(place.iterdir()) == [home] and len(list((tmp_path / "theirs").iterdir())) == 1


def test_no_folder_for_temporary_files_is_told(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(2, "No usable temporary directory found in ['/tmp', '/var/tmp', '/']")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    with pytest.raises(NotWritable, match="set TMPDIR to one that can be written"), work_folder("plan"):
        pass
