"""What is in a written file: ops, padding, sharing, alignment, signatures."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from syncnas_exporters import (
    Activation,
    DuplicateGraphName,
    Graph,
    GraphBuilder,
    GraphError,
    ModelTooLarge,
    TfliteRunner,
    read_signatures,
    tflite,
    write_tflite,
)
from tests.support.delegation import wholly_delegated
from tests.support.export_cases import CASES, Case, weights

OPERATOR_NAMES = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}


def unpacked(model: bytes) -> Any:
    return schema.ModelT.InitFromPackedBuf(model, 0)


def operators(graph: Graph) -> list[str]:
    model = unpacked(write_tflite([graph]))
    codes = [OPERATOR_NAMES[code.builtinCode] for code in model.operatorCodes]
    return [codes[op.opcodeIndex] for op in model.subgraphs[0].operators]


def block(name: str, expand: Any, depthwise: Any, project: Any, *, size: int = 8, stride: int = 1) -> Graph:
    g = GraphBuilder(name)
    x = g.input("features", (1, size, size, expand.shape[3]))
    y = g.conv2d(x, expand, np.zeros(expand.shape[0]), activation=Activation.RELU6)
    y = g.depthwise_conv2d(y, depthwise, np.zeros(expand.shape[0]), stride=stride, padding=1)
    return g.build([g.conv2d(y, project, np.zeros(project.shape[0]))])


def small_block(name: str = "block", **options: int) -> Graph:
    return block(name, weights(64, 1, 1, 32), weights(1, 3, 3, 64), weights(32, 1, 1, 64), **options)


@pytest.mark.parametrize(
    ("size", "stride", "kernel", "padded"),
    [
        ((8, 8), 1, 3, False),
        ((8, 8), 2, 3, True),
        ((9, 9), 2, 3, False),
        ((9, 8), 2, 3, True),
        ((8, 9), 2, 5, True),
        ((9, 9), 2, 9, False),
        ((8, 8), 2, 1, False),
        ((10, 10), 3, 3, False),
        ((9, 9), 3, 3, True),
    ],
)
def test_pad_is_there_only_where_same_padding_differs(
    size: tuple[int, int], stride: int, kernel: int, padded: bool
) -> None:
    g = GraphBuilder("one")
    x = g.input("x", (1, *size, 4))
    weight = weights(1, kernel, kernel, 4)
    y = g.depthwise_conv2d(x, weight, np.zeros(4), stride=stride, padding=kernel // 2)
    graph = g.build([y])
    expected = ["PAD", "DEPTHWISE_CONV_2D"] if padded else ["DEPTHWISE_CONV_2D"]
    assert operators(graph) == expected
    got = TfliteRunner(write_tflite([graph])).run("one", {"x": np.ones((1, *size, 4), np.float32)})
    assert got[y].shape == graph.tensors[y].shape


def test_padding_that_same_cannot_express_is_padded_first() -> None:
    g = GraphBuilder("wide")
    x = g.input("x", (1, 8, 8, 4))
    y = g.conv2d(x, weights(4, 3, 3, 4), np.zeros(4), padding=3)
    assert operators(g.build([y])) == ["PAD", "CONV_2D"]


def test_unequal_or_many_parts_are_slices() -> None:
    def split(*sizes: int) -> list[str]:
        g = GraphBuilder("split")
        return operators(g.build(g.split(g.input("x", (1, 2, 2, sum(sizes))), sizes)))

    assert split(4, 4, 4, 4) == ["SPLIT"]
    assert split(4, 8) == ["SLICE", "SLICE"]
    assert split(*[4] * 5) == ["SLICE"] * 5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_xnnpack_takes_the_whole_graph(case: Case) -> None:
    assert wholly_delegated(write_tflite([case.graph()]))


def test_header_version_and_operator_codes() -> None:
    model = write_tflite([small_block()], description="written by a test")
    assert model[4:8] == b"TFL3"
    table = unpacked(model)
    assert table.version == 3
    assert table.description == b"written by a test"
    assert all(code.builtinCode == code.deprecatedBuiltinCode for code in table.operatorCodes)
    assert {code.version for code in table.operatorCodes} == {1}
    assert table.buffers[0].data is None


def test_every_buffer_is_aligned_to_16_bytes() -> None:
    model = write_tflite([case.graph() for case in CASES])
    root = schema.Model.GetRootAs(model)
    starts = []
    for i in range(1, root.BuffersLength()):
        table = root.Buffers(i)._tab
        starts.append(table.Vector(table.Offset(4)))
    assert len(starts) > 100
    assert {start % 16 for start in starts} == {0}


def test_many_signatures_in_one_file() -> None:
    graphs = [small_block(f"block_{i}", size=4 + i % 3) for i in range(60)]
    runner = TfliteRunner(write_tflite(graphs))
    assert list(runner.signatures) == [graph.name for graph in graphs]
    for graph in graphs[::7]:
        x = np.ones(graph.tensors["features"].shape, np.float32)
        alone = TfliteRunner(write_tflite([graph])).run(graph.name, {"features": x})
        together = runner.run(graph.name, {"features": x})
        np.testing.assert_array_equal(together[graph.outputs[0]], alone[graph.outputs[0]])


def test_the_same_array_is_stored_once_and_an_equal_one_is_not() -> None:
    arrays = weights(64, 1, 1, 32), weights(1, 3, 3, 64), weights(32, 1, 1, 64)
    weight_bytes = sum(array.nbytes for array in arrays)
    one = len(write_tflite([block("a", *arrays)]))
    shared = len(write_tflite([block(name, *arrays) for name in "abcd"]))
    copied = len(write_tflite([block(name, *(a.copy() for a in arrays)) for name in "abcd"]))
    assert shared - one < weight_bytes
    assert copied - shared >= 3 * weight_bytes
    assert copied - shared < 3 * weight_bytes + 2048


def test_equal_graphs_give_equal_bytes() -> None:
    assert write_tflite([small_block()]) == write_tflite([small_block()])
    assert write_tflite([small_block("a")]) != write_tflite([small_block("b")])


def test_a_tensor_named_like_an_added_one_is_no_obstacle() -> None:
    g = GraphBuilder("names")
    x = g.input("mean_0/axes", (1, 4, 4, 3))
    y = g.global_average_pool(x)
    got = TfliteRunner(write_tflite([g.build([y])])).run("names", {x: np.ones((1, 4, 4, 3), np.float32)})
    np.testing.assert_array_equal(got[y], np.ones((1, 3)))


def test_room_is_reserved_so_that_the_builder_never_grows(monkeypatch: pytest.MonkeyPatch) -> None:
    import flatbuffers

    def refuse(builder: object) -> None:
        raise AssertionError("the builder grew; raise the room reserved per tensor")

    monkeypatch.setattr(flatbuffers.Builder, "GrowByteBuffer", refuse)
    for case in CASES:
        write_tflite([case.graph()])
    write_tflite([small_block(f"block_{i}") for i in range(50)])


def test_refusals() -> None:
    with pytest.raises(DuplicateGraphName, match="two graphs are named same"):
        write_tflite([small_block("same"), small_block("same")])
    with pytest.raises(GraphError, match="at least one graph"):
        write_tflite([])


def test_a_file_beyond_the_limit_is_refused_before_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = small_block()
    monkeypatch.setattr(tflite, "MAX_FILE_BYTES", 10_000)
    with pytest.raises(ModelTooLarge, match="several files"):
        write_tflite([graph])


def test_little_endian_floats_are_stored_as_they_are() -> None:
    value = np.float32(1234.5)
    g = GraphBuilder("constant")
    x = g.input("x", (1, 1))
    graph = g.build([g.fully_connected(x, np.full((1, 1), value), np.zeros(1))])
    assert write_tflite([graph]).count(struct.pack("<f", value)) == 1


def test_signatures_are_named_by_the_graph() -> None:
    signature = read_signatures(write_tflite([small_block(stride=2)]))["block"]
    assert signature.inputs == {"features": (1, 8, 8, 32)}
    assert signature.outputs == {"conv_2d_2": (1, 4, 4, 32)}
