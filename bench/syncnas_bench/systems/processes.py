"""Programs that are started in a group of their own, so that they end with all that they started."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from typing import Any


def own_group() -> dict[str, Any]:
    """Arguments of `subprocess.Popen`. An interruption of this program does not reach the group."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def terminate_self() -> None:
    """Have the main thread of this process take SIGTERM, from another thread."""
    if sys.platform == "win32":
        signal.raise_signal(signal.SIGTERM)  # `os.kill` would end it at once
    else:
        os.kill(os.getpid(), signal.SIGTERM)


def split_words(text: str) -> list[str]:
    """Program and arguments of a command line; quotes hold words together, and on Windows a backslash is a backslash.

    Raises:
        ValueError: a quote has no end.
    """
    lexer = shlex.shlex(text, posix=True)
    lexer.whitespace_split, lexer.commenters = True, ""
    if sys.platform == "win32":
        lexer.escape = ""
    return list(lexer)


def end_group(process: subprocess.Popen[Any]) -> None:
    """Kill a program that has a group of its own with all that it started, and wait for its end."""
    if sys.platform == "win32":
        import psutil

        with contextlib.suppress(psutil.Error):
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    child.kill()
        process.kill()
    else:
        # macOS refuses with EPERM where one of the group is dead and not yet buried.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
