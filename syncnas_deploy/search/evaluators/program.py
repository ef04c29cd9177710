"""Running a program that nobody vouches for: how long, how much output, how much temporary space, and its end.

Between this process and the program is a supervisor, a process of its own (`supervisor`). It ends with the program all
that the program started. It does so too when this process is killed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from syncnas_bench.systems.processes import end_group, own_group

MAX_OUTPUT_BYTES = 1024 * 1024
LAST_WORDS_BYTES = 2000
"""How much of stderr is kept."""
LOOK_S = 0.25
"""How often a running program's output and temporary files are looked at."""
END_S = 15.0
"""How long a supervisor may take to end all that its program started."""
_SUPERVISOR = ("-I", *(["-S"] if sys.platform == "linux" else []), str(Path(__file__).with_name("supervisor.py")))
"""Python's arguments. Without packages it starts sooner; elsewhere than on Linux it needs psutil."""

Bound = Literal["", "time", "output", "space"]


@dataclass(frozen=True)
class ProgramEnd:
    """How a program ended.

    Attributes:
        error: why it could not be started; "" where it was.
        bound: what it had too much of, so that it was ended; "" where it ended by itself.
        code: its exit code, or the number of the signal that ended it, negative.
        output: its stdout, or the last `MAX_OUTPUT_BYTES` of it.
        last_words: the last line of its stderr, printable.
    """

    error: str = ""
    bound: Bound = ""
    code: int = 0
    output: bytes = b""
    last_words: str = ""


def run_program(words: Sequence[str], folder: Path, *, stdin: Path, seed: int, limit_s: float) -> ProgramEnd:
    """Run a program to its end, or until it has too much of something.

    Args:
        words: program and arguments.
        folder: made for this run. In it is the program's TMPDIR; its files may take half of what is free there. Where
            nobody waits for the program any more, the supervisor removes `folder`.
        stdin: a file.
        seed: the program finds it in SYNCNAS_SEED.
        limit_s: seconds that it may take.
    """
    temporary = folder / "tmp"
    temporary.mkdir()
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TMP", "TEMP"), str(temporary)), "SYNCNAS_SEED": str(seed)}
    try:
        # A group of its own: an interruption of this program must not end it half.
        process = subprocess.Popen(
            [sys.executable, *_SUPERVISOR, str(folder), str(stdin), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            **own_group(),
        )
    except OSError as e:
        return ProgramEnd(error=e.strerror or str(e))
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None
    out, err = _PipeReader(process.stdout, MAX_OUTPUT_BYTES), _PipeReader(process.stderr, LAST_WORDS_BYTES)
    ended = threading.Thread(target=process.wait, daemon=True)
    ended.start()
    try:
        bound = _wait(ended, out, temporary, limit_s)
        said = "" if bound else _said(folder)
    finally:
        process.stdin.close()  # by which the supervisor knows that nobody waits
        ended.join(END_S)
        end_group(process)
    kind, _, what = said.partition(" ")
    if kind == "error":
        return ProgramEnd(error=what)
    # Where the supervisor said nothing, the program has killed it.
    code = int(what) if kind == "code" else process.returncode
    output = out.content()
    if not code and out.total > MAX_OUTPUT_BYTES:
        bound = "output"
    return ProgramEnd("", bound, code, output, _last_words(err.content()))


def _said(folder: Path) -> str:
    """How the supervisor says that the program ended; "" if it could not say."""
    try:
        return (folder / "end").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _wait(ended: threading.Thread, out: _PipeReader, temporary: Path, limit_s: float) -> Bound:
    """Wait for the supervisor's end; the bound that was passed before."""
    deadline, most_bytes = time.monotonic() + limit_s, shutil.disk_usage(temporary).free // 2
    while True:
        ended.join(max(0.001, min(LOOK_S, deadline - time.monotonic())))
        if not ended.is_alive():
            return ""
        if time.monotonic() >= deadline:
            return "time"
        if out.total > MAX_OUTPUT_BYTES:
            return "output"
        if _used_bytes(temporary) > most_bytes:
            return "space"


class _PipeReader(threading.Thread):
    """Reads a pipe to its end and keeps no more than the last `most` bytes.

    Attributes:
        total: number of bytes read so far.
    """

    def __init__(self, pipe: IO[bytes], most: int) -> None:
        super().__init__(daemon=True)
        self._pipe, self._most, self._kept = pipe, most, bytearray()
        self.total = 0
        self.start()

    def run(self) -> None:
        with self._pipe:
            while data := os.read(self._pipe.fileno(), 65536):
                self.total += len(data)
                self._kept += data
                del self._kept[: -self._most]

    def content(self) -> bytes:
        """What is kept, once all who could write are gone."""
        self.join(END_S)
        return bytes(self._kept)


def _last_words(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return "".join(c for c in (lines[-1] if lines else "") if c.isprintable()).strip()[:300]


def _used_bytes(folder: Path) -> int:
    """What the files in a folder take on the disk; links are not followed."""
    used, folders = 0, [str(folder)]
    while folders:
        with contextlib.suppress(OSError), os.scandir(folders.pop()) as entries:
            for entry in entries:
                with contextlib.suppress(OSError):
                    found = entry.stat(follow_symlinks=False)
                    used += found.st_blocks * 512 if hasattr(found, "st_blocks") else found.st_size
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
    return used
