"""The runtimes: what they refuse, and what they print."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from syncnas_exporters import (
    MissingLibrary,
    NotAnOnnxModel,
    NotATfliteFile,
    SignatureMismatch,
    TfliteRunner,
    nchw,
    run_onnx,
    write_onnx,
    write_tflite,
)
from tests.support.export_cases import add_graph

ONES = np.ones((1, 3, 3, 2), np.float32)


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


@pytest.mark.needs("stderr of C")
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


@pytest.mark.needs("stderr of C")
def test_other_threads_print_while_a_runner_is_made() -> None:
    program = f"""
import os, select, sys, threading
sys.path[:0] = {[p for p in sys.path if p]}
import ai_edge_litert.interpreter as litert
from syncnas_exporters import GraphBuilder, TfliteRunner, write_tflite

g = GraphBuilder("sum")
x = g.input("x", (1, 1, 1, 1))
model = write_tflite([g.build([g.add(x, x)])])
read, write = os.pipe()
os.dup2(write, 2)
lines = []

class Talkative(litert.Interpreter):
    def allocate_tensors(self):
        super().allocate_tensors()
        thread = threading.Thread(target=lambda: print("progress", len(lines), file=sys.stderr, flush=True))
        thread.start()
        thread.join()
        arrived = select.select([read], [], [], 5)[0]
        lines.append(os.read(read, 100) if arrived else b"held back")

litert.Interpreter = Talkative
TfliteRunner(model)
TfliteRunner(model)
print(lines)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    lines = ast.literal_eval(result.stdout)
    assert len(lines) in (2, 3)  # one for each runner, and one where the first is preceded by a model of LiteRT's own
    assert lines == [f"progress {i}\n".encode() for i in range(len(lines))]


@pytest.mark.needs("stderr of C")
def test_what_c_prints_comes_through_after_a_runner_was_made(tmp_path: Path) -> None:
    program = f"""
import ctypes, sys
sys.path[:0] = {[p for p in sys.path if p]}
from syncnas_exporters import GraphBuilder, TfliteRunner, write_tflite

g = GraphBuilder("sum")
x = g.input("x", (1, 1, 1, 1))
TfliteRunner(write_tflite([g.build([g.add(x, x)])]))
ctypes.CDLL(None).perror(b"still there")
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stderr.startswith("still there")


@pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
def test_a_missing_library_is_named_with_its_remedy(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = write_onnx(add_graph())
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(MissingLibrary, match=r"pip install 'syncnas-deploy\[onnx\]'"):
        if missing == "onnx":
            write_onnx(add_graph())
        else:
            run_onnx(model, {"a": nchw(ONES), "b": nchw(ONES)})
