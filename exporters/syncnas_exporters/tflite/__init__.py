"""Graphs to one .tflite file, written straight onto the FlatBuffers schema, without a converter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from syncnas_exporters.errors import DuplicateGraphName, GraphError, ModelTooLarge, RangesError
from syncnas_exporters.graph import Graph
from syncnas_exporters.ranges import Ranges

if TYPE_CHECKING:
    from syncnas_exporters.tflite.emitter import FileEmitter

PRECISIONS = ("fp32", "fp16", "int8")
"""Formats of the numbers in a file."""

MAX_FILE_BYTES = 2**31 - 1
"""Source: FlatBuffers, whose offsets are 32 bits wide and whose builders stop at 2 GiB."""

_ROOM_PER_TENSOR_BYTES = 256
_ROOM_PER_GRAPH_BYTES = 2048


def write_tflite(
    graphs: Sequence[Graph],
    *,
    description: str = "syncnas_exporters",
    precision: str = "fp32",
    ranges: Mapping[str, Ranges] | None = None,
) -> bytes:
    """Write graphs into one .tflite file, one subgraph and one signature each.

    A graph's name is its signature key, and its tensors' names are the names of the signature's inputs and
    outputs, `[N, H, W, C]` float32 in every precision. In the file a tensor is called GRAPH/TENSOR. Constants that are
    the same array object are stored once, in whichever graphs they occur. Equal arguments give equal bytes.

    Args:
        graphs: in float32.
        description: of the file.
        precision: one of `PRECISIONS`. fp16 halves the weights and computes as fp32 does; int8 computes in int8.
        ranges: for int8, those of each graph by its name; of a `RangeObserver`, or `stand_in_ranges`.

    Raises:
        GraphError: when there is no graph, or a weight is beyond fp16.
        DuplicateGraphName: when two graphs share a name.
        RangesError: when int8 lacks a range, or one is not finite.
        ModelTooLarge: when the file would pass 2 GiB.

    Source: tensorflow/lite/schema/schema.fbs, schema version 3.
    """
    if not graphs:
        raise GraphError("a .tflite file needs at least one graph")
    names: set[str] = set()
    for graph in graphs:
        if graph.name in names:
            raise DuplicateGraphName(f"two graphs are named {graph.name}; a signature key must be unique")
        names.add(graph.name)
    emitter = _emitter(_room_bytes(graphs, description), precision, ranges or {})
    for graph in graphs:
        emitter.add_graph(graph)
    return emitter.finish(description)


def _emitter(room_bytes: int, precision: str, ranges: Mapping[str, Ranges]) -> FileEmitter:
    from syncnas_exporters.tflite import fp16, int8
    from syncnas_exporters.tflite.emitter import FileEmitter
    from syncnas_exporters.tflite.lowering import TfliteLowering

    if precision == "fp32":
        return FileEmitter(room_bytes, TfliteLowering, {})
    if precision == "fp16":
        return FileEmitter(room_bytes, fp16.Fp16Lowering, fp16.VERSIONS)
    if precision != "int8":
        raise GraphError(f"there is no precision {precision!r}; use one of {', '.join(PRECISIONS)}")
    weights = int8.Int8Weights()

    def lower(graph: Graph) -> int8.Int8Lowering:
        if graph.name not in ranges:
            raise RangesError(f"graph {graph.name}: int8 needs its ranges; calibrate it")
        return int8.Int8Lowering(graph, ranges[graph.name], weights)

    return FileEmitter(room_bytes, lower, int8.VERSIONS)


def _room_bytes(graphs: Sequence[Graph], description: str) -> int:
    """The size of the file from above, in any precision."""
    weights = {id(t.data): t.data.nbytes for g in graphs for t in g.tensors.values() if t.data is not None}
    tensors = sum(len(graph.tensors) for graph in graphs)
    names = sum(len(graph.name) * len(graph.tensors) for graph in graphs)
    room_bytes = (
        sum(weights.values())
        + names
        + tensors * _ROOM_PER_TENSOR_BYTES
        + len(graphs) * _ROOM_PER_GRAPH_BYTES
        + len(description.encode())
    )
    if room_bytes > MAX_FILE_BYTES:
        raise ModelTooLarge(
            f"these {len(graphs)} graphs need about {room_bytes / 2**30:.1f} GiB and a .tflite file holds 2; "
            "write them into several files"
        )
    return room_bytes
