"""Weights as named NumPy arrays: the published names, without torch.

Names of a branched model: ``stem_conv.{0,1}.*``, ``stage{1..}.branch{1,2}.{block}.{pw1,dw,pw2}.{0,1}.*``,
``head_conv.{0,1}.*``, ``classifier.1.{weight,bias}``; of a base model ``stages.{0..}.blocks.{block}...``.
``.0`` is a convolution and ``.1`` its batch norm. Beyond the published models: ``se.{reduce,expand}.{0,1}.*`` for
squeeze-and-excitation, ``dw.0.{k}.weight`` where several kernels share the channels, ``post_pool.*``.
Shapes are torch's: convolutions [O, I / groups, kh, kw].
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from syncnas_deploy.arrays import Float32Array
from syncnas_deploy.errors import WeightsError
from syncnas_deploy.networks.config import BlockSpec, ModelConfig

Weights = Mapping[str, Float32Array]

_BATCH_NORM = ("weight", "bias", "running_mean", "running_var")


def block_prefix(config: ModelConfig, branch: int, stage: int, index: int) -> str:
    """The beginning of the names of a block's weights."""
    if config.branch_count == 1:
        return f"stages.{stage}.blocks.{index}."
    return f"stage{stage + 1}.branch{branch + 1}.{index}."


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight, in the order of the torch module's state dict (counters left out)."""
    shapes: dict[str, tuple[int, ...]] = {}
    stem = config.stem
    _conv_bn(shapes, "stem_conv.", (stem.out_channels, stem.in_channels, stem.kernel, stem.kernel))
    for s, stage in enumerate(config.stages):
        for b, blocks in enumerate(stage.branches):
            for i, block in enumerate(blocks):
                shapes.update(block_shapes(block, block_prefix(config, b, s, i)))
    head = config.head
    _conv_bn(shapes, "head_conv.", (head.out_channels, head.in_channels, 1, 1))
    width = head.out_channels
    if head.post_pool_channels:
        shapes["post_pool.weight"] = (head.post_pool_channels, width)
        shapes["post_pool.bias"] = (head.post_pool_channels,)
        width = head.post_pool_channels
    shapes["classifier.1.weight"] = (config.classes, width)
    shapes["classifier.1.bias"] = (config.classes,)
    return shapes


def block_shapes(block: BlockSpec, prefix: str = "") -> dict[str, tuple[int, ...]]:
    """Name and shape of every weight of one block."""
    shapes: dict[str, tuple[int, ...]] = {}
    wide = block.expanded_channels
    if block.expands:
        _conv_bn(shapes, f"{prefix}pw1.", (wide, block.in_channels // block.expand_groups, 1, 1))
    if len(block.kernels) == 1:
        shapes[f"{prefix}dw.0.weight"] = (wide, 1, block.kernels[0], block.kernels[0])
    else:
        for k, (kernel, channels) in enumerate(zip(block.kernels, block.kernel_channels, strict=True)):
            shapes[f"{prefix}dw.0.{k}.weight"] = (channels, 1, kernel, kernel)
    _bn(shapes, f"{prefix}dw.1.", wide)
    se = block.squeeze_excite
    if se is not None:
        shapes[f"{prefix}se.reduce.0.weight"] = (se.channels, wide, 1, 1)
        shapes[f"{prefix}se.reduce.0.bias"] = (se.channels,)
        if se.batch_norm:
            _bn(shapes, f"{prefix}se.reduce.1.", se.channels)
        shapes[f"{prefix}se.expand.weight"] = (wide, se.channels, 1, 1)
        shapes[f"{prefix}se.expand.bias"] = (wide,)
    _conv_bn(shapes, f"{prefix}pw2.", (block.out_channels, wide // block.project_groups, 1, 1))
    return shapes


def _conv_bn(shapes: dict[str, tuple[int, ...]], prefix: str, shape: tuple[int, ...]) -> None:
    shapes[f"{prefix}0.weight"] = shape
    _bn(shapes, f"{prefix}1.", shape[0])


def _bn(shapes: dict[str, tuple[int, ...]], prefix: str, channels: int) -> None:
    for name in _BATCH_NORM:
        shapes[prefix + name] = (channels,)


def is_parameter(name: str) -> bool:
    """Whether a weight is trained, not a running statistic."""
    return not name.endswith(("running_mean", "running_var"))


def parameter_count(config: ModelConfig) -> int:
    """Trained parameters of the whole network."""
    return sum(int(np.prod(shape)) for name, shape in parameter_shapes(config).items() if is_parameter(name))


def network_bytes(config: ModelConfig) -> int:
    """Memory that a network takes at least, bytes: its weights, and the largest two features that are there at once."""
    weights = sum(math.prod(shape) for shape in parameter_shapes(config).values())
    features = [config.input_size**2 * config.stem.in_channels + config.stem_size**2 * config.stem.out_channels]
    features += [block.input_size**2 * (block.in_channels + block.expanded_channels) for *_, block in config.blocks()]
    return 4 * (weights + max(features))


def random_weights(shapes: Mapping[str, tuple[int, ...]], seed: int) -> dict[str, Float32Array]:
    """Seeded weights that keep activations in range, so that parity of a deep network means something.

    Convolutions are uniform with variance 2 / fan_in (He et al., ICCV 2015), projections with a quarter of it; batch
    norms are near identity with statistics that are not, so that folding them is exercised.
    """
    rng = np.random.default_rng(seed)
    weights: dict[str, Float32Array] = {}
    for name, shape in shapes.items():
        if name.endswith("running_var"):
            value = rng.uniform(0.7, 1.3, shape)
        elif name.endswith(("running_mean", ".bias")):
            value = rng.normal(0.0, 0.05, shape)
        elif len(shape) == 1:
            value = rng.uniform(0.7, 1.3, shape)
        else:
            # A projection ends a block without activation, and residual links add what it gives.
            gain = 0.5 if ".pw2." in f".{name}" else 2.0
            # A uniform distribution of width w has variance w^2 / 12.
            width = np.float32(np.sqrt(12 * gain / np.prod(shape[1:])))
            value = (rng.random(shape, dtype=np.float32) - np.float32(0.5)) * width
        weights[name] = value.astype(np.float32, copy=False)
    return weights


def check_weights(weights: Weights, config: ModelConfig, where: str) -> None:
    """Refuse weights whose names or shapes are not the config's, or that are not finite.

    Raises:
        WeightsError: naming the first tensors that differ.
    """
    check_shapes({name: weight.shape for name, weight in weights.items()}, config, where)
    odd = [name for name, weight in weights.items() if not np.isfinite(weight).all()]
    _refuse([f"{name} contains NaN or infinite values" for name in odd], config, where)


def check_shapes(shapes: Mapping[str, tuple[int, ...]], config: ModelConfig, where: str) -> None:
    """`check_weights` for what is known before the weights are read.

    Raises:
        WeightsError: naming the first tensors that differ.
    """
    wanted = parameter_shapes(config)
    problems = [f"{name} is missing" for name in wanted if name not in shapes]
    problems += [f"{name} is not part of {config.name}" for name in shapes if name not in wanted]
    problems += [
        f"{name} is {list(shapes[name])}, {config.name} has {list(shape)}"
        for name, shape in wanted.items()
        if shapes.get(name, shape) != shape
    ]
    _refuse(problems, config, where)


def _refuse(problems: list[str], config: ModelConfig, where: str) -> None:
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise WeightsError(f"{where}: does not fit {config.name}: {'; '.join(problems[:3])}{more}.")
