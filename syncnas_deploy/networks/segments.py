"""Segments: a network cut at its synchronizations, so that between units only features and a barrier cross.

A branched model runs in phases. Phase 0 is the stem, on the trunk branch alone, or on both. Each run of stages up to
a sync is one phase, in which both branches run a segment. The head is the last phase, on the trunk alone. A
segment's first operation is the ADD or CONCAT of both branches' outputs, so the partner's output is an input of it.
A base model is one segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from syncnas_deploy.networks.config import BlockSpec, ModelConfig, SyncOp


class Feed(str, Enum):
    """Where a segment's input comes from."""

    IMAGE = "image"
    OWN = "own"
    PARTNER = "partner"


@dataclass(frozen=True)
class PlacedBlock:
    """A block with its place in the model; the place gives the names of its weights."""

    branch: int
    stage: int
    index: int
    block: BlockSpec


@dataclass(frozen=True)
class Segment:
    """One branch between two syncs.

    Attributes:
        name: unique in the model, also the TFLite signature.
        phase: when it runs; segments of one phase run at the same time.
        branch: 0 or 1.
        feeds: one or two inputs, in the order of `input_shapes`; for a CONCAT branch 0's features come first.
        sync: the first operation on two inputs (ADD or CONCAT), NONE where there is one input.
        sync_stage: the stage whose outputs `sync` joins, or None.
        closing: the sync that comes after this segment; where it is CONCAT the last stage gives half its channels.
        stem, head: whether the model's stem or head is part of it.
        blocks: in order.
        input_shapes: [1, H, W, C] of each input.
        output_shape: [1, H, W, C], or [1, classes] for the segment with the head.
    """

    name: str
    phase: int
    branch: int
    feeds: tuple[Feed, ...]
    sync: SyncOp
    sync_stage: int | None
    closing: SyncOp
    stem: bool
    head: bool
    blocks: tuple[PlacedBlock, ...]
    input_shapes: tuple[tuple[int, ...], ...]
    output_shape: tuple[int, ...]

    @property
    def output_bytes(self) -> int:
        """Size of the output as float32."""
        count = 4
        for n in self.output_shape:
            count *= n
        return count


def cut(config: ModelConfig) -> tuple[Segment, ...]:
    """All segments of a model, ordered by phase and branch."""
    image = (1, config.input_size, config.input_size, config.stem.in_channels)
    logits = (1, config.classes)
    if config.branch_count == 1:
        everything = tuple(PlacedBlock(*place) for place in config.blocks())
        return (
            Segment(
                "whole",
                0,
                0,
                (Feed.IMAGE,),
                SyncOp.NONE,
                None,
                SyncOp.NONE,
                True,
                True,
                everything,
                (image,),
                logits,
            ),
        )
    trunk = config.trunk
    stem_out = (1, config.stem_size, config.stem_size, config.stem.out_channels)
    segments = [
        Segment(
            f"stem_branch{branch}" if config.twin_stem else "stem",
            0,
            branch,
            (Feed.IMAGE,),
            SyncOp.NONE,
            None,
            SyncOp.NONE,
            True,
            False,
            (),
            (image,),
            stem_out,
        )
        for branch in ((0, 1) if config.twin_stem else (trunk,))
    ]
    ends = [s + 1 for s, op in enumerate(config.sync_ops) if op is not SyncOp.NONE]
    for phase, (first, end) in enumerate(pairwise([0, *ends]), start=1):
        for branch in (0, 1):
            segments.append(_inner(config, phase, branch, first, end))
    last = ends[-1] - 1
    feeds, shapes = _synced(config, trunk, last)
    segments.append(
        Segment(
            "head",
            len(ends) + 1,
            trunk,
            feeds,
            config.sync_ops[last],
            last,
            SyncOp.NONE,
            False,
            True,
            (),
            shapes,
            logits,
        )
    )
    return tuple(segments)


def _inner(config: ModelConfig, phase: int, branch: int, first: int, end: int) -> Segment:
    blocks = tuple(
        PlacedBlock(branch, s, i, block)
        for s in range(first, end)
        for i, block in enumerate(config.stages[s].branches[branch])
    )
    feeds: tuple[Feed, ...]
    shapes: tuple[tuple[int, ...], ...]
    if first == 0:
        feeds = (Feed.OWN if branch == config.trunk or config.twin_stem else Feed.PARTNER,)
        shapes = ((1, config.stem_size, config.stem_size, config.stem.out_channels),)
        op, joined = SyncOp.NONE, None
    else:
        feeds, shapes = _synced(config, branch, first - 1)
        op, joined = config.sync_ops[first - 1], first - 1
    size, width = blocks[-1].block.output_size, blocks[-1].block.out_channels
    name = f"phase{phase}_branch{branch}"
    return Segment(
        name,
        phase,
        branch,
        feeds,
        op,
        joined,
        config.sync_ops[end - 1],
        False,
        False,
        blocks,
        shapes,
        (1, size, size, width),
    )


def _synced(config: ModelConfig, branch: int, stage: int) -> tuple[tuple[Feed, ...], tuple[tuple[int, ...], ...]]:
    lasts = [config.stages[stage].branches[b][-1] for b in (0, 1)]
    shapes = tuple((1, last.output_size, last.output_size, last.out_channels) for last in lasts)
    return tuple(Feed.OWN if b == branch else Feed.PARTNER for b in (0, 1)), shapes
