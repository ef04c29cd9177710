"""``timm:NAME``: a model that timm knows, its tensors mapped onto ours one by one and its logits compared with ours."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from syncnas_deploy.arrays import Float32Array
from syncnas_deploy.errors import MissingDependency, WeightsError
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.weights import Weights, block_prefix, parameter_shapes
from syncnas_deploy.training.weight_files import first_line

_TOLERANCE = 1e-5
"""Of what another image changes. In float64 equal networks differ by far less, and an epsilon of 1e-3 changes more."""

_SIDE = 64
"""Pixels of the images that both are given: as good as a larger one, and even, so that paddings differ."""


def timm_weights(name: str, config: ModelConfig, where: str) -> dict[str, Float32Array]:
    """The pretrained weights of a timm model, with or without a tag such as ``.ra_in1k``, by our names.

    An untrained model is looked at first: what is refused need not be downloaded.

    Raises:
        WeightsError: timm knows no such model or has no weights for it, its tensors do not correspond, or it computes
            something else with them.
        MissingDependency: timm cannot be imported.
    """
    try:
        import timm
    except Exception as e:
        # timm also fails to import where torchvision does not fit torch, with other errors than ImportError.
        raise MissingDependency(
            f"{where} needs timm, which cannot be imported here ({first_line(e)}); "
            "run: pip install 'syncnas-deploy[timm]', with a torchvision that fits your torch."
        ) from None
    import torch

    if not timm.is_model(name):
        raise WeightsError(f"{where}: timm {timm.__version__} knows no model of that name.")
    weights: dict[str, Float32Array] = {}
    for pretrained in (False, True):
        try:
            with torch.random.fork_rng([]):
                torch.manual_seed(0)
                model = timm.create_model(name, pretrained=pretrained).eval()
        except Exception as e:
            raise WeightsError(f"{where}: its pretrained weights cannot be had ({first_line(e)}).") from None
        arrays = {key: value.numpy() for key, value in model.state_dict().items()}
        weights = from_timm(arrays, config, where)
        _check_logits(model, config, weights, where)
    return weights


def _check_logits(theirs: Any, config: ModelConfig, weights: Weights, where: str) -> None:
    """Refuse a model whose logits differ from ours: the same tensors may be padded, pooled or normalised otherwise."""
    import torch

    from syncnas_deploy.training.module import build

    images = torch.from_numpy(np.random.default_rng(0).normal(size=(2, config.stem.in_channels, _SIDE, _SIDE)))
    with torch.inference_mode():
        wanted, found = theirs.double()(images), build(config, weights).double()(images)
    # What an image changes, since the classifier's bias alone can be most of an untrained model's logits.
    share = float((found - wanted).abs().max() / (wanted[0] - wanted[1]).abs().max())
    if not share <= _TOLERANCE:
        raise WeightsError(
            f"{where}: computes something else than {config.name} with the same weights, as timm's tf_ and blur "
            f"variants do (its logits differ by {100 * share:.3g} %); choose the plain model that docs/models.md names."
        )


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
        groups |= {f"{prefix}pw1.0.weight": block.expand_groups, f"{prefix}pw2.0.weight": block.project_groups}
    for name, shape in parameter_shapes(config).items():
        yield name, shape, groups.get(name, 1)
