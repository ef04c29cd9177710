"""Folders of pictures: one folder per class (the ImageNet layout), and the parts of a data set.

    folder/class_x/any/where/below.jpg        classes are numbered in the order of their names
    folder/{train,val}/class_x/...            parts; val may be called valid or validation, and there may be a test

No picture is opened here.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from syncnas_bench.files import exists, is_file, is_folder
from syncnas_deploy.errors import ABSENT, DatasetError

_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".ppm", ".pgm", ".bmp", ".tif", ".tiff", ".webp", ".gif")
_MAYBE = (".avif", ".heic", ".heif")
"""Pictures all the same: one that Pillow cannot read here is named."""
_NOT_OURS = {"@eaDir", "@tmp", "@Recycle", "#recycle", "$RECYCLE.BIN", "System Volume Information", "__MACOSX"}
_NOT_OURS |= {"lost+found"}
"""Folders that file systems, servers and archivers make; what is in them are copies and deleted files."""
_OF_THE_KERNEL = ("/proc/", "/sys/")
"""What is below them is made while it is looked at, without end, and leads back to all other folders."""
MOST_OTHERS = 100_000
"""A folder of pictures does not have more files and folders that are none."""
_PARTS = {
    "train": re.compile(r"train(?:ing)?[ _-]?(?:set|data|images)?"),
    "val": re.compile(r"val(?:id(?:ation)?)?[ _-]?(?:set|data|images)?"),
    "test": re.compile(r"test(?:ing)?[ _-]?(?:set|data|images)?"),
}


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


def check_folder(folder: Path, remedy: str) -> None:
    """Refuse what is no folder, and say what it is.

    Raises:
        DatasetError: with `remedy` at its end.
    """
    if not exists(folder):
        raise DatasetError(f"{folder}: no such folder; {remedy}.", code=ABSENT)
    if not is_folder(folder):
        raise DatasetError(f"{folder}: is {'a file, no folder' if is_file(folder) else 'no folder'}; {remedy}.")


def read_image_set(folder: Path) -> ImageSet:
    """List a folder of class folders; no picture is opened.

    Raises:
        DatasetError: no folder, no class folders, or one without pictures.
    """
    with _listing():
        check_folder(folder, "give one that holds one folder of pictures per class")
        classes = _folders(folder)
        labelled = [(label, name) for label, c in enumerate(classes) for name in _pictures(folder, c)]
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


@contextlib.contextmanager
def _listing() -> Iterator[None]:
    """What cannot be listed is named."""
    try:
        yield
    except OSError as e:
        raise DatasetError(f"{e.filename}: cannot be read ({e.strerror}); check its permissions.") from None


def _is_ours(name: str) -> bool:
    return not name.startswith(".") and name not in _NOT_OURS


def _folders(folder: Path) -> tuple[str, ...]:
    """Names of the folders in a folder, sorted; hidden ones and links to what they are in do not count.

    Raises OSError.
    """
    found = [p for p in folder.iterdir() if _is_ours(p.name) and p.is_dir()]
    return tuple(sorted(p.name for p in found if not (p.is_symlink() and _identity(p.stat()) in _above(p))))


def _identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _above(path: Path) -> set[tuple[int, int]]:
    """The folders that a path is in, by its name and by where it leads."""
    parents = {*path.absolute().parents, *Path(os.path.realpath(path)).parents}
    return {_identity(parent.stat()) for parent in parents}


def _pictures(folder: Path, name: str) -> list[str]:
    """The pictures of a class, sorted. Links to folders are followed, to each folder once and to none that it is in.

    Raises:
        OSError: a folder cannot be listed.
        DatasetError: there is too much else, as in a computer's root folder.
    """
    names: list[str] = []
    seen = _above(folder / name)
    others = 0
    for at, inner, files in os.walk(folder / name, onerror=_raise, followlinks=True):
        place = _identity(Path(at).stat())
        of_kernel = f"{os.path.realpath(at)}/".startswith(_OF_THE_KERNEL)
        if place in seen or of_kernel:
            inner.clear()
            continue
        seen.add(place)
        inner[:] = sorted(filter(_is_ours, inner))
        below = Path(at).relative_to(folder)
        found = [str(below / f) for f in filter(_is_ours, files) if _is_picture(Path(at), f)]
        names += found
        others += len(inner) + len(files) - len(found)
        if others > MOST_OTHERS:
            raise DatasetError(
                f"{folder / name}: holds more than {MOST_OTHERS} files and folders that are no pictures; give the "
                "folder of the pictures alone."
            )
    return sorted(names)


def all_pictures(folder: Path) -> list[Path]:
    """Every picture below a folder, whatever its class.

    Raises:
        DatasetError: it cannot be read.
    """
    with _listing():
        return [folder / name for name in _pictures(folder, "")]


def _is_picture(folder: Path, name: str) -> bool:
    """By its name; a link to nowhere may be a folder of pictures, and is named as unreadable."""
    path = folder / name
    return name.lower().endswith(_SUFFIXES + _MAYBE) or (path.is_symlink() and not path.exists())


def _raise(error: OSError) -> None:
    raise error


def parts_of(folder: Path) -> dict[str, Path]:
    """The parts of a data set in a folder, by ``train``, ``val`` and ``test``; none where it holds classes.

    One such name alone may be a class. It is a part where it holds folders and is ``val`` or the only folder.

    Raises:
        DatasetError: it cannot be read.
    """
    found: dict[str, Path] = {}
    with _listing():
        names = _folders(folder) if is_folder(folder) else ()
        for name in names:
            for part, called in _PARTS.items():
                if called.fullmatch(name.lower()):
                    found.setdefault(part, folder / name)
        if len(found) == 1:
            (path,) = found.values()
            if not ((path.name == "val" or len(names) == 1) and _folders(path)):
                return {}
    return found


def evaluation_set(folder: Path, classes: int) -> ImageSet:
    """The pictures to evaluate on: those of ``val``, or else of ``test``, where `folder` has parts; else its own.

    Raises:
        DatasetError: unusable, or another number of classes than the model has.
    """
    parts = parts_of(folder)
    chosen = parts.get("val") or parts.get("test")
    if parts and chosen is None:
        raise DatasetError(f"{folder}: holds {parts['train'].name} alone; give that folder, or one with val in it.")
    images = read_image_set(chosen or folder)
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
    parts = parts_of(folder)
    if "train" in parts and "val" in parts:
        training, validation = read_image_set(parts["train"]), read_image_set(parts["val"])
        differing = sorted(set(training.classes) ^ set(validation.classes))
        if differing:
            raise DatasetError(f"{folder}: class {differing[0]!r} is in only one of train and val; make them match.")
        return training, validation
    if set(parts) - {"train"}:
        raise DatasetError(
            f"{folder}: holds {' and '.join(path.name for path in parts.values())}, and training needs train and val; "
            "rename one of them, or give a folder of classes."
        )
    images = read_image_set(parts.get("train", folder))
    labels = np.asarray(images.labels)
    rng = np.random.default_rng([seed, len(images)])
    apart: list[NDArray[np.int64]] = []
    for label, name in enumerate(images.classes):
        members = rng.permutation(np.flatnonzero(labels == label))
        if len(members) < 2:
            raise DatasetError(f"{folder / name}: holds one picture; add more, since one of each class is held out.")
        apart.append(members[: min(max(1, round(held_out * len(members))), len(members) - 1)])
    held: NDArray[np.int64] = np.sort(np.concatenate(apart))
    kept = np.setdiff1d(np.arange(len(images)), held)
    return images.subset(kept), images.subset(held)
