"""Results appear whole or not at all, with the rights that the process's umask leaves, which nobody changes."""

from __future__ import annotations

import errno
import os
import socket
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from syncnas_deploy.errors import OutputBusy, OutputError, OutputExists
from syncnas_deploy.files import output
from syncnas_deploy.files.output import (
    FolderKind,
    atomic_folder,
    atomic_output,
    check_folder,
    check_output,
    write_text,
)
from tests.support.dying import killed_at


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


@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("place", ["a.txt/b.txt", "a.txt/b/c.txt", "/proc/b.txt", "/proc/self/b.txt", "/sys/b.txt"])
def test_where_nothing_can_be_written_is_told_before_any_work(place: str, force: bool, tmp_path: Path) -> None:
    if place.startswith("/") and not Path(place).parent.exists():
        pytest.skip(f"no {Path(place).parent} here")
    write_text(tmp_path / "a.txt", "a file, not a folder")
    with pytest.raises(OutputError, match=r"\.txt: cannot be written \(.*\); choose another place") as told:
        check_output(tmp_path / place, force=force)
    assert type(told.value) is OutputError
    check_output(tmp_path / "new" / "b.txt", force=force)
    assert list(tmp_path.iterdir()) == [tmp_path / "a.txt"]


def make_file(path: Path) -> None:
    path.write_text("theirs")


def make_folder(path: Path) -> None:
    path.mkdir()
    (path / "thesis.txt").write_text("theirs")


def make_link(path: Path) -> None:
    path.with_name("target").write_text("theirs")
    path.symlink_to("target")


def make_dead_link(path: Path) -> None:
    path.symlink_to("nowhere")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path.name)  # the test's folder is the current one, and a long path would not do


def make_device(path: Path) -> None:
    path.symlink_to(os.devnull)


def make_link_to_pipe(path: Path) -> None:
    os.mkfifo(path.with_name("target"))
    path.symlink_to("target")


def make_stream(path: Path) -> None:
    """As /dev/stdout is: a link to what this process has open, which is a file here."""
    path.with_name("target").write_text("theirs")
    path.symlink_to(f"/proc/self/fd/{os.open(path.with_name('target'), os.O_RDONLY)}")


NO_FILES = [make_folder, make_pipe, make_socket, make_device, make_link_to_pipe, make_stream]


@pytest.mark.parametrize("links", [True, False])
@pytest.mark.parametrize("make", [make_file, make_folder, make_link, make_dead_link, make_pipe])
def test_what_appears_meanwhile_is_never_replaced_and_the_result_is_kept(
    make: Callable[[Path], None], links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:  # as on FAT and many network file systems

        def no_links(*_: object) -> None:
            raise PermissionError(1, "Operation not permitted")

        monkeypatch.setattr(os, "link", no_links)
    path = tmp_path / "p.json"
    told = pytest.raises(OutputExists, match=r"p\.json: exists already .*is in .*p-[0-9a-f]{8}\.json")
    with told, atomic_output(path, force=False) as part:
        part.write_text("new")
        make(path)
        before = path.lstat()
    assert path.lstat() == before
    (kept,) = tmp_path.glob("p-*.json")
    assert kept.read_text() == "new"
    others = {path, kept, *tmp_path.glob("target")}
    assert set(tmp_path.iterdir()) == others


@pytest.mark.parametrize("make", NO_FILES)
def test_what_is_no_file_and_appears_meanwhile_stays(make: Callable[[Path], None], tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    with pytest.raises(OutputExists, match="is left as it is"), atomic_output(path, force=True) as part:
        part.write_text("new")
        make(path)
        before = path.lstat()
    assert path.lstat() == before
    (kept,) = tmp_path.glob("p-*.json")
    assert kept.read_text() == "new"


@pytest.mark.parametrize("make", [make_link, make_dead_link])
def test_a_link_is_replaced_and_not_what_it_leads_to(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "p.json")
    with pytest.raises(OutputExists, match="give --force"):
        check_output(tmp_path / "p.json", force=False)
    write_text(tmp_path / "p.json", "new")
    assert (tmp_path / "p.json").read_text() == "new" and not (tmp_path / "p.json").is_symlink()
    assert [path.read_text() for path in tmp_path.glob("target")] in ([], ["theirs"])


@pytest.mark.parametrize("make", NO_FILES)
@pytest.mark.parametrize("force", [True, False])
def test_what_is_no_file_is_refused_whatever_is_asked(
    make: Callable[[Path], None], force: bool, tmp_path: Path
) -> None:
    make(tmp_path / "p.json")
    for call in (check_output, lambda path, force: write_text(path, "new")):
        with pytest.raises(OutputExists, match="is no file"):
            call(tmp_path / "p.json", force=force)
    assert set(tmp_path.iterdir()) == {tmp_path / "p.json", *tmp_path.glob("target")}


def test_a_file_that_another_is_writing_is_waited_for_and_then_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "_WAIT_S", 0.0)
    path = tmp_path / "a.txt"
    with atomic_output(path) as part:
        part.write_text("one")
        with pytest.raises(OutputBusy, match=rf"process {os.getpid()} is writing it; let it end"):
            write_text(path, "two")
    assert path.read_text() == "one" and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"No space left on device.*make room"), atomic_output(tmp_path / "a"):
        raise OSError(28, "No space left on device")


