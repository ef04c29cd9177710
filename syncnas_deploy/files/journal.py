"""Journal: an append-only file of finished rows, from which an interrupted run goes on.

JSON lines. The first line says whose journal it is; every later line carries a row and its checksum:

    {"journal":1,"key":{"seed":1},"kind":"search"}
    {"row":{"reward":0.71,"strategy":"nnnnaca"},"sha256":"5d1f0c2a9e3b7c44"}

A row is on disk when `append` returns. Whatever kills the process, at most the row being written is torn,
and the next opening cuts it off.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
from codecs import BOM_UTF8
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from syncnas_bench.files import beside
from syncnas_bench.systems.disk import BINARY, flush, sync_folder
from syncnas_deploy.errors import JournalError, JournalMismatch, OutputBusy, OutputError, OutputExists
from syncnas_deploy.files.documents import parse_json
from syncnas_deploy.files.output import check_unmoved, unwritable, writing

FORMAT = 1
_BEGIN = b'{"journal":'
_MAX_HEADER_BYTES = 1 << 20
_MAX_LINE_BYTES = 1 << 27
_DIGEST = re.compile("[0-9a-f]{16}|[0-9a-f]{64}")
"""A text that says nothing to people: a SHA-256, or its first 64 bits."""


class Journal:
    """An open journal, locked against other writers until closed. It is read line by line, whatever its size.

    In a `with` block that fails before there is a row, the file goes again.

    Args:
        path: the file; made when it is not there.
        kind: what sort of run writes it, such as ``search``.
        key: JSON-plain parameters of the run; rows of a run with another key are never mixed in. What decides others
            comes before them: the first that differs is named.
        names: what a user calls the parts of the key, such as ``--budget``.
        anew: drop the rows of a journal that is there, whatever run it is of.
        fresh: refuse a journal that is there.

    Raises:
        OutputExists: it is there, and was to be `fresh`.
        JournalMismatch: the file belongs to another run.
        JournalError: the file is no journal, or a line before the last is damaged.
        OutputBusy: another process (or another `Journal` of this one) has it open.
        OutputError: the file cannot be opened or written.
    """

    def __init__(
        self,
        path: Path,
        *,
        kind: str,
        key: Mapping[str, Any],
        names: Mapping[str, str] | None = None,
        anew: bool = False,
        fresh: bool = False,
    ) -> None:
        self.path, self._names = path, names or {}
        self._kind, self._key = kind, json.loads(json.dumps(dict(key)))
        self._header = _canonical({"journal": FORMAT, "kind": kind, "key": self._key}).encode() + b"\n"
        self._rows: list[dict[str, Any]] = []
        self._done = False
        with contextlib.ExitStack() as held:
            held.enter_context(writing(path))
            if anew and path.is_symlink() and path.exists() and _is_journal(path):
                path.unlink()  # what it leads to is another run's
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | BINARY, 0o666)
            # By its name, as later: on Windows numbers by name and by handle need not be the same.
            self._opened = path.stat()
            held.callback(self._delete_if_done)  # closed, and still locked
            held.callback(os.close, self._file)
            if not path.is_file():
                raise OSError(errno.EINVAL, "it is no file")
            self._end = 0 if anew and _is_journal(path) else self._load()
            if fresh and self._end:
                raise OutputExists(
                    f"{path.parent}: holds a {kind} already; give --resume to go on or --force to begin anew."
                )
            os.ftruncate(self._file, self._end)
            if self._end == 0:
                self._write(self._header)
                sync_folder(path.parent)
            self._held = held.pop_all()

    @property
    def rows(self) -> tuple[dict[str, Any], ...]:
        """All whole rows, oldest first: those found when opened and those appended since."""
        return tuple(self._rows)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write one row; it is on disk when this returns.

        Raises:
            OutputError: the disk is full, or the file cannot be written or is gone; the row does not count.
            ValueError: the row is not plain JSON (NaN, for example).
        """
        text = _canonical(row)
        # A resumed run must read what this run has; integer keys and tuples, for example, would come back changed.
        plain = json.loads(text)
        if plain != row:
            raise ValueError(f"a journal's row must be plain JSON, found {row!r}")
        line = f'{{"row":{text},"sha256":"{_digest(text)}"}}\n'.encode()
        if len(line) > _MAX_LINE_BYTES:
            raise OutputError(f"{self.path}: a row has {len(line)} bytes of at most {_MAX_LINE_BYTES}; measure less.")
        self.check()
        try:
            self._write(line)
        except OSError as e:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, self._end)
            raise unwritable(self.path, e) from None
        self._rows.append(plain)

    def check(self) -> None:
        """Refuse to go on where the file has been removed or replaced. Raises OutputError."""
        check_unmoved(self.path, self._opened)

    def close(self) -> None:
        """Release file and lock; closing twice is harmless."""
        self._held.close()

    def remove(self) -> None:
        """Close and delete the file: it is done with."""
        self._done = True
        self.close()

    def _delete_if_done(self) -> None:
        with contextlib.suppress(OutputError):  # another one's has the name
            if self._done:
                check_unmoved(self.path, self._opened)
                self.path.unlink()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done |= error is not None and not self._rows
        self.close()

    def _load(self) -> int:
        """Read the rows; the number of bytes that are good, 0 for a new file."""
        os.lseek(self._file, 0, os.SEEK_SET)
        with open(self._file, "rb", closefd=False) as file:
            header = file.readline(_MAX_HEADER_BYTES)
            # A header that does not end in a newline was cut short by a kill: there are no rows to lose.
            if self._header.startswith(header) and header != self._header:
                return 0
            self._check_header(header)
            end = len(header)
            number = 1
            while True:
                number, line = number + 1, file.readline(_MAX_LINE_BYTES)
                if line.endswith(b"\n") and not line.strip():  # an editor's
                    end += len(line)
                    continue
                row = _row(line)
                if row is None:
                    if not file.read(1):
                        return end  # the line was cut short, or nothing is left
                    raise JournalError(
                        f"{self.path}: line {number} is damaged and lines follow it; "
                        "restore the file from a copy, or remove it to start anew."
                    )
                self._rows.append(row)
                end += len(line)

    def _check_header(self, line: bytes) -> None:
        where = f"{self.path}: line 1"
        theirs: object = None
        with contextlib.suppress(JournalError):
            theirs = parse_json(line.decode("utf-8-sig", "replace"), where, JournalError)
        if not isinstance(theirs, dict) or "journal" not in theirs or not isinstance(theirs.get("key"), dict):
            raise JournalError(f"{where} is not a journal's header; restore it from a copy or choose another --out.")
        if theirs["journal"] != FORMAT:
            raise JournalError(
                f"{where} has journal format {theirs['journal']!r}, this program reads {FORMAT}; "
                "finish the run with the version that began it, or choose another --out."
            )
        if theirs == json.loads(self._header):
            return
        raise JournalMismatch(
            f"{self.path}: belongs to another run: {self._difference(theirs)}; "
            "ask for the same, or remove it or choose another --out."
        )

    def _difference(self, theirs: dict[str, Any]) -> str:
        """The first thing in which another header differs, as words."""
        if theirs.get("kind") != self._kind:
            return f"it is a {str(theirs.get('kind'))[:40]} journal, not a {self._kind} journal"
        return other_part(theirs["key"], self._key, self._names) or "its header has other fields"

    def _write(self, line: bytes) -> None:
        os.lseek(self._file, self._end, os.SEEK_SET)
        rest = memoryview(line)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        flush(self._file)
        self._end += len(line)


