"""Kill an assessment at random moments and go on with it: the folder at the end is that of one never killed.

    python -m benchmarks.kill_assess [--kills 10] [--adb] [--seed 0]

A first run is left alone. Then one folder is made with runs that are ended by SIGKILL, and a last one that is left
alone. Each moment is drawn from what is left to do, so that the kills reach every step. A run that ends before its
moment counts as no kill; another folder takes what is missing. Prints each kill and what was at work; exit code 1 where
a folder lacks a file, a file holds another network, or anything is left on the device. With --adb the device is the
tests' stand-in for a phone, at the other end of ADB's protocol.
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

from tests.support.adb_cases import new_phone, no_server_env

START_S = 2.0
"""What a run takes until it goes on where the last one ended."""
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
    with new_phone() as phone:
        words = ("--device", phone.address, "--unit", "cpu:1@0", "--unit", "cpu:1@1")
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


def kill(on: Target, out: Path, rng: random.Random, whole_s: float, kills: int) -> int:
    """Begin an assessment that takes `whole_s` and kill it, up to `kills` times; how often that was."""
    left_s = whole_s
    for done in range(kills):
        moment_s = START_S + rng.uniform(0.0, 2.0 * left_s / (kills - done + 1))
        ended, last, seconds = run(on, out, moment_s)
        if ended is not None:
            print(f"ended by itself after {seconds:.1f} s: {ended}", flush=True)
            return done
        print(f"killed after {seconds:.1f} s at: {last}", flush=True)
        left_s = max(0.0, left_s - (seconds - START_S))
    return kills


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--adb", action="store_true", help="on the tests' stand-in for a phone")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory(prefix="syncnas-kill-") as text, target(args.adb, Path(text)) as on:
        whole = Path(text) / "whole"
        code, last, whole_s = run(on, whole)
        print(f"left alone: exit code {code} after {whole_s:.0f} s: {last}", flush=True)
        kills, folders, same = 0, 0, True
        while kills < args.kills:
            folders += 1
            out = whole.with_name(f"killed-{folders}")
            kills += kill(on, out, rng, whole_s, args.kills - kills)
            ended, _, seconds = run(on, out)
            wanted, found = kept(whole), kept(out)
            other = {name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)}
            same &= code == ended and not other
            print(f"then exit code {ended} after {seconds:.0f} s; the same folder so far: {same}", flush=True)
            for name in sorted(other):
                print(f"  {name}: {wanted.get(name)} and {found.get(name)}", flush=True)
        left = on.left()
        print(f"{kills} kills in {folders} folders; the same folder: {same}; left: {left}")
    sys.exit(0 if same and not left else 1)


if __name__ == "__main__":
    main()
