"""Rows of a run: JSON lines, each on disk before the next is measured."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "rows.jsonl"
Row = Mapping[str, Any]


class RowsError(Exception):
    """A folder has no rows to read, or has rows already where new ones should go."""


class Rows:
    """The open file of rows.

    Args:
        folder: of the results; it is made where it is not there.
        software: every row says whether its GPU computes on the CPU.

    Raises:
        RowsError: the folder has rows already, or cannot be written.
    """

    def __init__(self, folder: Path, *, software: bool) -> None:
        self._software = software
        self._started = time.monotonic()
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = os.open(folder / FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o666)
        except FileExistsError:
            raise RowsError(f"{folder}: has rows already; choose another --out.") from None
        except OSError as error:
            raise RowsError(f"{folder}: cannot be written ({error.strerror}); choose another --out.") from None

    @property
    def elapsed_s(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._started

    def add(self, step: str, kind: str, **values: Any) -> None:
        """Append a row; it is on disk when this returns."""
        row = {"at_s": round(self.elapsed_s, 3), "software": self._software, "step": step, "kind": kind, **values}
        rest = memoryview(json.dumps(row, separators=(",", ":")).encode() + b"\n")
        while rest:
            rest = rest[os.write(self._file, rest) :]
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_rows(folder: Path) -> tuple[Row, ...]:
    """All whole rows of a folder, oldest first. What a kill has cut off is left out.

    Raises:
        RowsError: there are none, or a line before the last is damaged.
    """
    try:
        *lines, rest = (folder / FILE).read_bytes().split(b"\n")
    except OSError as error:
        raise RowsError(f"{folder / FILE}: cannot be read ({error.strerror}); give a folder of results.") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        row = _parsed(line)
        if row is None and (number < len(lines) or rest):
            raise RowsError(f"{folder / FILE}: line {number} is damaged; restore the file from a copy.")
        if row is not None:
            rows.append(row)
    return tuple(rows)


def _parsed(line: bytes) -> Row | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) and {"step", "kind", "software", "at_s"} <= set(row) else None
