"""The program in a pseudo-terminal of a given width."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ESCAPE = "\x1b"
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_CODE = re.compile(r"\x1e(\d+)\r?\n")
_PROGRAM = """
import json, sys
from syncnas_deploy.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv, code = ["syncnas-deploy", *words], 0
    try:
        main()
    except SystemExit as e:
        code = e.code or 0
    sys.stderr.flush()
    print(f"\\x1e{code}", flush=True)
"""


class Screen(NamedTuple):
    """What a run of the program put on a terminal: its exit code, and all that was written."""

    code: int
    raw: str

    @property
    def states(self) -> list[str]:
        """Each state of each line, without colours."""
        return [state for line in _COLOUR.sub("", self.raw).split("\n") for state in line.split("\r") if state.strip()]

    @property
    def text(self) -> str:
        """What is left on the screen in the end, without colours."""
        plain = _COLOUR.sub("", self.raw).replace("\r\n", "\n")
        return "\n".join(line.rpartition("\r")[2] for line in plain.split("\n"))


def environment(**more: str) -> dict[str, str]:
    """This process's environment, without what says how to print."""
    how = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TERM")
    return {**{name: value for name, value in os.environ.items() if name not in how}, "TERM": "xterm", **more}


def on_terminal(
    commands: Sequence[Sequence[object]], columns: int, cwd: Path, env: Mapping[str, str] | None = None
) -> list[Screen]:
    """Run commands, one after the other in one process, in a terminal that is `columns` wide."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    words = json.dumps([list(map(str, command)) for command in commands])
    pieces = []
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM, words],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=cwd,
        env=env or environment(),
    ):
        os.close(theirs)
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux says so when the other end was closed
                break
            if not piece:
                break
            pieces.append(piece)
    os.close(ours)
    parts = _CODE.split(b"".join(pieces).decode())
    return [Screen(int(code), raw) for raw, code in zip(parts[::2], parts[1::2], strict=False)]
