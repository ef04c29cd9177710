"""Graphs that could not run are refused, with the reason."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

import syncnas_exporters
from syncnas_exporters import Activation, Graph, GraphBuilder, GraphError, Op, OpKind, Tensor
from tests.support.export_cases import weights

X = Tensor("x", (1, 4, 4, 3))
Y = Tensor("y", (1, 4, 4, 3))
Z = Tensor("z", (1, 4, 4, 3))
W = Tensor("w", (3, 1, 1, 3), weights(3, 1, 1, 3))
B = Tensor("b", (3,), weights(3))
RELU = Op(OpKind.RELU, ("x",), ("y",))
CONV = Op(OpKind.CONV_2D, ("x", "w", "b"), ("y",))


def graph(
    *ops: Op,
    tensors: tuple[Tensor, ...] = (X, Y),
    name: str = "g",
    inputs: tuple[str, ...] = ("x",),
    outputs: tuple[str, ...] = ("y",),
) -> Graph:
    return Graph(name, inputs, outputs, {tensor.name: tensor for tensor in tensors}, ops)


def test_a_good_graph_is_frozen_and_keeps_its_own_tensor_table() -> None:
    tensors = {"x": X, "y": Y}
    good = Graph("g", ("x",), ("y",), tensors, (RELU,))
    tensors.clear()
    assert list(good.tensors) == ["x", "y"]
    with pytest.raises(FrozenInstanceError):
        good.name = "other"  # type: ignore[misc]
    with pytest.raises(TypeError):
        good.tensors["x"] = Y  # type: ignore[index]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: graph(RELU, name="a b"), "graph name 'a b'"),
        (lambda: graph(RELU, name=""), "graph name ''"),
        (lambda: graph(RELU, inputs=()), "has no input"),
        (lambda: graph(RELU, outputs=()), "has no output"),
        (lambda: graph(RELU, inputs=("x", "x")), "named twice"),
        (lambda: graph(RELU, inputs=("q",)), "tensor q is not defined"),
        (lambda: graph(RELU, outputs=("q",)), "tensor q is not defined"),
        (lambda: graph(RELU, outputs=("x",)), "input x is also an output"),
        (lambda: graph(RELU, tensors=(X, Y, Z), inputs=("x", "z")), "input z is never used"),
        (lambda: graph(RELU, tensors=(X, Y, Z)), "nothing computes tensor z"),
        (lambda: graph(RELU, RELU), "defines y a second time"),
        (lambda: graph(Op(OpKind.RELU, ("x",), ("x",))), "defines x a second time|nothing computes"),
        (lambda: graph(Op(OpKind.RELU, ("q",), ("y",)), RELU), "tensor q is not defined"),
        (
            lambda: graph(Op(OpKind.RELU, ("z",), ("y",)), Op(OpKind.RELU, ("x",), ("z",)), tensors=(X, Y, Z)),
            "reads z before anything computes it",
        ),
        (lambda: graph(RELU, tensors=(X, Tensor("y", (1, 4, 4, 2)))), "declared .* and come out"),
        (lambda: Graph("g", ("x",), ("y",), {"x": X, "q": Y}, (RELU,)), "filed under the name q"),
        (lambda: graph(CONV, tensors=(X, Y, Tensor("w", W.shape), B)), "before anything|must be a constant"),
        (lambda: graph(CONV, tensors=(X, Y, W, B), inputs=("w",)), "input w is a constant"),
        (
            lambda: graph(Op(OpKind.CONCAT, ("x", "w"), ("y",)), tensors=(X, Y, W)),
            "w is a constant where a computed tensor belongs",
        ),
        (lambda: Tensor("", (1,)), "tensor name"),
        (lambda: Tensor("$x", (1,)), "tensor name"),
        (lambda: Tensor("x", ()), "shape"),
        (lambda: Tensor("x", (1, 0)), "shape"),
        (lambda: Tensor("x", (1, True)), "shape"),
        (lambda: Tensor("x", (2,), np.zeros(2)), "float32"),  # type: ignore[arg-type]
        (lambda: Tensor("x", (2,), np.zeros(3, np.float32)), "does not have shape"),
        (lambda: Tensor("x", (2,), np.array([1, np.nan], np.float32)), "NaN or infinity"),
        (lambda: Tensor("x", (2, 3), np.zeros((3, 2), np.float32).T), "C-contiguous"),
        (lambda: Op(OpKind.RELU, ("x", "y"), ("z",)), "takes 1 inputs"),
        (lambda: Op(OpKind.ADD, ("x",), ("z",)), "takes 2 inputs"),
        (lambda: Op(OpKind.ADD, ("x", "y"), ()), "at least one"),
        (lambda: Op(OpKind.ADD, ("x", "y"), ("a", "b")), "has one output"),
        (lambda: Op(OpKind.RELU, ("x",), ("y",), Activation.RELU), "fuses no activation"),
        (lambda: Op(OpKind.MUL, ("x", "y"), ("z",), Activation.RELU6), "fuses no activation"),
        (lambda: Op(OpKind.CONV_2D, ("x", "w", "b"), ("y",), stride=0), "stride 0"),
        (lambda: Op(OpKind.CONV_2D, ("x", "w", "b"), ("y",), padding=-1), "padding -1"),
        (lambda: Op(OpKind.RELU, ("x",), ("y",), stride=2), "neither stride nor padding"),
    ],
)
def test_a_graph_that_cannot_run_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        make()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda g, x: g.input("x", (1, 4, 4, 3)), "name x is taken"),
        (lambda g, x: g.input("v", (3,)), r"must be \[N, H, W, C\]"),
        (lambda g, x: g.relu("nothing"), "no tensor nothing"),
        (lambda g, x: g.conv2d(x, weights(5, 3, 3, 4), np.zeros(5)), "4 input channels, x has 3"),
        (lambda g, x: g.conv2d(x, weights(5, 3, 3, 3), np.zeros(4)), r"bias must have shape \[5\]"),
        (lambda g, x: g.conv2d(x, weights(5, 7, 7, 3), np.zeros(5)), "does not fit into 4x4"),
        (lambda g, x: g.conv2d(x, weights(5, 3), np.zeros(5)), "four dimensions"),
        (lambda g, x: g.conv2d(x, np.full((1, 1, 1, 3), 1e39), np.zeros(1)), "NaN or infinity"),
        (lambda g, x: g.depthwise_conv2d(x, weights(3, 3, 3, 1), np.zeros(3)), r"\[1, kh, kw, C\]"),
        (lambda g, x: g.fully_connected(x, weights(2, 3), np.zeros(2)), r"\[N, I\] and \[O, I\]"),
        (lambda g, x: g.fully_connected(g.global_average_pool(x), weights(2, 4), np.zeros(2)), "x has 3"),
        (lambda g, x: g.add(x, g.global_average_pool(x)), "must have, or broadcast to"),
        (lambda g, x: g.add(g.global_average_pool(x, keep_dims=True), x), "must have, or broadcast to"),
        (lambda g, x: g.concat([x]), "at least two"),
        (lambda g, x: g.concat([x, g.global_average_pool(x, keep_dims=True)]), "joins channels only"),
        (lambda g, x: g.split(x, (1, 1)), "add up to the 3 channels"),
        (lambda g, x: g.split(x, (3,)), "at least two"),
        (lambda g, x: g.global_average_pool(g.global_average_pool(x)), r"must be \[N, H, W, C\]"),
    ],
)
def test_the_builder_refuses_what_does_not_fit(call: Callable[[GraphBuilder, str], object], message: str) -> None:
    builder = GraphBuilder("g")
    x = builder.input("x", (1, 4, 4, 3))
    with pytest.raises(GraphError, match=message):
        call(builder, x)


def test_the_builder_keeps_the_weight_object() -> None:
    weight = weights(2, 1, 1, 3)
    builder = GraphBuilder("g")
    y = builder.conv2d(builder.input("x", (1, 4, 4, 3)), weight, [0.0, 1.0])
    built = builder.build([y])
    assert built.tensors[built.ops[0].inputs[1]].data is weight
    assert built.tensors[built.ops[0].inputs[2]].data is not None


def test_generated_names_avoid_the_names_of_inputs() -> None:
    builder = GraphBuilder("g")
    x = builder.input("relu_0", (1, 4, 4, 3))
    y = builder.relu(x)
    assert y != x
    assert builder.build([y]).outputs == (y,)


def test_importing_the_package_imports_nothing_heavy() -> None:
    heavy = ["numpy", "torch", "onnx", "onnxruntime", "ai_edge_litert", "flatbuffers"]
    code = f"import sys, syncnas_exporters; print([name for name in {heavy} if name in sys.modules])"
    paths = [path for path in sys.path if path]
    program = f"import sys; sys.path[:0] = {paths}\n{code}"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_every_name_of_the_package_is_there_and_no_other() -> None:
    for name in syncnas_exporters.__all__:
        assert getattr(syncnas_exporters, name).__name__ == name
        assert name in dir(syncnas_exporters)
    with pytest.raises(AttributeError, match="write_caffe"):
        syncnas_exporters.write_caffe  # noqa: B018
