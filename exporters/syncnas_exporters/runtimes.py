"""Running files that were written: .tflite with LiteRT, ONNX with ONNX Runtime, both on one CPU thread of this host."""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from syncnas_exporters.errors import MissingLibrary, NotAnOnnxModel, NotATfliteFile, SignatureMismatch
from syncnas_exporters.graph import Float32Array, GraphBuilder
from syncnas_exporters.reader import ModelSource, Signature, read_signatures
from syncnas_exporters.tflite import write_tflite

Float32Arrays = dict[str, Float32Array]

_first_delegate = threading.Lock()
_delegate_made = False


class TfliteRunner:
    """A .tflite file opened once, its signatures runnable on one CPU thread with LiteRT and XNNPACK.

    Where Python's binding of LiteRT cannot be loaded, LiteRT's C library runs it.

    Attributes:
        signatures: inputs and outputs of each signature, name to shape.

    Raises:
        NotATfliteFile: when the file cannot be read, is damaged, or holds what LiteRT cannot run.
        MissingLibrary: when LiteRT itself cannot be loaded.
    """

    def __init__(self, model: ModelSource) -> None:
        self.signatures: dict[str, Signature] = read_signatures(model)
        self._run: Callable[[str, Float32Arrays], Float32Arrays]
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError:  # it may want a newer system than LiteRT itself
            from syncnas_exporters.litert_library import LibraryModel

            content = model if isinstance(model, bytes) else Path(model).read_bytes()
            self._run = LibraryModel(content, self.signatures).run
            return
        source = {"model_content": model} if isinstance(model, bytes) else {"model_path": os.fspath(model)}
        _make_first_delegate()
        try:
            interpreter = Interpreter(num_threads=1, **source)
            interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise NotATfliteFile(f"LiteRT cannot load the model: {error}") from error
        self._run = lambda signature, inputs: interpreter.get_signature_runner(signature)(**inputs)

    def run(self, signature: str, inputs: Mapping[str, Float32Array]) -> Float32Arrays:
        """Outputs of a signature by name; float32, the shapes as `signatures` has them.

        Raises:
            SignatureMismatch: when the signature is unknown or the inputs do not fit it.
        """
        if signature not in self.signatures:
            known = ", ".join(self.signatures) or "none"
            raise SignatureMismatch(f"there is no signature {signature!r}; the file has: {known}")
        return self._run(signature, _checked_inputs(inputs, self.signatures[signature].inputs))


def run_onnx(model: bytes, inputs: Mapping[str, Float32Array]) -> Float32Arrays:
    """Outputs of an ONNX model by name, on one CPU thread with ONNX Runtime; feature maps `[N, C, H, W]`.

    Raises:
        MissingLibrary: when onnxruntime is not installed.
        NotAnOnnxModel: when ONNX Runtime cannot load the bytes.
        SignatureMismatch: when the inputs do not fit the model.
    """
    try:
        import onnxruntime as ort
        from onnxruntime.capi import onnxruntime_pybind11_state as failures
    except ImportError as error:
        raise MissingLibrary(
            "running ONNX needs the package onnxruntime; run: pip install 'syncnas-deploy[onnx]'"
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


def _checked_inputs(inputs: Mapping[str, Float32Array], expected: Mapping[str, tuple[int, ...]]) -> Float32Arrays:
    if inputs.keys() != expected.keys():
        raise SignatureMismatch(f"the inputs are {sorted(expected)}, these were given: {sorted(inputs)}")
    for name, shape in expected.items():
        if inputs[name].shape != shape or inputs[name].dtype != np.float32:
            given = f"{inputs[name].dtype} {inputs[name].shape}"
            raise SignatureMismatch(f"input {name} must be float32 {shape}, it is {given}")
    return dict(inputs)


def _make_first_delegate() -> None:
    """Make LiteRT's first XNNPACK delegate of this process, for a model of one operation.

    LiteRT tells of its first delegate in a line on stderr, and of no later one. It has no switch for that line. So the
    first delegate is made here, where the line is lost, and whatever LiteRT says about a caller's model is printed.
    """
    global _delegate_made
    with _first_delegate:
        if _delegate_made:
            return
        from ai_edge_litert.interpreter import Interpreter

        builder = GraphBuilder("first")
        x = builder.input("x", (1, 1, 1, 1))
        model = write_tflite([builder.build([builder.add(x, x)])])
        with _without_c_stderr():
            Interpreter(model_content=model, num_threads=1).allocate_tensors()
        _delegate_made = True


@contextmanager
def _without_c_stderr() -> Iterator[None]:
    """Let C's ``stderr`` lead to nowhere.

    File descriptor 2 stays as it is: what Python writes to `sys.stderr`, from any thread, is printed at once.
    Where the C library keeps ``stderr`` under another name, the line is printed.
    """
    try:
        libc = ctypes.CDLL(None)
        stderr = ctypes.c_void_p.in_dll(libc, "stderr")
        libc.fopen.restype = ctypes.c_void_p
    except (ValueError, TypeError):  # the latter on Windows, where no library is all of them
        yield
        return
    nowhere = libc.fopen(os.fsencode(os.devnull), b"w")  # never closed: another thread may just have begun to write
    kept = stderr.value
    stderr.value = nowhere or kept
    try:
        yield
    finally:
        stderr.value = kept
