"""A text as one line that can be shown on a terminal, whatever is in it."""

from __future__ import annotations


def one_line(text: str) -> str:
    """The text with all that is not printable escaped as in Python, such as ``\\x1b``.

    That is control characters and line ends, what changes the direction of text, and halves of characters.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
