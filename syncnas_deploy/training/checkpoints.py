"""Checkpoints: weights in files of several kinds, and timm's pretrained ones, as the named arrays of a config.

``.pth`` and ``.pt`` are read as tensors only, never as code; ``.safetensors`` and ``.npz`` hold nothing else.
``timm:NAME`` takes a model that timm knows, its tensors mapped onto ours one by one.
"""

from __future__ import annotations

import contextlib
import io
import math
import struct
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from syncnas_bench.archives import open_archive, unpacked
from syncnas_deploy.arrays import Float32Array
from syncnas_deploy.errors import ABSENT, MissingDependency, WeightsError
from syncnas_deploy.files.npz import Accept, Shapes, read_npz
from syncnas_deploy.files.output import atomic_output
from syncnas_deploy.networks.config import BlockSpec, ModelConfig
from syncnas_deploy.networks.weights import Weights, block_prefix, check_shapes, check_weights, parameter_shapes

TIMM = "timm:"
SUFFIXES = (".pth", ".pt", ".safetensors", ".npz")
_MAX_NAMES_BYTES = 2 << 20
"""A file's list of tensors has less than 200 bytes for each."""
_OTHER_CLASSES_BYTES = 256 << 20
"""Room for a classifier of tens of thousands of classes."""


def load_weights(source: str | Path, config: ModelConfig) -> dict[str, Float32Array]:
    """Weights of a config from a file or from ``timm:NAME``. A file's arrays are read once their names and shapes fit.

    Raises:
        WeightsError: unreadable, other than tensors, or it does not fit the config.
        MissingDependency: torch, safetensors or timm is needed and not installed.
    """
    text = str(source)
    if text.startswith(TIMM):
        weights = from_timm(_timm_arrays(text.removeprefix(TIMM)), config, text)
    else:
        weights = _read(Path(source), lambda shapes: check_shapes(shapes, config, text))
    check_weights(weights, config, text)
    return weights


def load_other_classes(path: Path, config: ModelConfig) -> dict[str, Float32Array]:
    """The arrays of a file for a network that may have another number of classes; otherwise they are not compared.

    Raises:
        WeightsError: unreadable, other than tensors, or far more than the network needs.
        MissingDependency: the library for that kind is not installed.
    """

    def accept(shapes: Shapes) -> None:
        found, needed = (sum(map(math.prod, some.values())) for some in (shapes, parameter_shapes(config)))
        if 4 * found > 4 * needed + _OTHER_CLASSES_BYTES:
            raise WeightsError(
                f"{path}: has {found} weights, {config.name} has {needed}; give weights of this network."
            )

    return _read(path, accept)


def _read(path: Path, accept: Accept) -> dict[str, Float32Array]:
    """The named arrays of a file; batch norms' counters are left out.

    Raises:
        WeightsError: no such file, or not readable as one of `SUFFIXES`.
        MissingDependency: the library for that kind is not installed.
        Exception: what `accept` raises.
    """
    if path.suffix not in SUFFIXES:
        raise WeightsError(f"{path}: weights are in a {', '.join(SUFFIXES)} file, or timm:NAME.")
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; check the path.", code=ABSENT)
    if not path.stat().st_size:  # also what /proc has, which may never end
        raise WeightsError(f"{path}: is empty; get it again.")
    read = {".npz": _from_npz, ".safetensors": _from_safetensors}.get(path.suffix, _from_torch)

    def accept_weights(shapes: Shapes) -> None:
        accept({name: shape for name, shape in shapes.items() if not _counts(name) or math.prod(shape) > 1})

    return {name: value for name, value in read(path, accept_weights).items() if not _counts(name)}


def _counts(name: str) -> bool:
    """Whether this is the number of batches that a batch norm has seen."""
    return name.endswith("num_batches_tracked")


@contextlib.contextmanager
def _reading(path: Path, what: str, remedy: str = "") -> Iterator[None]:
    """Every other error than a refusal in the block means that the file is not what it should be."""
    try:
        yield
    except (WeightsError, MissingDependency):
        raise
    except Exception as e:  # a damaged file raises whatever its reader does
        raise WeightsError(f"{path}: not a {what} ({_first_line(e)}){remedy}.") from None


def write_safetensors(path: Path, weights: Weights, *, force: bool = False) -> None:
    """Write named arrays as safetensors, whole or not at all.

    Raises:
        MissingDependency: safetensors is not installed.
        OutputError: it cannot be written, or exists and `force` is false.
    """
    save = _safetensors().save
    with atomic_output(path, force=force) as part:
        part.write_bytes(save({name: np.ascontiguousarray(value) for name, value in weights.items()}))


def _from_npz(path: Path, accept: Accept) -> dict[str, Float32Array]:
    with _reading(path, "readable .npz of arrays"):
        return read_npz(path, accept)


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise MissingDependency(
            "safetensors is not installed; install it with: pip install 'syncnas-deploy[torch]'."
        ) from None
    return safetensors.numpy


def _from_safetensors(path: Path, accept: Accept) -> dict[str, Float32Array]:
    _safetensors()
    from safetensors import safe_open

    with _reading(path, "readable .safetensors"):
        with path.open("rb") as raw:
            (header_bytes,) = struct.unpack("<Q", raw.read(8))
        if header_bytes > _MAX_NAMES_BYTES:
            raise WeightsError(f"{path}: its header has {header_bytes} bytes; no network has as many tensors.")
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            accept({name: tuple(file.get_slice(name).get_shape()) for name in names})
            with np.errstate(over="ignore"):
                return {name: np.asarray(file.get_tensor(name), np.float32) for name in names}


