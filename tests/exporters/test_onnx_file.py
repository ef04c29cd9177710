"""The ONNX file's own properties."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from syncnas_exporters import Activation, GraphBuilder, ModelTooLarge, write_onnx
from syncnas_exporters.onnx import emitter
from tests.support.export_cases import CASES, weights


def test_onnx_inputs_and_outputs_are_nchw_and_the_opset_is_fixed() -> None:
    g = GraphBuilder("down")
    x = g.input("x", (1, 8, 6, 3))
    y = g.conv2d(x, weights(5, 3, 3, 3), np.zeros(5), stride=2, padding=1, activation=Activation.RELU6)
    model = onnx.load_from_string(write_onnx(g.build([y])))
    shapes = [
        [size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [[1, 3, 8, 6], [1, 5, 4, 3]]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", emitter.OPSET)]
    assert [node.op_type for node in model.graph.node] == ["Conv", "Clip"]
    pads = {a.name: list(a.ints) for a in model.graph.node[0].attribute}["pads"]
    assert pads == [1, 1, 1, 1]


def test_equal_graphs_give_equal_onnx_bytes() -> None:
    case = next(case for case in CASES if case.name == "mixed_kernels")
    assert write_onnx(case.graph()) == write_onnx(case.graph())


def test_an_onnx_model_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    g = GraphBuilder("big")
    graph = g.build([g.conv2d(g.input("x", (1, 1, 1, 8)), weights(8, 1, 1, 8), np.zeros(8))])
    monkeypatch.setattr(emitter, "MAX_FILE_BYTES", 100)
    with pytest.raises(ModelTooLarge, match="2 GiB"):
        write_onnx(graph)
