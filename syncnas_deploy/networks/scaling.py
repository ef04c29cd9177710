"""A network at another size: with other numbers of channels or of classes, or for images of another size."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Callable

from syncnas_deploy.errors import ArgumentError, ConfigError
from syncnas_deploy.files.documents import Fields
from syncnas_deploy.networks.config import BlockSpec, ModelConfig, StageSpec, SyncOp
from syncnas_deploy.networks.formats import config_from_fields, config_to_json

_MULTIPLE = 4
WIDE_MULTIPLE = 8
"""Numbers of channels of a network at a width multiplier are multiples of it."""

Round = Callable[[float], int]
"""A number of channels from one that is none."""


def variant(
    config: ModelConfig, *, classes: int | None = None, input_size: int | None = None, width: float = 1.0
) -> ModelConfig:
    """The same architecture with another number of classes, at another input size (pixels), at a width multiplier.

    The name says what was changed, and so does that of the base, which is another one, too.

    Raises:
        ConfigError: the network cannot be that small or large.
        ArgumentError: a width multiplier that is no number from 0.05 to 20.
    """
    if not isinstance(width, numbers.Real) or isinstance(width, bool) or not 0.05 <= width <= 20:
        raise ArgumentError(f"A width multiplier is a number from 0.05 to 20, found {width!r:.40}; correct it.")
    changes = [f"w{width:g}"] if width != 1.0 else []
    value = config_to_json(at_width(config, width))
    for key, unit, wanted in (("input_size", "px", input_size), ("classes", "c", classes)):
        if wanted is not None and wanted != value[key]:
            value[key] = wanted
            changes.append(f"{wanted}{unit}")
    for key in ("name", "base"):
        if value.get(key):
            value[key] = "_".join([value[key], *changes])
    return config_from_fields(Fields(value, config.name, ConfigError), config.name)


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

    def expanded(block: BlockSpec, _in_channels: int) -> float:
        return block.expanded_channels * factor

    return _rescaled(config, factor, factor, expanded, _rounded, _MULTIPLE)


def at_width(config: ModelConfig, multiplier: float) -> ModelConfig:
    """The network at a width multiplier, as MobileNets are published at several.

    Stem and blocks get `multiplier` times as many channels, rounded by `divisible`; a block expands as many times as
    before. The layers of the head become wider with a multiplier above 1, and never narrower.

    Args:
        config: of one or two branches.
        multiplier: above 0.
    """
    if multiplier == 1.0:
        return config

    def expanded(block: BlockSpec, in_channels: int) -> float:
        return in_channels * block.expanded_channels / block.in_channels

    return _rescaled(config, multiplier, max(1.0, multiplier), expanded, divisible, WIDE_MULTIPLE)


def divisible(channels: float) -> int:
    """The nearest multiple of 8, at least 8, that is not more than a tenth below `channels`."""
    near = max(WIDE_MULTIPLE, int(channels + WIDE_MULTIPLE / 2) // WIDE_MULTIPLE * WIDE_MULTIPLE)
    return near if near >= 0.9 * channels else near + WIDE_MULTIPLE


def _rounded(channels: float) -> int:
    return max(1, round(channels / _MULTIPLE)) * _MULTIPLE


def _rescaled(
    config: ModelConfig,
    factor: float,
    head_factor: float,
    expanded: Callable[[BlockSpec, int], float],
    rounded: Round,
    step: int,
) -> ModelConfig:
    """The network with other numbers of channels; `expanded` gives those of a block that is fed so many channels."""

    def block_of(block: BlockSpec, width: int) -> BlockSpec:
        wide = rounded(expanded(block, width))
        if not block.expands:
            wide = width
        elif wide == width and not block.always_expand:
            wide += step
        made = block.resized(expanded=wide, in_channels=width, out_channels=rounded(block.out_channels * factor))
        # Widths that were unlike may be rounded to the same; that makes no residual link.
        return made if made.adds_input == block.adds_input else dataclasses.replace(made, residual=False)

    feeds = [rounded(config.stem.out_channels * factor)] * config.branch_count
    stem = dataclasses.replace(config.stem, out_channels=feeds[0])
    stages = []
    for stage, op in zip(config.stages, config.sync_ops, strict=True):
        branches = []
        for b, blocks in enumerate(stage.branches):
            made = []
            for block in blocks:
                made.append(block_of(block, feeds[b]))
                feeds[b] = made[-1].out_channels
            branches.append(tuple(made))
        stages.append(StageSpec(tuple(branches)))
        if op is SyncOp.CONCAT:
            feeds = [sum(feeds)] * len(feeds)
    post = config.head.post_pool_channels
    head = dataclasses.replace(
        config.head,
        in_channels=feeds[0],
        out_channels=rounded(config.head.out_channels * head_factor),
        post_pool_channels=None if post is None else rounded(post * head_factor),
    )
    return dataclasses.replace(config, stem=stem, stages=tuple(stages), head=head)
