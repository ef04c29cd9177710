"""A graph in int8: weights by channel, features by tensor, float32 at the borders.

Source: LiteRT 8-bit quantization specification. What goes beyond it is what XNNPACK asks for, since an operator that it
leaves to LiteRT's own kernels takes several times as long:

- HARD_SWISH is an ADD that fuses RELU6, and two MULs; RELU and RELU6 by themselves are a MUL by 1 that fuses them;
- tensors of a PAD, SPLIT, SLICE or CONCATENATION have one scale;
- the scales of an operator's inputs and output are within a range of each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from syncnas_exporters.graph import Float32Array, Graph
from syncnas_exporters.ops import Activation, Op, OpKind
from syncnas_exporters.ranges import Range, Ranges, checked_ranges
from syncnas_exporters.tflite.lowering import FUSED_ACTIVATION, Quantization, TfliteLowering, TfliteOp, TfliteTensor

# Source: tflite/tools/versioning/op_version.cc of LiteRT 2.3, for int8.
VERSIONS: Mapping[str, int] = {
    "ADD": 2,
    "CONCATENATION": 2,
    "CONV_2D": 3,
    "DEPTHWISE_CONV_2D": 3,
    "DEQUANTIZE": 2,
    "FULLY_CONNECTED": 4,
    "LOGISTIC": 2,
    "MEAN": 2,
    "MUL": 2,
    "PAD": 2,
    "SLICE": 2,
    "SPLIT": 2,
}

_CHANNEL_AXIS = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0}
_ONE_SCALE = frozenset({"PAD", "SPLIT", "SLICE", "CONCATENATION"})
_LOGISTIC = (1.0 / 256.0, -128)
_STEPS = 255
_LARGEST_WEIGHT = 127
_LARGEST_BIAS = 2**30
_SMALLEST_SPAN = 1e-8
# The weakest channel's scale over the strongest one's; below it a weight adds nothing that int8 could show.
_SMALLEST_CHANNEL = 2.0**-16
# Source: VisitBinaryNode of LiteRT 2.3's XNNPACK delegate and XNNPACK's convolutions, with a margin.
_MOST_IN_OVER_OUT = 250.0
_LEAST_ADDED_OVER_OUT = 1.0 / 1000.0


class Int8Weights:
    """Weights as int8, each array made once for all graphs of a file."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, int], tuple[Float32Array, Float32Array, npt.NDArray[np.int8]]] = {}

    def scales(self, data: Float32Array, axis: int) -> Float32Array:
        """One scale for each channel along `axis`, the first or the last, [channels]."""
        return self._of(data, axis)[1]

    def rounded(self, data: Float32Array, axis: int, scales: Float32Array) -> npt.NDArray[np.int8]:
        """`data` over its scales as int8; `scales` may be larger than what `scales()` gave."""
        _, plain, made = self._of(data, axis)
        return made if scales is plain else _rounded(data, axis, scales)

    def _of(self, data: Float32Array, axis: int) -> tuple[Float32Array, Float32Array, npt.NDArray[np.int8]]:
        key = (id(data), axis)  # the array is kept, so that no other one can have its id
        if key not in self._kept:
            rows, along = (data.reshape(len(data), -1), 1) if axis == 0 else (data.reshape(-1, data.shape[-1]), 0)
            largest = np.maximum(rows.max(along), -rows.min(along))
            top = float(largest.max()) or 1.0
            scales = (np.maximum(largest, top * _SMALLEST_CHANNEL) / _LARGEST_WEIGHT).astype(np.float32)
            self._kept[key] = (data, scales, _rounded(data, axis, scales))
        return self._kept[key]


def _rounded(data: Float32Array, axis: int, scales: Float32Array) -> npt.NDArray[np.int8]:
    by_channel = scales.reshape(-1, *(1,) * (data.ndim - 1)) if axis == 0 else scales
    values = data / by_channel
    rounded: npt.NDArray[np.int8] = np.rint(values, out=values).astype(np.int8)
    return rounded


