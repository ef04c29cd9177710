"""Graphs to one .tflite file, written straight onto the FlatBuffers schema, without a converter."""

from __future__ import annotations

from collections.abc import Sequence

from syncnas_exporters.errors import DuplicateGraphName, GraphError, ModelTooLarge
from syncnas_exporters.graph import Graph

MAX_FILE_BYTES = 2**31 - 1
"""Source: FlatBuffers, whose offsets are 32 bits wide and whose builders stop at 2 GiB."""

_ROOM_PER_TENSOR_BYTES = 256
_ROOM_PER_GRAPH_BYTES = 2048


def write_tflite(graphs: Sequence[Graph], *, description: str = "syncnas_exporters") -> bytes:
    """Write graphs into one .tflite file, one subgraph and one signature each.

    A graph's name is its signature key, and its tensors' names are the names of the signature's inputs and
    outputs, `[N, H, W, C]` float32. Constants that are the same array object are stored once, in whichever
    graphs they occur. Equal graphs give equal bytes.

    Raises:
        GraphError: when there is no graph.
        DuplicateGraphName: when two graphs share a name.
        ModelTooLarge: when the file would pass 2 GiB.

    Source: tensorflow/lite/schema/schema.fbs, schema version 3.
    """
    from syncnas_exporters.tflite.emitter import FileEmitter

    if not graphs:
        raise GraphError("a .tflite file needs at least one graph")
    names: set[str] = set()
    for graph in graphs:
        if graph.name in names:
            raise DuplicateGraphName(f"two graphs are named {graph.name}; a signature key must be unique")
        names.add(graph.name)
    emitter = FileEmitter(_room_bytes(graphs, description))
    for graph in graphs:
        emitter.add_graph(graph)
    return emitter.finish(description)


def _room_bytes(graphs: Sequence[Graph], description: str) -> int:
    weights = {id(t.data): t.data.nbytes for g in graphs for t in g.tensors.values() if t.data is not None}
    tensors = sum(len(graph.tensors) for graph in graphs)
    room_bytes = (
        sum(weights.values())
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
