"""Small files that ask for a lot of memory, each given to the program in a process of its own.

    python -m benchmarks.break_in.memory [--size-mb 700] [--only TEXT]

The files are made here, see `tests/support/hostile_files.py`. Each row has the exit code, the largest resident memory
of the process, its time, and how its message begins. Exit code 1 if a process took more than 512 MB, ended otherwise
than with exit code 3, or said more than a sentence.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

LIMIT_MB = 512
_DEADLINE_S = 120
_PROGRAM = "import signal; signal.alarm({}); from syncnas_deploy.cli import main; main()"


@dataclass(frozen=True)
class Outcome:
    """What a process came to: its exit code (or minus its signal), its memory, its time, and what it said."""

    code: int
    memory_mb: float
    seconds: float
    said: str

    @property
    def held(self) -> bool:
        """Whether it cost little and ended in a sentence."""
        return self.code == 3 and self.memory_mb <= LIMIT_MB and self.said.count("\n") == 1


def _made(*words: str) -> list[str]:
    """What `tests.support.hostile_files` says. It is not imported: a new process counts its parent's memory, too."""
    done = subprocess.run([sys.executable, "-m", "tests.support.hostile_files", *words], stdout=-1, check=True)
    return list(json.loads(done.stdout))


def outcome(case: str, size: int) -> Outcome:
    """Make a case's files, run its command, and remove them."""
    with tempfile.TemporaryDirectory(prefix="syncnas-break-in-") as name:
        folder = Path(name)
        command = _made(case, name, str(size))
        variables = os.environ | {"SYNCNAS_RUNTIMES": str(folder / "store")}
        said = folder / "said.txt"
        to_said = (os.POSIX_SPAWN_OPEN, 2, str(said), os.O_WRONLY | os.O_CREAT, 0o600)
        words = [sys.executable, "-c", _PROGRAM.format(_DEADLINE_S), *command]
        started = time.monotonic()
        process = os.posix_spawn(sys.executable, words, variables, file_actions=[to_said])
        _, status, used = os.wait4(process, 0)
        seconds = time.monotonic() - started
        text = said.read_text().replace(f"{folder}/", "")
    in_kb = used.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
    return Outcome(os.waitstatus_to_exitcode(status), in_kb / 1024, seconds, text)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size-mb", type=int, default=700, help="what each file tries to make of itself")
    parser.add_argument("--only", default="", help="the cases whose name matches this pattern alone")
    args = parser.parse_args()
    failed, most = [], 0.0
    chosen = [name for name in _made() if re.search(args.only, name)]
    print(f"{'case':40} {'code':>4} {'MB':>6} {'s':>5}  message")
    for name in chosen:
        found = outcome(name, args.size_mb << 20)
        print(f"{name:40} {found.code:4} {found.memory_mb:6.0f} {found.seconds:5.1f}  {found.said[:100].strip()!r}")
        sys.stdout.flush()
        failed += [] if found.held else [name]
        most = max(most, found.memory_mb)
    print(
        f"{len(chosen)} cases, at most {most:.0f} MB; {len(failed)} failed{': ' if failed else ''}{', '.join(failed)}"
    )
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
