"""Model files that are only timed: their weights and ranges are made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from syncnas_deploy.precision import FileFormat
from syncnas_exporters import split_large_kernels, stand_in_ranges, write_tflite
from syncnas_exporters.graph import Graph

AddFile = Callable[[str, bytes], int]
"""Writes a file of a name with a content, and returns its number in a plan."""


def timing_file(graphs: Sequence[Graph], form: FileFormat) -> bytes:
    """A .tflite file in a format; int8 has ranges of no meaning and takes as long as with those of pictures."""
    if form.split_kernels:
        graphs = [split_large_kernels(graph) for graph in graphs]
    ranges = {graph.name: stand_in_ranges(graph) for graph in graphs} if form.precision == "int8" else None
    return write_tflite(graphs, precision=form.precision, ranges=ranges)


def write_to(folder: Path, files: list[Path]) -> AddFile:
    """An `AddFile` that writes into a folder and appends to a plan's list of files."""

    def add_file(name: str, data: bytes) -> int:
        path = folder / name
        path.write_bytes(data)
        files.append(path)
        return len(files) - 1

    return add_file


def write_formats(
    name: str, graphs: Sequence[Graph], formats: Sequence[FileFormat], add_file: AddFile
) -> dict[FileFormat, int]:
    """The same graphs once in each format; numbers in the plan."""
    return {
        form: add_file(f"{name}_{at}.tflite" if at else f"{name}.tflite", timing_file(graphs, form))
        for at, form in enumerate(dict.fromkeys(formats))
    }
