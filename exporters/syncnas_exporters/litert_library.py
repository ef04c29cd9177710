"""Running a .tflite file with LiteRT's C library, for where Python's own binding of LiteRT cannot be loaded.

On macOS the binding wants a newer system (15.2) than the library beside it (14.0), which the native runner uses, too.
Source: google-ai-edge/LiteRT, litert/c/*.h at release 2.3.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import math
import sys
import weakref
from collections.abc import Mapping
from ctypes import byref, c_int, c_size_t, c_void_p
from pathlib import Path
from typing import Any

import numpy as np

from syncnas_exporters.errors import MissingLibrary, NotATfliteFile
from syncnas_exporters.graph import Float32Array
from syncnas_exporters.reader import Signature

_NAMES = {"darwin": "libLiteRt.dylib", "win32": "libLiteRt.dll"}
_FLOAT32, _CPU, _MAX_RANK = 1, 1, 8
_ACCELERATORS, _LEAST_SEVERITY, _ERROR = 24, 25, 3
"""Options of an environment: which accelerators there are, and how much LiteRT prints."""
_ALIGNMENT_BYTES, _READ_AHEAD_BYTES = 64, 64
_Free = ctypes.CFUNCTYPE(None, c_void_p)
_kept = _Free(lambda _: None)
_ONE_THREAD = ctypes.create_string_buffer(b"num_threads = 1\n")


class _Option(ctypes.Structure):
    """LiteRtEnvOption with a whole number, `kind` 2. Of the first two the upper halves are padding."""

    _fields_ = (("tag", ctypes.c_int64), ("kind", ctypes.c_int64), ("value", ctypes.c_int64))


class _TensorType(ctypes.Structure):
    """LiteRtRankedTensorType. The lower seven bits of `rank` are the rank; there are no strides."""

    _fields_ = (
        ("element_type", c_int),
        ("rank", ctypes.c_uint),
        ("dimensions", ctypes.c_int32 * _MAX_RANK),
        ("strides", ctypes.c_uint32 * _MAX_RANK),
    )


class _Memory:
    """Host memory of a tensor, float32 of a fixed shape, as LiteRT wants it, and LiteRT's buffer around it."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        count = math.prod(shape)
        self._raw = np.zeros(4 * count + _ALIGNMENT_BYTES + _READ_AHEAD_BYTES, np.uint8)
        begin = -self._raw.ctypes.data % _ALIGNMENT_BYTES
        self.values: Float32Array = self._raw[begin : begin + 4 * count].view(np.float32).reshape(shape)
        kind = _TensorType(_FLOAT32, len(shape), (ctypes.c_int32 * _MAX_RANK)(*shape))
        self.buffer = c_void_p()
        address = c_void_p(self._raw.ctypes.data + begin)
        _call("CreateTensorBufferFromHostMemory", byref(kind), address, c_size_t(4 * count), None, byref(self.buffer))


