"""Zip archives from anywhere: opened and unpacked within bounds, whatever they say of themselves."""

from __future__ import annotations

import contextlib
import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from syncnas_bench.files import regular_bytes

_MAX_DIRECTORY_BYTES = 4 << 20
_CHUNK_BYTES = 1 << 18
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_DAMAGED = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError, EOFError, ValueError)


class _InPieces(io.BufferedReader):
    """A file that is never read in one large piece. `zipfile` reads an archive's directory as one piece."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or size < 0:  # asked for at an archive's last 64 KiB
            size = _MAX_DIRECTORY_BYTES
        if size > _MAX_DIRECTORY_BYTES:
            raise ValueError(f"its directory is larger than {_MAX_DIRECTORY_BYTES >> 20} MiB")
        return super().read(size)


@contextlib.contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """An archive whose members are all stored or deflated: what they unpack to can be counted while it comes.

    Raises:
        ValueError: it is no whole zip of that kind, or it is encrypted; a part of a sentence says what is wrong.
    """
    with contextlib.ExitStack() as opened:
        try:
            regular_bytes(path)
            file = opened.enter_context(_InPieces(io.FileIO(path)))
            archive = opened.enter_context(zipfile.ZipFile(file))
        except _DAMAGED as e:
            raise ValueError(_said(e)) from e
        for member in archive.infolist():
            if member.compress_type not in _METHODS or member.flag_bits & 1:
                raise ValueError("an entry is neither stored nor deflated, or it is encrypted")
        yield archive


def unpacked(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Iterator[bytes]:
    """A member's content in pieces. It is counted, and never more than it was declared to be.

    Raises:
        ValueError: it is damaged, or its content is shorter or longer than declared.
    """
    left = member.file_size
    try:
        with archive.open(member) as packed:
            while piece := packed.read(_CHUNK_BYTES):
                left -= len(piece)
                yield piece
    except _DAMAGED as e:
        raise ValueError(_said(e)) from e
    if left:
        raise ValueError("an entry is not as long as it says")


def _said(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
