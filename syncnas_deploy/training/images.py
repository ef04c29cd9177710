"""Images in class folders (the ImageNet layout), and what happens to their pixels before a network sees them.

    folder/class_x/any/where/below.jpg        classes are numbered in the order of their names

Decoding and resizing are Pillow's, on the CPU; a picture is uint8 [H, W, 3] (RGB) until `normalized`. As in
torchvision, whose steps these are, EXIF orientation is not applied. torch is not needed here.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from syncnas_deploy.errors import ABSENT, DatasetError, MissingDependency
from syncnas_deploy.files.one_line import one_line

if TYPE_CHECKING:
    from PIL import Image

Pixels = NDArray[np.uint8]

SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
CROP_SHARE = 0.875
"""The centre crop over the resized short side: 224 of 256."""
MAX_ASPECT = 100
"""A longer picture would fill the memory when its short side is resized."""


class UnreadableImage(Exception):
    """One picture cannot be decoded; the text says why."""


@dataclass(frozen=True)
class ImageSet:
    """Pictures and their classes.

    Attributes:
        folder: what holds the class folders.
        classes: their names, in label order.
        names: each picture's path below `folder`.
        labels: each picture's class, an index into `classes`.
    """

    folder: Path
    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.names)

    def path(self, index: int) -> Path:
        """Where a picture is."""
        return self.folder / self.names[index]

    def subset(self, indices: NDArray[np.int64]) -> ImageSet:
        """The same classes with some of the pictures, in the order of `indices` [count]."""
        return ImageSet(
            self.folder,
            self.classes,
            tuple(self.names[i] for i in indices),
            tuple(self.labels[i] for i in indices),
        )


def read_image_set(folder: Path) -> ImageSet:
    """List a folder of class folders; no picture is opened.

    Raises:
        DatasetError: no such folder, no class folders, or one without pictures.
    """
    if not folder.is_dir():
        raise DatasetError(
            f"{folder}: no such folder; give one that holds one folder of pictures per class.", code=ABSENT
        )
    try:
        classes = class_folders(folder)
        labelled = [(label, name) for label, c in enumerate(classes) for name in _pictures(folder, c)]
    except OSError as e:
        raise DatasetError(f"{e.filename}: cannot be read ({e.strerror}); check its permissions.") from None
    if not classes:
        raise DatasetError(
            f"{folder}: holds no class folders; put the pictures of each class into a folder of its own."
        )
    counts = np.bincount([label for label, _ in labelled], minlength=len(classes))
    empty = [name for name, count in zip(classes, counts, strict=True) if not count]
    if empty:
        more = f" (as {len(empty) - 1} more class folders)" if len(empty) > 1 else ""
        raise DatasetError(f"{folder / empty[0]}: holds no pictures{more}; add some or remove the folder.")
    return ImageSet(folder, classes, tuple(name for _, name in labelled), tuple(label for label, _ in labelled))


def class_folders(folder: Path) -> tuple[str, ...]:
    """Names of the folders in a folder, sorted; hidden ones do not count."""
    return tuple(sorted(p.name for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")))


def _pictures(folder: Path, name: str) -> list[str]:
    names: list[str] = []
    for at, _, files in os.walk(folder / name):
        below = Path(at).relative_to(folder)
        names += [str(below / f) for f in files if f.lower().endswith(SUFFIXES) and not f.startswith(".")]
    return sorted(names)


def evaluation_set(folder: Path, classes: int) -> ImageSet:
    """The pictures to evaluate on: those of ``folder/val`` where that holds class folders, else those of `folder`.

    Raises:
        DatasetError: unusable, or another number of classes than the model has.
    """
    inner = folder / "val"
    images = read_image_set(inner if inner.is_dir() and class_folders(inner) else folder)
    if len(images.classes) != classes:
        raise DatasetError(
            f"{images.folder}: holds {len(images.classes)} class folders and the model has {classes} classes; "
            f"give the folder or the model that matches."
        )
    return images


def training_sets(folder: Path, held_out: float, seed: int) -> tuple[ImageSet, ImageSet]:
    """Pictures to train on and to validate with.

    Args:
        folder: with ``train`` and ``val`` in it, or with the classes themselves.
        held_out: in the latter case, the share of each class that validates, at least one picture.
        seed: which ones.

    Raises:
        DatasetError: unusable, other classes in ``val``, or a class too small to be shared.
    """
    if (folder / "train").is_dir() and (folder / "val").is_dir():
        training, validation = read_image_set(folder / "train"), read_image_set(folder / "val")
        differing = sorted(set(training.classes) ^ set(validation.classes))
        if differing:
            raise DatasetError(f"{folder}: class {differing[0]!r} is in only one of train and val; make them match.")
        return training, validation
    images = read_image_set(folder)
    labels = np.asarray(images.labels)
    rng = np.random.default_rng([seed, len(images)])
    apart: list[NDArray[np.int64]] = []
    for label, name in enumerate(images.classes):
        members = rng.permutation(np.flatnonzero(labels == label))
        if len(members) < 2:
            raise DatasetError(f"{folder / name}: holds one picture; add more, since one of each class is held out.")
        apart.append(members[: min(max(1, round(held_out * len(members))), len(members) - 1)])
    held = np.sort(np.concatenate(apart))
    kept = np.setdiff1d(np.arange(len(images)), held)
    return images.subset(kept), images.subset(held)


def evaluation_pixels(path: Path, size: int) -> Pixels:
    """A picture as it is evaluated: short side resized to size / 0.875, bilinear, and the centre cut out.

    Returns:
        uint8 [size, size, 3].

    Raises:
        UnreadableImage: it cannot be decoded.
    """

    def prepare(image: Image.Image) -> Image.Image:
        short = round(size / CROP_SHARE)
        width, height = image.size
        scaled = (short, short * height // width) if width <= height else (short * width // height, short)
        left, top = (round((side - size) / 2) for side in scaled)
        return _resized(image, scaled).crop((left, top, left + size, top + size))

    return _decoded(path, prepare)


def training_pixels(path: Path, size: int, rng: np.random.Generator, smallest_crop: float) -> Pixels:
    """A picture as it is trained on: a random crop, resized, mirrored half of the time.

    Args:
        path: the picture.
        size: pixels.
        rng: what decides.
        smallest_crop: share of the area that a crop has at least; the aspect ratio is in [3/4, 4/3].

    Returns:
        uint8 [size, size, 3].

    Raises:
        UnreadableImage: it cannot be decoded.

    Source: Szegedy et al., "Going Deeper with Convolutions", CVPR 2015, section 6.
    """

    def prepare(image: Image.Image) -> Image.Image:
        cut = _resized(image.crop(_random_box(image.size, rng, smallest_crop)), (size, size))
        return _mirrored(cut) if rng.random() < 0.5 else cut

    return _decoded(path, prepare)


def _random_box(size: tuple[int, int], rng: np.random.Generator, smallest: float) -> tuple[int, int, int, int]:
    width, height = size
    for _ in range(10):
        area = width * height * rng.uniform(smallest, 1.0)
        ratio = float(np.exp(rng.uniform(np.log(3 / 4), np.log(4 / 3))))
        w, h = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if 0 < w <= width and 0 < h <= height:
            left, top = int(rng.integers(width - w + 1)), int(rng.integers(height - h + 1))
            return left, top, left + w, top + h
    # No such crop fits a very long picture: the largest one of an allowed ratio, from the centre.
    w, h = min(width, max(1, round(height * 4 / 3))), min(height, max(1, round(width * 4 / 3)))
    left, top = (width - w) // 2, (height - h) // 2
    return left, top, left + w, top + h


def _resized(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    return image.resize(size, pillow().Resampling.BILINEAR)


def _mirrored(image: Image.Image) -> Image.Image:
    return image.transpose(pillow().Transpose.FLIP_LEFT_RIGHT)


def pillow() -> Any:
    """Pillow's Image module.

    Raises:
        MissingDependency: it is not installed.
    """
    try:
        from PIL import Image
    except ImportError:
        raise MissingDependency(
            "Reading pictures needs Pillow; install it with: pip install 'syncnas-deploy[torch]'."
        ) from None
    return Image


def _decoded(path: Path, prepare: Callable[[Image.Image], Image.Image]) -> Pixels:
    module = pillow()
    try:
        # A truncated file is an error to Pillow; damaged metadata and great size alone make it warn.
        with warnings.catch_warnings(), module.open(path) as image:
            warnings.simplefilter("ignore")
            _check_aspect(image.size)
            return np.array(prepare(image.convert("RGB")), dtype=np.uint8)
    except UnreadableImage:
        raise
    except Exception as e:
        # Decoders fail in many ways on damaged files: OSError, SyntaxError, ValueError, struct.error and more.
        raise UnreadableImage(_reason(e)) from None


def _check_aspect(size: tuple[int, int]) -> None:
    if max(size) > MAX_ASPECT * min(size):
        raise UnreadableImage(f"is {size[0]} x {size[1]} pixels, too long for a crop")


def _reason(error: Exception) -> str:
    lines = str(error).splitlines()
    if type(error).__name__ == "UnidentifiedImageError":
        return "is no picture"
    return (lines[0] if lines else type(error).__name__)[:120]


def normalized(pixels: Pixels) -> NDArray[np.float32]:
    """uint8 [N, H, W, 3] as float32 of the same shape: ImageNet's mean 0 and standard deviation 1 by channel."""
    values: NDArray[np.float32] = pixels.astype(np.float32) / np.float32(255)
    values -= np.array(MEAN, np.float32)
    values /= np.array(DEVIATION, np.float32)
    return values


def printable_path(path: str | Path) -> str:
    """A path as text that can be written anywhere, whatever bytes are in its name."""
    return one_line(os.fsencode(path).decode("utf-8", "backslashreplace"))
