"""The smallest and the largest value of each tensor of a graph: what int8 is made with."""

from __future__ import annotations

import math
from collections.abc import Mapping

from syncnas_exporters.errors import RangesError
from syncnas_exporters.graph import Graph

Range = tuple[float, float]
"""Smallest and largest value."""

Ranges = Mapping[str, Range]
"""Of each computed tensor of a graph, inputs included, by its name."""

_STAND_IN: Range = (-3.0, 3.0)


def stand_in_ranges(graph: Graph) -> Ranges:
    """Ranges for a file that is only timed: int8 takes as long whatever its scales are, and computes nonsense."""
    return {name: _STAND_IN for name, tensor in graph.tensors.items() if tensor.data is None}


def checked_ranges(graph: Graph, ranges: Ranges) -> dict[str, Range]:
    """The ranges of a graph's computed tensors, and of nothing else.

    Raises:
        RangesError: one is missing, is not finite, or its ends are in the wrong order.
    """
    checked = {}
    for name, tensor in graph.tensors.items():
        if tensor.data is not None:
            continue
        if name not in ranges:
            raise RangesError(f"graph {graph.name}: there is no range of tensor {name}; calibrate this very graph")
        low, high = ranges[name]
        if not -math.inf < low <= high < math.inf:
            raise RangesError(
                f"graph {graph.name}: the range of tensor {name} is {low:g} to {high:g}; calibrate again, with weights "
                "and pictures that give finite numbers"
            )
        checked[name] = (float(low), float(high))
    return checked
