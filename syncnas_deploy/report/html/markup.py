"""HTML by construction: a text becomes markup by `escaped` alone, wherever it stands."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable

from syncnas_deploy.report.escaping import NO_BREAK, escaped

_VOID = frozenset({"input", "link", "meta"})


class Markup(str):
    """Text that is HTML already. Only `tag`, `joined` and drawings make it."""

    __slots__ = ()


Content = Markup | str | int | None
"""What an element may hold; all but markup is escaped."""


def tag(name: str, /, *content: Content | Iterable[Content], **attributes: object) -> Markup:
    """An element.

    Args:
        name: of the element.
        content: its children; lists of children are taken apart, None is nothing.
        attributes: an underscore is a dash, `class_` and `for_` lose theirs; True is an attribute without a value, None
            and False are none.
    """
    told = "".join(_attribute(key, value) for key, value in attributes.items())
    opened = f"<{name}{told}>"
    return Markup(opened if name in _VOID else f"{opened}{joined(*content)}</{name}>")


def joined(*content: Content | Iterable[Content]) -> Markup:
    """Several pieces one after the other."""
    return Markup("".join(_pieces(content)))


def _pieces(content: Iterable[Content | Iterable[Content]]) -> Iterable[str]:
    for piece in content:
        if isinstance(piece, Markup):
            yield piece
        elif isinstance(piece, (str, int)):
            yield escaped(piece)
        elif piece is not None:
            yield from _pieces(piece)


def _attribute(key: str, value: object) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escaped(value)}"'


def badges(labels: Iterable[str]) -> Markup:
    """What numbers are, such as MEASURED, as marks in a line."""
    return joined(tag("b", label, class_="badge " + label.split()[0].lower()) for label in labels)


def data_script(value: object, identity: str) -> Markup:
    """A value as JSON in the page, for its script. Whatever its texts are, they end no element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(f'<script type="application/json" id="{escaped(identity)}">{text}</script>')


def percent(share: float) -> str:
    """A length in a style attribute: so many hundredths of what it is in, from 0 to 1."""
    return f"{100 * min(max(share, 0.0), 1.0):.4f}".rstrip("0").rstrip(".") + "%"


def number(value: float, digits: int = 4) -> str:
    """A number for people, in so many digits."""
    if not math.isfinite(value):
        return "-"
    text = f"{value:.{digits}g}"
    return text if "e" in text or abs(value) < 1e4 else f"{value:,.0f}"


def ms(us: float) -> str:
    """Microseconds as milliseconds in three digits or more."""
    value = us / 1e3
    digits = 0 if abs(value) >= 1000 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}{NO_BREAK}ms" if abs(value) < 1e9 else f"{value:.3g}{NO_BREAK}ms"


def micro(us: float) -> str:
    """Microseconds for a table."""
    if abs(us) >= 1e9:
        return f"{us:.3g}"
    return f"{us:,.0f}" if abs(us) >= 100 else f"{us:,.1f}"


def data_table(
    head: Iterable[Content], rows: Iterable[Iterable[Content]], *, caption: str, wide: Iterable[int] = ()
) -> Markup:
    """A table in a box that scrolls where it must.

    Args:
        head: names of the columns; the first names the rows.
        rows: cells, as many as `head`.
        caption: what it says, for those who cannot see it.
        wide: columns that a narrow screen leaves out.
    """
    left_out = set(wide)

    def cell(i: int, content: Content, element: str, **attributes: object) -> Markup:
        return tag(element, content, class_="w" if i in left_out else None, **attributes)

    header = tag("tr", [cell(i, name, "th", scope="col") for i, name in enumerate(head)])
    body = [
        tag("tr", [cell(i, c, "th", scope="row") if i == 0 else cell(i, c, "td") for i, c in enumerate(row)])
        for row in rows
    ]
    table = tag("table", tag("caption", caption, class_="vh"), tag("thead", header), tag("tbody", body))
    return tag("div", table, class_="scroll", tabindex=0, role="region", aria_label=caption)
