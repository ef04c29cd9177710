"""The folder of a training run: what is in it, and how it survives a kill.

run.json       what decides the run; a resume with other settings is refused by it. And what follows from that: the
               learning rate, versions, where it computed, the name of the pictures' folder
config.json    the network, with the classes and the input size of the run
last.pth       all that is needed to go on after an epoch; a ``state_dict`` in it makes it a file of weights as well
best.pth       the state dict with the best top-1 so far (of the moving average, where there is one)
history.csv    one line per epoch

Each is replaced whole, by one process at a time. Checkpoints hold tensors and plain values alone, and are read with
`weights_only`.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from syncnas_deploy.errors import CheckpointError, OutputExists, ResumeMismatch
from syncnas_deploy.files.documents import read_json
from syncnas_deploy.files.output import (
    atomic_output,
    check_output,
    unwritable,
    write_json,
    write_text,
)
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import write_config
from syncnas_deploy.training.weight_files import not_tensors

FORMAT = "syncnas-deploy/training-checkpoint/1"
RUN_SCHEMA = "syncnas-deploy/training-run/1"
FILES = RUN, CONFIG, LAST, BEST, HISTORY = "run.json", "config.json", "last.pth", "best.pth", "history.csv"


@dataclass(frozen=True)
class EpochRow:
    """One epoch, counted from 1: the learning rate of its last step, mean losses in nats, shares, duration."""

    epoch: int
    rate: float
    train_loss: float
    val_loss: float
    top1: float
    top5: float
    seconds: float


@dataclass(frozen=True)
class Checkpoint:
    """A run after some epoch.

    Attributes:
        model: state dict.
        average: state dict of the moving average, or None.
        optimizer: its state dict.
        scaler: that of the loss scaling; empty where there is none.
        steps: of the optimizer so far.
        history: all epochs so far.
    """

    model: dict[str, Any]
    average: dict[str, Any] | None
    optimizer: dict[str, Any]
    scaler: dict[str, Any]
    steps: int
    history: tuple[EpochRow, ...]


def check_place(out: Path, *, resume: bool, force: bool) -> None:
    """Refuse a folder where a run cannot go; of what is there, only what a killed run left half-written goes.

    Raises:
        OutputExists: it holds a run and neither `resume` nor `force` is given, or files of something else.
    """
    if out.exists() and not out.is_dir():
        raise OutputExists(f"{out}: is not a folder; choose another --out.")
    for name in FILES:
        check_output(out / name, force=True)
    held = [name for name in FILES if (out / name).exists()]
    if held and not _is_run(out):
        raise OutputExists(f"{out}: holds files of something else, {held[0]} for one; choose another --out.")
    if held and not (resume or force):
        raise OutputExists(f"{out}: holds a run already; give --resume to go on or --force to begin anew.")


def _is_run(out: Path) -> bool:
    """Whether the folder's ``run.json`` is one of ours."""
    try:
        value = read_json(out / RUN, ResumeMismatch)
    except ResumeMismatch:
        return False
    return isinstance(value, dict) and value.get("schema") == RUN_SCHEMA


def check_same(out: Path, facts: Mapping[str, Any]) -> None:
    """Refuse to resume a run that was begun with something else.

    Raises:
        ResumeMismatch: naming the first setting that differs, or the file is no run's.
    """
    value = read_json(out / RUN, ResumeMismatch)
    if not isinstance(value, dict) or value.get("schema") != RUN_SCHEMA or not isinstance(value.get("facts"), dict):
        raise ResumeMismatch(f"{out / RUN}: not of a training run; give --force to begin anew.")
    for name, wanted in facts.items():
        recorded = value["facts"].get(name)
        if recorded != wanted:
            raise ResumeMismatch(
                f"{out}: was begun with {name} {recorded}, not {wanted}; "
                "use the same to resume, or --force to begin anew."
            )


