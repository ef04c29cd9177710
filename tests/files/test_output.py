"""Results appear whole or not at all, with the rights that the process's umask leaves, which nobody changes."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncnas_deploy.errors import OutputError, OutputExists
from syncnas_deploy.files.output import atomic_folder, atomic_output, recover_folder, write_text


@pytest.fixture
def strict_umask() -> Iterator[int]:
    before = os.umask(0o077)
    yield 0o077
    os.umask(before)


def test_writing_from_threads_leaves_the_umask_as_it_is(
    strict_umask: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no(mask: int) -> int:
        raise AssertionError(f"the umask of the process was set to {mask:#o}")

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    with monkeypatch.context() as patched:
        patched.setattr(os, "umask", no)
        errors: list[Exception] = []

        def write(name: str) -> None:
            try:
                for _ in range(20):
                    write_text(tmp_path / name, "x")
            except Exception as e:
                errors.append(e)

        threads = [threading.Thread(target=write, args=(f"{i}.txt",)) for i in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    sys.setswitchinterval(interval)
    assert not errors
    assert [stat.S_IMODE((tmp_path / f"{i}.txt").stat().st_mode) for i in range(3)] == [0o600] * 3


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o027, 0o640), (0o077, 0o600)])
def test_a_file_has_the_rights_that_the_umask_leaves(umask: int, mode: int, tmp_path: Path) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "a.txt", "x")
        assert os.umask(umask) == umask
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.txt").stat().st_mode) == mode


def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(RuntimeError), atomic_output(path) as part:
        part.write_text("new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_existing_file_is_kept_without_force(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(OutputExists, match="--force"):
        write_text(tmp_path / "a.txt", "new", force=False)
    assert (tmp_path / "a.txt").read_text() == "old"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "a file, not a folder")
    with pytest.raises(OutputError, match="choose another place"):
        write_text(tmp_path / "a.txt" / "b.txt", "x")


def write_folder(path: Path, text: str) -> None:
    with atomic_folder(path) as work:
        (work / "a.txt").write_text(text)
        (work / "b.txt").write_text(text)


def content(path: Path) -> list[str]:
    return [file.read_text() for file in sorted(path.iterdir())]


KILLED = """
import os, shutil, sys
from pathlib import Path
sys.path[:0] = {paths}
from syncnas_deploy.files.output import atomic_folder

steps = 0

def dying(call):
    def step(*args, **kwargs):
        global steps
        if steps == {step}:
            os._exit(9)
        steps += 1
        call(*args, **kwargs)
        if steps == {step}:
            os._exit(9)
        steps += 1
    return step

Path.rename = dying(Path.rename)
os.rmdir = dying(os.rmdir)
os.unlink = dying(os.unlink)
with atomic_folder(Path({folder!r})) as work:
    (work / "a.txt").write_text("new")
    (work / "b.txt").write_text("new")
"""


@pytest.mark.parametrize("step", range(11))
def test_a_kill_at_any_step_leaves_one_folder_whole_and_the_next_run_cleans_up(step: int, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_folder(folder, "old")
    program = KILLED.format(paths=[p for p in sys.path if p], step=step, folder=str(folder))
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == (9 if step < 10 else 0)
    contents = [content(path) for path in tmp_path.iterdir()]
    assert ["old", "old"] in contents or ["new", "new"] in contents
    recover_folder(folder)
    assert content(folder) == (["old", "old"] if step < 3 else ["new", "new"])
    write_folder(folder, "newer")
    assert list(tmp_path.iterdir()) == [folder]
    assert content(folder) == ["newer", "newer"]


@pytest.mark.parametrize("failing", [1, 2])
def test_a_folder_that_cannot_be_renamed_leaves_the_old_one(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bundle"
    write_folder(folder, "old")
    rename, calls = Path.rename, []

    def broken(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == failing:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(OutputError, match="No space left on device"):
        write_folder(folder, "new")
    assert content(folder) == ["old", "old"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_that_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    with atomic_folder(folder) as work:
        (work / "a.txt").write_text("one")
        write_folder(folder, "two")
        assert content(folder) == ["two", "two"]
        assert content(work) == ["one"]
    assert content(folder) == ["one"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_behind_a_link_is_replaced_where_it_is(tmp_path: Path) -> None:
    real, link = tmp_path / "disk" / "bundle", tmp_path / "bundle"
    write_folder(real, "old")
    link.symlink_to(real)
    write_folder(link, "new")
    assert link.is_symlink() and content(real) == ["new", "new"]
