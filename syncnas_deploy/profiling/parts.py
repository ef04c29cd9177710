"""Points: the parts of a base model whose latency is measured. Each part is a graph of its own.

Every part is measured inside a chain, a whole network run part by part on one unit. So a part's input was just
written by the part before it, and its weights were last used a whole network ago, as in the network itself.

There are two chains for each width pair. In the ADD chain stages keep their outputs, and an ADD follows each stage. In
the CONCAT chain blocks give half of their stage's output channels, and a CONCAT follows each stage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from syncnas_deploy.networks.config import BlockSpec, ModelConfig, SyncOp, stage_outputs
from syncnas_deploy.networks.lowering import NetworkLowering
from syncnas_deploy.networks.weights import block_shapes, parameter_shapes, random_weights
from syncnas_deploy.networks.widths import BlockKey, Widths
from syncnas_deploy.prediction.rows import INVOCATION_OPS, Point
from syncnas_exporters.graph import Graph


@dataclass(frozen=True)
class PointGraph:
    """A point and its graph. `joins` says whether it is a sync that takes the features before it as both inputs."""

    point: Point
    graph: Graph
    joins: bool = False


def chain(base: ModelConfig, widths: Widths, op: SyncOp, seed: int, prefix: str) -> tuple[PointGraph, ...]:
    """All parts of one chain, in running order.

    Args:
        base: a base model.
        widths: expanded channels of its one branch.
        op: ADD or CONCAT; see the module's text.
        seed: of the weights.
        prefix: the beginning of each graph's name.
    """
    halved = op is SyncOp.CONCAT
    parts = [_invocation(ops, f"{prefix}ops{ops}") for ops in sorted(INVOCATION_OPS, reverse=True)]
    parts.append(_stem(base, seed, f"{prefix}stem"))
    width = base.stem.out_channels
    for s, stage in enumerate(base.stages):
        for i, block in enumerate(stage.branches[0]):
            out = stage_outputs(block.out_channels, op)[0]
            sized = block.resized(expanded=widths[0, s, i], in_channels=width, out_channels=out)
            parts.append(_block(base, s, i, sized, halved, seed, f"{prefix}s{s}b{i}"))
            width = out
        full = stage.branches[0][-1].out_channels
        size = stage.branches[0][-1].output_size
        parts.append(_sync(s, op, size, full, f"{prefix}s{s}sync"))
        width = full
    parts.append(_head(base, seed, f"{prefix}head"))
    return tuple(parts)


def _invocation(ops: int, name: str) -> PointGraph:
    low = NetworkLowering(name, {})
    first, x = low.input("first", (1, 1, 1, 4)), low.input("second", (1, 1, 1, 4))
    for _ in range(ops):
        x = low.sync(first, x, SyncOp.ADD)
    return PointGraph(Point("invocation", width=ops), low.graph.build([x]))


def _stem(base: ModelConfig, seed: int, name: str) -> PointGraph:
    weights = random_weights(_starting(parameter_shapes(base), "stem_conv."), seed)
    low = NetworkLowering(name, weights, base.bn_epsilon)
    x = low.input("features", (1, base.input_size, base.input_size, base.stem.in_channels))
    x = low.conv(x, "stem_conv.", base.stem.activation, stride=base.stem.stride, padding=base.stem.kernel // 2)
    return PointGraph(Point("stem"), low.graph.build([x]))


def _block(
    base: ModelConfig, stage: int, index: int, block: BlockSpec, halved: bool, seed: int, name: str
) -> PointGraph:
    low = NetworkLowering(name, random_weights(block_shapes(block), seed), base.bn_epsilon)
    x = low.input("features", (1, block.input_size, block.input_size, block.in_channels))
    graph = low.graph.build([low.block(x, "", block)])
    point = Point("block", stage, index, halved=halved, width=block.expanded_channels, expands=block.expands)
    return PointGraph(point, graph)


def block_graph(base: ModelConfig, key: BlockKey, width: int, name: str) -> Graph:
    """One block of a base, with full outputs, at another width, as a graph of its own."""
    block = base.stages[key.stage].branches[0][key.block]
    sized = block.resized(expanded=width, in_channels=block.in_channels, out_channels=block.out_channels)
    return _block(base, key.stage, key.block, sized, False, 0, name).graph


def _sync(stage: int, op: SyncOp, size: int, channels: int, name: str) -> PointGraph:
    low = NetworkLowering(name, {})
    first, second = stage_outputs(channels, op)
    names = [low.input(f"branch{b}", (1, size, size, c)) for b, c in enumerate((first, second))]
    graph = low.graph.build([low.sync(names[0], names[1], op)])
    return PointGraph(Point("sync", stage, op=op, halved=op is SyncOp.CONCAT), graph, joins=first == second)


def _head(base: ModelConfig, seed: int, name: str) -> PointGraph:
    shapes = parameter_shapes(base)
    wanted: dict[str, tuple[int, ...]] = {}
    for prefix in ("head_conv.", "post_pool.", "classifier."):
        wanted |= _starting(shapes, prefix)
    low = NetworkLowering(name, random_weights(wanted, seed), base.bn_epsilon)
    size = base.stages[-1].branches[0][-1].output_size
    x = low.input("features", (1, size, size, base.head.in_channels))
    return PointGraph(Point("head"), low.graph.build([low.head(x, base)]))


def _starting(shapes: Mapping[str, tuple[int, ...]], prefix: str) -> dict[str, tuple[int, ...]]:
    return {name: shape for name, shape in shapes.items() if name.startswith(prefix)}
