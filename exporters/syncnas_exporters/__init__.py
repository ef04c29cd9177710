"""Turns graphs into .tflite and ONNX files.

Build a `Graph` with `GraphBuilder`, write it with `write_tflite` or `write_onnx`, and check the file with
`TfliteRunner` or `run_onnx` and `difference`. For int8, a `RangeObserver` finds the ranges of its tensors. Importing
this package imports nothing but its errors: each name below brings its own module when it is first used. numpy comes
with the graph; LiteRT, onnx and onnxruntime come with the first call that needs them.

    >>> import numpy as np
    >>> from syncnas_exporters import Activation, GraphBuilder, read_signatures, write_tflite
    >>> builder = GraphBuilder("block")
    >>> x = builder.input("x", (1, 8, 8, 4))
    >>> y = builder.conv2d(x, np.zeros((6, 1, 1, 4)), np.zeros(6), activation=Activation.RELU6)
    >>> model = write_tflite([builder.build([y])])
    >>> read_signatures(model)["block"].inputs
    {'x': (1, 8, 8, 4)}
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from syncnas_exporters.errors import (
    DuplicateGraphName,
    ExportError,
    GraphError,
    MissingLibrary,
    ModelTooLarge,
    NotAnOnnxModel,
    NotATfliteFile,
    RangesError,
    SignatureMismatch,
    UnknownOpset,
)

if TYPE_CHECKING:
    from syncnas_exporters.calibration import RangeObserver
    from syncnas_exporters.graph import Graph, GraphBuilder, Tensor
    from syncnas_exporters.large_kernels import has_large_kernels, split_large_kernels
    from syncnas_exporters.onnx import write_onnx
    from syncnas_exporters.ops import Activation, Op, OpKind
    from syncnas_exporters.parity import Difference, difference, nchw, nhwc
    from syncnas_exporters.ranges import stand_in_ranges
    from syncnas_exporters.reader import Signature, read_signatures
    from syncnas_exporters.runtimes import TfliteRunner, run_onnx
    from syncnas_exporters.tflite import write_tflite

_MODULES = {
    "calibration": ("RangeObserver",),
    "graph": ("Graph", "GraphBuilder", "Tensor"),
    "large_kernels": ("has_large_kernels", "split_large_kernels"),
    "onnx": ("write_onnx",),
    "ops": ("Activation", "Op", "OpKind"),
    "parity": ("Difference", "difference", "nchw", "nhwc"),
    "ranges": ("stand_in_ranges",),
    "reader": ("Signature", "read_signatures"),
    "runtimes": ("TfliteRunner", "run_onnx"),
    "tflite": ("write_tflite",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "Activation", "Difference", "DuplicateGraphName", "ExportError", "Graph", "GraphBuilder", "GraphError",
    "MissingLibrary", "ModelTooLarge", "NotATfliteFile", "NotAnOnnxModel", "Op", "OpKind", "RangeObserver",
    "RangesError", "Signature", "SignatureMismatch", "Tensor", "TfliteRunner", "UnknownOpset", "difference",
    "has_large_kernels", "nchw", "nhwc", "read_signatures", "run_onnx", "split_large_kernels", "stand_in_ranges",
    "write_onnx", "write_tflite",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
