"""Small networks that learn to tell the drawn shapes apart."""

from __future__ import annotations

from syncnas_deploy.networks.config import BlockSpec, HeadSpec, ModelConfig, StageSpec, StemSpec, branched
from tests.support.shapes import SHAPES, draw_set, draw_shape

__all__ = ["SHAPES", "draw_set", "draw_shape", "small_branched", "small_config"]


def small_config(width: int = 16, size: int = 32) -> ModelConfig:
    """A base model of three stages."""
    stages, here, at = [], width, (size + 1) // 2
    for out, stride, repeats in ((width, 1, 1), (width * 3 // 2, 2, 2), (width * 2, 2, 2)):
        blocks = []
        for i in range(repeats):
            blocks.append(BlockSpec((3,), stride if i == 0 else 1, here, here * 3, out, at, "relu6"))
            here, at = out, blocks[-1].output_size
        stages.append(StageSpec((tuple(blocks),)))
    return ModelConfig(
        name="small",
        stem=StemSpec(width, "relu6"),
        stages=tuple(stages),
        head=HeadSpec(here, width * 6, "relu6"),
        input_size=size,
        classes=len(SHAPES),
    )


def small_branched(width: int = 16, size: int = 32) -> ModelConfig:
    """Two branches of it, with every kind of sync."""
    return branched(small_config(width, size), "nca")
