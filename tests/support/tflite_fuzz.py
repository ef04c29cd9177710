"""The native check of .tflite files under AddressSanitizer and UBSan, on files spoiled by the thousand."""

from __future__ import annotations

import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

NATIVE = Path(__file__).parents[2] / "bench" / "native"
SOURCES = (
    Path(__file__).with_suffix(".c"),
    *(NATIVE / f"{name}.c" for name in ("tflite_file", "system_posix", "failure")),
)


@functools.cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tflite-fuzz-")


@functools.cache
def built() -> Path | None:
    """The program; None where no C compiler with both sanitizers is."""
    program = Path(_folder().name) / "tflite_fuzz"
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    flags = ["-std=c11", "-D_GNU_SOURCE", "-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    command = [compiler, *flags, f"-I{NATIVE}", *map(str, SOURCES), "-ldl", "-o", str(program)]
    return program if subprocess.run(command, capture_output=True, timeout=300).returncode == 0 else None


def check(program: Path, good: Path, scratch: Path, *, count: int, seed: int) -> tuple[int, int]:
    """How many of `count` spoiled copies of a good file were read and how many refused.

    Raises:
        AssertionError: a wrong access, or a refusal without a sentence; `scratch` is the input.
    """
    words = [str(program), str(good), str(scratch), str(count), str(seed)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, f"{scratch}: {done.stderr[:3000]}"
    read, refused = map(int, done.stdout.split())
    return read, refused
