"""A graph to an ONNX model, whose feature maps are `[N, C, H, W]` where the graph's are `[N, H, W, C]`."""

from __future__ import annotations

from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from syncnas_exporters.errors import MissingLibrary, ModelTooLarge, UnknownOpset
from syncnas_exporters.graph import Graph
from syncnas_exporters.ops import CONVOLUTIONS, Activation, Op, OpKind, Shape
from syncnas_exporters.opsets import DEFAULT_OPSET, IR_VERSIONS

if TYPE_CHECKING:
    import onnx

MAX_FILE_BYTES = 2**31 - 1
"""Source: protobuf, which refuses longer messages."""

_OHWI_TO_OIHW = (0, 3, 1, 2)
_1HWC_TO_C1HW = (3, 0, 1, 2)
_NHWC_TO_NCHW = (0, 3, 1, 2)

_ONE_TO_ONE = {
    OpKind.ADD: "Add",
    OpKind.MUL: "Mul",
    OpKind.RELU: "Relu",
    OpKind.LOGISTIC: "Sigmoid",
    OpKind.HARD_SWISH: "HardSwish",
}


def write_onnx(graph: Graph, opset: int = DEFAULT_OPSET) -> bytes:
    """Write a graph as an ONNX model with the graph's input and output names.

    Inputs and outputs of rank 4 are `[N, C, H, W]`, those of rank 2 stay `[N, C]`. Padding is explicit.
    Equal graphs give equal bytes.

    Raises:
        UnknownOpset: when the opset is not one of `opsets.IR_VERSIONS`.
        MissingLibrary: when onnx is not installed.
        ModelTooLarge: when the model would pass 2 GiB.

    Source: onnx/docs/Operators.md.
    """
    if opset not in IR_VERSIONS:
        raise UnknownOpset(f"there is no opset {opset} here; choose one from {min(IR_VERSIONS)} to {max(IR_VERSIONS)}")
    try:
        import onnx
    except ImportError as error:
        raise MissingLibrary("writing ONNX needs the package onnx; run: pip install 'syncnas-deploy[onnx]'") from error
    weights_bytes = sum(t.data.nbytes for t in graph.tensors.values() if t.data is not None)
    if weights_bytes > MAX_FILE_BYTES:
        raise ModelTooLarge(f"graph {graph.name} has weights of {weights_bytes} bytes; ONNX files end at 2 GiB")
    writer = _NodeWriter(graph, onnx.helper)
    for op in graph.ops:
        writer.add(op)
    body = onnx.helper.make_graph(
        writer.nodes,
        graph.name,
        [writer.value_info(name) for name in graph.inputs],
        [writer.value_info(name) for name in graph.outputs],
        list(writer.initializers.values()),
    )
    model = onnx.helper.make_model(
        body,
        producer_name="syncnas_exporters",
        opset_imports=[onnx.helper.make_opsetid("", opset)],
        ir_version=IR_VERSIONS[opset],
    )
    serialized: bytes = model.SerializeToString(deterministic=True)
    return serialized


def _nchw_shape(shape: Shape) -> Shape:
    return tuple(shape[axis] for axis in _NHWC_TO_NCHW) if len(shape) == 4 else shape