def begin(out: Path, config: ModelConfig, facts: Mapping[str, Any], told: Mapping[str, Any]) -> None:
    """Write what decides this run, then clear away an older one: by its `facts` a checkpoint belongs to one of them.

    Args:
        told: what else is written down, for people.

    Raises:
        OutputExists: files appeared there that are no run's.
        OutputError: it cannot be written.
    """
    write_json(out / RUN, {"schema": RUN_SCHEMA, "facts": dict(facts), **told}, force=_is_run(out))
    try:
        for name in (LAST, BEST, HISTORY):
            (out / name).unlink(missing_ok=True)
    except OSError as e:
        raise unwritable(out, e) from None
    write_config(out / CONFIG, config)


def save(out: Path, checkpoint: Checkpoint, facts: Mapping[str, Any], *, best: bool) -> None:
    """Keep a run after an epoch.

    ``best.pth`` comes first: killed in between, the same epoch is run again and writes the same.

    Raises:
        OutputError: it cannot be written.
    """
    if best:
        _write(out / BEST, checkpoint.average or checkpoint.model)
    state = {
        "format": FORMAT,
        "run": _digest(facts),
        "state_dict": checkpoint.model,
        "average": checkpoint.average,
        "optimizer": checkpoint.optimizer,
        "scaler": checkpoint.scaler,
        "steps": checkpoint.steps,
        "history": [dataclasses.asdict(row) for row in checkpoint.history],
    }
    _write(out / LAST, state)
    write_history(out / HISTORY, checkpoint.history)


def _write(path: Path, value: object) -> None:
    with atomic_output(path) as part, part.open("wb") as file:
        try:
            torch.save(value, file)
        except RuntimeError as e:  # torch's writer tells what followed from the system's error, not that itself
            raise e.__context__ if isinstance(e.__context__, OSError) else e from None


def _digest(facts: Mapping[str, Any]) -> str:
    """By which a checkpoint knows its run."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def write_history(path: Path, rows: Sequence[EpochRow]) -> None:
    """Write one line per epoch."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["epoch", "lr", "train_loss", "val_loss", "top1", "top5", "seconds"])
    for row in rows:
        losses = (f"{x:.6f}" for x in (row.train_loss, row.val_loss, row.top1, row.top5))
        writer.writerow([row.epoch, f"{row.rate:.6g}", *losses, f"{row.seconds:.1f}"])
    write_text(path, text.getvalue())


def load(out: Path, facts: Mapping[str, Any]) -> Checkpoint:
    """The last finished epoch of the run that `facts` decide.

    Raises:
        CheckpointError: unreadable, with something other than tensors and plain values, of no run or another one, or
            with numbers that no run has.
    """
    path = out / LAST
    remedy = "give --force to begin anew"
    try:
        value: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:
        raise CheckpointError(f"{path}: {not_tensors(e)}; {remedy}.") from None
    try:
        if value["format"] != FORMAT:
            raise CheckpointError(f"{path}: its format is {str(value['format'])[:60]!r}, not {FORMAT!r}; {remedy}.")
        if value.get("run", _digest(facts)) != _digest(facts):
            raise CheckpointError(f"{path}: is of another run than {RUN}; {remedy}.")
        rows = tuple(EpochRow(**row) for row in value["history"])
        if not all(_is_possible(row, number) for number, row in enumerate(rows, start=1)):
            raise CheckpointError(f"{path}: its history has numbers that no run has; {remedy}.")
        return Checkpoint(
            dict(value["state_dict"]),
            None if value["average"] is None else dict(value["average"]),
            dict(value["optimizer"]),
            dict(value["scaler"]),
            int(value["steps"]),
            rows,
        )
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError):
        raise CheckpointError(f"{path}: holds no training run; {remedy}.") from None


def _is_possible(row: EpochRow, number: int) -> bool:
    values = dataclasses.astuple(row)
    finite = all(isinstance(value, (int, float)) and 0 <= value < math.inf for value in values)
    return finite and row.epoch == number and row.top1 <= 1 and row.top5 <= 1
