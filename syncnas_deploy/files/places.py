"""Where a document is: a file, an open stream, or beside what was named."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

from syncnas_bench.files import is_file
from syncnas_deploy.errors import ArgumentError


def as_path(value: object) -> Path:
    """A path, or the name of something shipped, given as a path or as a text.

    Raises:
        ArgumentError: it is something else, is empty, or has a character that no path can have.
    """
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    with contextlib.suppress(UnicodeEncodeError):
        if isinstance(value, str) and value and "\0" not in value and os.fsencode(value):
            return Path(value)
    raise ArgumentError(f"{value!r:.80} is neither a path nor a name; give a text or a pathlib.Path.")


def as_name(value: object, example: str) -> str:
    """A name, which is a text.

    Raises:
        ArgumentError: it is something else, or is empty.
    """
    if isinstance(value, str) and value:
        return value
    raise ArgumentError(f"{value!r:.80} is no name; give a text, such as {example!r}.")


def is_stream(path: Path) -> bool:
    """Whether a path names what this process has open: /dev/stdin, or a shell's ``<(command)``."""
    return path == Path("/dev/stdin") or (path.parent.name == "fd" and path.parts[1:2] in (("dev",), ("proc",)))


def is_document(path: Path) -> bool:
    """Whether a path can be read as a document, once: a file, or an open stream. Raises PathUnreachable."""
    return is_file(path) or (is_stream(path) and path.exists())


def neighbours(path: Path) -> Iterator[str]:
    """Paths beside one that is not there, as they would have been written: what may have been meant."""
    if os.path.lexists(path):  # and is no document: a device, or a link to nowhere
        return
    with contextlib.suppress(OSError):
        for found in itertools.islice(path.parent.iterdir(), 1000):
            if not found.name.startswith("."):
                yield str(path.with_name(found.name))
