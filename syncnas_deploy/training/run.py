"""Training a network on a folder of pictures; what the numbers are is in `recipe`, what is kept in `run_folder`.

A run that was killed and resumed has the curve of one that was not: order, crops and dropout are drawn anew from
(seed, epoch) and the learning rate is a function of the step, so a checkpoint after each epoch holds all the rest.
On one CPU and the same number of threads the losses are equal to the last bit.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from syncnas_deploy.arrays import Float32Array
from syncnas_deploy.errors import WeightsError
from syncnas_deploy.files.output import check_unmoved, lock_output
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.weights import Weights, check_weights, parameter_shapes
from syncnas_deploy.training import run_folder
from syncnas_deploy.training.batch_norms import stale_statistics
from syncnas_deploy.training.event_file import EventFile
from syncnas_deploy.training.image_folders import ImageSet, training_sets
from syncnas_deploy.training.learner import Learner, TrainingProgress
from syncnas_deploy.training.processes import Group, group_of
from syncnas_deploy.training.recipe import Recipe, facts_of_run
from syncnas_deploy.training.run_folder import EpochRow
from syncnas_deploy.versions import versions_of


@dataclass(frozen=True)
class TrainingOptions:
    """How a run begins and where it computes.

    Attributes:
        weights: to start from; seeded random ones where None.
        new_classifier: where `weights` have another number of classes, begin with a new classifier.
        device: cpu, cuda or mps.
        workers: processes that decode pictures; 0 for none but this one, None for one per core, at most four.
        resume: go on after the last finished epoch, or begin where there is none.
        force: replace an older run.
        tensorboard: folder for an event file.
    """

    weights: Weights | None = None
    new_classifier: bool = False
    device: str = "cpu"
    workers: int | None = None
    resume: bool = False
    force: bool = False
    tensorboard: Path | None = None


@dataclass(frozen=True)
class Trained:
    """A finished run.

    Attributes:
        out: its folder.
        config: the network, with the classes and the input size of the run.
        classes: their names.
        history: one row per epoch.
        unreadable: pictures that could not be decoded in this process's epochs.
    """

    out: Path
    config: ModelConfig
    classes: tuple[str, ...]
    history: tuple[EpochRow, ...]
    unreadable: tuple[str, ...]

    @property
    def best(self) -> EpochRow:
        """The epoch whose weights are in ``best.pth``."""
        return max(self.history, key=lambda row: row.top1)


def train(
    config: ModelConfig,
    folder: Path,
    out: Path,
    recipe: Recipe | None = None,
    options: TrainingOptions | None = None,
    *,
    on_progress: Callable[[TrainingProgress], None] = lambda _: None,
    on_epoch: Callable[[EpochRow], None] = lambda _: None,
    on_notice: Callable[[str], None] = lambda _: None,
) -> Trained:
    """Train a network; under torchrun each process calls this, and the first one writes and reports.

    Args:
        config: the network; its number of classes becomes that of the folder.
        folder: class folders, or ``train`` and ``val`` with class folders.
        out: the run's folder, see `run_folder`.
        recipe: all numbers; the published recipe where None.
        options: how it begins and where it computes; the defaults where None.
        on_progress: told after each step; on_epoch: after each epoch.
        on_notice: told before the first step what makes the run's validation say little.

    Raises:
        DatasetError: pictures that cannot be used, or fewer than one step needs.
        ConfigError: the network cannot have that input size.
        RecipeError: a precision that the device lacks.
        WeightsError: initial weights that do not fit.
        OutputExists: `out` holds a run, and the options have neither `resume` nor `force`; or something else.
        OutputBusy: another process trains into it.
        OutputError: it cannot be written, or was removed meanwhile.
        ResumeMismatch: the run was begun with something else.
        CheckpointError: its checkpoint cannot be used.
        TrainingDiverged: the loss is NaN or infinite; the last good checkpoint stays.
        TorchDeviceUnavailable: no such device here.
    """
    chosen, how = recipe or Recipe(), options or TrainingOptions()
    run_folder.check_place(out, resume=how.resume, force=how.force)
    training, validation = training_sets(folder, chosen.held_out, chosen.seed)
    network = chosen.resized(config, len(training.classes))
    start = None
    if how.weights is not None:
        start = starting_weights(network, how.weights, new_classifier=how.new_classifier)
    with group_of(how.device) as group, lock_output(out / "training", out) if group.leads else contextlib.nullcontext():
        facts = _facts(chosen, network, training, validation, start, group)
        resuming = how.resume and (out / run_folder.RUN).exists()
        if resuming:
            run_folder.check_same(out, facts)
        checkpoint = run_folder.load(out, facts) if resuming and (out / run_folder.LAST).exists() else None
        run = Learner(network, chosen, training, validation, group, how.workers)
        run.start(checkpoint, start, out)
        group.wait()
        if group.leads and checkpoint is None:
            run_folder.check_place(out, resume=how.resume, force=how.force)  # again: now nobody else is writing there
            schedule = dataclasses.asdict(chosen.schedule(network, group.processes))
            told = {"folder": folder.absolute().name, "device": group.device.type, "schedule": schedule}
            run_folder.begin(out, network, facts, {**told, "versions": versions_of("numpy", "torch")})
        elif group.leads:
            run_folder.write_history(out / run_folder.HISTORY, run.history)
        updates = chosen.epochs * run.steps_an_epoch * chosen.accumulate
        if group.leads and (said := stale_statistics(network.bn_momentum, updates)):
            on_notice(said)
        opened = out.stat() if group.leads else None
        events = None
        if group.leads and how.tensorboard is not None:
            events = EventFile(how.tensorboard, [(row.epoch, _scalars(row)) for row in run.history])
        for row in run.epochs(out, on_progress if group.leads else lambda _: None):
            if opened:
                check_unmoved(out, opened)
                run_folder.save(
                    out, run.checkpoint(), facts, best=row.top1 > max((r.top1 for r in run.history[:-1]), default=-1.0)
                )
                check_unmoved(out, opened)
                if events is not None:
                    events.add(row.epoch, _scalars(row))
                on_epoch(row)
            group.wait()
        return Trained(out, network, training.classes, tuple(run.history), tuple(sorted(run.unreadable)))


def starting_weights(config: ModelConfig, weights: Weights, *, new_classifier: bool) -> dict[str, Float32Array]:
    """The weights to start from; the classifier is left out where it is to be new.

    Raises:
        WeightsError: they do not fit; another number of classes fits with `new_classifier` alone.
    """
    kept = {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}
    shapes = parameter_shapes(config)
    head = ("classifier.1.weight", "classifier.1.bias")
    bias = kept.get(head[1])
    if bias is not None and bias.ndim == 1 and bias.shape != shapes[head[1]]:
        if not new_classifier:
            raise WeightsError(
                f"The weights have {bias.shape[0]} classes and the pictures {config.classes}; "
                f"give --new-classifier to begin with a new classifier."
            )
        kept |= {name: np.zeros(shapes[name], np.float32) for name in head}
        check_weights(kept, config, "The weights")
        return {name: value for name, value in kept.items() if name not in head}
    check_weights(kept, config, "The weights")
    return kept


def _facts(
    recipe: Recipe,
    network: ModelConfig,
    training: ImageSet,
    validation: ImageSet,
    start: Weights | None,
    group: Group,
) -> dict[str, Any]:
    initial = "random"
    if start is not None:
        digest = hashlib.sha256()
        for name in sorted(start):
            digest.update(name.encode() + np.ascontiguousarray(start[name]).tobytes())
        initial = digest.hexdigest()[:16]
    names = hashlib.sha256(repr((training.names, validation.names)).encode()).hexdigest()[:16]
    pictures = f"{len(training)} + {len(validation)} ({names})"
    return facts_of_run(recipe, network, pictures=pictures, weights=initial, processes=group.processes)


def _scalars(row: EpochRow) -> dict[str, float]:
    return {
        "learning rate": row.rate,
        "loss/training": row.train_loss,
        "loss/validation": row.val_loss,
        "top1": row.top1,
        "top5": row.top5,
    }
