"""Arrays in .npz files: headers first, and the arrays once somebody has accepted their shapes."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from syncnas_bench.archives import open_archive, unpacked
from syncnas_deploy.arrays import Float32Array


class ArrayHeader(NamedTuple):
    """What a file says of an array: its shape, and the kind of its numbers such as ``float32``."""

    shape: tuple[int, ...]
    kind: str


Headers = Mapping[str, ArrayHeader]
Accept = Callable[[Headers], None]
"""Told the header of each array by name before any is read; raises an error of its own to refuse them."""

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npz(path: Path, accept: Accept) -> dict[str, Float32Array]:
    """The arrays of an archive by name, as float32.

    Raises:
        ValueError: it is no readable .npz of numbers; a part of a sentence says why.
        Exception: what `accept` raises.
    """
    with open_archive(path) as archive:
        members = {member.filename.removesuffix(".npy"): member for member in archive.infolist()}
        accept({name: _header(archive, member) for name, member in members.items()})
        return {name: _array(archive, member) for name, member in members.items()}


def _header(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> ArrayHeader:
    """What an array's header says, if the array is as long as that."""
    try:
        head = io.BytesIO(next(unpacked(archive, member)))
        shape, _, kind = _HEADERS[np.lib.format.read_magic(head)](head)
    except Exception as e:  # a damaged header raises whatever its parser does
        raise ValueError(f"an entry is no array: {str(e) or type(e).__name__}") from e
    if kind.kind not in "fiub" or head.tell() + math.prod(shape) * kind.itemsize != member.file_size:
        raise ValueError("an array is not of numbers, or not as long as its header says")
    return ArrayHeader(shape, kind.name)


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Float32Array:
    try:
        with archive.open(member) as file, np.errstate(over="ignore"):  # too large for float32 is infinite there
            return np.asarray(np.lib.format.read_array(file), np.float32)
    except Exception as e:  # a damaged archive raises whatever zip and its decompressor do
        raise ValueError(str(e) or type(e).__name__) from e