WRITE_FILE = """
from syncnas_deploy.files.output import write_text
write_text(Path({path!r}), "new", force={force})
"""


@pytest.mark.parametrize("force", [True, False])
def test_a_kill_at_any_step_leaves_the_old_or_the_new_file_and_the_next_run_cleans_up(
    force: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    for step in range(20):
        if force:
            write_text(path, "old")
        killed = killed_at(step, WRITE_FILE.format(path=str(path), force=force))
        found = path.read_text() if path.exists() else "old"
        assert found in ("old", "new")
        check_output(path, force=True)  # as each command does that is given this --out
        assert set(tmp_path.iterdir()) == ({path} if path.exists() else set())
        assert not path.exists() or path.read_text() == found
        path.unlink(missing_ok=True)
        if not killed:
            break
    assert step > 4 and not killed


def own_files(folder: Path) -> tuple[str, ...]:
    """Two files, if the first of them is there; it goes last."""
    return ("b.txt", "a.txt") if (folder / "a.txt").is_file() else ()


PAIR = FolderKind("pair", own_files)


def write_folder(path: Path, text: str, *, force: bool = True) -> None:
    with atomic_folder(path, PAIR, force=force) as work:
        (work / "a.txt").write_text(text)
        (work / "b.txt").write_text(text)


def content(path: Path) -> list[str]:
    return [(path / name).read_text() for name in ("a.txt", "b.txt") if (path / name).exists()]


def add_others(path: Path) -> None:
    (path / "thesis.txt").write_text("theirs")
    (path / "notes").mkdir()
    (path / "notes" / "a.txt").write_text("theirs")
    (path / "link").symlink_to("thesis.txt")


def has_others(path: Path) -> bool:
    places = [path / "thesis.txt", path / "notes" / "a.txt", path / "link"]
    return [place.read_text() for place in places] == ["theirs"] * 3 and (path / "link").is_symlink()


WRITE_FOLDER = """
from syncnas_deploy.files.output import FolderKind, atomic_folder
kind = FolderKind("pair", lambda folder: ("b.txt", "a.txt") if (folder / "a.txt").is_file() else ())
with atomic_folder(Path({folder!r}), kind, force=True) as work:
    (work / "a.txt").write_text("new")
    (work / "b.txt").write_text("new")
"""


@pytest.mark.parametrize("others", [True, False])
def test_a_kill_at_any_step_leaves_one_folder_whole_and_the_next_run_cleans_up(others: bool, tmp_path: Path) -> None:
    killed, step = True, 0
    while killed:
        place = tmp_path / str(step)
        folder = place / "bundle"
        write_folder(folder, "old")
        if others:
            add_others(folder)
        killed = killed_at(step, WRITE_FOLDER.format(folder=str(folder)))
        contents = [content(path) for path in place.iterdir() if path.is_dir()]
        assert ["old", "old"] in contents or ["new", "new"] in contents, step
        with pytest.raises(OutputExists, match="give --force"):
            check_folder(folder, PAIR, force=False)
        assert content(folder) in (["old", "old"], ["new", "new"])
        assert not others or has_others(folder), step
        write_folder(folder, "newer")
        assert list(place.iterdir()) == [folder] and content(folder) == ["newer", "newer"]
        assert not others or has_others(folder)
        assert len(list(folder.iterdir())) == (5 if others else 2)
        step += 1
    assert step > 12


@pytest.mark.parametrize("failing", [1, 2])
def test_a_folder_that_cannot_be_renamed_leaves_the_old_one(
    failing: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bundle"
    write_folder(folder, "old")
    add_others(folder)
    rename, calls = Path.rename, []

    def broken(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == failing:
            raise OSError(28, "No space left on device")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", broken)
    with pytest.raises(OutputError, match="No space left on device"):
        write_folder(folder, "new")
    assert content(folder) == ["old", "old"] and has_others(folder)
    assert list(tmp_path.iterdir()) == [folder]


@pytest.mark.parametrize("make", [make_file, make_folder, make_link, make_dead_link, make_pipe])
@pytest.mark.parametrize("force", [True, False])
def test_a_folder_never_takes_the_place_of_what_appears_meanwhile(
    make: Callable[[Path], None], force: bool, tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    told = pytest.raises(OutputExists, match="exists and is not a pair")
    with told, atomic_folder(folder, PAIR, force=force) as work:
        (work / "a.txt").write_text("new")
        make(folder)
        before = folder.lstat()
    assert folder.lstat() == before
    assert set(tmp_path.iterdir()) == {folder, *tmp_path.glob("target")}


def test_a_folder_whose_links_lead_in_a_circle_is_told(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for place in (tmp_path / "loop", tmp_path / "loop" / "bundle", tmp_path / ("x" * 300)):
        for call in (lambda place: write_folder(place, "new"), lambda place: check_folder(place, PAIR, force=True)):
            with pytest.raises(OutputError):
                call(place)
    assert list(tmp_path.iterdir()) == [tmp_path / "loop"]


def test_of_two_folders_the_first_one_stays_without_force(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    with pytest.raises(OutputExists, match="give --force"), atomic_folder(folder, PAIR, force=False) as work:
        (work / "a.txt").write_text("two")
        folder.mkdir()
        (folder / "a.txt").write_text("one")
    assert content(folder) == ["one"]


def test_a_name_that_others_took_is_not_taken_from_them(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_folder(folder, "old")
    (folder / "c.txt").write_text("theirs")
    told = pytest.raises(OutputExists, match=r"bundle/c\.txt: is not of the pair .*move it away")
    with told, atomic_folder(folder, PAIR, force=True) as work:
        (work / "c.txt").write_text("new")
    assert content(folder) == ["old", "old"] and (folder / "c.txt").read_text() == "theirs"


def test_a_folder_that_another_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    with atomic_folder(folder, PAIR, force=True) as work:
        (work / "a.txt").write_text("one")
        for call in (lambda: write_folder(folder, "two"), lambda: check_folder(folder, PAIR, force=True)):
            with pytest.raises(OutputBusy, match=f"bundle: process {os.getpid()} is writing it"):
                call()
        assert content(work) == ["one"]
    assert content(folder) == ["one"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_folder_behind_a_link_is_replaced_where_it_is(tmp_path: Path) -> None:
    real, link = tmp_path / "disk" / "bundle", tmp_path / "bundle"
    write_folder(real, "old")
    link.symlink_to(real)
    write_folder(link, "new")
    assert link.is_symlink() and content(real) == ["new", "new"]


def test_folders_that_were_made_on_the_way_go_when_nothing_came_of_it(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        with atomic_output(path):
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail(tmp_path / "a" / "b" / "c.txt")
    assert not list(tmp_path.iterdir())
    write_text(tmp_path / "a" / "b" / "c.txt", "x")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["c.txt"]


def test_a_folder_that_may_not_be_entered_is_an_output_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rights do not bind root, who may run this."""

    def refuse(path: Path) -> bool:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refuse)
    with pytest.raises(OutputError, match=r"x\.json: cannot be written \(Permission denied\)"):
        check_output(tmp_path / "x.json", force=False)
