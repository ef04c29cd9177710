"""A page fitted into a terminal: no number is broken, long texts fold in their cells, columns that are spare go."""

from __future__ import annotations

import re
from collections.abc import Sequence

from syncnas_deploy.files.one_line import one_line
from syncnas_deploy.report.page import Page, Table

BETWEEN = 2
"""Columns between two cells."""
LONGEST_WORD = 24
"""A longer word may be broken, unless it begins like a number."""
_NUMBER = re.compile(r"[-+]?\.?\d|-$")
_BUDGET = re.compile(r"^\S+: (?=[A-Z])")
"""What stands before a verdict where there are several."""
STYLES = (
    ("warning", "yellow"),
    ("failure", "red"),
    ("no: ", "yellow"),
    ("It pays", "bold green"),
    ("It does not pay", "bold red"),
    ("Cannot tell", "bold yellow"),
    ("This measurement is trustworthy", "green"),
    ("This measurement is doubtful", "yellow"),
    ("This measurement is worthless", "red"),
)
"""The colour of a line or a cell, by how it begins."""


def fitted(page: Page, width: int, *, colour: bool) -> list[str]:
    """The page as lines that are at most `width` columns long.

    Args:
        colour: whether statuses are coloured; without it there is not one escape sequence.
    """
    lines: list[str] = []
    for part in page.parts:
        if isinstance(part, Table):
            lines += _drawn(part, width, colour=colour)
        else:
            text = one_line(part)
            lines += [_coloured(line, _style(text) if colour else "") for line in folded(text, width)]
    return lines


def folded(line: str, width: int) -> list[str]:
    """A line as lines of at most `width` columns, broken between words; a word that is longer is broken, too."""
    from rich.cells import cell_len, chop_cells

    if cell_len(line) <= width:
        return [line]
    own = line[: len(line) - len(line.lstrip())]
    indent = " " * min(len(own) + 2, width // 4)
    lines = [own]
    for word in line.split():
        for piece in chop_cells(word, width - len(indent)) if cell_len(word) > width - len(indent) else [word]:
            longer = f"{lines[-1]} {piece}" if lines[-1].strip() else lines[-1] + piece
            if cell_len(longer) <= width:
                lines[-1] = longer
            else:
                lines.append(indent + piece)
    return [line for line in lines if line.strip()]


def folded_command(words: Sequence[str], width: int) -> list[str]:
    """A command as lines that a shell reads as one, each at most `width` columns where its words allow it.

    Args:
        words: as they stand in a shell, quoted.
    """
    first, *rest = words
    parts: list[str] = []
    for word in rest:
        if parts and parts[-1].startswith("--") and " " not in parts[-1] and not word.startswith("-"):
            parts[-1] += f" {word}"  # an option and its value
        else:
            parts.append(word)
    lines = [f"  {first}"]
    for word in parts:
        if len(lines[-1]) + len(word) + len("  \\") <= width:
            lines[-1] += f" {word}"
        else:
            lines[-1] += " \\"
            lines.append(f"    {word}")
    return lines


def layout(table: Table, width: int) -> tuple[list[int], list[int]]:
    """Which columns are shown, and how wide each is.

    A column is at least as wide as its longest number and the words of its head. While that is too much, spare columns
    go. What is left is shared: short columns get what they need, long texts fold.
    """
    from rich.cells import cell_len

    columns = [[_shown(text) for text in column] for column in zip(table.head, *table.texts(), strict=True)]
    least = [_least(column) for column in columns]
    shown = list(range(len(columns)))
    for spare in table.spare:
        if sum(least[i] for i in shown) + BETWEEN * (len(shown) - 1) <= width:
            break
        shown.remove(spare)
    widths = {i: min(least[i], width) for i in shown}
    room = width - sum(widths.values()) - BETWEEN * (len(shown) - 1)
    wanted = {i: max(cell_len(text) for text in columns[i]) - widths[i] for i in shown}
    for place, i in enumerate(sorted(shown, key=lambda i: wanted[i])):
        more = max(0, min(wanted[i], room // (len(shown) - place)))
        widths[i], room = widths[i] + more, room - more
    return shown, [widths[i] for i in shown]


def _shown(text: str) -> str:
    """A cell: numbers without blanks around them."""
    return text.strip() if _NUMBER.match(text.strip()) else text.rstrip()


def _least(column: Sequence[str]) -> int:
    from rich.cells import cell_len

    words = [word for text in column[1:] for word in text.split()]
    whole = [cell_len(word) for word in words if _NUMBER.match(word)]
    broken = [min(cell_len(word), LONGEST_WORD) for word in words]
    return max([1, *whole, *broken, *(cell_len(word) for word in column[0].split())])


def _drawn(table: Table, width: int, *, colour: bool) -> list[str]:
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    shown, widths = layout(table, width)
    texts = [[_shown(text) for text in row] for row in table.texts()]
    drawn = Drawn(box=None, padding=(0, BETWEEN, 0, 0), pad_edge=False)
    for i, columns in zip(shown, widths, strict=True):
        right = all(_NUMBER.match(row[i]) for row in texts)
        head = Text(table.head[i].strip(), style="bold")
        drawn.add_column(head, width=columns, overflow="fold", justify="right" if right else "left")
    drawn.add_row(*("-" * columns for columns in widths))
    for row in texts:
        drawn.add_row(*(Text(row[i], style=_style(row[i])) for i in shown))
    console = Console(width=width)
    drawn_lines = console.render_lines(drawn, console.options.update(width=width), pad=False)
    lines = ["".join(_coloured(s.text, str(s.style or "") if colour else "") for s in line) for line in drawn_lines]
    left_out = [table.head[i].strip() for i in range(len(table.head)) if i not in shown]
    if left_out:
        named = f"{len(left_out)} column{'s are' if len(left_out) > 1 else ' is'} left out"
        lines += folded(f"({named}: {', '.join(left_out)}; a wider terminal or a pipe shows all)", width)
    return [line.rstrip() for line in lines]


def _style(text: str) -> str:
    if text == "ok":
        return "green"
    told = _BUDGET.sub("", text)
    return next((style for opening, style in STYLES if told.startswith(opening)), "")


def _coloured(text: str, style: str) -> str:
    if style in ("", "none") or not text.strip():
        return text
    from rich.color import ColorSystem
    from rich.style import Style

    return Style.parse(style).render(text, color_system=ColorSystem.STANDARD)
