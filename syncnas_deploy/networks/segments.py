"""Segments: a network cut at its synchronizations, so that between units only features and a barrier cross.

A branched model runs in phases. Phase 0 is the stem, on the trunk branch alone, or on both. Each run of stages up to
a sync is one phase, in which both branches run a segment. The head is the last phase, on the trunk alone. A
segment's first operation is the ADD or CONCAT of both branches' outputs, so the partner's output is an input of it.
A base model is one segment.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from typing import TypeVar

from syncnas_deploy.networks.config import BlockSpec, ModelConfig, SyncOp

Shape = tuple[int, ...]
T = TypeVar("T")


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
    """What one branch computes between two syncs.

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
    input_shapes: tuple[Shape, ...]
    output_shape: Shape

    @property
    def output_bytes(self) -> int:
        """Size of the output as float32."""
        return 4 * math.prod(self.output_shape)


def cut(config: ModelConfig) -> tuple[Segment, ...]:
    """All segments of a model, ordered by phase and branch."""
    if config.branch_count == 1:
        return (_whole(config),)
    ends = [stage + 1 for stage, op in enumerate(config.sync_ops) if op is not SyncOp.NONE]
    inner = (
        _inner(config, phase, branch, begin, end)
        for phase, (begin, end) in enumerate(pairwise([0, *ends]), start=1)
        for branch in (0, 1)
    )
    stems = (_stem(config, branch) for branch in ((0, 1) if config.twin_stem else (config.trunk,)))
    return (*stems, *inner, _head(config, phase=len(ends) + 1, stage=ends[-1] - 1))


def run_chain(segments: Sequence[Segment], run: Callable[[Segment, dict[str, T]], Mapping[str, T]], image: T) -> T:
    """Run all segments one after another, as the phases would, and return the logits.

    Args:
        segments: of one network.
        run: called with a segment and its inputs by name; returns its one output by name.
        image: [1, H, W, 3].
    """
    latest: dict[int, T] = {}
    for phase in range(segments[-1].phase + 1):
        done: dict[int, T] = {}
        for segment in (s for s in segments if s.phase == phase):
            places = {Feed.OWN: segment.branch, Feed.PARTNER: 1 - segment.branch}
            inputs = {feed.value: latest[places[feed]] if feed in places else image for feed in segment.feeds}
            (done[segment.branch],) = run(segment, inputs).values()
        latest |= done
    return latest[segments[-1].branch]


def _image_shape(config: ModelConfig) -> Shape:
    return (1, config.input_size, config.input_size, config.stem.in_channels)


def _stem_shape(config: ModelConfig) -> Shape:
    return (1, config.stem_size, config.stem_size, config.stem.out_channels)


def _whole(config: ModelConfig) -> Segment:
    """A base model as one segment."""
    return Segment(
        name="whole",
        phase=0,
        branch=0,
        feeds=(Feed.IMAGE,),
        sync=SyncOp.NONE,
        sync_stage=None,
        closing=SyncOp.NONE,
        stem=True,
        head=True,
        blocks=tuple(PlacedBlock(*place) for place in config.blocks()),
        input_shapes=(_image_shape(config),),
        output_shape=(1, config.classes),
    )


def _stem(config: ModelConfig, branch: int) -> Segment:
    return Segment(
        name=f"stem_branch{branch}" if config.twin_stem else "stem",
        phase=0,
        branch=branch,
        feeds=(Feed.IMAGE,),
        sync=SyncOp.NONE,
        sync_stage=None,
        closing=SyncOp.NONE,
        stem=True,
        head=False,
        blocks=(),
        input_shapes=(_image_shape(config),),
        output_shape=_stem_shape(config),
    )


def _inner(config: ModelConfig, phase: int, branch: int, begin: int, end: int) -> Segment:
    """One branch's blocks of the stages [begin, end)."""
    blocks = tuple(
        PlacedBlock(branch, stage, index, block)
        for stage in range(begin, end)
        for index, block in enumerate(config.stages[stage].branches[branch])
    )
    if begin == 0:
        feeds: tuple[Feed, ...] = (Feed.OWN if branch == config.trunk or config.twin_stem else Feed.PARTNER,)
        shapes: tuple[Shape, ...] = (_stem_shape(config),)
    else:
        feeds, shapes = _synced(config, branch, begin - 1)
    last = blocks[-1].block
    return Segment(
        name=f"phase{phase}_branch{branch}",
        phase=phase,
        branch=branch,
        feeds=feeds,
        sync=SyncOp.NONE if begin == 0 else config.sync_ops[begin - 1],
        sync_stage=None if begin == 0 else begin - 1,
        closing=config.sync_ops[end - 1],
        stem=False,
        head=False,
        blocks=blocks,
        input_shapes=shapes,
        output_shape=(1, last.output_size, last.output_size, last.out_channels),
    )


def _head(config: ModelConfig, phase: int, stage: int) -> Segment:
    """The head of a branched model, after the sync of `stage`."""
    feeds, shapes = _synced(config, config.trunk, stage)
    return Segment(
        name="head",
        phase=phase,
        branch=config.trunk,
        feeds=feeds,
        sync=config.sync_ops[stage],
        sync_stage=stage,
        closing=SyncOp.NONE,
        stem=False,
        head=True,
        blocks=(),
        input_shapes=shapes,
        output_shape=(1, config.classes),
    )


def _synced(config: ModelConfig, branch: int, stage: int) -> tuple[tuple[Feed, ...], tuple[Shape, ...]]:
    """What a branch reads after the sync of `stage`: feeds and shapes, those of branch 0 before those of branch 1."""
    lasts = [config.stages[stage].branches[b][-1] for b in (0, 1)]
    shapes = tuple((1, last.output_size, last.output_size, last.out_channels) for last in lasts)
    return tuple(Feed.OWN if b == branch else Feed.PARTNER for b in (0, 1)), shapes
