"""Pages of lines and tables. As plain text each line stays one line, whatever a document or a device says in it.

`cli.terminal` prints a page: as plain text where it goes into a pipe, else fitted into the terminal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from syncnas_deploy.files.one_line import one_line
from syncnas_deploy.shown import ms_text

Cell = str | float | int | None


@dataclass(frozen=True)
class Table:
    """Aligned columns: text to the left, numbers to the right.

    Attributes:
        head: what each column holds.
        rows: their cells. None is shown as "-", a float with one digit, or more where its head says milliseconds.
        spare: places of the columns that a narrow terminal goes without, the least important one first.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    spare: Sequence[int] = ()

    def texts(self) -> list[list[str]]:
        """The cells as they are shown, each one line."""
        return [[_text(cell, head) for cell, head in zip(row, self.head, strict=True)] for row in self.rows]

    def numeric(self) -> list[bool]:
        """Which columns are of numbers alone."""
        return [all(not isinstance(row[i], str) for row in self.rows) for i in range(len(self.head))]

    def lines(self) -> list[str]:
        """The whole table as plain lines."""
        texts, numeric = self.texts(), self.numeric()
        widths = [max(len(line[i]) for line in [list(self.head), *texts]) for i in range(len(self.head))]
        lines = [_line(self.head, widths, numeric), "  ".join("-" * width for width in widths)]
        return lines + [_line(row, widths, numeric) for row in texts]


@dataclass(frozen=True, init=False)
class Page:
    """Lines and tables, one below the other."""

    parts: tuple[str | Table, ...]

    def __init__(self, *parts: str | Table | Page) -> None:
        flat = [part.parts if isinstance(part, Page) else (part,) for part in parts]
        object.__setattr__(self, "parts", tuple(part for group in flat for part in group))

    def lines(self) -> list[str]:
        """All of it as plain lines."""
        lines: list[str] = []
        for part in self.parts:
            lines += [one_line(part)] if isinstance(part, str) else part.lines()
        return lines

    def __str__(self) -> str:
        return "\n".join(self.lines())


def reward_text(value: float) -> str:
    """A reward, or another number on an evaluator's scale, in 12 characters at most."""
    return f"{value:.4f}" if abs(value) < 1e5 else f"{value:.4e}"


def _text(cell: Cell, head: str) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return ms_text(1e3 * cell, 1) if "(ms)" in head and math.isfinite(cell) else f"{cell:,.1f}"
    return one_line(str(cell))


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    parts = [c.rjust(w) if n else c.ljust(w) for c, w, n in zip(cells, widths, numeric, strict=True)]
    return "  ".join(parts).rstrip()
