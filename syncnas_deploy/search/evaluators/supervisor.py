"""The parent of an evaluator's program: it ends, with the program, all that the program started.

Run as ``python supervisor.py FOLDER STDIN PROGRAM ARGUMENTS``. STDIN is the program's, a file. In FOLDER/end this
process says how the program ended ("code 0"), or why it cannot be started ("error No such file or directory"). When its
own stdin ends, nobody waits any more: all is ended, and FOLDER, the program's temporary files, is removed.

On Linux it adopts what its descendants leave behind, in whatever session that is. On other systems it finds those
whose parents live; whoever started it ends its process group.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections import defaultdict

_PR_SET_CHILD_SUBREAPER = 36
"""Source: prctl(2)."""
_END_S = 10.0
"""How long descendants may take to be gone after SIGKILL: one that waits for a broken disk takes for ever."""


def main() -> None:
    """Run the program to its end."""
    folder = sys.argv[1]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        with open(sys.argv[2], "rb") as stdin:  # noqa: PTH123 - pathlib is slow to import
            program = subprocess.Popen(sys.argv[3:], stdin=stdin)
    except OSError as e:
        _say(folder, f"error {e.strerror}")
        return
    gone = threading.Event()
    caller = threading.Thread(target=_wait_for_caller, args=(folder, gone), daemon=True)
    caller.start()
    code = program.wait()
    if not gone.is_set():
        _end_descendants()
        _say(folder, f"code {code}")
    if gone.is_set():
        caller.join()


def _say(folder: str, text: str) -> None:
    with contextlib.suppress(OSError), open(f"{folder}/end", "wb") as file:  # noqa: PTH123
        file.write(text.encode())


def _wait_for_caller(folder: str, gone: threading.Event) -> None:
    """End all when the caller no longer waits, however it went."""
    with contextlib.suppress(OSError):
        os.read(0, 1)
    gone.set()
    _end_descendants()
    import shutil  # seldom needed, and slow to import

    shutil.rmtree(folder, ignore_errors=True)
    os._exit(0)


def _end_descendants() -> None:
    """Kill what descends from this process, until nothing is left."""
    end = time.monotonic() + _END_S
    while (left := _descendants()) and time.monotonic() < end:
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))  # on Windows that is as deadly
        with contextlib.suppress(ChildProcessError):
            while sys.platform != "win32" and os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.005)


def _descendants() -> list[int]:
    """Their process numbers; on Linux from /proc."""
    if sys.platform != "linux":
        import psutil

        return [child.pid for child in psutil.Process().children(recursive=True)]
    children: dict[int, list[int]] = defaultdict(list)
    with contextlib.suppress(OSError):
        for name in filter(str.isdigit, (entry.name for entry in os.scandir("/proc"))):
            with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as stat:  # noqa: PTH123 - no pathlib
                parent = int(stat.read().rpartition(b")")[2].split()[1])
                children[parent].append(int(name))
    found = [os.getpid()]
    for pid in found:
        found += children[pid]
    return found[1:]


if __name__ == "__main__":
    main()
