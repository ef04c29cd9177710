"""The runners' refusals, the difference and the ONNX file's own properties."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import syncnas_exporters.onnx as onnx_export
from syncnas_exporters import (
    Activation,
    Graph,
    GraphBuilder,
    MissingDependency,
    ModelTooLarge,
    NotAnOnnxModel,
    NotATfliteFile,
    SignatureMismatch,
    TfliteRunner,
    difference,
    nchw,
    nhwc,
    run_onnx,
    write_onnx,
    write_tflite,
)
from tests.support.export_cases import CASES, weights

ONES = np.ones((1, 3, 3, 2), np.float32)


def add_graph() -> Graph:
    g = GraphBuilder("sum")
    return g.build([g.add(g.input("a", (1, 3, 3, 2)), g.input("b", (1, 3, 3, 2)))])


def test_one_runner_runs_again_and_again() -> None:
    runner = TfliteRunner(write_tflite([add_graph()]))
    first = runner.run("sum", {"a": ONES, "b": ONES})["add_0"]
    second = runner.run("sum", {"b": 2 * ONES, "a": ONES})["add_0"]
    np.testing.assert_array_equal(first, 2 * ONES)
    np.testing.assert_array_equal(second, 3 * ONES)


@pytest.mark.parametrize(
    ("signature", "inputs", "message"),
    [
        ("other", {"a": ONES, "b": ONES}, "no signature 'other'; the file has: sum"),
        ("sum", {"a": ONES}, r"inputs are \['a', 'b'\]"),
        ("sum", {"a": ONES, "b": ONES, "c": ONES}, "these were given"),
        ("sum", {"a": ONES, "b": ONES[:, :2]}, "input b must be float32"),
        ("sum", {"a": ONES, "b": ONES.astype(np.float64)}, "it is float64"),
    ],
)
def test_inputs_that_do_not_fit(signature: str, inputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(SignatureMismatch, match=message):
        TfliteRunner(write_tflite([add_graph()])).run(signature, inputs)
    if signature == "sum":
        as_nchw = {name: nchw(x) for name, x in inputs.items()}
        with pytest.raises(SignatureMismatch):
            run_onnx(write_onnx(add_graph()), as_nchw)


def test_files_the_runtimes_cannot_load(tmp_path: Path) -> None:
    model = write_tflite([add_graph()])
    broken = model.replace(b"TFL3", b"TFL2", 1)
    with pytest.raises(NotATfliteFile):
        TfliteRunner(broken)
    with pytest.raises(NotAnOnnxModel):
        run_onnx(b"not a model", {})


def test_running_says_nothing_on_stderr(tmp_path: Path) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(write_tflite([add_graph()]))
    program = f"""
import os, sys
sys.path[:0] = {[p for p in sys.path if p]}
import numpy as np
from syncnas_exporters import TfliteRunner
x = np.ones((1, 3, 3, 2), np.float32)
print(TfliteRunner({str(path)!r}).run("sum", {{"a": x, "b": x}})["add_0"].sum())
os.write(2, b"still open")
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(result.stdout) == 36.0
    assert result.stderr == "still open"


def test_other_lines_on_stderr_come_through(capfd: pytest.CaptureFixture[str]) -> None:
    import os

    from syncnas_exporters.parity import _without_info_lines

    with _without_info_lines():
        os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\nERROR: kept\n")
    assert capfd.readouterr().err == "ERROR: kept\n"


def test_difference() -> None:
    want = np.array([0.0, -4.0, 2.0], np.float32)
    same = difference(want, want)
    assert (same.max_abs, same.max_rel, same.finite) == (0.0, 0.0, True)
    off = difference(want + np.array([0.5, 0, 0], np.float32), want)
    assert (off.max_abs, off.max_rel, off.finite) == (0.5, 0.125, True)
    assert difference(np.ones(1), np.zeros(1)).max_rel == float("inf")
    broken = difference(np.array([0.0, np.nan, 2.0]), want)
    assert (broken.max_abs, broken.finite) == (float("inf"), False)
    with pytest.raises(SignatureMismatch, match="layout"):
        difference(want, want[:2])


def test_layouts_are_inverse_and_contiguous() -> None:
    x = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    assert nchw(x).shape == (2, 5, 3, 4)
    assert nchw(x).flags.c_contiguous
    assert nchw(x)[1, 2, 0, 3] == x[1, 0, 3, 2]
    np.testing.assert_array_equal(nhwc(nchw(x)), x)


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
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", onnx_export.OPSET)]
    assert [node.op_type for node in model.graph.node] == ["Conv", "Clip"]
    pads = {a.name: list(a.ints) for a in model.graph.node[0].attribute}["pads"]
    assert pads == [1, 1, 1, 1]


def test_equal_graphs_give_equal_onnx_bytes() -> None:
    case = next(case for case in CASES if case.name == "mixed_kernels")
    assert write_onnx(case.graph()) == write_onnx(case.graph())


def test_an_onnx_model_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    g = GraphBuilder("big")
    graph = g.build([g.conv2d(g.input("x", (1, 1, 1, 8)), weights(8, 1, 1, 8), np.zeros(8))])
    monkeypatch.setattr(onnx_export, "MAX_FILE_BYTES", 100)
    with pytest.raises(ModelTooLarge, match="2 GiB"):
        write_onnx(graph)


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_a_missing_library_is_named_with_its_remedy(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = write_onnx(add_graph())
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingDependency, match=r'pip install "syncnas-deploy\[onnx\]"'):
        if missing == "onnx":
            write_onnx(add_graph())
        else:
            run_onnx(model, {"a": nchw(ONES), "b": nchw(ONES)})