class Int8Lowering(TfliteLowering):
    """The tensors and operators of one subgraph in int8.

    Args:
        graph: the graph, in float32.
        ranges: smallest and largest value of each of its computed tensors.
        weights: of the file.

    Raises:
        RangesError: a range is missing, is not finite, or is upside down.
    """

    def __init__(self, graph: Graph, ranges: Ranges, weights: Int8Weights) -> None:
        self._ranges: dict[str, Range] = checked_ranges(graph, ranges)
        self._weights = weights
        self._joined = {name for op in graph.ops if op.kind in (OpKind.CONCAT, OpKind.SPLIT) for name in op.inputs}
        super().__init__(graph)
        self._parameters = _Parameters(self.ops, self.tensors, self._ranges, weights)
        for op in self.ops:
            self._round_constants(op)
        for name, tensor in self.tensors.items():
            if tensor.data is None:
                self.tensors[name] = tensor._replace(quantization=self._parameters.of(name))
        self._add_borders()

    def _lower(self, op: Op) -> None:
        x, y = op.inputs[0], op.outputs[0]
        if op.kind is OpKind.HARD_SWISH:
            shifted, gate = self._between(y, "shifted", (0.0, 6.0)), self._between(y, "gate", (0.0, 1.0))
            self._pair("ADD", x, self._constant(y, "three", 3.0), shifted, Activation.RELU6)
            self._pair("MUL", shifted, self._constant(y, "sixth", 1.0 / 6.0), gate)
            self._pair("MUL", x, gate, y)
        elif op.kind in (OpKind.RELU, OpKind.RELU6):
            self._pair("MUL", x, self._constant(y, "one", 1.0), y, Activation(op.kind.value))
        elif op.kind is OpKind.LOGISTIC and y in self._joined:
            sigmoid = self._between(y, "sigmoid", (0.0, 1.0))
            self._emit("LOGISTIC", (x,), (sigmoid,), "")
            self._emit("QUANTIZE", (sigmoid,), (y,), "QuantizeOptions")
        else:
            super()._lower(op)

    def _pair(self, code: str, a: str, b: str, y: str, activation: Activation = Activation.NONE) -> None:
        options = {"ADD": "AddOptions", "MUL": "MulOptions"}[code]
        self._emit(code, (a, b), (y,), options, FusedActivationFunction=FUSED_ACTIVATION[activation])

    def _between(self, y: str, what: str, span: Range) -> str:
        name = f"{y}${what}"
        self.tensors[name] = TfliteTensor(name, self._shape(y), None)
        self._ranges[name] = span
        return name

    def _constant(self, y: str, what: str, value: float) -> str:
        name, shape = f"{y}${what}", (1,) * len(self._shape(y))
        self.tensors[name] = TfliteTensor(name, shape, np.full(shape, value, np.float32))
        return name

    def _round_constants(self, op: TfliteOp) -> None:
        if op.code in _CHANNEL_AXIS:
            self._round_weight(op, _CHANNEL_AXIS[op.code])
        elif op.code in ("ADD", "MUL"):
            tensor = self.tensors[op.inputs[1]]
            if tensor.data is not None and tensor.quantization is None:
                scale = self._parameters.constant_scale(op)
                data = np.rint(tensor.data / scale).astype(np.int8)
                self._put(tensor, data, Quantization(np.array([scale], np.float32)))

    def _round_weight(self, op: TfliteOp, axis: int) -> None:
        x, weight, bias = op.inputs
        tensor, biases = self.tensors[weight], self.tensors[bias]
        assert tensor.data is not None and biases.data is not None
        if tensor.quantization is not None:
            return
        features = self._parameters.scale(x)
        plain = self._weights.scales(tensor.data, axis)
        # Where a channel's weights are next to nothing its bias would pass int32: then its scale is larger.
        needed = np.abs(biases.data) / np.float32(features * _LARGEST_BIAS)
        scales = plain if (needed <= plain).all() else np.maximum(plain, needed)
        sums = scales * np.float32(features)
        rounded = np.rint(biases.data / sums.astype(np.float64)).astype(np.int32)
        self._put(tensor, self._weights.rounded(tensor.data, axis, scales), Quantization(scales, axis=axis))
        self._put(biases, rounded, Quantization(sums))

    def _put(self, tensor: TfliteTensor, data: npt.NDArray[Any], quantization: Quantization) -> None:
        self.tensors[tensor.name] = TfliteTensor(tensor.name, tensor.shape, data, quantization)

    def _add_borders(self) -> None:
        """Callers give and get float32: QUANTIZE after each input, DEQUANTIZE before each output."""
        self.inputs = {name: f"{name}$float" for name in self.inputs}
        self.outputs = {name: f"{name}$float" for name in self.outputs}
        for name, border in (*self.inputs.items(), *self.outputs.items()):
            self.tensors[border] = TfliteTensor(border, self._shape(name), None)
        heads = [TfliteOp("QUANTIZE", (b,), (n,), "QuantizeOptions") for n, b in self.inputs.items()]
        tails = [TfliteOp("DEQUANTIZE", (n,), (b,), "DequantizeOptions") for n, b in self.outputs.items()]
        self.ops = [*heads, *self.ops, *tails]


