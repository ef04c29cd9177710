"""The parent of an evaluator's program: it ends, with the program, all that the program started.

Run as ``python supervisor.py SOCKET FOLDER PROGRAM ARGUMENTS``. SOCKET is the number of an open socket. On it this
process says how the program ended ("code 0"), or why it cannot be started ("error No such file or directory"). When
its other end closes, nobody waits any more: all is ended, and FOLDER, the program's temporary files, is removed.

On Linux it adopts what its descendants leave behind, in whatever session that is. On other systems it finds nothing
but the program; whoever started it ends its process group.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
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
    line, folder = socket.socket(fileno=int(sys.argv[1])), sys.argv[2]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        program = subprocess.Popen(sys.argv[3:])
    except OSError as e:
        line.sendall(f"error {e.strerror}".encode())
        return
    caller = threading.Thread(target=_wait_for_caller, args=(line, folder), daemon=True)
    caller.start()
    code = program.wait()
    _end_descendants()
    try:
        line.sendall(f"code {code}".encode())
    except OSError:
        caller.join()


def _wait_for_caller(line: socket.socket, folder: str) -> None:
    """End all when the caller no longer waits, however it went."""
    with contextlib.suppress(OSError):
        line.recv(1)
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
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        time.sleep(0.005)


def _descendants() -> list[int]:
    """Their process numbers, from /proc; none where there is no such folder."""
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
