"""A run's folder: one writer at a time, nothing of others' is taken, and no checkpoint is believed blindly."""

from __future__ import annotations

import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from syncnas_deploy.errors import CheckpointError, OutputBusy, OutputError, OutputExists
from syncnas_deploy.training.learner import TrainingProgress
from syncnas_deploy.training.recipe import Recipe
from syncnas_deploy.training.run import Trained, TrainingOptions, train
from syncnas_deploy.training.run_folder import BEST, CONFIG, HISTORY, LAST, RUN, _write
from syncnas_deploy.versions import versions_of
from tests.support.picture_cases import draw_set, small_config

RECIPE = Recipe(rate=0.05, epochs=2, batch=8, warmup_epochs=1, ema_decay=0.0)
RESUME, FORCE = TrainingOptions(workers=0, resume=True), TrainingOptions(workers=0, force=True)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_set(tmp_path_factory.mktemp("few") / "set", 6, 6)


@pytest.fixture(scope="module")
def finished(few: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a run."""
    out = tmp_path_factory.mktemp("finished") / "run"
    train(small_config(8), few, out, RECIPE, TrainingOptions(workers=0))
    return contents(out)


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.iterdir()}


def lay_out(out: Path, files: dict[str, bytes]) -> Path:
    out.mkdir()
    for name, data in files.items():
        (out / name).write_bytes(data)
    return out


def again(few: Path, out: Path, options: TrainingOptions, recipe: Recipe = RECIPE, **how: Any) -> Trained:
    return train(small_config(8), few, out, recipe, options, **how)


@pytest.mark.parametrize(
    ("how", "rate"),
    [
        ({}, 0.256),
        ({"rate": 0.1}, 0.1),
        ({"rate_batch": 256}, 0.256 * 8 / 256),
        ({"rate": 1.0, "rate_batch": 32}, 0.25),
    ],
)
def test_a_run_says_what_followed_from_its_settings(
    few: Path, tmp_path: Path, how: dict[str, float], rate: float
) -> None:
    recipe = Recipe(**{"epochs": 1, "batch": 8, "warmup_epochs": 0, **how})  # type: ignore[arg-type]
    train(small_config(8), few, tmp_path / "run", recipe, TrainingOptions(workers=0))
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    assert told["schedule"]["rate"] == pytest.approx(rate) and told["facts"]["rate"] == how.get("rate")
    assert (told["folder"], told["device"]) == (few.name, "cpu") and str(few.parent) not in json.dumps(told)
    assert told["versions"] == versions_of("numpy", "torch") and "python" in told["versions"]


def test_a_run_of_before_said_less_and_goes_on(few: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(small_config(8), few, run, RECIPE, TrainingOptions(workers=0))
    before = {name: json.loads((run / "run.json").read_text())[name] for name in ("schema", "facts")}
    (run / "run.json").write_text(json.dumps(before))
    assert len(train(small_config(8), few, run, RECIPE, TrainingOptions(workers=0, resume=True)).history) == 2


def test_a_run_leaves_its_five_files(finished: dict[str, bytes]) -> None:
    assert finished.keys() == {RUN, CONFIG, LAST, BEST, HISTORY}


Change = Callable[[dict[str, Any]], dict[str, Any]]


def in_row(**values: object) -> Change:
    return lambda state: {"history": [state["history"][0], {**state["history"][1], **values}]}


@pytest.mark.parametrize(
    "change",
    [
        *(lambda state, steps=steps: {"steps": steps} for steps in (-5, 0, 3, 10**30, float("inf"), float("nan"), "x")),
        lambda state: {"history": [state["history"][0]] * 100_000},
        lambda state: {"history": state["history"] * 2, "steps": 2 * state["steps"]},
        lambda state: {"history": state["history"][::-1]},
        lambda state: {"history": state["history"][:1]},
        lambda state: {"history": 5},
        in_row(epoch=float("inf")),
        in_row(epoch="2"),
        in_row(train_loss=float("nan")),
        in_row(val_loss=-1.0),
        in_row(top1=1.5),
        in_row(seconds=[1.0]),
        lambda state: {"run": "0" * 16},
        lambda state: {"run": None},
    ],
)
def test_a_checkpoint_with_numbers_that_no_run_has_is_refused(
    change: Change, few: Path, finished: dict[str, bytes], tmp_path: Path
) -> None:
    out = lay_out(tmp_path / "run", finished)
    state = torch.load(out / LAST, weights_only=True)
    torch.save(state | change(state), out / LAST)
    before = contents(out)
    with pytest.raises(CheckpointError, match=r"last\.pth: .*give --force to begin anew"):
        again(few, out, RESUME)
    assert contents(out) == before


def test_a_checkpoint_from_before_it_named_its_run_is_believed(
    few: Path, finished: dict[str, bytes], tmp_path: Path
) -> None:
    out = lay_out(tmp_path / "run", finished)
    state = torch.load(out / LAST, weights_only=True)
    del state["run"]
    torch.save(state, out / LAST)
    assert len(again(few, out, RESUME).history) == 2


@pytest.mark.parametrize("options", [TrainingOptions(workers=0), RESUME, FORCE])
@pytest.mark.parametrize(
    "files",
    [
        {RUN: b'{"command": "wandb"}', BEST: b"theirs", HISTORY: b"theirs"},
        {RUN: b"[]"},
        {RUN: b"\xff", LAST: b"theirs"},
        {BEST: b"theirs"},
        {CONFIG: b"{}"},
    ],
)
def test_files_of_something_else_are_never_taken(
    files: dict[str, bytes], options: TrainingOptions, few: Path, tmp_path: Path
) -> None:
    out = lay_out(tmp_path / "run", files)
    with pytest.raises(OutputExists, match="holds files of something else"):
        again(few, out, options)
    assert contents(out) == files


@pytest.mark.parametrize("second", [RESUME, FORCE, TrainingOptions(workers=0)])
def test_of_two_runs_at_once_the_second_is_told(second: TrainingOptions, few: Path, tmp_path: Path) -> None:
    refused = []

    def try_another(progress: TrainingProgress) -> None:
        if (progress.epoch, progress.step) == (2, 1):
            # Without --resume or --force it is told that a run is there.
            with pytest.raises((OutputBusy, OutputError, OutputExists)) as told:
                again(few, tmp_path / "run", second, replace(RECIPE, seed=7))
            refused.append(told.value)

    run = again(few, tmp_path / "run", TrainingOptions(workers=0), on_progress=try_another)
    assert len(run.history) == 2
    assert contents(tmp_path / "run").keys() == {RUN, CONFIG, LAST, BEST, HISTORY}
    (error,) = refused
    if second.resume or second.force:
        assert isinstance(error, OutputBusy) and f"run: process {os.getpid()} is writing it" in str(error)
    assert again(few, tmp_path / "run", RESUME).history == run.history


class Killed(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("victim", [RUN, LAST, BEST, HISTORY])
def test_a_kill_while_a_run_takes_the_place_of_another_mixes_nothing(
    victim: str, few: Path, finished: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, other = lay_out(tmp_path / "run", finished), replace(RECIPE, seed=7)
    unlink, replaced = Path.unlink, Path.replace

    def killed(path: Path, *arguments: Any, **how: Any) -> None:
        if path == out / victim:
            raise Killed
        unlink(path, *arguments, **how)

    def killed_before(path: Path, target: Path) -> Path:
        if target == out / victim:
            raise Killed
        return replaced(path, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", killed)
        patched.setattr(Path, "replace", killed_before)
        with pytest.raises(Killed):
            again(few, out, FORCE, other)
    if victim == RUN:
        assert contents(out) == finished
        assert len(again(few, out, RESUME).history) == 2
    elif victim == LAST:
        with pytest.raises(CheckpointError, match=r"is of another run than run\.json; give --force"):
            again(few, out, RESUME, other)
    run = again(few, out, FORCE, other)
    assert again(few, out, RESUME, other).history == run.history
    assert contents(out).keys() == {RUN, CONFIG, LAST, BEST, HISTORY}


def test_what_a_kill_left_is_cleaned_and_the_history_is_that_of_the_checkpoint(
    few: Path, finished: dict[str, bytes], tmp_path: Path
) -> None:
    names = (RUN, CONFIG, LAST, BEST, HISTORY)
    left = {f".{name}.syncnas-{what}": b"1" for name in (*names, "training") for what in ("lock", "new")}
    del left[".training.syncnas-new"]
    out = lay_out(tmp_path / "run", finished | left | {HISTORY: finished[HISTORY].splitlines()[0]})
    again(few, out, RESUME)
    assert contents(out) == finished


@pytest.mark.parametrize(
    "remove",
    [
        shutil.rmtree,
        lambda out: out.rename(out.with_name("moved")),
        lambda out: (shutil.rmtree(out), lay_out(out, {"notes": b"theirs"})),
    ],
)
def test_a_folder_that_was_removed_or_replaced_is_not_filled_again(
    remove: Callable[[Path], object], few: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    with pytest.raises(OutputError, match="run: was removed or replaced meanwhile"):
        again(few, out, TrainingOptions(workers=0), on_epoch=lambda _: remove(out))
    assert not out.exists() or contents(out) == {"notes": b"theirs"}


@pytest.mark.needs("process limits")
@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
@pytest.mark.parametrize("name", [BEST, LAST])
def test_a_checkpoint_that_does_not_fit_is_said_as_of_any_file(
    name: str, share: float, finished: dict[str, bytes], tmp_path: Path
) -> None:
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(share * len(finished[name])), before[1]))
    try:
        with pytest.raises(OutputError) as told:
            _write(tmp_path / name, torch.load(io.BytesIO(finished[name]), weights_only=True))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert str(told.value) == f"{tmp_path / name}: cannot be written (File too large); choose another place."
    assert list(tmp_path.iterdir()) == []
