"""How files get onto the disk: bytes as they are, and there when a call returns."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

BINARY = getattr(os, "O_BINARY", 0)
"""For `os.open`: without it Windows changes line ends."""
NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
"""For `os.open`: a link is refused, where the system can."""


def flush(file: int) -> None:
    """Have a file's content on the disk itself when this returns.

    Args:
        file: a descriptor that may write: Windows refuses others.

    Raises:
        OSError: the disk is full or broken.
    """
    if sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):  # not every file system can
            fcntl.fcntl(file, fcntl.F_FULLFSYNC)  # fsync leaves it in the drive's own memory
            return
    os.fsync(file)


def sync_folder(folder: Path) -> None:
    """Put the names of new files on the disk too, where the system can. Raises OSError."""
    if sys.platform == "win32":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        flush(handle)
    finally:
        os.close(handle)
