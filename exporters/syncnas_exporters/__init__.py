"""Turns graphs into .tflite and ONNX files.

Build a `Graph` with `GraphBuilder`, write it with `write_tflite` or `write_onnx`, and check the file with
`TfliteRunner` or `run_onnx` and `difference`. Importing this package imports numpy and nothing heavier;
LiteRT, onnx and onnxruntime are imported by the functions that need them.

    >>> import numpy as np
    >>> from syncnas_exporters import Activation, GraphBuilder, read_signatures, write_tflite
    >>> builder = GraphBuilder("block")
    >>> x = builder.input("x", (1, 8, 8, 4))
    >>> y = builder.conv2d(x, np.zeros((6, 1, 1, 4)), np.zeros(6), activation=Activation.RELU6)
    >>> model = write_tflite([builder.build([y])])
    >>> read_signatures(model)["block"].inputs
    {'x': (1, 8, 8, 4)}
"""

from syncnas_exporters.errors import (
    DuplicateGraphName,
    ExportError,
    GraphError,
    MissingDependency,
    ModelTooLarge,
    NotAnOnnxModel,
    NotATfliteFile,
    SignatureMismatch,
)
from syncnas_exporters.graph import Graph, GraphBuilder, Tensor
from syncnas_exporters.onnx import write_onnx
from syncnas_exporters.ops import Activation, Op, OpKind
from syncnas_exporters.parity import Difference, TfliteRunner, difference, nchw, nhwc, run_onnx
from syncnas_exporters.reader import Signature, read_signatures
from syncnas_exporters.tflite import write_tflite

__all__ = [
    "Activation",
    "Difference",
    "DuplicateGraphName",
    "ExportError",
    "Graph",
    "GraphBuilder",
    "GraphError",
    "MissingDependency",
    "ModelTooLarge",
    "NotATfliteFile",
    "NotAnOnnxModel",
    "Op",
    "OpKind",
    "Signature",
    "SignatureMismatch",
    "Tensor",
    "TfliteRunner",
    "difference",
    "nchw",
    "nhwc",
    "read_signatures",
    "run_onnx",
    "write_onnx",
    "write_tflite",
]
