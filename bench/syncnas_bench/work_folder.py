"""Folders for temporary files, which do not long outlive their process."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from syncnas_bench.errors import NotWritable, PlaceBusy
from syncnas_bench.writer_lock import WriterLock

_WAIT_S = 10.0  # another process may be looking whether this one is dead


@contextlib.contextmanager
def work_folder(what: str) -> Iterator[Path]:
    """A folder for temporary files, ``syncnas-UID/WHAT-...`` where the system keeps those. It is gone afterwards.

    Each has a lock. What killed processes left there has none, and goes first. Raises OSError.
    """
    with contextlib.ExitStack() as held:
        home = _own_folder() or Path(held.enter_context(tempfile.TemporaryDirectory(prefix="syncnas-")))
        for lock in home.glob(".*.syncnas-lock"):
            _remove_if_dead(home / lock.name[1 : -len(".syncnas-lock")])
        place = home / f"{what}-{secrets.token_hex(4)}"
        held.callback(_remove_if_empty, home)
        held.enter_context(WriterLock(place, wait_s=_WAIT_S))
        held.callback(shutil.rmtree, place, ignore_errors=True)
        place.mkdir()
        yield place


def _own_folder() -> Path | None:
    """This user's folder, which nobody else may write; None where somebody else made it."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    try:
        folder = Path(tempfile.gettempdir()) / f"syncnas-{user}"
    except FileNotFoundError as error:
        raise NotWritable("there is no folder for temporary files; set TMPDIR to one that can be written.") from error
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    own = stat.S_ISDIR(found.st_mode) and (os.name != "posix" or (found.st_uid == user and not found.st_mode & 0o022))
    return folder if own else None


def _remove_if_dead(place: Path) -> None:
    with contextlib.suppress(PlaceBusy, OSError), WriterLock(place):
        shutil.rmtree(place, ignore_errors=True)


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):
        folder.rmdir()