class _Parameters:
    """Scale and zero point of every computed tensor."""

    def __init__(
        self,
        ops: list[TfliteOp],
        tensors: Mapping[str, TfliteTensor],
        ranges: Mapping[str, Range],
        weights: Int8Weights,
    ) -> None:
        self._ops, self._tensors, self._weights = ops, tensors, weights
        self._parent: dict[str, str] = {}
        for op in ops:
            if op.code in _ONE_SCALE:
                first, *others = (name for name in (*op.inputs, *op.outputs) if tensors[name].data is None)
                for name in others:
                    if self._root(name) != self._root(first):
                        self._parent[self._root(name)] = self._root(first)
        self._spans: dict[str, Range] = {}
        for name, (low, high) in ranges.items():
            root = self._root(name)
            known = self._spans.get(root, (0.0, 0.0))
            self._spans[root] = min(low, known[0]), max(high, known[1])
        self._scales = {root: max(high - low, _SMALLEST_SPAN) / _STEPS for root, (low, high) in self._spans.items()}
        self._fixed = {self._root(op.outputs[0]) for op in ops if op.code == "LOGISTIC"}
        self._scales |= dict.fromkeys(self._fixed, _LOGISTIC[0])
        while self._raise_scales():
            pass
        self._made: dict[str, Quantization] = {}

    def scale(self, name: str) -> float:
        """Of a computed tensor."""
        return self._scales[self._root(name)]

    def constant_scale(self, op: TfliteOp) -> float:
        """Of the constant operand of an ADD or MUL, symmetric."""
        data = self._tensors[op.inputs[1]].data
        assert data is not None
        least = self.scale(op.outputs[0]) * _LEAST_ADDED_OVER_OUT if op.code == "ADD" else 0.0
        return max(float(np.abs(data).max()) / _LARGEST_WEIGHT, least, _SMALLEST_SPAN)

    def of(self, name: str) -> Quantization:
        """Of a computed tensor."""
        root = self._root(name)
        if root not in self._made:
            scale = self._scales[root]
            zero_point = _LOGISTIC[1] if root in self._fixed else round(-128 - self._spans[root][0] / scale)
            self._made[root] = Quantization(np.array([scale], np.float32), min(max(zero_point, -128), 127))
        return self._made[root]

    def _root(self, name: str) -> str:
        while name in self._parent:
            name = self._parent[name]
        return name

    def _raise_scales(self) -> bool:
        """Make scales larger where an operator's are too far apart for XNNPACK; whether one was."""
        before = dict(self._scales)
        for op in self._ops:
            if op.code in _CHANNEL_AXIS:
                weight = self._tensors[op.inputs[1]].data
                assert weight is not None
                largest = float(self._weights.scales(weight, _CHANNEL_AXIS[op.code]).max())
                self._at_least(op.outputs[0], self.scale(op.inputs[0]) * largest / _MOST_IN_OVER_OUT)
            elif op.code in ("ADD", "MUL"):
                constant = self._tensors[op.inputs[1]].data is not None
                scales = [self.scale(op.inputs[0]), self.constant_scale(op) if constant else self.scale(op.inputs[1])]
                joint = max(scales) if op.code == "ADD" else scales[0] * scales[1]
                self._at_least(op.outputs[0], joint / _MOST_IN_OVER_OUT)
                if op.code == "ADD":
                    for name in op.inputs[: 1 if constant else 2]:
                        self._at_least(name, self.scale(op.outputs[0]) * _LEAST_ADDED_OVER_OUT)
        return self._scales != before

    def _at_least(self, name: str, scale: float) -> None:
        root = self._root(name)
        if self._scales[root] < scale and root not in self._fixed:
            self._scales[root] = scale
