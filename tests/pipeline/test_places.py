"""What is at --out, and what appears there, is not lost; of two commands on one place one is told."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from syncnas_bench import BenchPlan, Launch, SimDevice
from syncnas_deploy import pipeline
from syncnas_deploy.errors import JournalError, OutputBusy, OutputExists
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.pipeline import searches
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.profile_files import read_profile
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.search.loop import SearchSettings
from tests.support.latency_cases import law_profile, quick

FAST = ProfileSettings(launches=1, rounds=3, discard=0, repeats=1, networks=1)
SEARCH_FILES = ("best.json", "history.csv", "front.csv", "verdict.json", "search.json")


class Dead(SimDevice):
    """A device that measures nothing any more."""

    def run(self, plan: BenchPlan, **_: Any) -> Launch:
        raise AssertionError("measured again")


def once(action: Callable[[], None]) -> Callable[[object], None]:
    """A listener that acts the first time."""
    actions: Iterator[Callable[[], None]] = iter([action])
    return lambda _: next(actions, lambda: None)()


def profiled(
    mobilenet: ModelConfig, out: Path, action: Callable[[], None] = lambda: None, kind: type = SimDevice, **how: Any
) -> DeviceProfile:
    device = kind("duo", quick("duo"))
    return pipeline.profile(mobilenet, device, out=out, settings=FAST, on_progress=once(action), **how)


def test_a_file_that_appears_during_a_profile_is_kept_and_so_are_the_steps(
    mobilenet: ModelConfig, tmp_path: Path
) -> None:
    out = tmp_path / "p.json"
    with pytest.raises(OutputExists, match=r"p\.json: exists already"):
        profiled(mobilenet, out, lambda: out.write_text("precious") and None)
    assert out.read_text() == "precious"
    (kept,) = tmp_path.glob("p-*.json")
    assert read_profile(kept).base.name == "mobilenet_v2"
    assert {path.name for path in tmp_path.iterdir()} == {"p.json", kept.name, "p.json.journal"}
    out.unlink()
    profiled(mobilenet, out, kind=Dead, resume=True)
    assert {path.name for path in tmp_path.iterdir()} == {"p.json", kept.name}


def written(path: Path) -> tuple[int, int, int]:
    """What tells that a file was written or replaced; reading it does not."""
    found = path.stat()
    return found.st_ino, found.st_size, found.st_mtime_ns


@pytest.mark.parametrize("how", [{"resume": True}, {"force": True}])
def test_a_profile_that_runs_keeps_its_journal(mobilenet: ModelConfig, tmp_path: Path, how: dict[str, bool]) -> None:
    out = tmp_path / "p.json"

    def another() -> None:
        before = written(out.with_name("p.json.journal"))
        with pytest.raises(OutputBusy, match=rf"p\.json\.journal: process {os.getpid()} is writing it"):
            profiled(mobilenet, out, kind=Dead, **how)
        assert written(out.with_name("p.json.journal")) == before

    profiled(mobilenet, out, another)
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("left", [".p.json.syncnas-lock", ".p.json.syncnas-new", ".p.json.journal.syncnas-lock"])
def test_resuming_a_finished_profile_cleans_up(mobilenet: ModelConfig, tmp_path: Path, left: str) -> None:
    out = tmp_path / "p.json"
    profiled(mobilenet, out)
    (tmp_path / left).write_text("1")
    os.link(out, tmp_path / "p.json.journal")  # not a journal: not ours to remove
    profiled(mobilenet, out, kind=Dead, resume=True)
    assert {path.name for path in tmp_path.iterdir()} == {"p.json", "p.json.journal"}


def searched(mobilenet: ModelConfig, out: Path, action: Callable[[], None] = lambda: None, **how: Any) -> None:
    settings = SearchSettings(trials=how.pop("trials", 4))
    profile = law_profile(mobilenet)
    pipeline.search(profile, evaluator="capacity", settings=settings, out=out, on_progress=once(action), **how)


@pytest.mark.parametrize("name", SEARCH_FILES)
def test_a_file_that_appears_during_a_search_is_kept(mobilenet: ModelConfig, tmp_path: Path, name: str) -> None:
    out = tmp_path / "found"
    with pytest.raises(OutputExists, match=f"{name}: exists already"):
        searched(mobilenet, out, lambda: (out / name).write_text("precious") and None)
    assert (out / name).read_text() == "precious"
    (out / name).unlink()
    searched(mobilenet, out, resume=True)
    assert {*SEARCH_FILES, "search.journal"} <= {path.name for path in out.iterdir()}


@pytest.mark.parametrize("name", SEARCH_FILES)
@pytest.mark.parametrize("how", [{}, {"resume": True}, {"force": True}])
def test_files_of_something_else_are_not_a_searchs(
    mobilenet: ModelConfig, tmp_path: Path, name: str, how: dict[str, bool]
) -> None:
    (tmp_path / name).write_text("precious")
    with pytest.raises(OutputExists, match="holds files of something else"):
        searched(mobilenet, tmp_path, **how)
    assert (tmp_path / name).read_text() == "precious" and list(tmp_path.iterdir()) == [tmp_path / name]


@pytest.mark.parametrize("how", [{}, {"resume": True}, {"force": True}])
def test_a_search_that_runs_keeps_its_journal(mobilenet: ModelConfig, tmp_path: Path, how: dict[str, bool]) -> None:
    def another() -> None:
        before = (tmp_path / "search.journal").stat()
        with pytest.raises((OutputBusy, OutputExists), match="is writing it" if how else "holds a search already"):
            searched(mobilenet, tmp_path, trials=9, **how)
        assert (tmp_path / "search.journal").stat() == before

    searched(mobilenet, tmp_path, another)
    assert {path.name for path in tmp_path.iterdir()} == {*SEARCH_FILES, "search.journal"}


def test_force_begins_a_search_anew_and_leaves_what_others_put_there(mobilenet: ModelConfig, tmp_path: Path) -> None:
    searched(mobilenet, tmp_path)
    (tmp_path / "notes.md").write_text("mine")
    rows = (tmp_path / "search.journal").read_bytes()
    searched(mobilenet, tmp_path, trials=5, force=True)
    assert (tmp_path / "notes.md").read_text() == "mine"
    assert (tmp_path / "search.journal").read_bytes() != rows
    (tmp_path / "search.journal").write_text("my diary")
    with pytest.raises(JournalError, match="line 1"):
        searched(mobilenet, tmp_path, force=True)
    assert (tmp_path / "search.journal").read_text() == "my diary"


@pytest.mark.parametrize("trials", [1, 2, 4])
def test_a_search_that_another_finished_meanwhile_is_told_as_one(
    trials: int, mobilenet: ModelConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def goes_first(_: object) -> str:
        monkeypatch.undo()
        searched(mobilenet, tmp_path / "s", trials=2)
        return ""

    monkeypatch.setattr(searches, "caution", goes_first)
    with pytest.raises(
        OutputExists, match="s: holds a search already; give --resume to go on or --force to begin anew"
    ):
        searched(mobilenet, tmp_path / "s", trials=trials)
    assert {path.name for path in (tmp_path / "s").iterdir()} >= {*SEARCH_FILES, "search.journal"}