class LibraryModel:
    """A model compiled for one CPU thread.

    Args:
        content: the bytes of a .tflite file.
        signatures: what `read_signatures` found in it.

    Raises:
        NotATfliteFile: LiteRT refuses it.
        MissingLibrary: LiteRT's library is not there or cannot be loaded.
    """

    def __init__(self, content: bytes, signatures: Mapping[str, Signature]) -> None:
        self._signatures = signatures
        self._content = content  # LiteRT reads it for as long as the model lives
        self._bound: dict[str, tuple[int, dict[str, _Memory], dict[str, _Memory]]] = {}
        self._model, self._options, self._compiled, opaque = (c_void_p() for _ in range(4))
        _call("CreateModelFromBuffer", _environment(), content, c_size_t(len(content)), byref(self._model))
        _call("CreateOptions", byref(self._options))
        _call("SetOptionsHardwareAccelerators", self._options, c_int(_CPU))
        _call("CreateOpaqueOptions", b"xnnpack", _ONE_THREAD, _kept, byref(opaque))
        _call("AddOpaqueOptions", self._options, opaque)
        _call("CreateCompiledModel", _environment(), self._model, self._options, byref(self._compiled))
        weakref.finalize(self, _destroy, self._bound, self._compiled, self._options, self._model)

    def run(self, signature: str, inputs: Mapping[str, Float32Array]) -> dict[str, Float32Array]:
        """Outputs by name, of inputs that fit the signature."""
        if signature not in self._bound:
            self._bound[signature] = self._bind(signature)
        index, taken, given = self._bound[signature]
        for name, memory in taken.items():
            memory.values[...] = inputs[name]
        _call(
            "RunCompiledModel",
            self._compiled,
            c_size_t(index),
            c_size_t(len(taken)),
            _buffers(taken),
            c_size_t(len(given)),
            _buffers(given),
        )
        return {name: memory.values.copy() for name, memory in given.items()}

    def _bind(self, wanted: str) -> tuple[int, dict[str, _Memory], dict[str, _Memory]]:
        for index in range(len(self._signatures)):
            signature, key = c_void_p(), ctypes.c_char_p()
            _call("GetModelSignature", self._model, c_size_t(index), byref(signature))
            _call("GetSignatureKey", signature, byref(key))
            if key.value == wanted.encode():
                shapes = self._signatures[wanted]
                inputs = {name: _Memory(shapes.inputs[name]) for name in _names("Input", signature)}
                return index, inputs, {name: _Memory(shapes.outputs[name]) for name in _names("Output", signature)}
        raise NotATfliteFile(f"LiteRT finds no signature {wanted!r} in the model; write it again")


def _names(what: str, signature: c_void_p) -> list[str]:
    """Names of a signature's inputs or outputs, in LiteRT's order."""
    count, name = c_size_t(), ctypes.c_char_p()
    _call(f"GetNumSignature{what}s", signature, byref(count))
    found = []
    for index in range(count.value):
        _call(f"GetSignature{what}Name", signature, c_size_t(index), byref(name))
        found.append((name.value or b"").decode())
    return found


def _buffers(memories: Mapping[str, _Memory]) -> Any:
    return (c_void_p * len(memories))(*(memory.buffer for memory in memories.values()))


def _destroy(
    bound: Mapping[str, tuple[int, dict[str, _Memory], dict[str, _Memory]]],
    compiled: c_void_p,
    options: c_void_p,
    model: c_void_p,
) -> None:
    library = _library()
    for _, taken, given in bound.values():
        for memory in (*taken.values(), *given.values()):
            library.LiteRtDestroyTensorBuffer(memory.buffer)
    library.LiteRtDestroyCompiledModel(compiled)
    library.LiteRtDestroyOptions(options)
    library.LiteRtDestroyModel(model)


@functools.cache
def _library() -> ctypes.CDLL:
    spec = importlib.util.find_spec("ai_edge_litert")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        path = Path(folder) / _NAMES.get(sys.platform, "libLiteRt.so")
        try:
            return ctypes.CDLL(str(path))
        except OSError as error:
            raise MissingLibrary(
                f"LiteRT cannot be loaded here ({error}); update this system (macOS: 14 or later), or install "
                "ai-edge-litert again"
            ) from error
    raise MissingLibrary("LiteRT is missing; run: pip install ai-edge-litert")


@functools.cache
def _environment() -> c_void_p:
    """One for the process: each that is made leaves memory behind."""
    made, options = c_void_p(), (_Option * 2)()
    for option, (tag, value) in zip(options, ((_ACCELERATORS, _CPU), (_LEAST_SEVERITY, _ERROR)), strict=True):
        option.tag, option.kind, option.value = tag, 2, value
    _call("CreateEnvironment", c_int(len(options)), options, byref(made))
    return made


def _call(name: str, *arguments: Any) -> None:
    status = getattr(_library(), f"LiteRt{name}")(*arguments)
    if status != 0:
        raise NotATfliteFile(f"LiteRT cannot run the model ({name} gave {status}); write it again")
