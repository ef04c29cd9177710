"""The kinds of model files that a bundle can hold. Light to import, so that `--help` can name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncnas_deploy.networks.segments import Segment
    from syncnas_exporters import Graph

WriteFormat = Callable[["Sequence[Segment]", "Mapping[str, Graph]", int], dict[str, bytes]]
"""All segments of a network, graphs by name (each segment's, perhaps the `WHOLE` network's), and the ONNX opset, to
files by file name."""

WHOLE = "whole"
"""What the graph of a whole network, and its file, is called."""


def _tflite_files(segments: Sequence[Segment], graphs: Mapping[str, Graph], _opset: int) -> dict[str, bytes]:
    """One file per branch, with one signature per segment, and one for each other graph."""
    from syncnas_exporters import write_tflite

    branches = sorted({segment.branch for segment in segments})
    files = {
        tflite_name(branch): write_tflite([graphs[s.name] for s in segments if s.branch == branch])
        for branch in branches
    }
    others = graphs.keys() - {segment.name for segment in segments}
    return files | {f"{name}.tflite": write_tflite([graphs[name]]) for name in others}


def _onnx_files(_segments: Sequence[Segment], graphs: Mapping[str, Graph], opset: int) -> dict[str, bytes]:
    """One file per graph."""
    from syncnas_exporters import write_onnx

    return {f"{name}.onnx": write_onnx(graph, opset) for name, graph in graphs.items()}


FORMATS: Mapping[str, WriteFormat] = {"tflite": _tflite_files, "onnx": _onnx_files}
"""Each format by the name that users give it, and what writes it."""


def tflite_name(branch: int) -> str:
    """The file with all segments of a branch."""
    return f"branch{branch}.tflite"
