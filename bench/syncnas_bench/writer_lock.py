"""Who writes a place: one at a time, told by a hidden file beside it."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType

from filelock import FileLock, Timeout

from syncnas_bench.errors import PlaceBusy
from syncnas_bench.files import beside

_TRIES = 100


class WriterLock:
    """Keeps everybody else from writing a place, until it is released or its process ends.

    The lock is on ``.NAME.syncnas-lock``, which has its holder's process number. A kill leaves that file, and no lock:
    the next holder takes it over. Release removes it, and those of the missing parent folders that were made for it
    and are empty.

    Args:
        place: a file or folder, or what is to become one.
        wait_s: how long to wait for another holder, seconds.

    Raises:
        PlaceBusy: another process, or another lock of this one, holds it.
        OSError: the file cannot be made.
    """

    def __init__(self, place: Path, *, wait_s: float = 0.0) -> None:
        self._place, self._path = place, beside(place.absolute(), "lock")
        self._made = [folder for folder in place.parents if not folder.exists()]
        # A lock may be released in another thread. A hook for the number keeps the library from a lock that is none.
        self._lock = FileLock(self._path, thread_local=False, on_acquired=_sign)
        try:
            self._acquire(wait_s)
        except BaseException:
            self._remove_made()
            raise

    def _acquire(self, wait_s: float) -> None:
        for left in reversed(range(_TRIES)):
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with contextlib.suppress(Timeout):
                    self._lock.acquire(timeout=wait_s)
                    return
                if not _made(self._path):
                    break
            except (FileNotFoundError, FileExistsError):
                if not left:
                    raise
            wait_s = 0.0  # nobody holds it: another lock had made a folder, and has just removed it
        raise PlaceBusy(self._place, _holder(self._path))

    def release(self) -> None:
        """Let others write; releasing twice is harmless."""
        if not self._lock.is_locked:
            return
        # While it is held: whoever opened it before finds that it has no name any more, and begins again.
        with contextlib.suppress(OSError):
            self._path.unlink()
        self._lock.release()
        self._remove_made()

    def _remove_made(self) -> None:
        for folder in self._made:
            with contextlib.suppress(OSError):
                folder.rmdir()

    def __enter__(self) -> WriterLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _sign(file: int) -> None:
    with contextlib.suppress(OSError):  # a full disk; the lock holds all the same
        os.ftruncate(file, 0)
        os.write(file, str(os.getpid()).encode())


def _made(path: Path) -> bool:
    """Whether a file was not there, and is now. Where none can be made, as in /proc, the library waits and we raise."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
        return True
    return False


def _holder(path: Path) -> str:
    """Who holds a lock, as words."""
    with contextlib.suppress(OSError, ValueError), path.open("rb") as file:
        return f"process {int(file.read(20))}"
    return "another process"
