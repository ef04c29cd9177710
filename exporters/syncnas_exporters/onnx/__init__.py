"""A graph to an ONNX model. The package onnx is imported only when one is written."""

from syncnas_exporters.onnx.emitter import write_onnx

__all__ = ["write_onnx"]
