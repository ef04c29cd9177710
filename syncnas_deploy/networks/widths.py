"""Expanded widths of a base model's blocks: which there are, and the base at others."""

from __future__ import annotations

import dataclasses

from syncnas_deploy.networks.config import BlockSpec, ModelConfig, StageSpec, SyncOp, stage_outputs

WIDTH_STEP = 4
"""SyncNAS widths are multiples of 4."""

ChainWidths = tuple[tuple[int, ...], ...]
"""Expanded channels by [stage][block]."""


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


def base_widths(base: ModelConfig) -> ChainWidths:
    """The base's own widths."""
    return tuple(tuple(block.expanded_channels for block in stage.branches[0]) for stage in base.stages)


def ratio_widths(base: ModelConfig, ratio: float) -> ChainWidths:
    """Every width at a ratio to the base's; see `width_at`."""
    return tuple(tuple(width_at(block, ratio) for block in stage.branches[0]) for stage in base.stages)


def at_widths(base: ModelConfig, widths: ChainWidths) -> ModelConfig:
    """The base with other expanded widths; still one branch."""
    stages = []
    for stage, row in zip(base.stages, widths, strict=True):
        blocks = [
            b.resized(expanded=width, in_channels=b.in_channels, out_channels=b.out_channels)
            for b, width in zip(stage.branches[0], row, strict=True)
        ]
        stages.append(StageSpec((tuple(blocks),)))
    return dataclasses.replace(base, name=f"{base.name}_other", stages=tuple(stages))


def input_width(base: ModelConfig, stage: int, block: int, halved: bool, branch: int = 0) -> int:
    """Channels that enter a block whose stage gives all, or half, of its outputs."""
    blocks = base.stages[stage].branches[0]
    if block == 0 or not halved:
        return blocks[block].in_channels
    return stage_outputs(blocks[block - 1].out_channels, SyncOp.CONCAT)[branch]
