"""Reading signatures from files nobody vouches for: typed errors only, in bounded time."""

from __future__ import annotations

import random
import struct
import time
from pathlib import Path

import pytest

from syncnas_exporters import NotATfliteFile, TfliteRunner, read_signatures, write_tflite
from syncnas_exporters.reader import read_numbers
from tests.support.export_cases import CASES

MODEL = write_tflite([case.graph() for case in CASES[-6:]])


def outcome(content: bytes) -> str:
    """'read' or 'refused'; anything else that escapes fails the test."""
    try:
        read_signatures(content)
        read_numbers(content)
    except NotATfliteFile:
        return "refused"
    return "read"


def test_bytes_and_path_agree(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(MODEL)
    assert read_signatures(path) == read_signatures(str(path)) == read_signatures(MODEL)
    assert TfliteRunner(path).signatures == TfliteRunner(MODEL).signatures
    assert list(read_signatures(MODEL)) == [case.name for case in CASES[-6:]]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"TFL3",
        b"\0" * 8,
        b"\0\0\0\0TFL3",
        b"PK\x03\x04" + b"\0" * 60,
        MODEL[8:],
        b"\xff" * 4 + b"TFL3" * 20,
    ],
    ids=["empty", "short", "zeros", "no root", "zip", "beheaded", "root beyond the end"],
)
def test_other_content_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    for source in (content, path):
        with pytest.raises(NotATfliteFile):
            read_signatures(source)
        with pytest.raises(NotATfliteFile):
            read_numbers(source)
        with pytest.raises(NotATfliteFile):
            TfliteRunner(source)


def test_paths_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(NotATfliteFile, match="No such file"):
        read_signatures(tmp_path / "missing.tflite")
    with pytest.raises(NotATfliteFile, match="directory"):
        read_signatures(tmp_path)


def test_another_schema_version_is_refused() -> None:
    root = struct.unpack_from("<I", MODEL)[0]
    vtable = root - struct.unpack_from("<i", MODEL, root)[0]
    at = root + struct.unpack_from("<H", MODEL, vtable + 4)[0]
    assert MODEL[at] == 3
    with pytest.raises(NotATfliteFile, match="schema version 2"):
        read_signatures(MODEL[:at] + b"\x02" + MODEL[at + 1 :])


def test_a_name_longer_than_the_file_is_refused() -> None:
    at = MODEL.index(CASES[-1].name.encode() + b"\0") - 4
    assert struct.unpack_from("<I", MODEL, at)[0] == len(CASES[-1].name)
    longer = MODEL[:at] + struct.pack("<I", len(MODEL)) + MODEL[at + 4 :]
    with pytest.raises(NotATfliteFile, match="reach past the end"):
        read_signatures(longer)


def test_every_truncation_is_read_whole_or_refused() -> None:
    # Weights lie at the end and are not read here, so a cut there may pass.
    cuts = [*range(400), *range(400, len(MODEL), 97)]
    outcomes = [outcome(MODEL[:cut]) for cut in cuts]
    assert outcomes[:300] == ["refused"] * 300


def test_flipped_bytes_raise_nothing_but_the_typed_error() -> None:
    rng = random.Random(3)
    outcomes = set()
    for _ in range(3000):
        content = bytearray(MODEL)
        for _ in range(rng.randint(1, 4)):
            content[rng.randrange(min(4000, len(MODEL)))] = rng.randrange(256)
        outcomes.add(outcome(bytes(content)))
    assert outcomes == {"read", "refused"}


def test_extreme_words_anywhere_in_the_tables() -> None:
    for at in range(0, 2400, 4):
        for word in (0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF):
            outcome(MODEL[:at] + struct.pack("<I", word) + MODEL[at + 4 :])


def test_shared_vectors_cannot_make_a_small_file_long_work() -> None:
    content = many_subgraphs_sharing_one_tensor_list(subgraphs=20_000, tensors=20_000)
    assert len(content) < 1_000_000
    begin = time.process_time()
    for read in (read_signatures, read_numbers):
        with pytest.raises(NotATfliteFile, match="more than"):
            read(content)
    assert time.process_time() - begin < 10


def many_subgraphs_sharing_one_tensor_list(subgraphs: int, tensors: int) -> bytes:
    """A model whose subgraph list names one subgraph over and over, itself with a long tensor list."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    b = flatbuffers.Builder(1024)

    def table(name: str, **fields: int) -> int:
        getattr(schema, f"{name}Start")(b)
        for field, value in fields.items():
            getattr(schema, f"{name}Add{field}")(b, value)
        return int(getattr(schema, f"{name}End")(b))

    def repeated(offset: int, count: int) -> int:
        b.StartVector(4, count, 4)
        for _ in range(count):
            b.PrependUOffsetTRelative(offset)
        return int(b.EndVector())

    tensor = table("Tensor")
    subgraph = table("SubGraph", Tensors=repeated(tensor, tensors))
    model = table("Model", Version=3, Subgraphs=repeated(subgraph, subgraphs))
    b.Finish(model, b"TFL3")
    return bytes(b.Output())
