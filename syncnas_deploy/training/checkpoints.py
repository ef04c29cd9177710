"""Checkpoints: weights in files of several kinds, and timm's pretrained ones, as the named arrays of a config.

``.pth`` and ``.pt`` are read as tensors only, never as code; ``.safetensors`` and ``.npz`` hold nothing else.
``timm:NAME`` takes a model that timm knows, its tensors mapped onto ours one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from syncnas_deploy.arrays import Float32Array
from syncnas_deploy.errors import MissingDependency, WeightsError
from syncnas_deploy.files.output import atomic_output
from syncnas_deploy.networks.config import BlockSpec, ModelConfig
from syncnas_deploy.networks.weights import Weights, block_prefix, check_weights, parameter_shapes

TIMM = "timm:"
SUFFIXES = (".pth", ".pt", ".safetensors", ".npz")


def load_weights(source: str | Path, config: ModelConfig) -> dict[str, Float32Array]:
    """Weights of a config from a file or from ``timm:NAME``.

    Raises:
        WeightsError: unreadable, other than tensors, or it does not fit the config.
        MissingDependency: torch, safetensors or timm is needed and not installed.
    """
    text = str(source)
    if text.startswith(TIMM):
        weights = from_timm(_timm_arrays(text.removeprefix(TIMM)), config, text)
    else:
        weights = read_arrays(Path(source))
    check_weights(weights, config, text)
    return weights


def read_arrays(path: Path) -> dict[str, Float32Array]:
    """The named arrays of a file, whatever model they are of; batch norms' counters are left out.

    Raises:
        WeightsError: no such file, or not readable as one of `SUFFIXES`.
        MissingDependency: the library for that kind is not installed.
    """
    if path.suffix not in SUFFIXES:
        raise WeightsError(f"{path}: weights are in a {', '.join(SUFFIXES)} file, or timm:NAME.")
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; check the path.")
    read = {".npz": _from_npz, ".safetensors": _from_safetensors}.get(path.suffix, _from_torch)
    return {name: value for name, value in read(path).items() if not name.endswith("num_batches_tracked")}


def write_safetensors(path: Path, weights: Weights, *, force: bool = False) -> None:
    """Write named arrays as safetensors, whole or not at all.

    Raises:
        MissingDependency: safetensors is not installed.
        OutputError: it cannot be written, or exists and `force` is false.
    """
    save = _safetensors().save
    with atomic_output(path, force=force) as part:
        part.write_bytes(save({name: np.ascontiguousarray(value) for name, value in weights.items()}))


def _from_npz(path: Path) -> dict[str, Float32Array]:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            return {name: np.asarray(archive[name], dtype=np.float32) for name in archive.files}
    except Exception as e:
        raise WeightsError(f"{path}: not a readable .npz of arrays ({_first_line(e)}).") from None


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise MissingDependency(
            "safetensors is not installed; install it with: pip install 'syncnas-deploy[torch]'."
        ) from None
    return safetensors.numpy


def _from_safetensors(path: Path) -> dict[str, Float32Array]:
    load = _safetensors().load_file
    try:
        return {name: np.asarray(value, dtype=np.float32) for name, value in load(path).items()}
    except Exception as e:
        raise WeightsError(f"{path}: not a readable .safetensors ({_first_line(e)}).") from None


def _from_torch(path: Path) -> dict[str, Float32Array]:
    try:
        import torch
    except ImportError:
        raise MissingDependency(
            f"{path}: reading a .pth needs torch; install it with: pip install 'syncnas-deploy[torch]'."
        ) from None
    try:
        value: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as e:
        raise WeightsError(
            f"{path}: not a checkpoint of tensors only ({_first_line(e)}); code in a checkpoint is never run."
        ) from None
    for key in ("state_dict", "model"):
        if isinstance(value, dict) and isinstance(value.get(key), dict):
            value = value[key]
    if not isinstance(value, dict) or not all(isinstance(v, torch.Tensor) for v in value.values()):
        raise WeightsError(f"{path}: holds no state dict (names with tensors); save model.state_dict().")
    names = {str(name).removeprefix("module."): tensor for name, tensor in value.items()}
    return {name: tensor.detach().to(torch.float32).numpy() for name, tensor in names.items()}


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
