"""The ONNX file's own properties."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from syncnas_exporters import (
    Activation,
    GraphBuilder,
    ModelTooLarge,
    UnknownOpset,
    difference,
    nchw,
    opsets,
    run_onnx,
    write_onnx,
)
from syncnas_exporters.onnx import emitter
from tests.support.export_cases import CASES, weights


def test_onnx_inputs_and_outputs_are_nchw_and_the_opset_is_17() -> None:
    g = GraphBuilder("down")
    x = g.input("x", (1, 8, 6, 3))
    y = g.conv2d(x, weights(5, 3, 3, 3), np.zeros(5), stride=2, padding=1, activation=Activation.RELU6)
    model = onnx.load_from_string(write_onnx(g.build([y])))
    shapes = [
        [size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    ]
    assert shapes == [[1, 3, 8, 6], [1, 5, 4, 3]]
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert [node.op_type for node in model.graph.node] == ["Conv", "Clip"]
    pads = {a.name: list(a.ints) for a in model.graph.node[0].attribute}["pads"]
    assert pads == [1, 1, 1, 1]


@pytest.mark.parametrize("opset", opsets.IR_VERSIONS)
def test_every_opset_is_valid_and_computes_the_same(opset: int) -> None:
    for case in CASES:
        graph = case.graph()
        model = write_onnx(graph, opset)
        onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
        feeds = {name: nchw(value) if value.ndim == 4 else value for name, value in case.inputs().items()}
        found, wanted = run_onnx(model, feeds), run_onnx(write_onnx(graph), feeds)
        assert all(difference(found[name], wanted[name]).max_rel <= 1e-6 for name in wanted), case.name


def test_each_opset_has_the_file_version_that_belongs_to_it() -> None:
    for opset, version in opsets.IR_VERSIONS.items():
        assert version == max(8, onnx.helper.find_min_ir_version_for([onnx.helper.make_opsetid("", opset)]))
    assert opsets.IR_VERSIONS[opsets.DEFAULT_OPSET] == 8


@pytest.mark.parametrize("opset", [0, 13, max(opsets.IR_VERSIONS) + 1, -1])
def test_another_opset_is_refused_by_its_number(opset: int) -> None:
    with pytest.raises(UnknownOpset, match=rf"there is no opset {opset} here; choose one from 14 to"):
        write_onnx(CASES[0].graph(), opset)


def test_equal_graphs_give_equal_onnx_bytes() -> None:
    case = next(case for case in CASES if case.name == "mixed_kernels")
    assert write_onnx(case.graph()) == write_onnx(case.graph())


def test_an_onnx_model_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    g = GraphBuilder("big")
    graph = g.build([g.conv2d(g.input("x", (1, 1, 1, 8)), weights(8, 1, 1, 8), np.zeros(8))])
    monkeypatch.setattr(emitter, "MAX_FILE_BYTES", 100)
    with pytest.raises(ModelTooLarge, match="2 GiB"):
        write_onnx(graph)
