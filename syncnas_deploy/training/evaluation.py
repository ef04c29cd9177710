"""How well a network classifies the pictures of a folder: top-1, top-5, loss, pictures per second."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional

from syncnas_deploy.errors import ConfigError, TorchDeviceUnavailable
from syncnas_deploy.files.output import write_text
from syncnas_deploy.networks.config import MAX_SIZE, ModelConfig
from syncnas_deploy.networks.weights import Weights, check_weights
from syncnas_deploy.precision import Precision
from syncnas_deploy.progress import OnProgress, Pace
from syncnas_deploy.training.batches import (
    Batch,
    Unreadable,
    default_workers,
    evaluation_loader,
    network_input,
    nothing_readable,
)
from syncnas_deploy.training.image_folders import ImageSet, evaluation_set
from syncnas_deploy.training.images import printable_path
from syncnas_deploy.training.module import build
from syncnas_deploy.training.recipe import DEVICES

MIN_INPUT_SIZE = 8
DEFAULT_BATCH = 64

Classify = Callable[[Tensor], Tensor]
"""uint8 pictures [N, H, W, 3] to logits [N, classes], on any device."""


@dataclass(frozen=True)
class Guess:
    """A network's answer for one picture: path below the folder, true class, and the class it ranks first."""

    path: str
    label: str
    top1: str

    @property
    def correct(self) -> bool:
        return self.label == self.top1


@dataclass(frozen=True)
class Accuracy:
    """The result of an evaluation.

    Attributes:
        folder: what holds the class folders that were used.
        input_size: height and width of the crops, pixels.
        images: pictures that were classified; the unreadable ones are not among them.
        top1, top5: share of them that is right, and that is among the first five (or as many as there are classes).
        loss: mean cross entropy, nats.
        elapsed_s: for all of it, decoding included.
        unreadable: (path, reason) of each picture that could not be decoded.
        guesses: one per picture, in the folder's order.
        precisions: of each branch's file; empty where torch computed.
    """

    folder: Path
    input_size: int
    images: int
    top1: float
    top5: float
    loss: float
    elapsed_s: float
    unreadable: tuple[tuple[str, str], ...]
    guesses: tuple[Guess, ...]
    precisions: tuple[Precision, ...] = ()

    @property
    def images_per_s(self) -> float:
        """Pictures per second, decoding included."""
        return self.images / self.elapsed_s


@dataclass
class Tally:
    """Sums over pictures."""

    images: int = 0
    loss: float = 0.0
    top1: int = 0
    top5: int = 0

    def add(self, logits: Tensor, labels: Tensor) -> None:
        """Count one batch of at least one picture: logits [N, classes], labels [N], on one device."""
        logits = logits.to(torch.float32)
        best = logits.topk(min(5, logits.shape[1]), dim=1).indices
        hits = best == labels[:, None]
        self.images += len(labels)
        self.loss += float(functional.cross_entropy(logits, labels, reduction="sum"))
        self.top1 += int(hits[:, 0].sum())
        self.top5 += int(hits.sum())

    def text(self) -> str:
        """What the pictures so far give."""
        return f"top-1 {100 * self.top1 / self.images:.1f} %" if self.images else ""


def score(classify: Classify, batches: Iterable[Batch], tally: Tally) -> Iterator[tuple[Batch, list[int]]]:
    """Each batch, counted in `tally`, with the class that the network ranks first for each of its pictures."""
    for batch in batches:
        ranked_first: list[int] = []
        if len(batch.labels):
            logits = classify(batch.pixels).cpu()
            tally.add(logits, batch.labels)
            ranked_first = logits.argmax(dim=1).tolist()
        yield batch, ranked_first


def evaluate(
    classify: Classify,
    images: ImageSet,
    input_size: int,
    *,
    batch: int = DEFAULT_BATCH,
    workers: int | None = None,
    pin: bool = False,
    on_progress: OnProgress = lambda _: None,
) -> Accuracy:
    """Classify every readable picture of a set.

    Args:
        classify: the network.
        images: the set.
        input_size: height and width, pixels.
        batch: pictures at once.
        workers: processes that decode, 0 for none but this one; a script that asks for some needs the guard
            ``if __name__ == "__main__"``. None: as many as there are cores, at most four.
        pin: keep batches where a GPU fetches them faster.
        on_progress: told after each batch.

    Raises:
        DatasetError: not one picture could be decoded.
    """
    started, pace = time.perf_counter(), Pace(on_progress, len(images))
    pace.begin(f"{len(images)} pictures")
    loader = evaluation_loader(images, input_size, batch, _workers(workers, len(images), batch), pin=pin)
    guesses: list[Guess] = []
    unreadable: list[Unreadable] = []
    tally = Tally()
    for scored, ranked_first in score(classify, loader, tally):
        unreadable += scored.unreadable
        for place, top1 in zip(scored.places, ranked_first, strict=True):
            label = images.classes[images.labels[place]]
            guesses.append(Guess(printable_path(images.names[place]), label, images.classes[top1]))
        parts = len(scored.places) + len(scored.unreadable)
        pace.step(f"{len(guesses) + len(unreadable)} of {len(images)} pictures", parts=parts, so_far=tally.text())
    if not tally.images:
        raise nothing_readable(images, unreadable[0] if unreadable else None)
    return Accuracy(
        folder=images.folder,
        input_size=input_size,
        images=tally.images,
        top1=tally.top1 / tally.images,
        top5=tally.top5 / tally.images,
        loss=tally.loss / tally.images,
        elapsed_s=time.perf_counter() - started,
        unreadable=tuple((printable_path(images.names[item.place]), item.reason) for item in unreadable),
        guesses=tuple(guesses),
    )


