"""Running what was written, and measuring how far the result is from what it should be."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from syncnas_exporters.errors import MissingDependency, NotAnOnnxModel, NotATfliteFile, SignatureMismatch
from syncnas_exporters.reader import ModelSource, Signature, read_signatures

Arrays = dict[str, npt.NDArray[np.float32]]

_stderr_lock = threading.Lock()  # held while the process's stderr is redirected


class TfliteRunner:
    """A .tflite file opened once, its signatures runnable on one CPU thread with LiteRT and XNNPACK.

    Attributes:
        signatures: inputs and outputs of each signature, name to shape.

    Raises:
        NotATfliteFile: when the file cannot be read, is damaged, or holds what LiteRT cannot run.
    """

    def __init__(self, model: ModelSource) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self.signatures: dict[str, Signature] = read_signatures(model)
        source = {"model_content": model} if isinstance(model, bytes) else {"model_path": os.fspath(model)}
        try:
            with _stderr_lock, _without_info_lines():
                self._interpreter = Interpreter(num_threads=1, **source)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise NotATfliteFile(f"LiteRT cannot load the model: {error}") from error

    def run(self, signature: str, inputs: Mapping[str, npt.NDArray[np.float32]]) -> Arrays:
        """Outputs of a signature by name; float32, the shapes as `signatures` has them.

        Raises:
            SignatureMismatch: when the signature is unknown or the inputs do not fit it.
        """
        if signature not in self.signatures:
            known = ", ".join(self.signatures) or "none"
            raise SignatureMismatch(f"there is no signature {signature!r}; the file has: {known}")
        checked = _checked_inputs(inputs, self.signatures[signature].inputs)
        runner = self._interpreter.get_signature_runner(signature)
        outputs: Arrays = runner(**checked)
        return outputs


def run_onnx(model: bytes, inputs: Mapping[str, npt.NDArray[np.float32]]) -> Arrays:
    """Outputs of an ONNX model by name, on one CPU thread with ONNX Runtime; feature maps `[N, C, H, W]`.

    Raises:
        MissingDependency: when onnxruntime is not installed.
        NotAnOnnxModel: when ONNX Runtime cannot load the bytes.
        SignatureMismatch: when the inputs do not fit the model.
    """
    try:
        import onnxruntime as ort
        from onnxruntime.capi import onnxruntime_pybind11_state as failures
    except ImportError as error:
        raise MissingDependency(
            'running ONNX needs the package onnxruntime; run: pip install "syncnas-deploy[onnx]"'
        ) from error
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # fatal alone: what fails comes back as an exception as well
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except (failures.Fail, failures.InvalidGraph, failures.InvalidProtobuf, failures.NotImplemented) as error:
        raise NotAnOnnxModel(f"ONNX Runtime cannot load the model: {error}") from error
    expected = {value.name: tuple(value.shape) for value in session.get_inputs()}
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, _checked_inputs(inputs, expected)), strict=True))


@dataclass(frozen=True)
class Difference:
    """How far an array is from another.

    Attributes:
        max_abs: largest absolute difference of two elements; infinity when a value is not finite.
        max_rel: `max_abs` over the largest magnitude in the wanted array, so that elements near zero do
            not count for more than the rest; 0 when the arrays are equal.
        finite: whether both arrays hold finite numbers only.
    """

    max_abs: float
    max_rel: float
    finite: bool


def difference(got: npt.NDArray[Any], want: npt.NDArray[Any]) -> Difference:
    """Compare two arrays of one shape, in float64.

    Raises:
        SignatureMismatch: when the shapes differ or the arrays are empty.
    """
    if got.shape != want.shape or got.size == 0:
        raise SignatureMismatch(f"cannot compare shapes {got.shape} and {want.shape}; check the layout")
    if not (np.isfinite(got).all() and np.isfinite(want).all()):
        return Difference(float("inf"), float("inf"), finite=False)
    max_abs = float(np.abs(got.astype(np.float64) - want.astype(np.float64)).max())
    scale = float(np.abs(want.astype(np.float64)).max())
    if max_abs == 0.0:
        return Difference(0.0, 0.0, finite=True)
    return Difference(max_abs, max_abs / scale if scale else float("inf"), finite=True)


def nchw(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`[N, H, W, C]` to `[N, C, H, W]`, contiguous."""
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def nhwc(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`[N, C, H, W]` to `[N, H, W, C]`, contiguous."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))


def _checked_inputs(inputs: Mapping[str, npt.NDArray[np.float32]], expected: Mapping[str, tuple[int, ...]]) -> Arrays:
    if inputs.keys() != expected.keys():
        raise SignatureMismatch(f"the inputs are {sorted(expected)}, these were given: {sorted(inputs)}")
    for name, shape in expected.items():
        if inputs[name].shape != shape or inputs[name].dtype != np.float32:
            given = f"{inputs[name].dtype} {inputs[name].shape}"
            raise SignatureMismatch(f"input {name} must be float32 {shape}, it is {given}")
    return dict(inputs)


@contextmanager
def _without_info_lines() -> Iterator[None]:
    """Hold back what LiteRT writes to stderr, then pass on all of it but its INFO lines.

    LiteRT has no switch for it, and writes past `sys.stderr`, so the file descriptor itself is redirected; take
    `_stderr_lock` first.
    """
    try:
        saved = os.dup(2)
    except OSError:  # a process without stderr has nothing to keep quiet
        yield
        return
    with tempfile.TemporaryFile() as held:
        if sys.stderr is not None:
            sys.stderr.flush()
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            for line in held:
                if not line.startswith(b"INFO:"):
                    os.write(2, line)
