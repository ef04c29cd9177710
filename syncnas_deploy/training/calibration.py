"""Pictures of a folder to the ranges of a network's tensors, for int8; torch is not needed here.

Pictures are prepared as for `eval`: resized, the centre cut out, and normalized as in training.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from syncnas_deploy.arrays import Float32Array
from syncnas_deploy.bundle import graphs, is_bundle
from syncnas_deploy.calibration import Calibrated, Calibration, network_digest, new_calibration
from syncnas_deploy.errors import DatasetError
from syncnas_deploy.files.one_line import one_line
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.segments import cut, run_chain
from syncnas_deploy.networks.weights import Weights
from syncnas_deploy.training.image_folders import ImageSet, all_pictures, check_folder, parts_of
from syncnas_deploy.training.images import (
    Pixels,
    UnreadableImage,
    evaluation_pixels,
    normalized,
    printable_path,
)
from syncnas_exporters import RangeObserver, split_large_kernels

PICTURES = 100
"""Eight pictures gave logits 1.4 to 4 times as far from fp32 as a hundred did (docs/benchmarks.md, precision)."""


@dataclass(frozen=True)
class CalibrationPictures:
    """Pictures as a network takes them.

    Attributes:
        images: float32 [count, H, W, 3], normalized.
        by: where they are from.
        notices: sentences for the user: pictures that could not be read, or too few of them.
    """

    images: Float32Array
    by: Calibrated
    notices: tuple[str, ...] = ()


def read_pictures(folder: Path, size: int, *, count: int = PICTURES, seed: int = 0) -> CalibrationPictures:
    """Some pictures of a folder, at any depth; of its folder ``train`` where it has one.

    Unreadable ones are left out, and others stand in for them.

    Args:
        folder: with pictures of any size.
        size: height and width of the network's input, pixels.
        count: pictures at most.
        seed: which ones.

    Raises:
        DatasetError: no such folder, no picture that can be read, all alike, or among too many other files.
        MissingDependency: Pillow is not installed.
    """
    check_folder(folder, f"give one with about {PICTURES} pictures to calibrate with")
    names = all_pictures(parts_of(folder).get("train", folder))
    if not names:
        what = "is a bundle" if is_bundle(folder) else "holds no pictures"
        raise DatasetError(f"{folder}: {what}; give a folder with about {PICTURES} pictures to calibrate with.")
    return _pictures(names, folder, size, count, seed)


def pictures_of(images: ImageSet, size: int, *, count: int = PICTURES, seed: int = 0) -> CalibrationPictures:
    """Some pictures of a set; arguments and errors as of `read_pictures`."""
    return _pictures([images.path(index) for index in range(len(images))], images.folder, size, count, seed)


def _pictures(names: Sequence[Path], folder: Path, size: int, count: int, seed: int) -> CalibrationPictures:
    pixels: list[Pixels] = []
    unreadable: list[str] = []
    for index in np.random.default_rng([seed, len(names)]).permutation(len(names)):
        if len(pixels) == count:
            break
        try:
            pixels.append(evaluation_pixels(names[index], size))
        except UnreadableImage as e:
            unreadable.append(f"{printable_path(names[index])}: {e}")
    if not pixels:
        raise DatasetError(f"{folder}: no picture could be read ({unreadable[0]}); check the files.")
    kept = np.stack(pixels)
    if (kept == kept[0]).all():
        many = f"all {len(kept)} pictures are alike" if len(kept) > 1 else "one picture is too few"
        raise DatasetError(f"{folder}: {many}, which tells no ranges; give different pictures to calibrate with.")
    notices = []
    if unreadable:
        notices.append(f"{len(unreadable)} pictures could not be read and were left out ({unreadable[0]}).")
    if len(kept) < count:
        notices.append(f"{folder} has {len(kept)} pictures to calibrate with; {count} give ranges nearer to the truth.")
    name = one_line(folder.resolve().name)[:256] or "pictures"
    by = Calibrated(len(kept), name, seed, hashlib.sha256(kept.tobytes()).hexdigest())
    return CalibrationPictures(normalized(kept), by, tuple(notices))


def calibrate(config: ModelConfig, weights: Weights, pictures: CalibrationPictures) -> Calibration:
    """Absolute minimum and maximum of each tensor while a network computes pictures in float32, on this host's CPU.

    Raises:
        DatasetError: the pictures are not of the network's size.
        RangesError: a tensor becomes NaN or infinite.
    """
    wanted = (config.input_size, config.input_size, config.stem.in_channels)
    if pictures.images.shape[1:] != wanted:
        found, needed = (" x ".join(map(str, shape)) for shape in (pictures.images.shape[1:], wanted))
        raise DatasetError(f"The pictures are {found}, {config.name} takes {needed}; resize them.")
    segments = cut(config)
    # Split kernels have all the tensors of whole ones and their parts: the ranges fit files of both kinds.
    observer = RangeObserver([split_large_kernels(graph) for graph in graphs(config, weights).values()])
    for image in pictures.images:
        run_chain(segments, lambda segment, feeds: observer.run(segment.name, feeds), image[None])
    return new_calibration(network_digest(config, weights), pictures.by, dict(observer.ranges()))
