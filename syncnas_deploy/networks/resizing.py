"""A base model at other widths: which widths its blocks may take, and the model with them."""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from syncnas_deploy.networks.config import BlockSpec, ModelConfig, StageSpec, SyncOp, name_after, stage_outputs
from syncnas_deploy.networks.widths import WIDTH_STEP, BlockKey, Widths


def width_at(block: BlockSpec, ratio: float) -> int:
    """The multiple of 4 nearest to `ratio` times the base's expanded width.

    At ratio 1 it is the base's own width, whatever that is. Elsewhere a width that equals the block's input is
    moved by one step, since there the block would lose its expansion.
    """
    if ratio == 1.0:
        return block.expanded_channels
    width = max(WIDTH_STEP, WIDTH_STEP * round(ratio * block.expanded_channels / WIDTH_STEP))
    while width == block.in_channels or width < len(block.kernels):
        width += WIDTH_STEP
    return width


def ratio_widths(base: ModelConfig, ratio: float) -> Widths:
    """The widths of a base model times a ratio, see `width_at`. They are of one branch."""
    return Widths.of([[[width_at(block, ratio) for block in stage.branches[0]] for stage in base.stages]])


def at_widths(base: ModelConfig, widths: Widths) -> ModelConfig:
    """A base model with other expanded widths; still one branch."""
    stages = []
    for s, stage in enumerate(base.stages):
        blocks = [
            b.resized(expanded=widths[0, s, i], in_channels=b.in_channels, out_channels=b.out_channels)
            for i, b in enumerate(stage.branches[0])
        ]
        stages.append(StageSpec((tuple(blocks),)))
    return dataclasses.replace(base, name=name_after(base.name, "other"), stages=tuple(stages))


def input_width(base: ModelConfig, key: BlockKey, branch: int = 0) -> int:
    """Input channels of a block of `base`, in the form that a branch has of it."""
    blocks = base.stages[key.stage].branches[0]
    if key.block == 0 or not key.halved:
        return blocks[key.block].in_channels
    return stage_outputs(blocks[key.block - 1].out_channels, SyncOp.CONCAT)[branch]


def step_multiples(low: int, high: int) -> NDArray[np.int64]:
    """Multiples of `WIDTH_STEP` from `low` to `high`, both included where they are multiples. [n]"""
    return np.arange(-(-low // WIDTH_STEP) * WIDTH_STEP, high + 1, WIDTH_STEP, dtype=np.int64)


def keeps_expansion(base: ModelConfig, key: BlockKey, widths: NDArray[np.int64], branch: int = 0) -> NDArray[np.bool_]:
    """By width: whether the block keeps its expansion there, and each kernel has a channel. [n] to [n]"""
    kernels = base.stages[key.stage].branches[0][key.block].kernels
    return np.asarray((widths != input_width(base, key, branch)) & (widths >= len(kernels)))


def allowed_widths(base: ModelConfig, key: BlockKey, low: int, high: int, branch: int = 0) -> NDArray[np.int64]:
    """Multiples of 4 from `low` to `high` at which the block keeps its expansion. [n]"""
    widths = step_multiples(low, high)
    return np.asarray(widths[keeps_expansion(base, key, widths, branch)])
