"""One process at a time changes a store, and what a kill leaves in it goes with the next one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from syncnas_bench.errors import PlaceBusy
from syncnas_bench.litert import store as stores
from syncnas_bench.litert.store import LOCK_FILE, RuntimeStore
from syncnas_bench.writer_lock import WriterLock
from syncnas_deploy.cli import exit_code
from tests.support.dying import killed_at
from tests.support.runtime_cases import runtime_files, serving, write_folder

ADD = """
from syncnas_bench.litert.store import RuntimeStore
RuntimeStore(Path({store!r})).add(Path({folder!r}), version="2.3.0", replace=True)
"""


def names(store: RuntimeStore) -> set[str]:
    return {path.name for path in store.path.iterdir()}


@pytest.mark.parametrize("first", range(5))
def test_a_kill_at_any_step_leaves_the_old_or_the_new_runtime(first: int, tmp_path: Path) -> None:
    old = write_folder(tmp_path / "old", runtime_files(b"old"))
    new = write_folder(tmp_path / "new", runtime_files(b"new"))
    store = RuntimeStore(tmp_path / "store")
    (before,) = store.add(old, version="2.3.0")
    killed, step = True, first
    while killed:
        killed = killed_at(step, ADD.format(store=str(store.path), folder=str(new)))
        (now,) = store.entries()
        store.verify(now)
        (again,) = store.add(old, version="2.3.0", replace=True)
        assert again.libraries == before.libraries
        assert names(store) == {LOCK_FILE, "aarch64-android"}
        step += 5
    assert step > 30 and now != before


def test_what_earlier_kills_left_is_cleaned_and_nothing_else(tmp_path: Path) -> None:
    store = RuntimeStore(tmp_path / "store")
    store.path.mkdir()
    work = store.path / f".{LOCK_FILE}.syncnas-work"
    (work / "found0").mkdir(parents=True)
    (work / "link").symlink_to(write_folder(tmp_path / "theirs", {"thesis.txt": b"mine"}))
    for what in ("lock", "new"):
        (store.path / f".{LOCK_FILE}.syncnas-{what}").write_text("1")
    (store.path / ".new-house").mkdir()
    store.add(write_folder(tmp_path / "libraries", runtime_files()), version="2.3.0")
    assert names(store) == {LOCK_FILE, "aarch64-android", ".new-house"}
    assert (tmp_path / "theirs" / "thesis.txt").read_bytes() == b"mine"


def test_who_waits_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stores, "WAIT_S", 0.0)
    store = RuntimeStore(tmp_path / "store")
    folder = write_folder(tmp_path / "libraries", runtime_files())
    with WriterLock(store.path / LOCK_FILE):
        for change in (
            lambda: store.add(folder, version="2.3.0"),
            lambda: store.fetch(url="http://127.0.0.1:1/{library}"),
        ):
            with pytest.raises(PlaceBusy, match=f"process {os.getpid()} is writing it; let it end") as told:
                change()
            assert exit_code(told.value) == 8
    assert not store.path.exists(), "nothing came of it"


def test_of_two_that_bring_one_version_the_second_takes_what_is_there(tmp_path: Path) -> None:
    program = ADD.replace(", replace=True", "").format(
        store=str(tmp_path / "store"), folder=str(tmp_path / "libraries")
    )
    write_folder(tmp_path / "libraries", runtime_files())
    begin = f"import sys\nfrom pathlib import Path\nsys.path[:0] = {[p for p in sys.path if p]}\n"
    both = [subprocess.Popen([sys.executable, "-c", begin + program]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert len(RuntimeStore(tmp_path / "store").entries()) == 1


def test_a_fetch_takes_what_another_has_fetched_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = RuntimeStore(tmp_path / "store")
    lock = stores.WriterLock

    def late(place: Path, wait_s: float) -> WriterLock:
        monkeypatch.setattr(stores, "WriterLock", lock)
        store.add(write_folder(tmp_path / "libraries", runtime_files()), version="9.9.9")
        return lock(place, wait_s=wait_s)

    monkeypatch.setattr(stores, "WriterLock", late)
    with serving() as server:
        fetched = store.fetch(version="9.9.9", url=server.address + "/{library}")
        assert server.requests == []
    assert store.entries() == (fetched,)
