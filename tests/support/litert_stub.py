"""LiteRT libraries that tell a lie: a GPU that falls back, crashes or hangs, and outputs that are wrong."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from syncnas_bench.local.host import find_litert

LIES = ("HONEST", "FALLBACK", "CRASH", "HANG", "NANS", "ZEROS", "ONE_WRONG", "SECOND_MODEL", "SILENT_CPU", "NO_REASON",
        "FP16_NANS", "READ_HANGS", "SECOND_WRONG", "KERNEL", "RESTART", "COUNTS")  # fmt: skip
"""HONEST is a GPU that works. All of them compute on the CPU; CRASH and HANG do so while a GPU model is set up. COUNTS
is honest, and appends to libLiteRt.so.locks an r or a w for each GPU buffer that is locked to read or to write it.

The eight from SECOND_MODEL on are how LiteRT failed for others: a second live GPU model gets no buffers, a model runs
on the CPU and is called accelerated, or is refused without a reason, halves overflow to NaN, a read never returns, the
second output is rubbish, a kernel does not compile, and a hang restarts the phone.
"""

SOURCE = Path(__file__).with_name("litert_stub.c")


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="litert-stub-")


@functools.cache
def lying_litert(lie: str) -> Path:
    """A libLiteRt.so, in a folder of its own, that lies in one way and leans on this host's library."""
    assert lie in LIES, lie
    litert = find_litert()
    library = Path(_folder().name) / lie / "libLiteRt.so"
    library.parent.mkdir()
    command = [sys.executable, "-m", "ziglang", "cc", "-shared", "-fPIC", "-O1", f"-DLIE={lie}", f'-DREAL="{litert}"']
    command += [str(SOURCE), "-Wl,--no-as-needed", str(litert), f"-Wl,-rpath,{litert.parent}", "-o", str(library)]
    cache = {"ZIG_LOCAL_CACHE_DIR": str(library.parent / "cache")}
    subprocess.run(command, check=True, capture_output=True, timeout=240, env=os.environ | cache)
    return library