def _workers(asked: int | None, images: int, batch: int) -> int:
    """No more processes than batches: starting one takes seconds."""
    wanted = default_workers() if asked is None else asked
    batches = -(-images // batch)
    return 0 if asked is None and batches < 4 else min(wanted, batches)


def evaluate_model(
    config: ModelConfig,
    weights: Weights,
    folder: Path,
    *,
    batch: int = DEFAULT_BATCH,
    workers: int | None = None,
    device: str = "cpu",
    input_size: int | None = None,
    on_progress: OnProgress = lambda _: None,
) -> Accuracy:
    """Evaluate a network on an image folder, with torch.

    Args:
        config: the network.
        weights: its named arrays.
        folder: class folders, or a folder with ``val`` that holds them.
        batch, workers, on_progress: as for `evaluate`.
        device: one of `DEVICES`.
        input_size: pixels; the config's own where None.

    Raises:
        WeightsError: they do not fit.
        DatasetError: unusable folder, or another number of classes.
        TorchDeviceUnavailable: no such device here.
        ConfigError: an input size that the network cannot have.
    """
    size = _input_size(config, input_size)
    images = evaluation_set(folder, config.classes)
    return evaluate_images(
        config, weights, images, size, batch=batch, workers=workers, device=device, on_progress=on_progress
    )


def evaluate_images(
    config: ModelConfig,
    weights: Weights,
    images: ImageSet,
    input_size: int,
    *,
    batch: int = DEFAULT_BATCH,
    workers: int | None = None,
    device: str = "cpu",
    on_progress: OnProgress = lambda _: None,
) -> Accuracy:
    """Evaluate a network on a set of pictures, with torch; arguments as for `evaluate_model`.

    Raises:
        WeightsError: they do not fit.
        DatasetError: not one picture could be decoded.
        TorchDeviceUnavailable: no such device here.
    """
    check_weights(weights, config, "The weights")
    place = torch_device(device)
    model = build(config, weights).to(place)

    def classify(pixels: Tensor) -> Tensor:
        with torch.inference_mode():
            return cast(Tensor, model(network_input(pixels, place)))

    pin = place.type == "cuda"
    return evaluate(classify, images, input_size, batch=batch, workers=workers, pin=pin, on_progress=on_progress)


def _input_size(config: ModelConfig, size: int | None) -> int:
    if size is not None and not MIN_INPUT_SIZE <= size <= MAX_SIZE:
        raise ConfigError(f"{config.name}: input size {size} is not within {MIN_INPUT_SIZE} to {MAX_SIZE} pixels.")
    return config.input_size if size is None else size


def torch_device(name: str) -> torch.device:
    """The torch device of a name in `DEVICES`, or of ``cuda:INDEX``.

    Raises:
        TorchDeviceUnavailable: torch sees no such device.
    """
    kind, _, index = name.partition(":")
    usable = kind in DEVICES and (not index or index.isdecimal())
    if kind == "cuda":
        usable = usable and int(index or 0) < torch.cuda.device_count()
    elif kind == "mps":
        usable = usable and torch.backends.mps.is_available()
    if not usable:
        raise TorchDeviceUnavailable(
            f"Device {name[:40]!r}: torch finds none here; choose another of {', '.join(DEVICES)}."
        )
    return torch.device(name)


def accuracy_to_json(accuracy: Accuracy) -> dict[str, Any]:
    """A JSON value with everything but the single guesses."""
    return {
        "folder": printable_path(accuracy.folder),
        "input_size": accuracy.input_size,
        "images": accuracy.images,
        "top1": accuracy.top1,
        "top5": accuracy.top5,
        "loss": accuracy.loss if math.isfinite(accuracy.loss) else None,
        "images_per_s": round(accuracy.images_per_s, 3),
        "precisions": list(accuracy.precisions),
        "unreadable": [{"path": path, "reason": reason} for path, reason in accuracy.unreadable],
    }


def write_guesses(path: Path, accuracy: Accuracy, *, force: bool = False) -> None:
    """Write a CSV with path, label, top1, correct (0 or 1); one line per picture.

    Raises:
        OutputError: it cannot be written, or exists and `force` is false.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "label", "top1", "correct"])
    for guess in accuracy.guesses:
        writer.writerow([guess.path, printable_path(guess.label), printable_path(guess.top1), int(guess.correct)])
    write_text(path, text.getvalue(), force=force)
