"""What a .tflite file offers, read without running it and without trusting it.

Every offset is checked against the end of the file before it is followed. The generated schema classes do
not do this, so the few fields needed are read here by their number in the schema.
"""

from __future__ import annotations

import mmap
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from syncnas_exporters.errors import NotATfliteFile

ModelSource = bytes | str | os.PathLike[str]

# Field numbers. Source: tensorflow/lite/schema/schema.fbs.
_MODEL_VERSION, _MODEL_CODES, _MODEL_SUBGRAPHS, _MODEL_SIGNATURES = 0, 1, 2, 7
_CODE_OLD, _CODE = 0, 3
_SUBGRAPH_TENSORS, _SUBGRAPH_OPS = 0, 3
_OP_CODE, _OP_INPUTS = 0, 1
_TENSOR_SHAPE, _TENSOR_TYPE = 0, 1
_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS, _SIGNATURE_KEY, _SIGNATURE_SUBGRAPH = 0, 1, 2, 4
_MAP_NAME, _MAP_TENSOR = 0, 1
_FLOAT16, _INT8 = 1, 9
_DEPTHWISE_CONV_2D = 4

_MOST_ENTRIES = 1_000_000


class Signature(NamedTuple):
    """Inputs and outputs of one signature: name to shape, `[N, H, W, C]` or `[N, C]`."""

    inputs: dict[str, tuple[int, ...]]
    outputs: dict[str, tuple[int, ...]]


class Numbers(NamedTuple):
    """What a file's weights are like, read from the file.

    Attributes:
        precision: int8 where a tensor is int8, else fp16 where one is, else fp32.
        kernels: sizes of its depthwise kernels that are square.
    """

    precision: str
    kernels: frozenset[int]


def read_signatures(model: ModelSource) -> dict[str, Signature]:
    """Signatures of a .tflite file by their keys; empty when the file has none.

    Args:
        model: the bytes of the file, or its path.

    Raises:
        NotATfliteFile: when it cannot be read, is another format, is cut short or is damaged.
    """
    with _opened(model) as reader:
        return reader.signatures()


def read_numbers(model: ModelSource) -> Numbers:
    """In which numbers a .tflite file is written; see `read_signatures` for arguments and errors."""
    with _opened(model) as reader:
        return reader.numbers()


@contextmanager
def _opened(model: ModelSource) -> Iterator[_Reader]:
    if isinstance(model, bytes):
        yield _Reader(model, "these bytes")
        return
    with _mapped(Path(model)) as content:
        yield _Reader(content, str(model))


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap]:
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield content
    except OSError as error:
        raise NotATfliteFile(f"{path} cannot be read: {error.strerror}; give the path of a .tflite file") from error
    except ValueError as error:  # mmap's word for an empty file
        raise NotATfliteFile(f"{path} is empty; write or copy the file again") from error


