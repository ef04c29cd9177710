"""Pictures in batches, decoded by worker processes. What a batch holds depends only on seed, epoch and place.

Nothing is drawn from the state of a process, so that a resumed run sees the batches of an uninterrupted one
with any number of workers.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from syncnas_bench.conditions import allowed_cores
from syncnas_deploy.errors import DatasetError, WorkersUnavailable
from syncnas_deploy.spawning import GUARD
from syncnas_deploy.training.image_folders import ImageSet
from syncnas_deploy.training.images import (
    DEVIATION,
    MEAN,
    Pixels,
    UnreadableImage,
    evaluation_pixels,
    pillow,
    printable_path,
    training_pixels,
)

_TRIES = 16
"""Neighbours that may stand in for an unreadable picture in training."""

Key = tuple[int, int]
"""(epoch, index of the picture)."""


class Unreadable(NamedTuple):
    """A picture that could not be decoded: its place in the set, and why."""

    place: int
    reason: str


class DecodedPicture(NamedTuple):
    """One picture, or none where it is unreadable, its place in the set, and what was unreadable on the way."""

    place: int
    label: int
    pixels: Pixels | None
    unreadable: tuple[Unreadable, ...]


class Batch(NamedTuple):
    """Pictures uint8 [N, H, W, 3], labels [N], their places in the set, and what could not be read."""

    pixels: Tensor
    labels: Tensor
    places: tuple[int, ...]
    unreadable: tuple[Unreadable, ...]


class EvaluationPictures(Dataset[DecodedPicture]):
    """Pictures as they are evaluated, by index.

    Args:
        images: the set.
        size: height and width, pixels.
    """

    def __init__(self, images: ImageSet, size: int) -> None:
        self._images, self._size = images, size

    def __getitem__(self, index: int) -> DecodedPicture:
        label = self._images.labels[index]
        try:
            return DecodedPicture(index, label, evaluation_pixels(self._images.path(index), self._size), ())
        except UnreadableImage as e:
            return DecodedPicture(index, label, None, (Unreadable(index, str(e)),))


class TrainingPictures(Dataset[DecodedPicture]):
    """Pictures as they are trained on, by (epoch, index); the next readable one stands in for an unreadable one.

    Args:
        images: the set.
        size: height and width, pixels.
        seed: with epoch and index, what the random crop depends on.
        smallest_crop: share of the area.
    """

    def __init__(self, images: ImageSet, size: int, seed: int, smallest_crop: float) -> None:
        self._images, self._size, self._seed, self._smallest = images, size, seed, smallest_crop

    def __getitem__(self, key: Key) -> DecodedPicture:
        epoch, wanted = key
        unreadable: list[Unreadable] = []
        for step in range(min(_TRIES, len(self._images))):
            index = (wanted + step) % len(self._images)
            rng = np.random.default_rng([self._seed, epoch, wanted])
            try:
                pixels = training_pixels(self._images.path(index), self._size, rng, self._smallest)
            except UnreadableImage as e:
                unreadable.append(Unreadable(index, str(e)))
                continue
            return DecodedPicture(index, self._images.labels[index], pixels, tuple(unreadable))
        return DecodedPicture(wanted, self._images.labels[wanted], None, tuple(unreadable))


class TrainingOrder:
    """The batches of keys of one process: every epoch another order of the whole set, shared among the processes.

    What does not fill a step of all processes is left out of that epoch.

    Args:
        count: pictures in the set.
        batch: pictures per batch, in each process.
        accumulate: batches per step.
        seed: of the order.
        rank, processes: this process and how many there are.
    """

    def __init__(self, count: int, batch: int, accumulate: int, seed: int, rank: int, processes: int) -> None:
        self._count, self._batch, self._seed = count, batch, seed
        self._rank, self._processes = rank, processes
        self._length = count // (batch * accumulate * processes) * accumulate
        self.epoch = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[list[Key]]:
        order = np.random.default_rng([self._seed, self.epoch]).permutation(self._count)
        used = order[: self._length * self._processes * self._batch]
        for places in used.reshape(self._length, self._processes, self._batch)[:, self._rank]:
            yield [(self.epoch, int(index)) for index in places]


def default_workers() -> int:
    """Processes that decode pictures: at most four, as many as there are cores."""
    return min(4, len(allowed_cores()))


def evaluation_loader(images: ImageSet, size: int, batch: int, workers: int, *, pin: bool = False) -> DataLoader[Batch]:
    """Batches of a whole set, in its order.

    Raises:
        MissingDependency: Pillow is not installed.
    """
    places = [list(range(first, min(first + batch, len(images)))) for first in range(0, len(images), batch)]
    return _loader(EvaluationPictures(images, size), places, workers, pin)


def training_loader(pictures: TrainingPictures, order: TrainingOrder, workers: int, *, pin: bool) -> DataLoader[Batch]:
    """Batches in the order of `order`, whose epoch is set before each pass.

    Raises:
        MissingDependency: Pillow is not installed.
    """
    return _loader(pictures, order, workers, pin)


def _loader(
    pictures: Dataset[DecodedPicture], places: list[list[int]] | TrainingOrder, workers: int, pin: bool
) -> DataLoader[Batch]:
    pillow()
    return _Loader(
        cast("Dataset[Batch]", pictures),  # torch's type has no word for what `collate_fn` makes of them
        batch_sampler=places,
        num_workers=workers,
        collate_fn=_joined,
        pin_memory=pin,
        worker_init_fn=_quiet if workers else None,
        persistent_workers=workers > 0,
        # Not fork: this process has threads (torch's own, LiteRT's), and a fork copies their locks as they are.
        multiprocessing_context="spawn" if workers else None,
    )


class _Loader(DataLoader[Batch]):
    """Batches; a process that is gone is one sentence."""

    def __iter__(self) -> Iterator[Batch]:  # type: ignore[override]
        return _told(super().__iter__())


def _told(batches: Iterator[Batch]) -> Iterator[Batch]:
    try:
        yield from batches
    except RuntimeError as e:
        if "exited unexpectedly" not in str(e):
            raise
        raise WorkersUnavailable(
            "A process that decodes pictures ended; see its message above, free memory, or give fewer --workers "
            f"(0 for none); {GUARD}."
        ) from None


def _quiet(_: int) -> None:
    """Leave Ctrl-C to the parent, so that workers print no tracebacks."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _joined(pictures: list[DecodedPicture]) -> Batch:
    read = [(picture, picture.pixels) for picture in pictures if picture.pixels is not None]
    pixels = np.stack([pixels for _, pixels in read]) if read else np.zeros((0, 1, 1, 3), np.uint8)
    return Batch(
        torch.from_numpy(pixels),
        torch.tensor([picture.label for picture, _ in read], dtype=torch.int64),
        tuple(picture.place for picture, _ in read),
        tuple(item for picture in pictures for item in picture.unreadable),
    )


def network_input(pixels: Tensor, device: torch.device) -> Tensor:
    """uint8 [N, H, W, 3] as the network's input: float32 [N, 3, H, W] on the device, normalized there."""
    values = pixels.to(device, non_blocking=True).to(torch.float32) / 255
    mean, deviation = (torch.tensor(v, dtype=torch.float32, device=device) for v in (MEAN, DEVIATION))
    return ((values - mean) / deviation).permute(0, 3, 1, 2).contiguous()


def nothing_readable(images: ImageSet, first: Unreadable | None) -> DatasetError:
    """The error when no picture of a set, or of a run of neighbours, could be decoded."""
    example = f"{printable_path(images.path(first.place))}: {first.reason}" if first else "the set is empty"
    return DatasetError(f"{images.folder}: no picture could be read ({example}); check the files.")
