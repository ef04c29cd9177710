"""How the program ends where something ends it: a signal, or the system's refusal of a file."""

from __future__ import annotations

import _weakrefset
import errno
import os
import signal
import sys
import threading
import time
import weakref
from types import CodeType, FrameType

_CLEANING_S = 5.0
"""For so long after a signal others do not interrupt what cleans up: a terminal that closes may send two."""
_LATER_S = 0.05
_SWALLOWERS = ("<frozen importlib", weakref.__file__, _weakrefset.__file__)
"""Files whose code loses an interruption: what imports modules, and callbacks of weak references."""
_ended: list[float] = []
"""The signal that ended this program, and when; empty before."""
_watched: list[int] = []
"""Signals that do so now."""
_later: list[tuple[threading.Timer, int]] = []
"""What gives a signal again that came at a wrong time, and that signal."""
INTERRUPTED = "Interrupted; what was finished is kept.", 130

_OUTPUT = {
    errno.ENOSPC: "No space is left for {}; make room",
    errno.EDQUOT: "No space is left for {}; make room",
    errno.EFBIG: "There is a limit to how large this process may write {}; raise it (ulimit -f)",
    errno.EROFS: "There is a read-only disk where {} should be; choose another place, or set TMPDIR",
    errno.EBADF: "Nothing can be written to {}, which was opened to be read; redirect it",
    errno.EIO: "The disk or terminal behind {} does not work; mend it",
}
"""What an OSError of a file that is no command's output means, temporary files for one."""

_INPUT = (errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTCONN, errno.ESTALE)
"""What an OSError means of a path that was named; one that is too long is the name of nothing."""


def watch_signals() -> None:
    """Have SIGINT (Ctrl-C), SIGTERM and SIGHUP end the program so that temporary files go and finished work is kept.

    To be called by the function that runs the program. A signal that is ignored stays so (`nohup`). Those that follow
    within `_CLEANING_S` do nothing.
    """
    top = sys._getframe(1).f_code
    _ended.clear()

    def end(number: int, frame: FrameType | None) -> None:
        if _ended and time.monotonic() - _ended[1] < _CLEANING_S:
            return
        if _is_swallowed(frame, top):
            timer = threading.Timer(_LATER_S, os.kill, (os.getpid(), number))
            timer.daemon = True
            _later[:] = [(timer, number)]
            timer.start()
            return
        _ended[:] = [number, time.monotonic()]
        raise KeyboardInterrupt

    for name in ("SIGINT", "SIGTERM", "SIGHUP") if os.name == "posix" else ():
        number = getattr(signal, name)
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, end)
            _watched.append(number)


def stop_watching() -> None:
    """From now on signals end the program at once, without a word: what is left is to say how it ended.

    Raises:
        KeyboardInterrupt: one came at a wrong time, and no right one came after that.
    """
    late = [number for timer, number in _later if timer.is_alive() and not _ended]
    for timer, _ in _later:
        timer.cancel()
    _later.clear()
    while _watched:
        signal.signal(_watched.pop(), signal.SIG_DFL)
    if late:
        _ended[:] = [late[0], time.monotonic()]
        raise KeyboardInterrupt


def _is_swallowed(frame: FrameType | None, top: CodeType) -> bool:
    """Whether an interruption could be lost here: an `except:` of a module that is imported, or a `__del__`."""
    while frame is not None and frame.f_code is not top:
        if frame.f_code.co_filename.startswith(_SWALLOWERS) or frame.f_code.co_name == "__del__":
            return True
        frame = frame.f_back
    return False


def signal_ending() -> tuple[str, int] | None:
    """What to say and the exit code, if a signal has ended this program."""
    if not _ended or _ended[0] == signal.SIGINT:
        return INTERRUPTED if _ended else None
    number = int(_ended[0])
    return f"Ended by {signal.Signals(number).name}; what was finished is kept.", 128 + number


def system_ending(error: BaseException) -> tuple[str, int] | None:
    """What to say and the exit code of an OSError that means the same wherever it comes from."""
    if not isinstance(error, OSError):
        return None
    if error.errno == errno.ENOENT and not error.filename and _here_is_gone():
        return "The current folder is gone; change to another and run the command again.", 8
    if error.errno in _OUTPUT:
        return f"{_OUTPUT[error.errno].format(error.filename or 'the output')} and run the command again.", 8
    if error.errno in _INPUT and error.filename:
        remedy = "check its name, its rights and its folder's"
        code = 4 if error.errno == errno.ENAMETOOLONG else 3
        return f"{error.filename}: cannot be looked at ({error.strerror}); {remedy}.", code
    return None


def _here_is_gone() -> bool:
    try:
        os.getcwd()  # noqa: PTH109 - asks for nothing else
    except FileNotFoundError:
        return True
    return False
