"""A graph with its constants in fp16: half the file. Runtimes widen them once, when they load it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from syncnas_exporters.errors import GraphError
from syncnas_exporters.graph import Float32Array, Graph
from syncnas_exporters.tflite.lowering import TfliteLowering, TfliteOp, TfliteTensor

# Source: tflite/tools/versioning/op_version.cc of LiteRT 2.3, for float16.
VERSIONS: Mapping[str, int] = {"DEQUANTIZE": 3}


class Fp16Lowering(TfliteLowering):
    """The tensors and operators of one subgraph, with a DEQUANTIZE from fp16 for each of its constants.

    Raises:
        GraphError: a constant is beyond what fp16 can hold, 65504.
    """

    def __init__(self, graph: Graph) -> None:
        super().__init__(graph)
        heads = []
        for name, tensor in list(self.tensors.items()):
            if tensor.data is not None and tensor.data.dtype == np.float32:
                half = f"{name}$fp16"
                self.tensors[half] = TfliteTensor(half, tensor.shape, _halved(tensor.data, name))
                self.tensors[name] = TfliteTensor(name, tensor.shape, None)
                heads.append(TfliteOp("DEQUANTIZE", (half,), (name,), "DequantizeOptions"))
        self.ops = [*heads, *self.ops]


def _halved(data: Float32Array, name: str) -> npt.NDArray[Any]:
    with np.errstate(over="ignore"):
        half = data.astype(np.float16)
    if not np.isfinite(half).all():
        raise GraphError(f"constant {name} is beyond 65504, the most that fp16 holds; export it in fp32")
    return half
