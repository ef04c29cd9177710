"""The one way out to the terminal: whatever a document, a device or a file says, nothing in it moves a cursor.

Nothing else in `syncnas_deploy` writes to stdout or stderr; `tests/test_house.py` holds that.
"""

from __future__ import annotations

import io
import json

import click

from syncnas_deploy.files.one_line import one_line


def say(*lines: str) -> None:
    """Data, on stdout; each argument stays one line, line ends in it are escaped."""
    for line in lines:
        click.echo(one_line(line))


def say_page(page: str) -> None:
    """A text of several lines, on stdout. What made it has put each value into one line (`report.tables.page`)."""
    say(*page.split("\n"))


def note(*lines: str) -> None:
    """Progress and errors, on stderr; each argument stays one line."""
    for line in lines:
        click.echo(one_line(line), err=True)


def emit(value: object) -> None:
    """A value as JSON, on stdout; all but printable ASCII is escaped."""
    click.echo(json.dumps(value, indent=1, allow_nan=False).replace("\x7f", "\\u007f"))


def note_usage(error: click.ClickException) -> None:
    """What click says about wrong use, on stderr: the usage, and the error in one line."""
    text, message = io.StringIO(), error.format_message()
    error.show(text)
    note(*text.getvalue().replace(message, one_line(message)).rstrip("\n").split("\n"))
