"""Kill an assessment at random moments and go on with it: the folder at the end is that of one never killed.

    python -m benchmarks.kill_assess [--kills 10] [--adb] [--seed 0]

A first run is left alone. Then one folder is made with `--kills` runs that are ended by SIGKILL after 5 to 50 % of the
time that the first one took, and one that is left alone. A run that ends before its moment counts as no kill. Prints
each kill and what was at work; exit code 1 where a folder lacks a file, a file holds another network, or anything is
left on the device. With --adb the device is the tests' stand-in for a phone, at the other end of ADB's protocol.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.adb_cases import no_server_env, short_folder
from tests.support.adb_daemon import AdbDaemon
from tests.support.adb_phone import make_phone

SMALL = ("--evaluator", "capacity", "--trials", "8", "--samples", "12")


@dataclass(frozen=True)
class Target:
    """A device, and what its last run may have left on it."""

    words: tuple[str, ...]
    env: dict[str, str]
    root: Path | None = None

    def left(self) -> list[str]:
        """What lies where measuring works on a phone, but for the lease's folder, which stays there."""
        found = [path.name for path in (self.root / "data/local/tmp").iterdir()] if self.root else []
        return [name for name in found if name != "syncnas.lease"]


@contextlib.contextmanager
def target(adb: bool, home: Path) -> Iterator[Target]:
    """This host, or the stand-in for a phone."""
    if not adb:
        yield Target(("--device", "host"), dict(os.environ))
        return
    with short_folder() as folder, AdbDaemon(make_phone(folder / "p")) as phone:
        words = ("--device", f"127.0.0.1:{phone.port}", "--unit", "cpu:1@0", "--unit", "cpu:1@1")
        yield Target(words, {**os.environ, **no_server_env(home)}, phone.root)


def command(on: Target, out: Path) -> list[str]:
    """One assessment."""
    return [
        sys.executable,
        "-c",
        "from syncnas_deploy.cli import main; main()",
        "assess",
        *on.words,
        *SMALL,
        "--out",
        str(out),
    ]


def run(on: Target, out: Path, limit_s: float | None = None) -> tuple[int | None, str, float]:
    """Run it, for `limit_s` seconds at most; exit code (None where it was killed), last note, and seconds."""
    began, log = time.monotonic(), out.with_name(f"{out.name}.log")
    with log.open("wb") as err, subprocess.Popen(command(on, out), env=on.env, stdout=err, stderr=err) as process:
        try:
            code: int | None = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            process.kill()
            code = None
    lines = log.read_text(errors="replace").strip().splitlines()
    return code, lines[-1] if lines else "", time.monotonic() - began


def kept(folder: Path) -> dict[str, object]:
    """The files of a finished folder; of the profile its units and points, of the bench its parts."""
    found: dict[str, object] = {p.relative_to(folder).as_posix(): True for p in folder.rglob("*") if p.is_file()}
    profile = json.loads((folder / "profile.json").read_text())
    found["profile.json"] = (profile["units"], sorted({row["unit"] for row in profile["points"]}))
    bench = json.loads((folder / "bench.json").read_text())
    found["bench.json"] = (bench["units"], len(bench["measured"]["launch_samples"]))
    return found


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--adb", action="store_true", help="on the tests' stand-in for a phone")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory(prefix="syncnas-kill-") as text, target(args.adb, Path(text)) as on:
        whole, killed = Path(text) / "whole", Path(text) / "killed"
        code, last, whole_s = run(on, whole)
        print(f"left alone: exit code {code} after {whole_s:.0f} s: {last}", flush=True)
        kills, ended = 0, None
        for _ in range(args.kills):
            ended, last, seconds = run(on, killed, rng.uniform(0.05, 0.5) * whole_s)
            kills += ended is None
            print(f"killed after {seconds:.1f} s at: {last}" if ended is None else f"ended: {ended}", flush=True)
        ended, last, seconds = run(on, killed)
        same = code == ended and kept(whole) == kept(killed)
        left = on.left()
        print(f"{kills} kills; then exit code {ended} after {seconds:.0f} s; the same folder: {same}; left: {left}")
    sys.exit(0 if same and not left else 1)


if __name__ == "__main__":
    main()
