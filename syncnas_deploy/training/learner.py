"""One process's part of a training run: network, optimizer, batches, epochs."""

from __future__ import annotations

import contextlib
import copy
import inspect
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel

from syncnas_deploy.arrays import Float32Array
from syncnas_deploy.errors import CheckpointError, DatasetError, RecipeError, TrainingDiverged
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.weights import Weights
from syncnas_deploy.progress import Progress
from syncnas_deploy.training import run_folder
from syncnas_deploy.training.batches import (
    Batch,
    TrainingOrder,
    TrainingPictures,
    default_workers,
    evaluation_loader,
    network_input,
    nothing_readable,
    training_loader,
)
from syncnas_deploy.training.evaluation import Tally, score
from syncnas_deploy.training.image_folders import ImageSet
from syncnas_deploy.training.images import printable_path
from syncnas_deploy.training.module import SyncNet, state_arrays
from syncnas_deploy.training.processes import Group
from syncnas_deploy.training.recipe import Recipe
from syncnas_deploy.training.run_folder import Checkpoint, EpochRow

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
_AUTOCAST_DEVICES = {"bf16": ("cpu", "cuda"), "fp16": ("cuda",)}
# Running statistics are averaged after each epoch instead of being sent before each step; torch renamed the switch.
_RENAMED = "forward_sync_buffers" in inspect.signature(DistributedDataParallel).parameters
_LOCAL_STATISTICS: dict[str, Any] = {"forward_sync_buffers" if _RENAMED else "broadcast_buffers": False}


@dataclass(frozen=True, kw_only=True)
class TrainingProgress(Progress):
    """How far a run is, in steps of the optimizer.

    Attributes:
        epoch, epochs: the current one, from 1, and how many there will be.
        step, steps: of the optimizer in this epoch.
        loss: mean of this epoch so far, nats.
        rate: learning rate of the last step.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    rate: float


def initialize(model: nn.Module, seed: int) -> None:
    """Seeded initial weights: convolutions normal with variance 2 / fan_out, the classifier's with deviation 0.01.

    Source: He et al., "Delving Deep into Rectifiers", ICCV 2015, eq. 14.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", generator=generator)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, 0.0, 0.01, generator=generator)
        if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
            nn.init.zeros_(module.bias)


