"""Any text as a part of HTML or XML, whatever is in it."""

from __future__ import annotations

from html import escape

NO_BREAK = "\u00a0"
"""A space at which no line ends, between a number and its unit."""
MOST_CHARACTERS = 2000
"""Of one text; a longer one is cut, so that a page stays one that can be read."""


def escaped(text: object) -> str:
    """The text for an element or an attribute.

    What XML cannot hold, what would not show and what changes the direction of text is replaced.
    """
    shown = str(text)
    if len(shown) > MOST_CHARACTERS:
        shown = shown[: MOST_CHARACTERS - 1] + "…"
    return escape("".join(c if c.isprintable() or c == NO_BREAK else "\ufffd" for c in shown), quote=True)
