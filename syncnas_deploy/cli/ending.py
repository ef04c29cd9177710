"""How the program ends where something ends it: a signal, or the system's refusal of a file."""

from __future__ import annotations

import errno
import os
import signal
import sys
import threading
import time
from types import CodeType, FrameType

_CLEANING_S = 5.0
"""For so long after a signal others do not interrupt what cleans up: a terminal that closes may send two."""
_LATER_S = 0.05
_ended: list[float] = []
"""The signal that ended this program, and when; empty before."""

_OUTPUT = {
    errno.ENOSPC: "No space is left for {}; make room",
    errno.EDQUOT: "No space is left for {}; make room",
    errno.EFBIG: "There is a limit to how large this process may write {}; raise it (ulimit -f)",
    errno.EROFS: "There is a read-only disk where {} should be; choose another place, or set TMPDIR",
    errno.EIO: "The disk or terminal behind {} does not work; mend it",
}
"""What an OSError of a file that is no command's output means, temporary files for one."""

_INPUT = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTCONN, errno.ESTALE)
"""What an OSError means of a path that was named; one that is too long is the name of nothing."""


def watch_signals() -> None:
    """Have SIGTERM and SIGHUP do what Ctrl-C does: temporary files go, and what was finished is kept.

    To be called by the function that runs the program. A signal that is ignored stays so (`nohup`).
    """
    top = sys._getframe(1).f_code

    def end(number: int, frame: FrameType | None) -> None:
        if _ended and time.monotonic() - _ended[1] < _CLEANING_S:
            return
        if _importing(frame, top):
            threading.Timer(_LATER_S, os.kill, (os.getpid(), number)).start()
            return
        _ended[:] = [number, time.monotonic()]
        raise KeyboardInterrupt

    for name in ("SIGTERM", "SIGHUP") if os.name == "posix" else ():
        number = getattr(signal, name)
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end)


def _importing(frame: FrameType | None, top: CodeType) -> bool:
    """Whether a module is being imported: its `except:` would swallow the interruption."""
    while frame is not None and frame.f_code is not top:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False


def signal_ending() -> tuple[str, int] | None:
    """What to say and the exit code, if a signal has ended this program."""
    if not _ended:
        return None
    number = int(_ended[0])
    return f"Ended by {signal.Signals(number).name}; what was finished is kept.", 128 + number


def system_ending(error: BaseException) -> tuple[str, int] | None:
    """What to say and the exit code of an OSError that means the same wherever it comes from."""
    if not isinstance(error, OSError):
        return None
    if error.errno in _OUTPUT:
        return f"{_OUTPUT[error.errno].format(error.filename or 'the output')} and run the command again.", 8
    if error.errno in _INPUT and error.filename:
        remedy = "check its name, its rights and its folder's"
        code = 4 if error.errno == errno.ENAMETOOLONG else 3
        return f"{error.filename}: cannot be looked at ({error.strerror}); {remedy}.", code
    return None
