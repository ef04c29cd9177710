"""What a comparison is made of: sheets of rows, for a terminal, a page or a script."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncnas_bench import Unit, UnitError
from syncnas_deploy.errors import Incomparable
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.report.page import Page, Table


@dataclass(frozen=True)
class Sheet:
    """A table with a heading, and what a reader must know of it."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


def sheets_page(sheets: Sequence[Sheet]) -> Page:
    """Sheets for a terminal."""
    parts: list[str | Table] = []
    for sheet in sheets:
        parts += ["", sheet.title, Table(sheet.head, sheet.rows), *sheet.notes]
    return Page(*parts[1:])


def sheets_json(sheets: Sequence[Sheet]) -> list[dict[str, object]]:
    """Sheets for a script: each row by the names of its columns."""
    return [
        {
            "title": sheet.title,
            "rows": [dict(zip(sheet.head, row, strict=True)) for row in sheet.rows],
            "notes": list(sheet.notes),
        }
        for sheet in sheets
    ]


def short_names(paths: Sequence[Path]) -> list[str]:
    """A name for each file, as short as tells them apart: its own, with its folders' before it, or a number."""
    for depth in (1, 2, 3):
        names = ["/".join(path.parts[-depth:]) for path in paths]
        if len(set(names)) == len(names):
            return names
    return [f"{path.name}#{i + 1}" for i, path in enumerate(paths)]


def only_one(what: str, named: Iterable[tuple[str, object]]) -> None:
    """Refuse files that differ in something.

    Args:
        what: its name in the message.
        named: each file's name, and its value.

    Raises:
        Incomparable: naming two files that differ.
    """
    (first, value), *others = named
    for name, other in others:
        if other != value:
            raise Incomparable(
                f"{name} cannot be compared with {first}: {what} is {other}, not {value}; `report` shows both."
            )


def networks_alike(named: Sequence[tuple[str, ModelConfig]]) -> None:
    """Refuse networks of other inputs, outputs or numbers of branches. Raises Incomparable."""
    only_one("the input", [(name, f"{config.input_size} px") for name, config in named])
    only_one("the number of classes", [(name, config.classes) for name, config in named])
    only_one("the number of branches", [(name, config.branch_count) for name, config in named])


def kinds_of(units: Sequence[str]) -> str:
    """What units are and compute with, without which cores they have: that differs from device to device."""
    kinds = []
    for text in units:
        try:
            unit = Unit.parse(text)
            software = " software" if unit.software else ""
            kinds.append(unit.kind if unit.kind == "sim" else f"{unit.kind} {unit.precision}{software}")
        except UnitError:
            kinds.append(text)
    return " and ".join(kinds)


def change_text(ratio: float) -> str:
    """A ratio as a change in percent."""
    return f"{100 * (ratio - 1):+.1f} %"