class _Reader:
    def __init__(self, content: bytes | mmap.mmap, source: str) -> None:
        self._content = content
        self._size = len(content)
        self._source = source
        self._entries = 0

    def _model(self) -> int:
        """Where the file's root table is, once it is known that the file has one."""
        if self._content[4:8] != b"TFL3":
            raise NotATfliteFile(f"{self._source}: no TFL3 at byte 4, so no .tflite file; give the path of one")
        model = self._u32(0)
        version = self._scalar(model, _MODEL_VERSION)
        if version != 3:
            raise NotATfliteFile(f"{self._source}: schema version {version}, this reads version 3")
        return model

    def numbers(self) -> Numbers:
        model = self._model()
        tables = self._tables(model, _MODEL_CODES)
        codes = [max(self._scalar(table, _CODE_OLD, "<b"), self._scalar(table, _CODE)) for table in tables]
        types, kernels = set(), set()
        for subgraph in self._tables(model, _MODEL_SUBGRAPHS):
            tensors = self._tables(subgraph, _SUBGRAPH_TENSORS)
            types |= {self._scalar(tensor, _TENSOR_TYPE, "<b") for tensor in tensors}
            for op in self._tables(subgraph, _SUBGRAPH_OPS):
                code, inputs = self._scalar(op, _OP_CODE), self._ints(op, _OP_INPUTS)
                if code >= len(codes) or not all(-1 <= i < len(tensors) for i in inputs):
                    raise self._damaged("an operator uses what is not there")
                if codes[code] == _DEPTHWISE_CONV_2D and inputs[1:] and inputs[1] >= 0:
                    _, rows, columns, *_ = (*self._ints(tensors[inputs[1]], _TENSOR_SHAPE), 0, 0, 0)
                    kernels |= {rows} if rows == columns else set()
        precision = "int8" if _INT8 in types else "fp16" if _FLOAT16 in types else "fp32"
        return Numbers(precision, frozenset(kernels))

    def signatures(self) -> dict[str, Signature]:
        model = self._model()
        subgraphs = self._tables(model, _MODEL_SUBGRAPHS)
        tensors = [self._tables(subgraph, _SUBGRAPH_TENSORS) for subgraph in subgraphs]
        signatures: dict[str, Signature] = {}
        for table in self._tables(model, _MODEL_SIGNATURES):
            key = self._string(table, _SIGNATURE_KEY)
            subgraph = self._scalar(table, _SIGNATURE_SUBGRAPH)
            if key in signatures or subgraph >= len(tensors):
                raise self._damaged(f"signature {key!r} is there twice or calls a subgraph that is not there")
            signatures[key] = Signature(
                self._named_shapes(table, _SIGNATURE_INPUTS, tensors[subgraph]),
                self._named_shapes(table, _SIGNATURE_OUTPUTS, tensors[subgraph]),
            )
        return signatures

    def _named_shapes(self, signature: int, field: int, tensors: list[int]) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {}
        for entry in self._tables(signature, field):
            name = self._string(entry, _MAP_NAME)
            tensor = self._scalar(entry, _MAP_TENSOR)
            if name in shapes or tensor >= len(tensors):
                raise self._damaged(f"value {name!r} is there twice or is a tensor that is not there")
            shapes[name] = self._ints(tensors[tensor], _TENSOR_SHAPE)
        return shapes

    def _damaged(self, what: str) -> NotATfliteFile:
        return NotATfliteFile(f"{self._source}: {what}; the file is cut short or damaged, write or copy it again")

    def _unpack(self, code: str, size: int, position: int) -> int:
        if not 0 <= position <= self._size - size:
            raise self._damaged(f"an offset points to byte {position} of {self._size}")
        value: int = struct.unpack_from(code, self._content, position)[0]
        return value

    def _u32(self, position: int) -> int:
        return self._unpack("<I", 4, position)

    def _field(self, table: int, number: int) -> int | None:
        """Where a field of a table is, None when it has its default."""
        vtable = table - self._unpack("<i", 4, table)
        vtable_size = self._unpack("<H", 2, vtable)
        slot = 4 + 2 * number
        if slot + 2 > vtable_size:
            return None
        distance = self._unpack("<H", 2, vtable + slot)
        return table + distance if distance else None

    def _scalar(self, table: int, number: int, code: str = "<I") -> int:
        position = self._field(table, number)
        return 0 if position is None else self._unpack(code, struct.calcsize(code), position)

    def _vector(self, table: int, number: int, element_bytes: int) -> tuple[int, int]:
        """First byte and number of elements of a vector; it lies within the file."""
        position = self._field(table, number)
        if position is None:
            return 0, 0
        start = position + self._u32(position)
        count = self._u32(start)
        if start + 4 + count * element_bytes > self._size:
            raise self._damaged(f"{count} elements at byte {start} reach past the end")
        # Vectors may be shared, so a small file can describe very long work: there is a limit to it.
        self._entries += 0 if element_bytes == 1 else count
        if self._entries > _MOST_ENTRIES:
            raise self._damaged(f"it lists more than {_MOST_ENTRIES} entries")
        return start + 4, count

    def _tables(self, table: int, number: int) -> list[int]:
        first, count = self._vector(table, number, 4)
        return [at + self._u32(at) for at in range(first, first + 4 * count, 4)]

    def _ints(self, table: int, number: int) -> tuple[int, ...]:
        first, count = self._vector(table, number, 4)
        return tuple(self._unpack("<i", 4, at) for at in range(first, first + 4 * count, 4))

    def _string(self, table: int, number: int) -> str:
        first, count = self._vector(table, number, 1)
        try:
            return self._content[first : first + count].decode()
        except UnicodeDecodeError as error:
            raise self._damaged("a name is not UTF-8") from error
