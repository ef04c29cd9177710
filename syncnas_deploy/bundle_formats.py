"""The kinds of model files that a bundle can hold. Light to import, so that `--help` can name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syncnas_deploy.networks.segments import Segment
    from syncnas_exporters import Graph

WriteFormat = Callable[["Sequence[Segment]", "Mapping[str, Graph]"], dict[str, bytes]]
"""All segments of a network and their graphs by segment name, to files by file name."""


def _tflite_files(segments: Sequence[Segment], graphs: Mapping[str, Graph]) -> dict[str, bytes]:
    """One file per branch, with one signature per segment."""
    from syncnas_exporters import write_tflite

    branches = sorted({segment.branch for segment in segments})
    return {
        tflite_name(branch): write_tflite([graphs[s.name] for s in segments if s.branch == branch])
        for branch in branches
    }


def _onnx_files(segments: Sequence[Segment], graphs: Mapping[str, Graph]) -> dict[str, bytes]:
    """One file per segment."""
    from syncnas_exporters import write_onnx

    return {f"{segment.name}.onnx": write_onnx(graphs[segment.name]) for segment in segments}


FORMATS: Mapping[str, WriteFormat] = {"tflite": _tflite_files, "onnx": _onnx_files}
"""Each format by the name that users give it, and what writes it."""


def tflite_name(branch: int) -> str:
    """The file with all segments of a branch."""
    return f"branch{branch}.tflite"
