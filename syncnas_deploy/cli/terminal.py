"""The one way out to the terminal: whatever a document, a device or a file says, nothing in it moves a cursor.

Nothing else in `syncnas_deploy` writes to stdout or stderr; `tests/test_house.py` holds that. What goes into a pipe is
plain and whole. What goes to a terminal is fitted into it (`cli.fitting`).
"""

from __future__ import annotations

import io
import json
import os
import shlex
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

import click

from syncnas_deploy.files.one_line import one_line

if TYPE_CHECKING:
    from syncnas_deploy.report.page import Page, Table

_LEAST_WIDTH, _USUAL_WIDTH = 40, 80
_live = ""
"""What stands in the live line now."""


def open_closed_streams() -> None:
    """Have stdin, stdout and stderr lead to /dev/null where they are closed, as git does.

    The next file that is opened would get a closed one's number, and what a library prints would go into that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:  # what is opened gets the lowest free number, and that is this one
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if number == 0 else "w"))  # noqa: SIM115, PTH123 - until the end


def accept_any_text() -> None:
    """Have stdout escape what its encoding lacks, as stderr does: in a pipe that is a code page on Windows."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def say(*lines: str) -> None:
    """Data, on stdout; each argument stays one line in a pipe, line ends in it are escaped."""
    _write(lines, sys.stdout)


def say_page(page: Page | Table | str) -> None:
    """A page of several lines, on stdout."""
    from syncnas_deploy.report.page import Page

    whole = Page(*page.split("\n")) if isinstance(page, str) else Page(page)
    if not is_terminal(sys.stdout):
        say(*whole.lines())
        return
    from syncnas_deploy.cli.fitting import fitted

    clear_live()
    for line in fitted(whole, width_of(sys.stdout), colour=not os.environ.get("NO_COLOR")):
        click.echo(line)


def note(*lines: str) -> None:
    """Progress and errors, on stderr; each argument stays one line in a pipe."""
    _write(lines, sys.stderr)


def note_command(reason: str, words: Sequence[str]) -> None:
    """A command that the user may give, on stderr: what for, and its words, quoted for a shell."""
    if not is_terminal(sys.stderr):
        note(f"{reason}: {shlex.join(words)}")
        return
    from syncnas_deploy.cli.fitting import folded_command

    note(f"{reason}:", *folded_command([one_line(shlex.quote(word)) for word in words], width_of(sys.stderr)))


def show_live(text: str, bar: str = "") -> None:
    """Put a text into the one line at the end of the terminal that changes; for terminals alone.

    Args:
        bar: stands before it where both fit.
    """
    global _live
    room, before = width_of(sys.stderr) - 1, len(_live)
    shown = one_line(text)
    if len(bar + shown) <= room:
        shown = bar + shown
    elif len(shown) > room:
        shown = shown[: room - 3].rpartition(" ")[0] + "..."
    _live = shown
    click.echo(f"\r{shown.ljust(before)}", nl=False, err=True)


def clear_live() -> None:
    """Take the live line away."""
    global _live
    if _live:
        click.echo(f"\r{' ' * len(_live)}\r", nl=False, err=True)
        _live = ""


def emit(value: object) -> None:
    """A value as JSON, on stdout; all but printable ASCII is escaped."""
    clear_live()
    click.echo(json.dumps(value, indent=1, allow_nan=False).replace("\x7f", "\\u007f"))


def note_usage(error: click.ClickException) -> None:
    """What click says about wrong use, on stderr: the usage, and the error in one line."""
    text, message = io.StringIO(), error.format_message()
    error.show(text)
    note(*text.getvalue().replace(message, one_line(message)).rstrip("\n").split("\n"))


def notes_are_live() -> bool:
    """Whether notes go to a terminal, where a line can change."""
    return is_terminal(sys.stderr)


def is_terminal(stream: TextIO) -> bool:
    """Whether a stream goes to a terminal that can be written to as one; ``TERM=dumb`` is as good as a pipe."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def width_of(stream: TextIO) -> int:
    """Columns of a terminal."""
    try:
        columns = os.get_terminal_size(stream.fileno()).columns
    except OSError:
        columns = 0
    return max(columns or _USUAL_WIDTH, _LEAST_WIDTH)


def _write(lines: Sequence[str], stream: TextIO) -> None:
    clear_live()
    shown = [one_line(line) for line in lines]
    if is_terminal(stream) and any(len(line) > width_of(stream) or not line.isascii() for line in shown):
        from syncnas_deploy.cli.fitting import folded

        shown = [part for line in shown for part in folded(line, width_of(stream))]
    for line in shown:
        click.echo(line, file=stream)
