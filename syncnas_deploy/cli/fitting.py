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
MOST_WORD = 60
"""A longer word is shown without its middle."""
_LONG = re.compile(rf"\S{{{MOST_WORD + 1},}}")
_NUMBER = re.compile(r"[-+]?\.?\d|-$")
_PIECE = re.compile(r"[^-_/.:+]+[-_/.:+]*|[-_/.:+]+")
_BUDGET = re.compile(r"^\S+: (?=[A-Z])")
"""What stands before a verdict where there are several."""
STYLES = (
    ("warning", "yellow"),
    ("failure", "red"),
    ("no: ", "yellow"),
    ("It pays", "bold green"),
    ("It seems", "bold yellow"),
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
            text = _readable(one_line(part))
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


def layouts(table: Table, width: int) -> list[tuple[list[int], list[int]]]:
    """The parts that a table is shown in, below each other: which columns each has, and how wide they are.

    A column is at least as wide as its longest number and the words of its head. While that is too much, spare columns
    go; what then is too much goes into further parts, which begin with column 0 again. What is left of a part's width
    is shared: short columns get what they need, long texts fold.
    """
    columns = [[_shown(text) for text in column] for column in zip(table.head, *table.texts(), strict=True)]
    least = [_least(column) for column in columns]
    shown = list(range(len(columns)))
    for spare in table.spare:
        if _together(shown, least) <= width:
            break
        shown.remove(spare)
    first, *others = shown
    parts = [[first]]
    for i in others:
        if _together([*parts[-1], i], least) > width and len(parts[-1]) > 1:
            parts.append([first])
        parts[-1].append(i)
    return [(part, _shared(part, columns, least, width)) for part in parts]


def _together(part: Sequence[int], widths: Sequence[int]) -> int:
    return sum(widths[i] for i in part) + BETWEEN * (len(part) - 1)


def _shared(part: Sequence[int], columns: Sequence[Sequence[str]], least: Sequence[int], width: int) -> list[int]:
    """The widths of a part's columns. Column 0 is narrower than it should be where one other leaves it no more."""
    from rich.cells import cell_len

    widths = {i: min(least[i], width * 3 // 4 if i != part[0] else width) for i in part}
    room = width - sum(widths.values()) - BETWEEN * (len(part) - 1)
    if room < 0:
        widths[part[0]], room = widths[part[0]] + room, 0
    wanted = {i: max(cell_len(text) for text in columns[i]) - widths[i] for i in part}
    for place, i in enumerate(sorted(part, key=lambda i: wanted[i])):
        more = max(0, min(wanted[i], room // (len(part) - place)))
        widths[i], room = widths[i] + more, room - more
    return [widths[i] for i in part]


def _shown(text: str) -> str:
    """A cell: numbers without blanks around them, and words that are no longer than people read."""
    return text.strip() if _NUMBER.match(text.strip()) else _readable(text.rstrip())


def _readable(text: str) -> str:
    """A text with the middle of its longest words left out. What goes into a pipe has them whole."""
    half = MOST_WORD // 2 - 2
    return _LONG.sub(lambda word: f"{word[0][:half]}...{word[0][-half:]}", text)


def _broken(text: str, width: int) -> str:
    """A cell whose words that are too long for it are parted where names have a joint: after -, _, / and the like."""
    from rich.cells import cell_len

    words = []
    for word in text.split(" "):
        parts, long = [""], cell_len(word) > width and not _NUMBER.match(word)
        for piece in _PIECE.findall(word) if long else [word]:
            if parts[-1] and cell_len(parts[-1] + piece) > width:
                parts.append(piece)
            else:
                parts[-1] += piece
        words.append(" ".join(parts))
    return " ".join(words)


def _least(column: Sequence[str]) -> int:
    from rich.cells import cell_len

    words = [word for text in column for word in text.split()]
    whole = [cell_len(word) for word in words if _NUMBER.match(word)]
    broken = [min(cell_len(word), LONGEST_WORD) for word in words]
    return max([1, *whole, *broken])


def _drawn(table: Table, width: int, *, colour: bool) -> list[str]:
    parts = layouts(table, width)
    drawn = [_part(table, shown, widths, width, colour=colour) for shown, widths in parts]
    lines = [line for part in drawn for line in ("", *part)][1:]
    kept = {i for shown, _ in parts for i in shown}
    left_out = [table.head[i].strip() for i in range(len(table.head)) if i not in kept]
    if left_out:
        named = f"{len(left_out)} column{'s are' if len(left_out) > 1 else ' is'} left out"
        lines += folded(f"({named}: {', '.join(left_out)}; a wider terminal or a pipe shows all)", width)
    return lines


def _part(table: Table, shown: Sequence[int], widths: Sequence[int], width: int, *, colour: bool) -> list[str]:
    """Some columns of a table as lines."""
    from rich.console import Console
    from rich.table import Table as Drawn
    from rich.text import Text

    texts = [[_shown(text) for text in row] for row in table.texts()]
    drawn = Drawn(box=None, padding=(0, BETWEEN, 0, 0), pad_edge=False)
    for i, columns in zip(shown, widths, strict=True):
        right = all(_NUMBER.match(row[i]) and " " not in row[i] for row in texts)
        head = Text(_broken(_shown(table.head[i].strip()), columns), style="bold")
        drawn.add_column(head, width=columns, overflow="fold", justify="right" if right else "left")
    drawn.add_row(*("-" * columns for columns in widths))
    for row in texts:
        cells = ((row[i], columns) for i, columns in zip(shown, widths, strict=True))
        drawn.add_row(*(Text(_broken(text, columns), style=_style(text)) for text, columns in cells))
    console = Console(width=width)
    drawn_lines = console.render_lines(drawn, console.options.update(width=width), pad=False)
    lines = ["".join(_coloured(s.text, str(s.style or "") if colour else "") for s in line) for line in drawn_lines]
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
