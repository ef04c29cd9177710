"""Journal: an append-only file of finished rows, from which an interrupted run goes on.

JSON lines. The first line says whose journal it is; every later line carries a row and its checksum:

    {"journal":1,"key":{"seed":1},"kind":"search"}
    {"row":{"reward":0.71,"strategy":"nnnnaca"},"sha256":"5d1f0c2a9e3b7c44"}

A row is on disk when `append` returns. Whatever kills the process, at most the row being written is torn,
and the next opening cuts it off.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from syncnas_deploy.errors import JournalBusy, JournalError, JournalMismatch, OutputError
from syncnas_deploy.files.documents import parse_json

FORMAT = 1


class Journal:
    """An open journal, locked against other processes until closed.

    Args:
        path: the file; made when it is not there.
        kind: what sort of run writes it, such as ``search``.
        key: JSON-plain parameters of the run; rows of a run with another key are never mixed in.

    Raises:
        JournalMismatch: the file belongs to another run.
        JournalError: the file is no journal, or a line before the last is damaged.
        JournalBusy: another process (or another `Journal` of this one) has it open.
        OutputError: the file cannot be opened or written.
    """

    def __init__(self, path: Path, *, kind: str, key: Mapping[str, Any]) -> None:
        self.path = path
        self._header = _canonical({"journal": FORMAT, "kind": kind, "key": dict(key)}).encode() + b"\n"
        self._rows: list[dict[str, Any]] = []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as e:
            raise self._unwritable(e) from None
        try:
            self._lock()
            self._end = self._load(os.pread(self._file, os.fstat(self._file).st_size, 0))
            os.ftruncate(self._file, self._end)
            if self._end == 0:
                self._write(self._header)
                _sync_folder(path.parent)
        except OSError as e:
            os.close(self._file)
            raise self._unwritable(e) from None
        except BaseException:
            os.close(self._file)
            raise

    @property
    def rows(self) -> tuple[dict[str, Any], ...]:
        """All whole rows, oldest first: those found when opened and those appended since."""
        return tuple(self._rows)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row; it is on disk when this returns.

        Raises:
            OutputError: the disk is full or the file cannot be written; the row does not count.
            ValueError: the row is not plain JSON (NaN, for example).
        """
        text = _canonical(row)
        # A resumed run must read what this run has; integer keys and tuples, for example, would come back changed.
        plain = json.loads(text)
        if plain != row:
            raise ValueError(f"a journal's row must be plain JSON, found {row!r}")
        try:
            self._write(f'{{"row":{text},"sha256":"{_digest(text)}"}}\n'.encode())
        except OSError as e:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._end)
            raise self._unwritable(e) from None
        self._rows.append(plain)

    def close(self) -> None:
        """Release file and lock; closing twice is harmless."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalBusy(
                f"{self.path}: {_holder(self._file)} is writing it; let it end or choose another --out."
            ) from None

    def _load(self, content: bytes) -> int:
        """Read the rows; the number of bytes that are good, 0 for a new file."""
        # A header that does not end in a newline was cut short by a kill: there are no rows to lose.
        if b"\n" not in content and self._header.startswith(content):
            return 0
        header, newline, body = content.partition(b"\n")
        self._check_header(header)
        end = len(header) + len(newline)
        lines = body.split(b"\n")
        # What follows the last newline was cut short; it is empty when nothing was.
        for number, line in enumerate(lines[:-1]):
            row = _row(line)
            if row is None:
                last = number == len(lines) - 2 and not lines[-1]
                if last:
                    break
                raise JournalError(
                    f"{self.path}: line {number + 2} is damaged and lines follow it; "
                    "restore the file from a copy, or remove it to start anew."
                )
            self._rows.append(row)
            end += len(line) + 1
        return end

    def _check_header(self, line: bytes) -> None:
        where = f"{self.path}: line 1"
        theirs = parse_json(line.decode("utf-8", "replace"), where, JournalError)
        if not isinstance(theirs, dict) or "journal" not in theirs or not isinstance(theirs.get("key"), dict):
            raise JournalError(f"{where} is not a journal's header; choose another --out.")
        if theirs["journal"] != FORMAT:
            raise JournalError(
                f"{where} has journal format {theirs['journal']!r}, this program reads {FORMAT}; "
                "finish the run with the version that began it, or choose another --out."
            )
        ours = json.loads(self._header)
        if theirs == ours:
            return
        raise JournalMismatch(
            f"{self.path}: belongs to another run: {_difference(theirs, ours)}; remove it or choose another --out."
        )

    def _write(self, line: bytes) -> None:
        os.lseek(self._file, self._end, os.SEEK_SET)
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        os.fsync(self._file)
        self._end += len(line)

    def _unwritable(self, error: OSError) -> OutputError:
        return OutputError(f"{self.path}: cannot be written ({error.strerror}); choose another --out.")


@contextlib.contextmanager
def dropped_if_empty(journal: Path | None) -> Iterator[None]:
    """Run a block that journals; when it fails before a first row, leave neither journal nor new folder behind."""
    existed = journal is None or journal.exists()
    had_folder = journal is None or journal.parent.exists()
    try:
        yield
    except BaseException:
        if journal is not None and not existed and _is_empty(journal):
            journal.unlink(missing_ok=True)
            if not had_folder:
                # Another device's profile may be in it by now.
                with contextlib.suppress(OSError):
                    journal.parent.rmdir()
        raise


def _is_empty(path: Path) -> bool:
    """Whether a journal, or what was to become one, has no finished row yet."""
    try:
        return path.read_bytes().count(b"\n") < 2
    except FileNotFoundError:
        return False


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _digest(canonical: str) -> str:
    """First 64 bits of the SHA-256 of a row's canonical JSON: against damage, not against malice."""
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _row(line: bytes) -> dict[str, Any] | None:
    """The row of one line, or None when the line is damaged."""
    try:
        entry = json.loads(line)
        row = entry["row"]
        return row if isinstance(row, dict) and entry["sha256"] == _digest(_canonical(row)) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _difference(theirs: dict[str, Any], ours: dict[str, Any]) -> str:
    """The first thing in which two headers differ, as words."""
    if theirs.get("kind") != ours["kind"]:
        return f"it is a {str(theirs.get('kind'))[:40]} journal, not a {ours['kind']} journal"
    for name in sorted(theirs["key"].keys() | ours["key"].keys()):
        there, here = theirs["key"].get(name), ours["key"].get(name)
        if there != here:
            return f"its {name} is {_brief(there)}, here it is {_brief(here)}"
    return "its header has other fields"


def _brief(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _holder(file: int) -> str:
    """Who holds the lock on an open file, as words.

    Source: proc_locks(5): "1: FLOCK  ADVISORY  WRITE <pid> <major>:<minor>:<inode> 0 EOF".
    """
    status = os.fstat(file)
    inode = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
    with contextlib.suppress(OSError):
        for entry in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            fields = entry.split()
            if len(fields) >= 6 and fields[1] == "FLOCK" and fields[5] == inode:
                return f"process {fields[4]}"
    return "another process"


def _sync_folder(folder: Path) -> None:
    """Put a new file's name on disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
