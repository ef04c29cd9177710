"""Points: the parts of a base model whose latency is measured, each as one graph of its own.

Every part is measured inside a chain, a whole network run part by part on one unit: a part's input was just
written by the part before it and its weights were last used a whole network ago, as they are in the network
itself. There are two chains for each set of widths. In the ``add`` chain stages keep their outputs and an ADD follows
each; in the ``concat`` chain blocks give half of their stage's output channels and a CONCAT follows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from syncnas_bench import Work
from syncnas_deploy.models.config import BlockSpec, ModelConfig, StageSpec, SyncOp, stage_outputs
from syncnas_deploy.models.lowering import Lowering, lower
from syncnas_deploy.models.segments import cut
from syncnas_deploy.models.weights import Array, block_shapes, parameter_shapes, random_weights
from syncnas_exporters.graph import Graph
from syncnas_exporters.ops import WEIGHTED, OpKind

Part = Literal["stem", "block", "sync", "head", "invocation"]

INVOCATION_OPS = (1, 9)
"""Operations on next to nothing, in one graph: with one of them and with several, what is left is the invocation."""

WIDTH_STEP = 4
"""SyncNAS widths are multiples of 4."""

ChainWidths = tuple[tuple[int, ...], ...]
"""Expanded channels by [stage][block]."""


@dataclass(frozen=True)
class Point:
    """What was measured.

    Attributes:
        part: stem, block, sync (the ADD or CONCAT itself), head (without a sync) or invocation (of trivial operations).
        stage, block: place in the base model; -1 where the part has none.
        op: of a sync.
        halved: whether the stage's outputs are shared by the branches (CONCAT).
        width: expanded channels of a block, operations of an invocation; 0 otherwise.
        expands: whether the block has a pointwise expansion.
    """

    part: Part
    stage: int = -1
    block: int = -1
    op: SyncOp = SyncOp.NONE
    halved: bool = False
    width: int = 0
    expands: bool = False


@dataclass(frozen=True)
class PointGraph:
    """A point and its graph; `joins` is whether it takes the features before it twice (a sync)."""

    point: Point
    graph: Graph
    joins: bool = False

    @property
    def of_network(self) -> bool:
        """Whether a network of one branch has such a part."""
        return self.point.part in ("stem", "block", "head")


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


def network_graph(config: ModelConfig, weights: Mapping[str, Array], name: str) -> Graph:
    """A whole base model as one graph."""
    (segment,) = cut(config)
    return lower(dataclasses.replace(segment, name=name), config, weights)


def chain(base: ModelConfig, widths: ChainWidths, op: SyncOp, seed: int, prefix: str) -> tuple[PointGraph, ...]:
    """All parts of one chain, in running order; graph names begin with `prefix`.

    Args:
        base: a base model.
        widths: of its blocks.
        op: ADD or CONCAT; see the module's text.
        seed: of the weights.
    """
    halved = op is SyncOp.CONCAT
    parts = [_invocation(ops, f"{prefix}ops{ops}") for ops in sorted(INVOCATION_OPS, reverse=True)]
    parts.append(_stem(base, seed, f"{prefix}stem"))
    width = base.stem.out_channels
    for s, stage in enumerate(base.stages):
        for i, block in enumerate(stage.branches[0]):
            out = stage_outputs(block.out_channels, op)[0]
            sized = block.resized(expanded=widths[s][i], in_channels=width, out_channels=out)
            parts.append(_block(base, s, i, sized, halved, seed, f"{prefix}s{s}b{i}"))
            width = out
        full = stage.branches[0][-1].out_channels
        size = stage.branches[0][-1].output_size
        parts.append(_sync(s, op, size, full, f"{prefix}s{s}sync"))
        width = full
    parts.append(_head(base, seed, f"{prefix}head"))
    return tuple(parts)


def _invocation(ops: int, name: str) -> PointGraph:
    low = Lowering(name, {})
    first, x = low.input("first", (1, 1, 1, 4)), low.input("second", (1, 1, 1, 4))
    for _ in range(ops):
        x = low.sync(first, x, SyncOp.ADD)
    return PointGraph(Point("invocation", width=ops), low.graph.build([x]))


def _stem(base: ModelConfig, seed: int, name: str) -> PointGraph:
    weights = random_weights(_starting(parameter_shapes(base), "stem_conv."), seed)
    low = Lowering(name, weights, base.bn_epsilon)
    x = low.input("features", (1, base.input_size, base.input_size, base.stem.in_channels))
    x = low.conv(x, "stem_conv.", base.stem.activation, stride=base.stem.stride, padding=base.stem.kernel // 2)
    return PointGraph(Point("stem"), low.graph.build([x]))


def _block(
    base: ModelConfig, stage: int, index: int, block: BlockSpec, halved: bool, seed: int, name: str
) -> PointGraph:
    low = Lowering(name, random_weights(block_shapes(block), seed), base.bn_epsilon)
    x = low.input("features", (1, block.input_size, block.input_size, block.in_channels))
    graph = low.graph.build([low.block(x, "", block)])
    point = Point("block", stage, index, halved=halved, width=block.expanded_channels, expands=block.expands)
    return PointGraph(point, graph)


def _sync(stage: int, op: SyncOp, size: int, channels: int, name: str) -> PointGraph:
    low = Lowering(name, {})
    first, second = stage_outputs(channels, op)
    names = [low.input(f"branch{b}", (1, size, size, c)) for b, c in enumerate((first, second))]
    graph = low.graph.build([low.sync(names[0], names[1], op)])
    return PointGraph(Point("sync", stage, op=op, halved=op is SyncOp.CONCAT), graph, joins=first == second)


def _head(base: ModelConfig, seed: int, name: str) -> PointGraph:
    shapes = parameter_shapes(base)
    wanted: dict[str, tuple[int, ...]] = {}
    for prefix in ("head_conv.", "post_pool.", "classifier."):
        wanted |= _starting(shapes, prefix)
    low = Lowering(name, random_weights(wanted, seed), base.bn_epsilon)
    size = base.stages[-1].branches[0][-1].output_size
    x = low.input("features", (1, size, size, base.head.in_channels))
    return PointGraph(Point("head"), low.graph.build([low.head(x, base)]))


def _starting(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, shape in shapes.items() if name.startswith(prefix)}


def graph_work(graph: Graph) -> Work:
    """What a graph computes: multiply-accumulates, bytes touched (weights and features, float32), operations."""
    kernels = []
    for op in graph.ops:
        if op.kind in WEIGHTED:
            weight, out = graph.tensors[op.inputs[1]].shape, graph.tensors[op.outputs[0]].shape
            per_output = int(np.prod(weight[1:-1] if op.kind is OpKind.DEPTHWISE_CONV_2D else weight[1:]))
            kernels.append((int(np.prod(out)) * per_output, int(out[-1])))
    moved = sum(4 * int(np.prod(tensor.shape)) for tensor in graph.tensors.values())
    return Work(sum(macs for macs, _ in kernels), moved, len(graph.ops), tuple(kernels))
