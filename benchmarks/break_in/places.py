"""Small commands on places of their own, for `kills` and `two_at_once`."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from syncnas_bench.litert.store import LOCK_FILE, RuntimeStore
from syncnas_deploy.bundle import read_bundle
from syncnas_deploy.networks.formats import write_config
from syncnas_deploy.prediction.profile_files import read_profile
from tests.support.picture_cases import draw_set, small_branched, small_config
from tests.support.runtime_cases import runtime_files, write_folder

PROGRAM = [sys.executable, "-c", "from syncnas_deploy.cli import main; main()"]
RUN_FILES = {"run.json", "config.json", "last.pth", "best.pth", "history.csv"}
SEARCH_FILES = {"search.journal", "best.json", "history.csv", "front.csv", "verdict.json"}


@dataclass
class Place:
    """A folder with inputs, an environment, and a place that commands write.

    Attributes:
        folder: all of it.
        env: the commands' variables: their temporary files are in the folder, too.
    """

    folder: Path
    env: dict[str, str] = field(init=False)

    def __post_init__(self) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        threads = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}
        store = {"SYNCNAS_RUNTIMES": str(self.folder / "store"), "TMPDIR": str(self.folder / "tmp")}
        self.env = {**os.environ, "PYTHONPATH": paths, **threads, **store}
        (self.folder / "tmp").mkdir()
        write_config(self.folder / "small.json", small_config(8))
        write_config(self.folder / "branched.json", small_branched(8))
        for text in ("old", "new"):
            write_folder(self.folder / f"libraries-{text}", runtime_files(text.encode() * 200_000))
        draw_set(self.folder / "set", 6, 6)

    def start(self, *arguments: object) -> subprocess.Popen[str]:
        """Start a command in a session of its own; both its outputs are one."""
        return subprocess.Popen(
            [*PROGRAM, *map(str, arguments)],
            cwd=self.folder,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: object) -> str:
        """Run a command; what it said. Raises RuntimeError where it fails."""
        process = self.start(*arguments)
        said = process.communicate()[0]
        if process.returncode:
            raise RuntimeError(f"{arguments} ended with {process.returncode}: {said[-500:]}")
        return said

    def names(self, of: str = "") -> set[str]:
        """What is in the folder, or in one of its folders."""
        return {path.name for path in (self.folder / of).iterdir()}


def kill(process: subprocess.Popen[str]) -> bool:
    """SIGKILL to a command and all that it started; whether it was still running."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return process.returncode == -signal.SIGKILL


@dataclass(frozen=True)
class Writer:
    """A command that is killed.

    Attributes:
        first: makes the old; none where there is no old.
        command: writes the new; the next run after a kill is the same.
        whole: whether the old or the new is whole, after a kill.
        done: what the new holds, for comparison with an uninterrupted one.
        names: what is there in the end besides the inputs, by folder.
    """

    first: tuple[object, ...]
    command: tuple[object, ...]
    whole: Callable[[Path], bool]
    done: Callable[[Path], object]
    names: dict[str, set[str]]


def _bundle_whole(folder: Path) -> bool:
    places = (folder / "bundle", folder / ".bundle.syncnas-old")
    whole = [place for place in places if (place / "manifest.json").exists() and read_bundle(place)]
    return bool(whole) and any((place / "notes.md").exists() for place in places)


def _store_whole(folder: Path) -> bool:
    store = RuntimeStore(folder / "store")
    return len(store.entries()) == 1 and not any(map(store.problems, store.entries()))


def _rows_whole(journal: Path) -> bool:
    lines = journal.read_bytes().split(b"\n")[1:-1] if journal.exists() else []
    return all("row" in json.loads(line) for line in lines)


def _columns(path: Path, *left_out: str) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [{name: text for name, text in row.items() if name not in left_out} for row in csv.DictReader(file)]


def _profile_whole(folder: Path) -> bool:
    out = folder / "p.json"
    return _rows_whole(folder / "p.json.journal") and (not out.exists() or bool(read_profile(out).points))


def _search_whole(folder: Path) -> bool:
    return _rows_whole(folder / "found" / "search.journal")


def _run_whole(folder: Path) -> bool:
    run = folder / "run"
    return not (run / "run.json").exists() or bool(json.loads((run / "run.json").read_text())["facts"])


PROFILE = ("profile", "--device", "sim:duo", "--base", "small.json", "--launches", 1, "--rounds", 2)
SEARCH = ("search", "--profile", "mobilenet_v2-sim-phone", "--evaluator", "capacity", "--trials", 25)
TRAIN = ("train", "small.json", "--path", "set", "--epochs", 6, "-b", 8, "--warmup-epochs", 0, "-j", 0)
ADD = ("runtime", "add", "--version", "2.3.0")
EXPORT = ("export", "branched.json", "--out", "bundle")

WRITERS = {
    "export --force": Writer(
        (*EXPORT, "--force", "--format", "onnx"),
        (*EXPORT, "--force", "--format", "tflite"),
        _bundle_whole,
        lambda folder: sorted(read_bundle(folder / "bundle").files),
        {"bundle": {"branch0.tflite", "branch1.tflite", "reference.npz", "manifest.json", "notes.md"}},
    ),
    "runtime add": Writer(
        (*ADD, "--force", "libraries-old"),
        (*ADD, "--force", "libraries-new"),
        _store_whole,
        lambda folder: RuntimeStore(folder / "store").entries(),
        {"store": {LOCK_FILE, "aarch64-android"}},
    ),
    "profile": Writer(
        (),
        (*PROFILE, "--out", "p.json", "--resume"),
        _profile_whole,
        lambda folder: len(read_profile(folder / "p.json").points),
        {},
    ),
    "search": Writer(
        (),
        (*SEARCH, "--out", "found", "--resume"),
        _search_whole,
        lambda folder: _columns(folder / "found" / "history.csv", "seconds"),
        {"found": SEARCH_FILES},
    ),
    "train": Writer(
        (),
        (*TRAIN, "--out", "run", "--resume"),
        _run_whole,
        lambda folder: _columns(folder / "run" / "history.csv", "seconds"),
        {"run": RUN_FILES},
    ),
}
