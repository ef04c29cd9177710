"""The journal: what was appended is there, whatever happened to the process or the file's end."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from codecs import BOM_UTF8
from collections.abc import Callable
from pathlib import Path

import pytest

from syncnas_deploy.errors import JournalError, JournalMismatch, OutputBusy, OutputError, OutputExists
from syncnas_deploy.files.journal import Journal, drop_journal, journal_key

CHECKOUT = Path(__file__).resolve().parents[2]
ROWS = [{"n": 1, "x": 0.1}, {"n": 2, "x": 1e-17, "s": "a\nb"}, {"n": 3, "x": None, "s": "é"}]
KEY = {"seed": 1, "base": "mobilenet_v2"}


def opened(path: Path, *, kind: str = "search", key: dict[str, object] | None = None, anew: bool = False) -> Journal:
    return Journal(path, kind=kind, key=KEY if key is None else key, anew=anew)


def written(path: Path) -> bytes:
    with opened(path) as journal:
        for row in ROWS:
            journal.append(row)
    return path.read_bytes()


def test_rows_come_back_in_order(tmp_path: Path) -> None:
    path = tmp_path / "new" / "j.jsonl"
    written(path)
    with opened(path) as journal:
        assert journal.rows == tuple(ROWS)
        journal.append({"n": 4})
        assert journal.rows[3] == {"n": 4}
    with opened(path) as journal:
        assert len(journal.rows) == 4


def test_cut_at_any_byte_keeps_every_whole_row_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    content = written(path)
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    for cut in range(len(content) + 1):
        path.write_bytes(content[:cut])
        whole = max(sum(end <= cut for end in ends) - 1, 0)
        with opened(path) as journal:
            assert journal.rows == tuple(ROWS[:whole]), cut
            for row in ROWS[whole:]:
                journal.append(row)
        assert path.read_bytes() == content


def test_garbage_in_the_last_line_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    content = written(path)
    for tail in (
        b"\0\0\0\0",
        b"\0\0\n",
        b'{"row":{"n":9},"sha256":"0000000000000000"}\n',
        b"[]\n",
        b"\xff\n",
    ):
        path.write_bytes(content + tail)
        with opened(path) as journal:
            assert journal.rows == tuple(ROWS)
        assert path.read_bytes() == content


@pytest.mark.parametrize("tail", [b"\n\n", b"\n", b"  \n\t\r\n\n", b"\n   ", b"\n" * 5000])
def test_empty_lines_at_the_end_count_for_nothing(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(written(path) + tail)
    for more in ({"n": 4}, {"n": 5}):
        with opened(path) as journal:
            journal.append(more)
    with opened(path) as journal:
        assert journal.rows == (*ROWS, {"n": 4}, {"n": 5})


@pytest.mark.parametrize("line", [2, 3])
def test_damage_before_the_last_line_is_named(tmp_path: Path, line: int) -> None:
    path = tmp_path / "j.jsonl"
    lines = written(path).split(b"\n")
    lines[line - 1] = lines[line - 1].replace(b'"n":', b'"m":')
    path.write_bytes(b"\n".join(lines))
    before = path.read_bytes()
    with pytest.raises(JournalError, match=f"j.jsonl: line {line} is damaged"):
        opened(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("kind", "key", "says"),
    [
        ("profile", KEY, "it is a search journal, not a profile journal"),
        ("search", {**KEY, "seed": 2}, "its seed is 1, here it is 2"),
        ("search", {"seed": 1}, 'its base is "mobilenet_v2", here it is null'),
    ],
)
def test_another_runs_journal_is_refused_untouched(
    tmp_path: Path, kind: str, key: dict[str, object], says: str
) -> None:
    path = tmp_path / "j.jsonl"
    content = written(path)
    with pytest.raises(JournalMismatch, match=says):
        opened(path, kind=kind, key=key)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    "content",
    [
        b"hello",
        b"hello\n",
        b"[1]\n",
        b'{"journal":2,"key":{},"kind":"search"}\n',
        b"{}\n",
        b"[" * 99_999 + b"\n",
    ],
)
def test_other_files_are_refused_untouched(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(content)
    with pytest.raises(JournalError, match="choose another --out"):
        opened(path)
    assert path.read_bytes() == content


def test_an_editors_byte_order_mark_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    content = BOM_UTF8 + written(path)
    path.write_bytes(content)
    with opened(path) as journal:
        assert journal.rows == tuple(ROWS)
        journal.append({"n": 4})
    assert journal_key(path) == KEY and path.read_bytes().startswith(content)
    with opened(path, key={"seed": 2}, anew=True) as journal:
        journal.append({"n": 5})
    drop_journal(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("theirs", "ours", "says"),
    [
        ({"e": {"name": "capacity"}}, {"e": {"name": "zen", "batch": 16}}, 'its e is "capacity", here it is "zen"'),
        ({"e": {"name": "zen", "batch": 16}}, {"e": {"name": "capacity"}}, 'its e is "zen", here it is "capacity"'),
        ({"table": 1, "budget": 1}, {"table": 2, "budget": 2}, "its table is 1, here it is 2"),
        ({"budget": 1, "table": 1}, {"budget": 2, "table": 2}, "its budget is 1, here it is 2"),
        ({"a": 1, "gone": 3}, {"a": 1}, "its gone is 3, here it is null"),
    ],
)
def test_the_first_part_of_a_key_that_differs_is_named(
    theirs: dict[str, object], ours: dict[str, object], says: str, tmp_path: Path
) -> None:
    with opened(tmp_path / "j", key=theirs) as journal:
        journal.append(ROWS[0])
    with pytest.raises(JournalMismatch) as told:
        Journal(tmp_path / "j", kind="search", key=ours, names={"e": "e"})
    assert says in str(told.value)


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_a_journal_that_another_began_meanwhile_is_not_gone_on_with(rows: int, tmp_path: Path) -> None:
    path = tmp_path / "found" / "j"
    with opened(path) as journal:
        for row in ROWS[:rows]:
            journal.append(row)
    with pytest.raises(OutputExists, match="found: holds a search already; give --resume to go on or --force to begin"):
        Journal(path, kind="search", key=KEY, fresh=True)
    with opened(path) as journal:
        assert journal.rows == tuple(ROWS[:rows])


def test_second_writer_is_told_who_has_it(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom syncnas_deploy.files.journal import Journal\n"
        f"journal = Journal(Path({str(path)!r}), kind='search', key={KEY!r})\n"
        "print('open', flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=CHECKOUT) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        for anew in (False, True):
            with pytest.raises(OutputBusy, match=f"process {other.pid} is writing it; let it end or choose another"):
                opened(path, anew=anew)
        other.kill()
    opened(path).close()


def test_killed_writer_loses_no_acknowledged_row(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    code = (
        "import itertools\nfrom pathlib import Path\nfrom syncnas_deploy.files.journal import Journal\n"
        f"journal = Journal(Path({str(path)!r}), kind='search', key={KEY!r})\n"
        "for n in itertools.count(len(journal.rows)):\n"
        "    journal.append({'n': n, 'pad': 'x' * 5000})\n    print(n, flush=True)\n"
    )
    for delay_s in (0.0, 0.003, 0.011, 0.02):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, cwd=CHECKOUT) as writer:
            assert writer.stdout is not None
            first = writer.stdout.readline()
            time.sleep(delay_s)
            writer.send_signal(signal.SIGKILL)
            acknowledged = int([first, *writer.stdout.readlines()][-1])
        with opened(path) as journal:
            assert [row["n"] for row in journal.rows] == list(range(len(journal.rows)))
            assert len(journal.rows) > acknowledged


def test_append_returns_only_after_the_disk_has_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j.jsonl"
    synced: list[bytes] = []
    with opened(path) as journal:
        monkeypatch.setattr(os, "fsync", lambda file: synced.append(path.read_bytes()))
        journal.append(ROWS[0])
    assert synced == [path.read_bytes()]


def test_rows_must_be_plain_json(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    with opened(path) as journal:
        size = path.stat().st_size
        for row in ({"x": float("nan")}, {"x": (1, 2)}, {1: 2}):
            with pytest.raises(ValueError, match="JSON"):
                journal.append(row)  # type: ignore[arg-type]
        assert path.stat().st_size == size


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is missing")
def test_full_disk_is_an_output_error() -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        opened(Path("/dev/full"))


def test_unwritable_places_are_output_errors(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file" / "j.jsonl"):
        with pytest.raises(OutputError, match="choose another place"):
            opened(path)


def test_failed_append_leaves_no_part_of_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "j.jsonl"
    with opened(path) as journal:
        journal.append(ROWS[0])
        whole = path.read_bytes()
        real_write = os.write

        def half(file: int, data: bytes) -> int:
            real_write(file, data[: len(data) // 2])
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "write", half)
        with pytest.raises(OutputError, match="No space left"):
            journal.append(ROWS[1])
        monkeypatch.undo()
        assert path.read_bytes() == whole
        journal.append(ROWS[1])
    with opened(path) as journal:
        assert journal.rows == (ROWS[0], ROWS[1])


def test_a_second_journal_of_this_process_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    path = tmp_path / "new" / "j.jsonl"
    with pytest.raises(KeyError), opened(path) as journal:
        for anew in (False, True):
            with pytest.raises(OutputBusy, match=f"process {os.getpid()} is writing it"):
                opened(path, anew=anew)
        journal.append(ROWS[0])
        raise KeyError
    assert list(path.parent.iterdir()) == [path], "a row is kept"
    with pytest.raises(KeyError), opened(path, anew=True):
        raise KeyError
    assert list(path.parent.iterdir()) == [], "a journal without rows is not"


def test_a_journal_is_begun_anew_and_removed_under_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    written(path)
    with opened(path, key={"seed": 2}, anew=True) as journal:
        assert journal.rows == ()
        drop_journal(path)
        assert path.exists(), "somebody is writing it"
        journal.append(ROWS[0])
        journal.remove()
    assert list(tmp_path.iterdir()) == []
    written(path)
    (tmp_path / ".j.jsonl.syncnas-lock").write_text("1")  # as a kill leaves it
    drop_journal(path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"my diary", b"{}\n", b'{"row":1}\n', b"\0"])
def test_what_is_no_journal_is_not_begun_anew(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(content)
    with pytest.raises(JournalError):
        opened(path, anew=True)
    drop_journal(path)
    assert path.read_bytes() == content and list(tmp_path.iterdir()) == [path]


def test_more_than_two_gigabytes_are_not_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    written(path)
    size = path.stat().st_size
    with path.open("r+b") as file:  # a hole: it takes no room
        file.seek(size + (1 << 31))
        file.write(b'\n{"row":{"n":9},"sha256":"0000000000000000"}\n')
    whole = path.stat().st_size
    with pytest.raises(JournalError, match="line 5 is damaged and lines follow it"):
        opened(path)
    assert path.stat().st_size == whole


def test_a_pipe_is_no_journal(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "j.jsonl")
    with pytest.raises(OutputError, match="it is no file"):
        opened(tmp_path / "j.jsonl")


def test_a_journal_begun_anew_leaves_what_a_link_led_to(tmp_path: Path) -> None:
    other = tmp_path / "other"
    with Journal(other, kind="x", key={}) as journal:
        journal.append({"row": 1})
    (tmp_path / "j").symlink_to(other)
    with Journal(tmp_path / "j", kind="x", key={}, anew=True) as journal:
        journal.append({"row": 2})
    with Journal(other, kind="x", key={}) as journal:
        assert journal.rows == ({"row": 1},)


def replaced(path: Path) -> None:
    path.unlink()
    path.write_text("theirs")


@pytest.mark.parametrize(
    "remove",
    [
        lambda path: shutil.rmtree(path.parent),
        Path.unlink,
        lambda path: path.parent.rename(path.parent.with_name("moved")),
        replaced,
    ],
)
@pytest.mark.parametrize("rows", [0, 1])
def test_a_journal_that_was_removed_or_replaced_is_not_gone_on_with(
    remove: Callable[[Path], None], rows: int, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "j.jsonl"
    with pytest.raises(OutputError, match="was removed or replaced meanwhile"), opened(path) as journal:
        for row in ROWS[:rows]:
            journal.append(row)
        remove(path)
        journal.append(ROWS[2])
    assert journal.rows == tuple(ROWS[:rows])
    assert path.exists() == (remove is replaced) and (not path.exists() or path.read_text() == "theirs")