class _NodeWriter:
    """ONNX nodes of a graph's ops.

    Names it invents hold a `$`, which no tensor of a graph does.
    """

    def __init__(self, graph: Graph, helper: ModuleType) -> None:
        self._graph = graph
        self._helper = helper
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def value_info(self, name: str) -> onnx.ValueInfoProto:
        """Name, element type and shape of an input or output of the model."""
        dtype = self._helper.np_dtype_to_tensor_dtype(np.dtype(np.float32))
        shape = _nchw_shape(self._graph.tensors[name].shape)
        info: onnx.ValueInfoProto = self._helper.make_tensor_value_info(name, dtype, shape)
        return info

    def add(self, op: Op) -> None:
        """Append the nodes of one op, its fused activation included."""
        if op.kind in CONVOLUTIONS:
            self._convolution(op)
        elif op.kind is OpKind.FULLY_CONNECTED:
            x, weight, bias = op.inputs
            inputs = [x, self._constant(weight), self._constant(bias)]
            self._node("Gemm", inputs, self._before_activation(op), transB=1)
        elif op.kind is OpKind.CONCAT:
            self._node("Concat", op.inputs, op.outputs[0], axis=1)
        elif op.kind is OpKind.SPLIT:
            self._split(op)
        elif op.kind is OpKind.MEAN:
            self._mean(op)
        elif op.kind is OpKind.RELU6:
            self._relu6(op.inputs[0], op.outputs[0])
        else:
            inputs = [self._operand(name) for name in op.inputs]
            self._node(_ONE_TO_ONE[op.kind], inputs, self._before_activation(op))
        self._activation(op)

    def _convolution(self, op: Op) -> None:
        x, weight, bias = op.inputs
        shape = self._graph.tensors[weight].shape
        depthwise = op.kind is OpKind.DEPTHWISE_CONV_2D
        permutation = _1HWC_TO_C1HW if depthwise else _OHWI_TO_OIHW
        self._node(
            "Conv",
            [x, self._constant(weight, permutation), self._constant(bias)],
            self._before_activation(op),
            kernel_shape=shape[1:3],
            strides=[op.stride, op.stride],
            pads=[*op.pads, *op.pads],
            dilations=list(op.dilation),
            group=shape[3] if depthwise else 1,
        )

    def _split(self, op: Op) -> None:
        sizes = [self._graph.tensors[part].shape[-1] for part in op.outputs]
        label = self._initializer(f"{op.outputs[0]}$sizes", np.array(sizes, np.int64))
        self._node("Split", [op.inputs[0], label], *op.outputs, axis=1)

    def _mean(self, op: Op) -> None:
        output = op.outputs[0]
        if len(self._graph.tensors[output].shape) == 4:
            self._node("GlobalAveragePool", op.inputs, output)
            return
        self._node("GlobalAveragePool", op.inputs, f"{output}$pooled")
        self._node("Flatten", [f"{output}$pooled"], output, axis=1)

    def _activation(self, op: Op) -> None:
        if op.activation is Activation.RELU:
            self._node("Relu", [self._before_activation(op)], op.outputs[0])
        elif op.activation is Activation.RELU6:
            self._relu6(self._before_activation(op), op.outputs[0])

    def _relu6(self, x: str, output: str) -> None:
        low = self._initializer("relu6$low", np.array(0.0, np.float32))
        high = self._initializer("relu6$high", np.array(6.0, np.float32))
        self._node("Clip", [x, low, high], output)

    def _before_activation(self, op: Op) -> str:
        return op.outputs[0] if op.activation is Activation.NONE else f"{op.outputs[0]}$linear"

    def _operand(self, name: str) -> str:
        """An input of an elementwise op: a computed tensor, or a constant laid out as the others are."""
        tensor = self._graph.tensors[name]
        if tensor.data is None:
            return name
        return self._constant(name, _NHWC_TO_NCHW if len(tensor.shape) == 4 else None)

    def _constant(self, name: str, permutation: tuple[int, ...] | None = None) -> str:
        data = self._graph.tensors[name].data
        assert data is not None, "Graph admits no other"
        if permutation is None:
            return self._initializer(name, data)
        # The layout is part of the name: one constant may serve ops that want it in different layouts.
        label = f"{name}${''.join(map(str, permutation))}"
        return self._initializer(label, data.transpose(permutation))

    def _initializer(self, label: str, data: npt.NDArray[Any]) -> str:
        if label not in self.initializers:
            dtype = self._helper.np_dtype_to_tensor_dtype(data.dtype)
            tensor = self._helper.make_tensor(label, dtype, data.shape, data.tobytes(), raw=True)
            self.initializers[label] = tensor
        return label

    def _node(self, kind: str, inputs: Sequence[str], *outputs: str, **attributes: Any) -> None:
        self.nodes.append(self._helper.make_node(kind, inputs, outputs, name=outputs[0], **attributes))
