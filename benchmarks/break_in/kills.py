"""Kill commands at random moments: the old or the new is whole each time, and the next run leaves nothing behind.

    python -m benchmarks.break_in.kills [--count 100] [--seed 0] [--only search]

Every kill is a SIGKILL to the command and its children, at a random moment of the time that the whole command takes.
Then the place is read, the same command runs to its end, and what it made and what is left is compared with what an
uninterrupted one makes and leaves. Prints a table; exit code 1 if anything was lost or left.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.break_in.places import WRITERS, Place, Writer, kill

LEEWAY = 1.05


@dataclass
class Count:
    """What came of killing one command.

    Attributes:
        kills: commands that were killed before they ended.
        ended: commands that were faster than the kill.
        torn: kills after which neither the old nor the new was whole.
        other: next runs that ended with something else than an uninterrupted one.
        left: next runs that left something behind.
    """

    kills: int = 0
    ended: int = 0
    torn: int = 0
    other: int = 0
    left: int = 0

    @property
    def good(self) -> bool:
        """Whether nothing was lost or left."""
        return not (self.torn or self.other or self.left)


def _begin(writer: Writer, place: Place) -> None:
    """The place as it is before the command: with the old, and something of others', or empty."""
    for name in (*writer.names, "p.json"):
        path = place.folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if writer.first:
        place.run(*writer.first)
    if "bundle" in writer.names:
        (place.folder / "bundle" / "notes.md").write_text("mine")


def kill_often(writer: Writer, folder: Path, count: int, rng: random.Random) -> Count:
    """Kill a command `count` times."""
    place, found = Place(folder), Count()
    _begin(writer, place)
    started = time.monotonic()
    place.run(*writer.command)
    whole_s, expected, names = time.monotonic() - started, writer.done(folder), (place.names(), place.names("tmp"))
    while found.kills < count:
        _begin(writer, place)
        process = place.start(*writer.command)
        time.sleep(rng.uniform(0, LEEWAY * whole_s))
        if not kill(process):
            found.ended += 1
            continue
        found.kills += 1
        found.torn += not writer.whole(folder)
        place.run(*writer.command)
        found.other += writer.done(folder) != expected
        inside = all(place.names(name) == wanted for name, wanted in writer.names.items())
        found.left += not inside or (place.names(), place.names("tmp")) != names
    return found


def main() -> int:
    """Run the benchmark; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100, help="kills of each command")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=WRITERS)
    options = parser.parse_args()
    print("| command | kills | ended before | old or new not whole | another end | something left |")
    print("| --- | --- | --- | --- | --- | --- |")
    good = True
    for name, writer in WRITERS.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="syncnas-kills-") as folder:
                found = kill_often(writer, Path(folder), options.count, random.Random(f"{options.seed} {name}"))
            row = (name, found.kills, found.ended, found.torn, found.other, found.left)
            print(f"| {' | '.join(map(str, row))} |", flush=True)
            good &= found.good
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
