"""Tables and pages for the terminal: each line stays one line, whatever a document or a device says in it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from syncnas_deploy.files.one_line import one_line

Cell = str | float | int | None


def page(lines: Iterable[str]) -> str:
    """Lines as one text."""
    return "\n".join(map(one_line, lines))


def table(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """Aligned columns: text to the left, numbers to the right."""
    return "\n".join(table_lines(head, rows))


def table_lines(head: Sequence[str], rows: Sequence[Sequence[Cell]]) -> list[str]:
    """The lines of a table, for a page that has more."""
    texts = [[_text(cell) for cell in row] for row in rows]
    numeric = [all(not isinstance(row[i], str) for row in rows) for i in range(len(head))]
    widths = [max(len(line[i]) for line in [list(head), *texts]) for i in range(len(head))]
    lines = [_line(list(head), widths, numeric), "  ".join("-" * width for width in widths)]
    return lines + [_line(row, widths, numeric) for row in texts]


def reward_text(value: float) -> str:
    """A reward, or another number on an evaluator's scale, in 12 characters at most."""
    return f"{value:.4f}" if abs(value) < 1e5 else f"{value:.4e}"


def _text(cell: Cell) -> str:
    if cell is None:
        return "-"
    return f"{cell:,.1f}" if isinstance(cell, float) else one_line(str(cell))


def _line(cells: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    parts = [c.rjust(w) if n else c.ljust(w) for c, w, n in zip(cells, widths, numeric, strict=True)]
    return "  ".join(parts).rstrip()