class _Pickles(io.BufferedReader):
    """An old checkpoint, whose pickles are read through here and whose tensors are not."""

    left = _MAX_NAMES_BYTES

    def read(self, size: int | None = -1, /) -> bytes:
        if size is None or not 0 <= size <= self.left:
            raise ValueError("its list of tensors is too long")
        self.left -= size
        return super().read(size)

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(self.left)
        _refuse_makers(line)
        self.left -= len(line)
        return line


def _refuse_makers(pickle: bytes) -> None:
    """torch lets a checkpoint ask for a bytearray of any size."""
    if b"bytearray\n" in pickle:
        raise ValueError("it asks for a bytearray")


def _from_torch(path: Path, accept: Accept) -> dict[str, Float32Array]:
    try:
        import torch
    except ImportError:
        raise MissingDependency(
            f"{path}: reading a .pth needs torch; install it with: pip install 'syncnas-deploy[torch]'."
        ) from None
    reading = _reading(path, "checkpoint of tensors only", "; code in a checkpoint is never run")
    with reading, warnings.catch_warnings(), path.open("rb") as raw:
        warnings.simplefilter("ignore")  # torch's, of pickles that it did not write
        if raw.read(4) == b"PK\3\4":
            _check_torch_archive(path)
            value: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        else:
            with _Pickles(io.FileIO(path)) as old:
                value = torch.load(old, map_location="cpu", weights_only=True)
    for key in ("state_dict", "model"):
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    if not isinstance(value, dict) or not all(isinstance(v, torch.Tensor) for v in value.values()):
        raise WeightsError(f"{path}: holds no state dict (names with tensors); save model.state_dict().")
    names = {str(name).removeprefix("module."): tensor for name, tensor in value.items()}
    for name, tensor in names.items():
        if tensor.layout is not torch.strided or tensor.device.type != "cpu" or tensor.is_complex():
            raise WeightsError(f"{path}: {name} is no plain tensor of real numbers; save model.state_dict().")
    accept({name: tuple(tensor.shape) for name, tensor in names.items()})
    with _reading(path, "checkpoint of plain tensors"):
        # Copies, since the tensors are in the file, which may be replaced.
        return {name: np.array(tensor.detach().to(torch.float32).numpy()) for name, tensor in names.items()}


def _check_torch_archive(path: Path) -> None:
    """Refuse what `torch.save` never writes: its archives are stored, and their pickles hold hardly more than names."""
    with open_archive(path) as archive:
        for member in archive.infolist():
            if member.compress_type != zipfile.ZIP_STORED:
                raise ValueError("an entry is compressed")
            if member.filename.endswith(".pkl"):
                if member.file_size > _MAX_NAMES_BYTES:
                    raise ValueError("its list of tensors is too long")
                _refuse_makers(b"".join(unpacked(archive, member)))


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:160]


def _timm_arrays(name: str) -> dict[str, Float32Array]:
    """A pretrained timm model's tensors, in timm's order."""
    try:
        import timm
    except Exception as e:
        # timm also fails to import where torchvision does not fit torch, with other errors than ImportError.
        raise MissingDependency(
            f"timm:{name} needs timm, which cannot be imported here ({_first_line(e)}); "
            "install timm and a torchvision that fits your torch."
        ) from None
    if name not in timm.list_models():
        raise WeightsError(f"timm:{name}: timm {timm.__version__} knows no model of that name.")
    try:
        model = timm.create_model(name, pretrained=True)
    except Exception as e:
        raise WeightsError(f"timm:{name}: its pretrained weights cannot be had ({_first_line(e)}).") from None
    return {key: value.numpy() for key, value in model.state_dict().items()}


def from_timm(arrays: Weights, config: ModelConfig, where: str) -> dict[str, Float32Array]:
    """A timm state dict of the same network, renamed and reshaped to ours.

    Both are walked in order: the layers come in the same order under other names. Each tensor's role (weight, bias,
    running statistics) and size must agree. timm splits a grouped pointwise convolution into one tensor per group, and
    keeps a layer after the pool as a 1x1 convolution.

    Raises:
        WeightsError: naming the first tensors that do not correspond.
    """
    if config.branch_count != 1:
        raise WeightsError(f"{where}: timm has base models only; {config.name} has two branches.")
    theirs = iter([(k, v) for k, v in arrays.items() if not k.endswith("num_batches_tracked")])
    weights: dict[str, Float32Array] = {}
    for name, shape, pieces in _slots(config):
        taken = [next(theirs, None) for _ in range(pieces)]
        for item in taken:
            role = name.rpartition(".")[2]
            if item is None:
                raise WeightsError(f"{where}: ends before {name}; it is not {config.name}.")
            if item[0].rpartition(".")[2] != role or item[1].size * pieces != np.prod(shape):
                raise WeightsError(
                    f"{where}: {item[0]} {list(item[1].shape)} stands where {config.name} has {name} {list(shape)}."
                )
        values = [item[1] for item in taken if item is not None]
        weights[name] = np.concatenate(values).astype(np.float32).reshape(shape)
    extra = next(theirs, None)
    if extra is not None:
        raise WeightsError(f"{where}: {extra[0]} has no place in {config.name}.")
    return weights


def _slots(config: ModelConfig) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """Our weights in order: name, shape, and in how many tensors timm keeps it."""
    groups: dict[str, int] = {}
    for branch, stage, index, block in config.blocks():
        prefix = block_prefix(config, branch, stage, index)
        groups |= {f"{prefix}{name}": count for name, count in _groups(block)}
    for name, shape in parameter_shapes(config).items():
        yield name, shape, groups.get(name, 1)


def _groups(block: BlockSpec) -> tuple[tuple[str, int], ...]:
    return (("pw1.0.weight", block.expand_groups), ("pw2.0.weight", block.project_groups))