class Learner:
    """One process's part of a run: network, optimizer, batches, and what happened so far.

    `before_validation` is given the network that is validated, before each validation.
    """

    def __init__(
        self,
        config: ModelConfig,
        recipe: Recipe,
        training: ImageSet,
        validation: ImageSet,
        group: Group,
        workers: int | None,
        before_validation: Callable[[nn.Module], None] = lambda _: None,
    ) -> None:
        self._before_validation = before_validation
        self._recipe, self._training, self._group = recipe, training, group
        self._check(recipe, training, group)
        pin, count = group.device.type == "cuda", default_workers() if workers is None else workers
        self._model = SyncNet(config, recipe.dropout)
        initialize(self._model, recipe.seed)
        self._model.to(group.device)
        self._average = copy.deepcopy(self._model).eval() if recipe.ema_decay else None
        self._optimizer = torch.optim.SGD(
            self._model.parameters(), lr=1.0, momentum=recipe.momentum, weight_decay=recipe.weight_decay
        )
        self._scaler = torch.amp.GradScaler(group.device.type, enabled=recipe.precision == "fp16")
        self._schedule = recipe.schedule(config, group.processes)
        rank, processes = group.rank, group.processes
        self._order = TrainingOrder(len(training), recipe.batch, recipe.accumulate, recipe.seed, rank, processes)
        pictures = TrainingPictures(training, config.input_size, recipe.seed, recipe.smallest_crop)
        self._batches = training_loader(pictures, self._order, count, pin=pin)
        own = validation.subset(np.arange(rank, len(validation), processes))
        self._validation = evaluation_loader(own, config.input_size, recipe.batch, min(count, 2), pin=pin)
        self.steps_an_epoch = len(self._order) // recipe.accumulate
        self._steps = 0
        self.history: list[EpochRow] = []
        self.unreadable: set[str] = set()
        self._validation_folder = own

    @staticmethod
    def _check(recipe: Recipe, training: ImageSet, group: Group) -> None:
        kind = group.device.type
        if kind not in _AUTOCAST_DEVICES.get(recipe.precision, (kind,)):
            raise RecipeError(f"precision {recipe.precision} is not for device {kind}; choose fp32 or another device.")
        needed = recipe.batch * recipe.accumulate * group.processes
        if len(training) < needed:
            raise DatasetError(
                f"{training.folder}: {len(training)} pictures to train on are fewer than the {needed} of one step; "
                f"choose a smaller --batch."
            )

    def start(self, checkpoint: Checkpoint | None, weights: Weights | None, out: Path) -> None:
        """Go on from a checkpoint, or begin with weights where given.

        Raises:
            CheckpointError: it is of another network, or says what this run cannot have done.
        """
        if checkpoint is None:
            if weights is not None:
                state = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
                self._model.load_state_dict(state, strict=False)
        else:
            try:
                self._model.load_state_dict(checkpoint.model)
                self._optimizer.load_state_dict(checkpoint.optimizer)
                self._scaler.load_state_dict(checkpoint.scaler)
                if self._average is not None:
                    self._average.load_state_dict(checkpoint.average or {})
            except (RuntimeError, ValueError, KeyError, TypeError, AttributeError):
                raise CheckpointError(
                    f"{out / run_folder.LAST}: its tensors do not fit this run's network; give --force to begin anew."
                ) from None
            epochs = len(checkpoint.history)
            if checkpoint.steps != epochs * self.steps_an_epoch or epochs > self._recipe.epochs:
                raise CheckpointError(
                    f"{out / run_folder.LAST}: says {checkpoint.steps} steps in {epochs} epochs, which this run of "
                    f"{self._recipe.epochs} epochs cannot have; give --force to begin anew."
                )
            self._steps, self.history = checkpoint.steps, list(checkpoint.history)
        if self._average is not None and checkpoint is None:
            self._average.load_state_dict(self._model.state_dict())
        self._parallel: nn.Module = self._model
        if self._group.processes > 1:
            places = [self._group.device] if self._group.device.type == "cuda" else None
            self._parallel = DistributedDataParallel(self._model, device_ids=places, **_LOCAL_STATISTICS)

    def weights(self) -> dict[str, Float32Array]:
        """What is validated: the weights, or their average where there is one."""
        return state_arrays(self._average or self._model)

    def checkpoint(self) -> Checkpoint:
        """All that is needed to go on from here."""
        average = None if self._average is None else dict(self._average.state_dict())
        return Checkpoint(
            dict(self._model.state_dict()),
            average,
            self._optimizer.state_dict(),
            self._scaler.state_dict(),
            self._steps,
            tuple(self.history),
        )

    def epochs(self, out: Path, on_progress: Callable[[TrainingProgress], None]) -> Iterator[EpochRow]:
        """Train and validate the epochs that are left; each is in the history when it is given out.

        Raises:
            TrainingDiverged: the loss is not finite.
        """
        began, epochs_before = time.perf_counter(), len(self.history)
        last = out / run_folder.LAST
        for epoch in range(epochs_before, self._recipe.epochs):
            started = time.perf_counter()

            def report(step: int, loss: float, rate: float, epoch: int = epoch) -> None:
                elapsed = time.perf_counter() - began
                done = epoch + step / self.steps_an_epoch
                epochs, steps = self._recipe.epochs, self.steps_an_epoch
                best = max((row.top1 for row in self.history), default=None)
                on_progress(
                    TrainingProgress(
                        done=epoch * steps + step,
                        total=epochs * steps,
                        doing=f"epoch {epoch + 1} of {epochs}, step {step} of {steps}",
                        elapsed_s=elapsed,
                        eta_s=elapsed / (done - epochs_before) * (epochs - done),
                        so_far=f"loss {loss:.4f}" + (f", best top-1 {100 * best:.1f} %" if best is not None else ""),
                        epoch=epoch + 1,
                        epochs=epochs,
                        step=step,
                        steps=steps,
                        loss=loss,
                        rate=rate,
                    )
                )

            kept = f"{last} holds epoch {epoch} and can be its --weights" if epoch else "no epoch was finished"
            train_loss = self._train(epoch, report, kept)
            result = self._validate()
            self.unreadable = self._group.union(self.unreadable)
            val_loss = result.loss / result.images
            if not math.isfinite(val_loss):
                raise TrainingDiverged(_diverged(f"After epoch {epoch + 1} the validation loss", val_loss, kept))
            rate = self._schedule.at((self._steps - 1) / self.steps_an_epoch)
            top1, top5 = result.top1 / result.images, result.top5 / result.images
            seconds = time.perf_counter() - started
            self.history.append(EpochRow(epoch + 1, rate, train_loss, val_loss, top1, top5, seconds))
            yield self.history[-1]

    def _train(self, epoch: int, report: Callable[[int, float, float], None], kept: str) -> float:
        """One epoch; its mean loss over all processes, nats."""
        recipe, group = self._recipe, self._group
        self._order.epoch = epoch
        self._model.train()
        loss_sum, images = 0.0, 0.0
        devices = [group.device] if group.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            batches = iter(self._batches)  # draws a number itself, so before the seed
            drawn = np.random.SeedSequence([recipe.seed, epoch, group.rank]).generate_state(2, np.uint32)
            torch.manual_seed(int(drawn[0]) << 32 | int(drawn[1]))
            for step in range(self.steps_an_epoch):
                rate = self._schedule.at(self._steps / self.steps_an_epoch)
                loss, count = group.sums(*self._step(list(islice(batches, recipe.accumulate)), rate))
                if not math.isfinite(loss):
                    raise TrainingDiverged(_diverged(f"In epoch {epoch + 1}, step {step + 1}, the loss", loss, kept))
                loss_sum, images = loss_sum + loss, images + count
                report(step + 1, loss_sum / images, rate)
            # Past the last batch, so that a loader with workers is ready for the next epoch.
            next(batches, None)
        group.average_buffers(self._model.buffers())
        if self._average is not None:
            group.average_buffers(self._average.buffers())
        return loss_sum / images

    def _step(self, batches: list[Batch], rate: float) -> tuple[float, int]:
        """One step of the optimizer; sum of the losses and number of pictures."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.zero_grad(set_to_none=True)
        loss_sum, images = torch.zeros((), device=self._group.device), 0
        for i, batch in enumerate(batches):
            self._note(batch)
            with self._unsynced() if i + 1 < len(batches) else contextlib.nullcontext():
                loss = self._loss(batch)
                torch.autograd.backward(self._scaler.scale(loss / len(batches)))
            loss_sum += loss.detach() * len(batch.labels)
            images += len(batch.labels)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        self._steps += 1
        self._follow()
        return float(loss_sum), images

    def _note(self, batch: Batch) -> None:
        for item in batch.unreadable:
            self.unreadable.add(f"{printable_path(self._training.path(item.place))}: {item.reason}")
        if len(batch.labels) < self._recipe.batch:
            raise nothing_readable(self._training, batch.unreadable[-1])

    def _unsynced(self) -> contextlib.AbstractContextManager[None]:
        """Gradients of all but a step's last batch need not cross between processes."""
        if isinstance(self._parallel, DistributedDataParallel):
            return cast("contextlib.AbstractContextManager[None]", self._parallel.no_sync())
        return contextlib.nullcontext()

    def _loss(self, batch: Batch) -> Tensor:
        device, precision = self._group.device, self._recipe.precision
        mixed = precision in _AUTOCAST
        with torch.autocast(device.type, _AUTOCAST.get(precision, torch.bfloat16), enabled=mixed):
            logits = self._parallel(network_input(batch.pixels, device))
        labels = batch.labels.to(device, non_blocking=True)
        return functional.cross_entropy(logits.float(), labels, label_smoothing=self._recipe.label_smoothing)

    def _follow(self) -> None:
        """Move the average towards the weights; it follows faster in the first steps, when they are far from good."""
        if self._average is None:
            return
        decay = min(self._recipe.ema_decay, (1 + self._steps) / (10 + self._steps))
        for mean, now in zip(self._average.state_dict().values(), self._model.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(now, 1 - decay)
            else:
                mean.copy_(now)

    def _validate(self) -> Tally:
        """Sums over the validation pictures of all processes."""
        model = (self._average or self._model).eval()
        self._before_validation(model)

        def classify(pixels: Tensor) -> Tensor:
            with torch.inference_mode():
                return cast(Tensor, model(network_input(pixels, self._group.device)))

        tally = Tally()
        for batch, _ in score(classify, self._validation, tally):
            for item in batch.unreadable:
                self.unreadable.add(f"{printable_path(self._validation_folder.path(item.place))}: {item.reason}")
        images, loss, top1, top5 = self._group.sums(tally.images, tally.loss, tally.top1, tally.top5)
        if not images:
            raise nothing_readable(self._validation_folder, None)
        return Tally(int(images), loss, int(top1), int(top5))


def _diverged(what: str, value: float, kept: str) -> str:
    return f"{what} is {value}; {kept}; begin a new run with a lower --lr or more --warmup-epochs."
