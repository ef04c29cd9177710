"""Checkpoints: weights in files of several kinds, and timm's pretrained ones, as the named arrays of a config.

`weight_files` reads the kinds of files alike, `weight_names` finds the network in what training programs save, and
`timm_models` takes ``timm:NAME``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from syncnas_deploy.arrays import Float32Array
from syncnas_deploy.errors import WeightsError
from syncnas_deploy.files.npz import Headers
from syncnas_deploy.files.output import atomic_output
from syncnas_deploy.files.places import as_path
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.weights import Weights, check_shapes, check_weights, parameter_shapes
from syncnas_deploy.training.timm_models import timm_weights
from syncnas_deploy.training.weight_files import read_arrays, safetensors_module
from syncnas_deploy.training.weight_names import OnNotice, check_kinds, plain_names

TIMM = "timm:"
_OTHER_CLASSES_BYTES = 256 << 20
"""Room for a classifier of tens of thousands of classes."""


def load_weights(
    source: str | Path, config: ModelConfig, on_notice: OnNotice = lambda _: None
) -> dict[str, Float32Array]:
    """Weights of a config from a file or from ``timm:NAME``. A file's arrays are read once their names and shapes fit.

    Args:
        on_notice: told which weights are taken, where the file also has a moving average.

    Raises:
        WeightsError: unreadable, other than tensors of float numbers, or it does not fit the config.
        MissingDependency: torch, safetensors or timm is needed and not installed.
    """
    text = str(source)
    if text.startswith(TIMM):
        weights = timm_weights(text.removeprefix(TIMM), config, text)
    else:
        weights = _read(as_path(source), lambda shapes: check_shapes(shapes, config, text), on_notice)
    check_weights(weights, config, text)
    return weights


def load_other_classes(
    path: Path, config: ModelConfig, on_notice: OnNotice = lambda _: None
) -> dict[str, Float32Array]:
    """The arrays of a file for a network that may have another number of classes; otherwise they are not compared.

    Raises:
        WeightsError: unreadable, other than tensors of float numbers, or far more than the network needs.
        MissingDependency: the library for that kind is not installed.
    """

    def accept(shapes: Mapping[str, tuple[int, ...]]) -> None:
        found, needed = (sum(map(math.prod, some.values())) for some in (shapes, parameter_shapes(config)))
        if 4 * found > 4 * needed + _OTHER_CLASSES_BYTES:
            raise WeightsError(
                f"{path}: has {found} weights, {config.name} has {needed}; give weights of this network."
            )

    return _read(path, accept, on_notice)


def _read(
    path: Path, accept: Callable[[Mapping[str, tuple[int, ...]]], None], on_notice: OnNotice
) -> dict[str, Float32Array]:
    """The weights of a file by our names, once `accept` was told their shapes."""
    names: dict[str, str] = {}

    def accept_headers(headers: Headers) -> None:
        names.update(plain_names(headers, str(path), on_notice))
        accept({name: headers[raw].shape for raw, name in names.items()})
        check_kinds(headers, names, str(path))

    arrays = read_arrays(path, accept_headers)
    return {name: arrays[raw] for raw, name in names.items()}


def write_safetensors(path: Path, weights: Weights, *, force: bool = False) -> None:
    """Write named arrays as safetensors, whole or not at all.

    Raises:
        MissingDependency: safetensors is not installed.
        OutputError: it cannot be written, or exists and `force` is false.
    """
    save = safetensors_module().save
    with atomic_output(path, force=force) as part:
        part.write_bytes(save({name: np.ascontiguousarray(value) for name, value in weights.items()}))
