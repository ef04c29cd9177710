"""A canvas for SVG: text that is measured before it is placed, and colours that follow the reader's light or dark.

Every colour is a role. The light colour stands in the element's own attributes, so that any viewer shows it; a style
sheet overrides it where the viewer prefers dark. All lengths are user units (pixels at scale 1).
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from html import unescape
from unicodedata import east_asian_width

from syncnas_deploy.report.escaping import escaped
from syncnas_deploy.shown import brief

Position = tuple[float, float]

PALETTE: dict[str, tuple[str, str]] = {
    "page": ("#ffffff", "#0e1217"),
    "ink": ("#1c2128", "#e8edf2"),
    "muted": ("#515a65", "#a9b3be"),
    "faint": ("#9aa3ad", "#66707b"),
    "hairline": ("#d9dee4", "#2b323b"),
    "box": ("#ffffff", "#161b22"),
    "tint0": ("#e9f1fb", "#13243a"),
    "edge0": ("#b4cdec", "#2f5585"),
    "strong0": ("#2a66b1", "#79b0f2"),
    "tint1": ("#fcf0e2", "#32230f"),
    "edge1": ("#e8c69d", "#7a5623"),
    "strong1": ("#a2570a", "#e9a957"),
    "warning": ("#a12b2b", "#ff9d94"),
}
"""Role: its light and its dark colour. A role that ends in 0 or 1 belongs to that unit."""

FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, 'Liberation Mono', monospace"
CHARACTER_EM, WIDE_EM = 0.62, 1.12
"""Widths of a character in ems: above every common monospace font's 0.55 to 0.61, and a full-width one's 1."""

_NARROW = frozenset("·…×")


def text_width(text: str, size: float) -> float:
    """How much room a text takes at most."""
    return size * sum(_character_em(c) for c in text)


def _character_em(character: str) -> float:
    if character.isascii() or character in _NARROW:
        return CHARACTER_EM
    return WIDE_EM if east_asian_width(character) in "WF" else 1.0


def fit(text: str, size: float, width: float) -> str:
    """The text, or as much of its beginning as fits, with an ellipsis."""
    if text_width(text, size) <= width:
        return text
    while text and text_width(text + "…", size) > width:
        text = text[:-1]
    return text + "…"


class Drawing(str):
    """An SVG text, which notebooks show as a picture."""

    def __repr__(self) -> str:
        title = re.search(r"<title>([^<]*)</title>", self)
        return brief("Drawing", unescape(title[1]) if title else "", f"{len(self):,} characters of SVG")

    def _repr_svg_(self) -> str:
        return str(self)


class Canvas:
    """Elements in the order in which they are painted.

    Args:
        part_of_page: of an HTML page that gives the roles their colours; else a file of its own.
    """

    def __init__(self, *, part_of_page: bool = False) -> None:
        self._part_of_page = part_of_page
        self._lines: list[str] = []
        self._depth = 1

    @contextlib.contextmanager
    def group(self, kind: str, title: str) -> Iterator[None]:
        """Elements that are one thing; viewers show the title when it is pointed at."""
        self._add(f'<g class="{kind}">')
        self._depth += 1
        self._add(f"<title>{escaped(title)}</title>")
        yield
        self._depth -= 1
        self._add("</g>")

    def rect(
        self, at: Position, width: float, height: float, *, fill: str, stroke: str | None = None, radius: float = 0.0
    ) -> None:
        """A box, its corner at the top left."""
        corner = f' rx="{_number(radius)}"' if radius else ""
        place = f'x="{_number(at[0])}" y="{_number(at[1])}" width="{_number(width)}" height="{_number(height)}"'
        self._add(f"<rect {place}{corner} {self._paint(fill, stroke)}/>")

    def circle(self, at: Position, radius: float, *, stroke: str) -> None:
        place = f'cx="{_number(at[0])}" cy="{_number(at[1])}" r="{_number(radius)}"'
        self._add(f"<circle {place} {self._paint('page', stroke, 1.5)}/>")

    def line(self, points: Sequence[Position], *, stroke: str, width: float = 1.5, dashed: bool = False) -> None:
        """Straight pieces with rounded corners."""
        path = "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in points)
        dash = ' stroke-dasharray="3 2.5"' if dashed else ""
        round_ = 'stroke-linejoin="round" stroke-linecap="round"'
        self._add(f'<path d="{path}" {self._paint(None, stroke, width)} {round_}{dash}/>')

    def area(self, corners: Sequence[Position], *, fill: str) -> None:
        """A filled polygon."""
        path = "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in corners) + "Z"
        self._add(f'<path d="{path}" {self._paint(fill, None)}/>')

    def arrowhead(self, tip: Position, direction: Position, *, fill: str, size: float = 7.0) -> None:
        """A triangle that points in `direction` (one of the four along the axes)."""
        (x, y), (dx, dy) = tip, direction
        back_x, back_y, side = x - dx * size, y - dy * size, 0.5 * size
        corners = ((x, y), (back_x - dy * side, back_y + dx * side), (back_x + dy * side, back_y - dx * side))
        self.area(corners, fill=fill)

    def text(
        self, at: Position, text: str, *, size: float, fill: str = "ink", anchor: str = "start", bold: bool = False
    ) -> None:
        """One line of text; `at` is on its middle height, at its start, middle or end as `anchor` says."""
        place = f'x="{_number(at[0])}" y="{_number(at[1] + 0.35 * size)}" font-size="{_number(size)}"'
        where = "" if anchor == "start" else f' text-anchor="{anchor}"'
        weight = ' font-weight="600"' if bold else ""
        self._add(f"<text {place}{where}{weight} {self._paint(fill, None)}>{escaped(text)}</text>")

    def document(self, width: float, height: float, title: str, description: str) -> str:
        """The whole file; as part of a page the element, without colours and a background of its own."""
        size = f"{_number(width)} {_number(height)}"
        names = [f"  <title>{escaped(title)}</title>", f"  <desc>{escaped(description)}</desc>"]
        if self._part_of_page:
            head = f'<svg class="drawing" viewBox="0 0 {size}" role="img">'
            return "\n".join(line.lstrip() for line in (head, *names, *self._lines, "</svg>"))
        shape = f'width="{_number(width)}" height="{_number(height)}" viewBox="0 0 {size}"'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" {shape} role="img" font-family="{escaped(FONT)}">'
        style = f"  <style>{_dark_style()}</style>"
        ground = f'  <rect width="{_number(width)}" height="{_number(height)}" {self._paint("page", None)}/>'
        return "\n".join([head, *names, style, ground, *self._lines, "</svg>"]) + "\n"

    def _add(self, element: str) -> None:
        self._lines.append("  " * self._depth + element)

    def _paint(self, fill: str | None, stroke: str | None, width: float = 1.0) -> str:
        """Attributes of fill and stroke: light as attributes, dark by class; as part of a page by class alone."""
        classes = [f"{letter}-{role}" for letter, role in (("f", fill), ("s", stroke)) if role]
        attributes = [f'class="{" ".join(classes)}"']
        if not (self._part_of_page and fill):
            attributes.append(f'fill="{PALETTE[fill][0] if fill else "none"}"')
        if stroke:
            colour = "" if self._part_of_page else f'stroke="{PALETTE[stroke][0]}" '
            attributes.append(f'{colour}stroke-width="{_number(width)}"')
        return " ".join(attributes)


def _dark_style() -> str:
    rules = [f".f-{role}{{fill:{dark}}}.s-{role}{{stroke:{dark}}}" for role, (_, dark) in PALETTE.items()]
    return "@media (prefers-color-scheme:dark){" + "".join(rules) + "}"


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
