"""The journal: what was appended is there, whatever happened to the process or the file's end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from syncnas_deploy.errors import JournalBusy, JournalError, JournalMismatch, OutputError
from syncnas_deploy.files.journal import Journal

CHECKOUT = Path(__file__).resolve().parents[2]
ROWS = [{"n": 1, "x": 0.1}, {"n": 2, "x": 1e-17, "s": "a\nb"}, {"n": 3, "x": None, "s": "é"}]
KEY = {"seed": 1, "base": "mobilenet_v2"}


def opened(path: Path, *, kind: str = "search", key: dict[str, object] | None = None) -> Journal:
    return Journal(path, kind=kind, key=KEY if key is None else key)


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
    with pytest.raises(JournalError):
        opened(path)
    assert path.read_bytes() == content


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
        who = f"process {other.pid}" if Path("/proc/locks").exists() else "another process"
        with pytest.raises(JournalBusy, match=f"{who} is writing it"):
            opened(path)
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
        with pytest.raises(OutputError, match="choose another --out"):
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
