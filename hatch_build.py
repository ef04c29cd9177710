"""Build hook: compile the native runner for every target with zig's C compiler.

`python hatch_build.py` builds in place. A target is rebuilt only when the sources or the command changed.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand, outside a build
    BuildHookInterface = object  # type: ignore[assignment, misc]

ROOT = Path(__file__).resolve().parent
SOURCES = ROOT / "bench" / "native"
OUTPUT = ROOT / "bench" / "syncnas_bench" / "_native"
PROGRAM = "syncnas-runner"

# Folder of the program -> zig's target. glibc 2.17 lets it start on old distributions too.
TARGETS = {
    "x86_64-linux": "x86_64-linux-gnu.2.17",
    "aarch64-linux": "aarch64-linux-gnu.2.17",
}
FLAGS = ("-std=c11", "-D_GNU_SOURCE", "-O2", "-s", "-Wall", "-Wextra", "-Werror", "-pthread")


def source_hash(target: str) -> str:
    """What a built program depends on: the sources, the target and the flags."""
    digest = hashlib.sha256(" ".join((target, *FLAGS)).encode())
    for path in sorted(SOURCES.glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def compile_runner(folder: str, target: str) -> Path:
    """Compile one target, unless it is up to date. Raises RuntimeError with the compiler's words."""
    program = OUTPUT / folder / PROGRAM
    stamp = program.with_suffix(".sha256")
    wanted = source_hash(target)
    if program.is_file() and stamp.is_file() and stamp.read_text() == wanted:
        return program
    program.parent.mkdir(parents=True, exist_ok=True)
    fresh = program.with_suffix(f".{os.getpid()}.new")
    sources = [str(path) for path in sorted(SOURCES.glob("*.c"))]
    zig = [sys.executable, "-m", "ziglang", "cc", "-target", target]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or tempfile.gettempdir()) / f"syncnas-zig-{os.getuid()}"
    environment = {"ZIG_GLOBAL_CACHE_DIR": str(cache), "ZIG_LOCAL_CACHE_DIR": str(cache), **os.environ}
    command = [*zig, *FLAGS, *sources, "-o", str(fresh), "-ldl", "-lm"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        fresh.unlink(missing_ok=True)
        raise RuntimeError(f"the native runner does not compile for {target}:\n{result.stderr}")
    fresh.replace(program)
    stamp.write_text(wanted)
    return program


def build_all() -> list[Path]:
    """Compile the runner for all targets and return the programs."""
    return [compile_runner(folder, target) for folder, target in TARGETS.items()]


class RunnerBuildHook(BuildHookInterface):  # type: ignore[type-arg, misc]
    """Puts the runners into the package before hatchling collects its files."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile for wheels and editable installs; a source distribution holds sources alone."""
        if self.target_name != "sdist":
            build_all()


if __name__ == "__main__":
    for built in build_all():
        print(built.relative_to(ROOT), built.stat().st_size, "bytes")
