"""The kinds of model files that a bundle can hold. Light to import, so that `--help` can name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from syncnas_deploy.errors import WRONG_USE, OutputError
from syncnas_deploy.precision import PRECISIONS, Precision

if TYPE_CHECKING:
    from syncnas_deploy.networks.config import ModelConfig
    from syncnas_deploy.networks.segments import Segment
    from syncnas_exporters import Graph
    from syncnas_exporters.ranges import Ranges


@dataclass(frozen=True)
class FilePrecisions:
    """The precision of each branch's file, and the ranges of each segment's tensors for int8."""

    branches: tuple[Precision, ...]
    ranges: Mapping[str, Ranges] = field(default_factory=dict)

    @staticmethod
    def fp32(branches: int) -> FilePrecisions:
        """All of it in fp32."""
        precision: Precision = "fp32"
        return FilePrecisions((precision,) * branches)


WriteFormat = Callable[["Sequence[Segment]", "Mapping[str, Graph]", FilePrecisions, int], dict[str, bytes]]
"""All segments of a network, graphs by name (each segment's, perhaps the `WHOLE` network's), the precisions of .tflite
files and the ONNX opset, to files by file name."""

WHOLE = "whole"
"""What the graph of a whole network, and its file, is called."""


def _tflite_files(
    segments: Sequence[Segment], graphs: Mapping[str, Graph], precisions: FilePrecisions, _opset: int
) -> dict[str, bytes]:
    """One file per branch, with one signature per segment, and one in fp32 for each other graph."""
    from syncnas_exporters import write_tflite

    files = {
        tflite_name(branch): write_tflite(
            [graphs[s.name] for s in segments if s.branch == branch], precision=precision, ranges=precisions.ranges
        )
        for branch, precision in enumerate(precisions.branches)
    }
    others = graphs.keys() - {segment.name for segment in segments}
    return files | {f"{name}.tflite": write_tflite([graphs[name]]) for name in others}


def _onnx_files(
    _segments: Sequence[Segment], graphs: Mapping[str, Graph], _precisions: FilePrecisions, opset: int
) -> dict[str, bytes]:
    """One file per graph, in fp32."""
    from syncnas_exporters import write_onnx

    return {onnx_name(name): write_onnx(graph, opset) for name, graph in graphs.items()}


FORMATS: Mapping[str, WriteFormat] = {"tflite": _tflite_files, "onnx": _onnx_files}
"""Each format by the name that users give it, and what writes it."""


def tflite_name(branch: int) -> str:
    """The file with all segments of a branch."""
    return f"branch{branch}.tflite"


def onnx_name(graph: str) -> str:
    """The file with one segment."""
    return f"{graph}.onnx"


def check_precisions(
    config: ModelConfig, precisions: Sequence[str], formats: Sequence[str] = ("tflite",)
) -> tuple[Precision, ...]:
    """The precision of each branch's file.

    Raises:
        OutputError: one is unknown, there are too many, or there are no .tflite files.
    """
    known = [p for p in PRECISIONS for given in precisions if p == given]
    if not precisions or len(known) != len(precisions):
        wrong = next((f", found {str(p)[:40]!r}" for p in precisions if p not in PRECISIONS), "")
        raise OutputError(f"--precision is one of {', '.join(PRECISIONS)}{wrong}; give one of them.", code=WRONG_USE)
    if len(precisions) not in (1, config.branch_count):
        branches = {1: "one branch", 2: "two branches"}[config.branch_count]
        raise OutputError(
            f"--precision: {config.name} has {branches} and {len(precisions)} precisions were given; give one for all "
            "of it or one for each branch.",
            code=WRONG_USE,
        )
    if set(precisions) != {"fp32"} and "tflite" not in formats:
        raise OutputError("--precision is that of .tflite files; add --format tflite.", code=WRONG_USE)
    found = tuple(next(p for p in PRECISIONS if p == given) for given in precisions)
    return found if len(found) == config.branch_count else found * config.branch_count
