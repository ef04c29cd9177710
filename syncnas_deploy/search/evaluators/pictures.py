"""The pictures that candidates are trained and evaluated on."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

from syncnas_deploy.errors import DatasetError
from syncnas_deploy.training.image_folders import ImageSet, training_sets

HELD_OUT = 0.1
"""Share of each class that validates, where the folder has no ``train`` and ``val``."""


@dataclass(frozen=True)
class Pictures:
    """An image folder, known by the names in it. Cheap to send to a worker, which lists the folder itself.

    Attributes:
        folder: with ``train`` and ``val`` in it, or with the class folders themselves.
        digest: of the names of all pictures.
        classes: how many.
        count: pictures to train on.
        validating: pictures to validate with.
    """

    folder: Path
    digest: str
    classes: int
    count: int
    validating: int

    @classmethod
    def open(cls, folder: Path) -> Pictures:
        """List a folder.

        Raises:
            DatasetError: it cannot be used.
        """
        training, validation = _sets(folder.absolute())
        digest = _digest(training, validation)
        return cls(folder.absolute(), digest, len(training.classes), len(training), len(validation))

    @property
    def key(self) -> str:
        """What decides, whatever the folder's place is."""
        return f"{self.count} to train on ({self.digest})"

    def sets(self) -> tuple[ImageSet, ImageSet]:
        """Pictures to train on and to validate with, the same ones for every candidate.

        Raises:
            DatasetError: the folder cannot be used, or holds other pictures than when it was opened.
        """
        training, validation = _sets(self.folder)
        if _digest(training, validation) != self.digest:
            raise DatasetError(
                f"{self.folder}: holds other pictures here than where the search began; give every worker the same."
            )
        return training, validation


@functools.lru_cache(maxsize=4)
def _sets(folder: Path) -> tuple[ImageSet, ImageSet]:
    return training_sets(folder, HELD_OUT, 0)


def _digest(training: ImageSet, validation: ImageSet) -> str:
    return hashlib.sha256(repr((training.names, validation.names)).encode()).hexdigest()[:16]
