"""How values show themselves: in one line in Python, as a table or a picture in a notebook."""

from __future__ import annotations

import importlib
import math
from typing import Any

from syncnas_bench.errors import printable

MOST_CHARS = 199
"""No line is longer."""


def brief(kind: str, *words: str) -> str:
    """``<kind word, word>`` as one printable line, without the middle of a long one."""
    text = printable(f"{kind} {', '.join(word for word in words if word)}")
    half = MOST_CHARS // 2 - 4
    return f"<{text}>" if len(text) <= MOST_CHARS - 2 else f"<{text[:half]} ... {text[-half:]}>"


def ms_text(us: float, digits: int = 3) -> str:
    """Microseconds as milliseconds, with so many digits behind the point; with more for three that say something."""
    ms = us / 1e3
    return f"{ms:,.{max(digits, min(9, 2 - math.floor(math.log10(abs(ms)))))}f}" if ms else f"{ms:.{digits}f}"


def _notebook() -> Any:
    # By name: the room of tables and drawings is above all that shows itself.
    return importlib.import_module("syncnas_deploy.report.notebook")


class Tabled:
    """A value that a notebook shows as a table, see `report.notebook.html`."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(_notebook().html(self))


class Drawn:
    """A value that a notebook shows as a picture, see `report.notebook.svg`."""

    __slots__ = ()

    def _repr_svg_(self) -> str | None:
        found: str | None = _notebook().svg(self)
        return found
