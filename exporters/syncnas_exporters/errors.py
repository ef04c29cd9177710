"""Everything this package raises on purpose, under one root."""

from __future__ import annotations


class ExportError(Exception):
    """Root of the errors of this package; catch it to catch them all."""


class GraphError(ExportError):
    """A graph that could not run: a name, a shape, a weight or an order is wrong."""


class DuplicateGraphName(ExportError):
    """Two graphs of one file share a name, which is the key they are called by."""


class RangesError(ExportError):
    """Ranges that a graph cannot be quantized with: one is missing, not finite, or of another graph."""


class ModelTooLarge(ExportError):
    """The file would pass the 2 GiB that the offsets of a .tflite or .onnx file can address."""


class NotATfliteFile(ExportError):
    """Bytes that are not a readable .tflite file: another format, cut short or damaged."""


class SignatureMismatch(ExportError):
    """Values that do not fit: an unknown signature, a missing input or a wrong shape."""


class UnknownOpset(ExportError):
    """An ONNX operator set that no file is written for."""


class MissingLibrary(ExportError):
    """An optional library is not installed; the message says how to install it."""


class NotAnOnnxModel(ExportError):
    """Bytes that ONNX Runtime cannot load as a model."""
