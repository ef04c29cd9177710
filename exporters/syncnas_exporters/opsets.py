"""The ONNX operator sets that a file can be written for. Light to import, so that `--help` can name them."""

from __future__ import annotations

DEFAULT_OPSET = 17
"""Read by ONNX Runtime 1.12 and later."""

IR_VERSIONS = {14: 8, 15: 8, 16: 8, 17: 8, 18: 8, 19: 9, 20: 9, 21: 10, 22: 10, 23: 11, 24: 12, 25: 13, 26: 13}
"""Each opset with the file format version that belongs to it, 8 at least; the first HardSwish is in opset 14.

Source: onnx/docs/Versioning.md.
"""
