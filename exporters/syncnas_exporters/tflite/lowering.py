"""Ops of a graph to ops of TFLite, still as plain data.

Three things differ. TFLite's SAME padding puts the odd row at the end where torch pads symmetrically: where
the two disagree, a PAD comes first and the convolution is VALID. A split into unequal parts, or into more
than four, becomes SLICEs: XNNPACK leaves those to slower kernels. Axes, paddings and sizes are int32
constants.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from syncnas_exporters.graph import Graph
from syncnas_exporters.ops import CONVOLUTIONS, FUSES_ACTIVATION, Activation, Op, OpKind, Shape, extent


class Quantization(NamedTuple):
    """What an integer of a tensor means: (integer - zero_point) * scale.

    Attributes:
        scales: float32, one for the tensor or [channels] along `axis`.
        zero_point: 0 where there are several scales.
    """

    scales: npt.NDArray[np.float32]
    zero_point: int = 0
    axis: int = 0


class TfliteTensor(NamedTuple):
    """A tensor of a subgraph.

    Attributes:
        data: of a constant: float32, float16, int8 or int32. None when it is computed.
        quantization: of int8, and of an int32 bias. A computed tensor that has one is int8, else float32.
    """

    name: str
    shape: Shape
    data: npt.NDArray[Any] | None
    quantization: Quantization | None = None


class TfliteOp(NamedTuple):
    """An operator: its name in `BuiltinOperator`, tensor names, and its options table with its fields."""

    code: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    options: str
    fields: tuple[tuple[str, int], ...] = ()


FUSED_ACTIVATION: dict[Activation, int] = {
    Activation.NONE: schema.ActivationFunctionType.NONE,
    Activation.RELU: schema.ActivationFunctionType.RELU,
    Activation.RELU6: schema.ActivationFunctionType.RELU6,
}

# Source: the delegated nodes of LiteRT 2.3's XNNPACK, looked at part by part.
_MOST_SPLIT_PARTS = 4

# Kinds that are one operator with nothing but perhaps a fused activation: code, options table.
_DIRECT = {
    OpKind.FULLY_CONNECTED: ("FULLY_CONNECTED", "FullyConnectedOptions"),
    OpKind.ADD: ("ADD", "AddOptions"),
    OpKind.MUL: ("MUL", "MulOptions"),
    OpKind.RELU: ("RELU", ""),
    OpKind.RELU6: ("RELU6", ""),
    OpKind.LOGISTIC: ("LOGISTIC", ""),
    OpKind.HARD_SWISH: ("HARD_SWISH", "HardSwishOptions"),
}


class TfliteLowering:
    """The tensors and operators of one subgraph.

    Names it invents hold a `$`, which no tensor of a graph does.

    Attributes:
        tensors: in the order in which they were first needed, by name.
        ops: in running order.
        inputs, outputs: the tensor of each of the graph's inputs and outputs, by the graph's name of it.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self.tensors: dict[str, TfliteTensor] = {}
        self.ops: list[TfliteOp] = []
        self.inputs = {name: name for name in graph.inputs}
        self.outputs = {name: name for name in graph.outputs}
        for name in graph.inputs:
            self._use(name)
        for op in graph.ops:
            for name in (*op.inputs, *op.outputs):
                self._use(name)
            self._lower(op)

    def _use(self, name: str) -> None:
        if name not in self.tensors:
            tensor = self._graph.tensors[name]
            self.tensors[name] = TfliteTensor(name, tensor.shape, tensor.data)

    def _shape(self, name: str) -> Shape:
        return self._graph.tensors[name].shape

    def _ints(self, name: str, values: object) -> str:
        data = np.array(values, np.int32)
        self.tensors[name] = TfliteTensor(name, data.shape, data)
        return name

    def _lower(self, op: Op) -> None:
        if op.kind in CONVOLUTIONS:
            self._convolution(op)
        elif op.kind is OpKind.CONCAT:
            axis = len(self._shape(op.outputs[0])) - 1
            self._emit("CONCATENATION", op.inputs, op.outputs, "ConcatenationOptions", Axis=axis)
        elif op.kind is OpKind.SPLIT:
            self._split(op)
        elif op.kind is OpKind.MEAN:
            axes = self._ints(f"{op.outputs[0]}$axes", (1, 2))
            keep = int(len(self._shape(op.outputs[0])) == 4)
            self._emit("MEAN", (op.inputs[0], axes), op.outputs, "ReducerOptions", KeepDims=keep)
        else:
            code, options = _DIRECT[op.kind]
            fields = {}
            if op.kind in FUSES_ACTIVATION:
                fields["FusedActivationFunction"] = FUSED_ACTIVATION[op.activation]
            self._emit(code, op.inputs, op.outputs, options, **fields)

    def _emit(self, code: str, inputs: tuple[str, ...], outputs: tuple[str, ...], options: str, **fields: int) -> None:
        self.ops.append(TfliteOp(code, inputs, outputs, options, tuple(fields.items())))

    def _convolution(self, op: Op) -> None:
        x, weight, bias = op.inputs
        depthwise = op.kind is OpKind.DEPTHWISE_CONV_2D
        padding: int = schema.Padding.VALID
        if any(op.pads):
            if _same_agrees(op, self._shape(x), self._shape(weight), self._shape(op.outputs[0])):
                padding = schema.Padding.SAME
            else:
                x = self._pad(op, x)
        fields = {
            "Padding": padding,
            "StrideW": op.stride,
            "StrideH": op.stride,
            "FusedActivationFunction": FUSED_ACTIVATION[op.activation],
        }
        if depthwise:
            fields["DepthMultiplier"] = 1
        if op.dilation != (1, 1):
            fields["DilationHFactor"], fields["DilationWFactor"] = op.dilation
        code = "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D"
        options = "DepthwiseConv2DOptions" if depthwise else "Conv2DOptions"
        self._emit(code, (x, weight, bias), op.outputs, options, **fields)

    def _pad(self, op: Op, x: str) -> str:
        n, h, w, c = self._shape(x)
        rows, columns = op.pads
        padded = f"{op.outputs[0]}$padded"
        self.tensors[padded] = TfliteTensor(padded, (n, h + 2 * rows, w + 2 * columns, c), None)
        paddings = self._ints(f"{op.outputs[0]}$paddings", ((0, 0), (rows, rows), (columns, columns), (0, 0)))
        self._emit("PAD", (x, paddings), (padded,), "PadOptions")
        return padded

    def _split(self, op: Op) -> None:
        x, name = op.inputs[0], op.outputs[0]
        shapes = [self._shape(part) for part in op.outputs]
        axis = len(shapes[0]) - 1
        if len(set(shapes)) == 1 and len(shapes) <= _MOST_SPLIT_PARTS:
            inputs = (self._ints(f"{name}$axis", axis), x)
            self._emit("SPLIT", inputs, op.outputs, "SplitOptions", NumSplits=len(shapes))
            return
        first_channel = 0
        for part, shape in zip(op.outputs, shapes, strict=True):
            begin = self._ints(f"{part}$begin", (0,) * axis + (first_channel,))
            size = self._ints(f"{part}$size", shape)
            self._emit("SLICE", (x, begin, size), (part,), "SliceOptions")
            first_channel += shape[-1]


def _same_agrees(op: Op, x: Shape, weight: Shape, output: Shape) -> bool:
    """Whether SAME pads as `op.padding` does, on H and on W.

    Source: tensorflow/lite/kernels/padding.h: out = ceil(in / stride), padded in all by
    (out - 1) * stride + kernel - in, the smaller half of it before.
    """
    return all(
        output[axis] == -(-x[axis] // op.stride)
        and (output[axis] - 1) * op.stride + extent(weight[axis], op.dilation[axis - 1]) - x[axis]
        == 2 * op.pads[axis - 1]
        for axis in (1, 2)
    )
