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
        except OSError as error:
            raise RowsError(f"{folder}: cannot be made a folder ({error.strerror}); choose another --out.") from None
        try:
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
        """Append a row; it is on disk when this returns.

        Raises:
            RowsError: it cannot be written.
        """
        row = {"at_s": round(self.elapsed_s, 3), "software": self._software, "step": step, "kind": kind, **values}
        rest = memoryview(json.dumps(row, separators=(",", ":")).encode() + b"\n")
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError as error:
            raise RowsError(f"rows cannot be written any more ({error.strerror}); what was written is kept.") from None

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_rows(folder: Path) -> tuple[Row, ...]:
    """All whole rows of a folder, oldest first. What a kill has cut off is left out.

    Raises:
        RowsError: there are none, or a line is damaged that a kill has not cut off.
    """
    try:
        *lines, _ = (folder / FILE).read_bytes().split(b"\n")
    except OSError as error:
        raise RowsError(f"{folder / FILE}: cannot be read ({error.strerror}); give a folder of results.") from None
    rows = []
    for number, line in enumerate(lines, start=1):
        row = _parsed(line)
        if row is None:
            raise RowsError(f"{folder / FILE}: line {number} is damaged; restore the file from a copy.")
        rows.append(row)
    return tuple(rows)


def _parsed(line: bytes) -> Row | None:
    """A row with what each has; None for anything else."""
    try:
        row = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode()  # half a character is no text
    except (ValueError, RecursionError):
        return None
    kinds = {"at_s": (int, float), "software": bool, "step": str, "kind": str}
    ok = isinstance(row, dict) and all(isinstance(row.get(name), kind) for name, kind in kinds.items())
    return row if ok and 0 <= row["at_s"] < 1e9 else None