def journal_key(path: Path) -> Mapping[str, Any]:
    """The key of the run whose journal is there; empty where there is none, or none that can be read."""
    try:
        if not path.is_file():
            return {}
        with path.open("rb") as file:
            key = json.loads(file.readline(_MAX_HEADER_BYTES))["key"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return key if isinstance(key, dict) else {}


def drop_journal(path: Path) -> None:
    """Delete a journal whose run has its result, unless somebody is writing it."""
    if os.path.lexists(path) or os.path.lexists(beside(path, "lock")):
        with contextlib.suppress(OutputBusy), writing(path):
            if path.is_file() and _is_journal(path):
                path.unlink()


def _is_journal(path: Path) -> bool:
    """Whether a file begins like a journal, or was cut short before it could."""
    with path.open("rb") as file:
        return _BEGIN.startswith(file.read(len(_BEGIN) + len(BOM_UTF8)).removeprefix(BOM_UTF8)[: len(_BEGIN)])


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _digest(canonical: str) -> str:
    """First 64 bits of the SHA-256 of a row's canonical JSON: against damage, not against malice."""
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _row(line: bytes) -> dict[str, Any] | None:
    """The row of one line, or None when the line is damaged or has no end."""
    if not line.endswith(b"\n"):
        return None
    try:
        entry = json.loads(line)
        row = entry["row"]
        return row if isinstance(row, dict) and entry["sha256"] == _digest(_canonical(row)) else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def other_part(theirs: Mapping[str, Any], ours: Mapping[str, Any], names: Mapping[str, str]) -> str:
    """The first part of ours in which two keys differ, as words that a user knows; "" where none does."""
    for part in dict.fromkeys([*ours, *sorted(theirs)]):
        there, here, name = theirs.get(part), ours.get(part), names.get(part, part)
        if there == here:
            continue
        if isinstance(there, dict) and isinstance(here, dict):
            own = {key: name if key == "name" or name.endswith(key) else f"{name}'s {key}" for key in here}
            return other_part(there, here, {**own, **names} if part not in names else own)
        if isinstance(there, str) and _DIGEST.fullmatch(there):
            return f"its {name} is another one"
        return f"its {name} is {_brief(part, there)}, here it is {_brief(part, here)}"
    return ""


def _brief(part: str, value: object) -> str:
    if part.endswith("_us") and isinstance(value, list) and all(isinstance(us, (int, float)) for us in value):
        return ", ".join(f"{us / 1e3:.4g} ms" for us in value)
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
