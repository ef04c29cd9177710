"""A network with all its channels made narrower or wider by one factor, for cheap proxies."""

from __future__ import annotations

import dataclasses

from syncnas_deploy.networks.config import BlockSpec, ModelConfig, StageSpec, SyncOp

_MULTIPLE = 4


def scaled(config: ModelConfig, factor: float) -> ModelConfig:
    """The same network with every number of channels times `factor`, rounded to multiples of 4, at least 4.

    Strategy, kernels, residual links and which blocks expand stay as they are; so do two branches of equal or
    unequal width.

    Args:
        config: of one or two branches.
        factor: above 0.
    """
    if factor == 1.0:
        return config
    feeds = [_scaled(config.stem.out_channels, factor)] * config.branch_count
    stem = dataclasses.replace(config.stem, out_channels=feeds[0])
    stages = []
    for stage, op in zip(config.stages, config.sync_ops, strict=True):
        branches = []
        for b, blocks in enumerate(stage.branches):
            made = []
            for block in blocks:
                made.append(_block(block, feeds[b], factor))
                feeds[b] = made[-1].out_channels
            branches.append(tuple(made))
        stages.append(StageSpec(tuple(branches)))
        if op is SyncOp.CONCAT:
            feeds = [sum(feeds)] * len(feeds)
    post = config.head.post_pool_channels
    head = dataclasses.replace(
        config.head,
        in_channels=feeds[0],
        out_channels=_scaled(config.head.out_channels, factor),
        post_pool_channels=None if post is None else _scaled(post, factor),
    )
    return dataclasses.replace(config, stem=stem, stages=tuple(stages), head=head)


def _scaled(channels: int, factor: float) -> int:
    return max(1, round(channels * factor / _MULTIPLE)) * _MULTIPLE


def _block(block: BlockSpec, width: int, factor: float) -> BlockSpec:
    """A block that is fed `width` channels."""
    expanded = _scaled(block.expanded_channels, factor)
    if not block.expands:
        expanded = width
    elif expanded == width and not block.always_expand:
        expanded += _MULTIPLE
    made = block.resized(expanded=expanded, in_channels=width, out_channels=_scaled(block.out_channels, factor))
    # Widths that were unlike may be rounded to the same; that makes no residual link.
    return made if made.adds_input == block.adds_input else dataclasses.replace(made, residual=False)
