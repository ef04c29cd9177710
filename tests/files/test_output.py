"""Results appear whole or not at all, with the rights that the process's umask leaves, which nobody changes."""

from __future__ import annotations

import os
import stat
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncnas_deploy.errors import OutputError, OutputExists
from syncnas_deploy.files.output import atomic_output, write_text


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
