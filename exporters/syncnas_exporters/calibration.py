"""Ranges of a network's tensors, seen while its graphs run in float32."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from syncnas_exporters.errors import RangesError
from syncnas_exporters.graph import Graph
from syncnas_exporters.ranges import Range, Ranges
from syncnas_exporters.runtimes import Float32Arrays, TfliteRunner
from syncnas_exporters.tflite import write_tflite


class RangeObserver:
    """Runs graphs with LiteRT on one CPU thread and keeps the absolute minimum and maximum of every computed tensor.

    Raises:
        GraphError, DuplicateGraphName, ModelTooLarge: as `write_tflite`.
    """

    def __init__(self, graphs: Sequence[Graph]) -> None:
        self._graphs = {graph.name: graph for graph in graphs}
        self._runner = TfliteRunner(write_tflite([_all_told(graph) for graph in graphs]))
        self._seen: dict[str, dict[str, Range]] = {}

    def run(self, name: str, inputs: Float32Arrays) -> Float32Arrays:
        """Outputs of a graph by name, as `TfliteRunner.run` gives them.

        Raises:
            SignatureMismatch: when the inputs do not fit the graph.
            RangesError: when a tensor becomes NaN or infinite.
        """
        told = self._runner.run(name, inputs)
        seen = self._seen.setdefault(name, {})
        for tensor, values in (*inputs.items(), *told.items()):
            low, high = float(values.min()), float(values.max())
            if not np.isfinite(low + high):
                raise RangesError(f"graph {name}: tensor {tensor} becomes NaN or infinite; check weights and pictures")
            known = seen.get(tensor, (low, high))
            seen[tensor] = min(low, known[0]), max(high, known[1])
        return {output: told[output] for output in self._graphs[name].outputs}

    def ranges(self) -> Mapping[str, Ranges]:
        """What was seen so far, by graph; empty for a graph that never ran."""
        return {name: dict(self._seen.get(name, {})) for name in self._graphs}


def _all_told(graph: Graph) -> Graph:
    """The graph with every computed tensor as an output."""
    return dataclasses.replace(graph, outputs=tuple(name for op in graph.ops for name in op.outputs))
