"""Two commands at once on one place: one wins, the other is told, and nothing is mixed.

    python -m benchmarks.break_in.two_at_once [--count 20] [--only store]

Both begin together, with other seeds or inputs. What is there in the end must be whole and of one of them: a run that
is resumed with the seed of the one that won goes on, a bundle's weights are that one's. Prints a table; exit code 1 if
both lost, something was mixed, something was left, or a command ended in another way.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.break_in.places import ADD, EXPORT, PROFILE, RUN_FILES, SEARCH, SEARCH_FILES, TRAIN, Place
from syncnas_bench.litert.store import LOCK_FILE, RuntimeStore
from syncnas_deploy.bundle import read_bundle
from syncnas_deploy.prediction.profile_files import read_profile

OUTPUTS = {"p.json", "bundle", "store", "run", "found", "a.svg"}


@dataclass(frozen=True)
class Pair:
    """Two commands, by 0 and 1.

    Attributes:
        command: the one or the other.
        told: exit codes of the one that is told.
        whole: whether what is there is whole and of the given one.
        names: what is in the place's folder, if it is one.
        first: makes what is there before; empty for nothing.
    """

    command: Callable[[int], tuple[object, ...]]
    told: tuple[int, ...]
    whole: Callable[[Place, int], bool]
    folder: str = ""
    names: frozenset[str] = frozenset()
    first: tuple[object, ...] = ()


def _seeded(*words: object) -> Callable[[int], tuple[object, ...]]:
    return lambda which: (*words, "--seed", which + 1)


def _resumes(command: Callable[[int], tuple[object, ...]]) -> Callable[[Place, int], bool]:
    def whole(place: Place, which: int) -> bool:
        process = place.start(*command(which), "--resume")
        process.communicate()
        return process.returncode == 0

    return whole


def _bundle_of(place: Place, which: int) -> bool:
    return read_bundle(place.folder / "bundle").weights == f"random, seed {which + 1}"


def _store_of(place: Place, which: int) -> bool:
    store = RuntimeStore(place.folder / "store")
    (entry,) = store.entries()
    wanted = (place.folder / ("libraries-old", "libraries-new")[which] / "libLiteRt.so").read_bytes()
    return not store.problems(entry) and store.files(entry)[0].read_bytes() == wanted


def _drawn(place: Place, which: int) -> bool:
    text = (place.folder / "a.svg").read_text()
    return text.rstrip().endswith("</svg>") and ("stem" in text)


_DRAW = (("draw", "small.json", "--out", "a.svg"), ("draw", "branched.json", "--out", "a.svg"))
_TRAIN, _SEARCH = _seeded(*TRAIN, "--out", "run"), _seeded(*SEARCH, "--out", "found")
_FILES = frozenset({"branch0.tflite", "branch1.tflite", "reference.npz", "manifest.json"})
PAIRS = {
    "journal": Pair(
        lambda _: (*PROFILE, "--out", "p.json"),
        (8,),
        lambda place, _: bool(read_profile(place.folder / "p.json").points),
    ),
    "search": Pair(_SEARCH, (8,), _resumes(_SEARCH), "found", frozenset(SEARCH_FILES)),
    "output": Pair(lambda which: _DRAW[which], (8,), _drawn),
    "store": Pair(
        lambda which: (*ADD, ("libraries-old", "libraries-new")[which]),
        (3,),
        _store_of,
        "store",
        frozenset({LOCK_FILE, "aarch64-android"}),
    ),
    "run folder": Pair(_TRAIN, (8,), _resumes(_TRAIN), "run", frozenset(RUN_FILES)),
    "bundle": Pair(_seeded(*EXPORT), (8,), _bundle_of, "bundle", _FILES),
    "bundle --force": Pair(
        _seeded(*EXPORT, "--force"), (8,), _bundle_of, "bundle", _FILES | {"notes.md"}, (*EXPORT, "--seed", 9)
    ),
}


def try_pair(pair: Pair, place: Place) -> str:
    """Run both at once; a column of the table."""
    for name in place.names():
        if name in OUTPUTS or name.startswith("a-"):
            path = place.folder / name
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    if pair.first:
        place.run(*pair.first)
        (place.folder / "bundle" / "notes.md").write_text("mine")
    before = place.names() - OUTPUTS
    both = [place.start(*pair.command(which)) for which in (0, 1)]
    said = [process.communicate()[0] for process in both]
    codes = [process.returncode for process in both]
    won = [which for which in (0, 1) if codes[which] == 0]
    if not set(codes) <= {0, *pair.told} or "Traceback" in "".join(said):
        return "ended otherwise"
    if not won:
        return "both lost"
    if not any(pair.whole(place, which) for which in won):
        return "mixed"
    # Where a file appeared in the last moment, the loser keeps its own under another name.
    others = {name for name in place.names() - OUTPUTS - before if not name.startswith("a-")}
    if others or (pair.folder and place.names(pair.folder) != pair.names):
        return "left"
    return COLUMNS[len(won) - 1]


COLUMNS = ("one won, one was told", "one after the other", "both lost", "mixed", "left", "ended otherwise")


def main() -> int:
    """Run the benchmark; the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20, help="pairs of each command")
    parser.add_argument("--only", choices=PAIRS)
    options = parser.parse_args()
    print(
        "| place | pairs | one won, one was told | one after the other | both lost | mixed | left | ended otherwise |"
    )
    print("| --- " * 8 + "|")
    good = True
    for name, pair in PAIRS.items():
        if options.only in (None, name):
            with tempfile.TemporaryDirectory(prefix="syncnas-pairs-") as folder:
                place = Place(Path(folder))
                found = [try_pair(pair, place) for _ in range(options.count)]
            counts = [found.count(column) for column in COLUMNS]
            print(f"| {name} | {options.count} | {' | '.join(map(str, counts))} |", flush=True)
            good &= not any(counts[2:])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
