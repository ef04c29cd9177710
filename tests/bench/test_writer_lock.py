"""One writer at a time: whoever holds a place is known by name, and a kill frees it."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from syncnas_bench.errors import PlaceBusy
from syncnas_bench.writer_lock import WriterLock

HOLDER = r"""
import os, sys, time
from pathlib import Path
sys.path[:0] = {paths}
from syncnas_bench.writer_lock import WriterLock
lock = WriterLock(Path({place!r}))
{then}
os.write(1, b"%d\n" % os.getpid())
time.sleep(600)
"""


def holder(place: Path, then: str = "") -> subprocess.Popen[str]:
    """A process that holds a place, ready."""
    program = HOLDER.format(paths=[p for p in sys.path if p], place=str(place), then=then)
    return subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)


def line_of(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_holder_is_named_and_its_kill_frees_the_place(tmp_path: Path) -> None:
    place = tmp_path / "p.json"
    with holder(place) as other:
        assert line_of(other) == str(other.pid)
        for _ in range(2):  # the one who was told has not spoiled the name
            with pytest.raises(PlaceBusy, match=rf"p\.json: process {other.pid} is writing it"):
                WriterLock(place)
        other.kill()
    assert list(tmp_path.iterdir()) == [tmp_path / ".p.json.syncnas-lock"]
    with WriterLock(place):
        assert (tmp_path / ".p.json.syncnas-lock").read_text() == str(os.getpid())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.needs("fork")
def test_a_child_of_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    """Workers that torch forks live on for a while."""
    place = tmp_path / "p.json"
    with holder(place, "if os.fork() == 0:\n    os.write(1, b'%d\\n' % os.getpid())\n    time.sleep(600)") as other:
        child = next(int(line) for line in (line_of(other), line_of(other)) if line != str(other.pid))
        with pytest.raises(PlaceBusy, match=f"process {other.pid}"):
            WriterLock(place)
        other.kill()
        other.wait()
        try:
            WriterLock(place).release()
        finally:
            os.kill(child, 9)


def test_a_second_lock_of_this_process_is_refused_until_the_first_is_released(tmp_path: Path) -> None:
    first = WriterLock(tmp_path / "a")
    with pytest.raises(PlaceBusy, match=f"process {os.getpid()}"):
        WriterLock(tmp_path / "a")
    with WriterLock(tmp_path / "b"):
        pass
    first.release()
    first.release()
    WriterLock(tmp_path / "a").release()
    assert list(tmp_path.iterdir()) == []


COUNT = """
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
sys.path[:0] = {paths}
from syncnas_bench.writer_lock import WriterLock
place = Path({place!r})
for _ in range({times}):
    with WriterLock(place, wait_s=300):
        place.write_text(str(int(place.read_text()) + 1))
"""


def test_the_lock_file_comes_and_goes_and_there_is_one_holder_all_the_same(tmp_path: Path) -> None:
    place, times = tmp_path / "count", 25
    place.write_text("0")
    program = COUNT.format(paths=[p for p in sys.path if p], place=str(place), times=times)
    processes = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert place.read_text() == str(4 * times) and list(tmp_path.iterdir()) == [place]


def test_folders_that_a_lock_made_go_with_it_unless_they_are_used(tmp_path: Path) -> None:
    WriterLock(tmp_path / "a" / "b" / "c").release()
    assert list(tmp_path.iterdir()) == []
    with WriterLock(tmp_path / "a" / "b" / "c"):
        (tmp_path / "a" / "kept").touch()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "kept"]


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("theirs")
    (tmp_path / ".p.json.syncnas-lock").symlink_to("thesis.txt")
    with pytest.raises(OSError, match="symbolic links"):
        WriterLock(tmp_path / "p.json")
    assert (tmp_path / "thesis.txt").read_text() == "theirs"


@pytest.mark.needs("/proc")
@pytest.mark.parametrize("place", ["/proc/p.json", "/proc/self/fd/p.json", "/sys/p.json", "/dev/null/p.json"])
def test_where_no_file_can_be_made_nobody_is_said_to_write(place: str) -> None:
    with pytest.raises(OSError, match=r"No such file|Permission denied|Not a directory|Read-only|File exists"):
        WriterLock(Path(place))


def test_a_full_disk_has_room_for_a_lock_without_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full)
        lock = WriterLock(tmp_path / "a")
    with pytest.raises(PlaceBusy, match="another process is writing it"):
        WriterLock(tmp_path / "a")
    lock.release()


def test_locks_that_make_and_remove_the_same_folders_do_not_trip_over_each_other(tmp_path: Path) -> None:
    def hold(number: int) -> None:
        for _ in range(200):
            WriterLock(tmp_path / "new" / "folder" / str(number)).release()

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(hold, range(4))) == [None] * 4
