"""The graph: what an emitter gets. Named float32 tensors, operations in running order, numpy weights.

Feature maps are `[N, H, W, C]`, vectors `[N, C]`. Batch norm is folded by whoever builds the graph.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from syncnas_exporters.errors import GraphError
from syncnas_exporters.ops import ELEMENTWISE_PAIR, WEIGHTED, Activation, Op, OpKind, Shape, output_shapes

Float32Array = npt.NDArray[np.float32]

_GRAPH_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_TENSOR_NAME = re.compile(r"[A-Za-z0-9_./:-]+")


@dataclass(frozen=True, eq=False)
class Tensor:
    """One named float32 array, either a constant with its `data` or a value of the run.

    Attributes:
        shape: `[N, H, W, C]`, `[N, C]`, or whatever a weight's op asks for.
        data: the values of a constant, C-contiguous; None for what is computed.

    Raises:
        GraphError: on construction, for a bad name or shape, or data that is not finite float32.
    """

    name: str
    shape: Shape
    data: Float32Array | None = None

    def __post_init__(self) -> None:
        if not _TENSOR_NAME.fullmatch(self.name):
            raise GraphError(f"tensor name {self.name!r}: use letters, digits and the signs _ . / : -")
        if not self.shape or any(type(size) is not int or size < 1 for size in self.shape):
            raise GraphError(f"tensor {self.name}: shape {self.shape} must be integers of 1 or more")
        if self.data is None:
            return
        if not isinstance(self.data, np.ndarray) or self.data.dtype != np.float32:
            raise GraphError(f"tensor {self.name}: data must be a float32 numpy array; convert it first")
        if self.data.shape != self.shape:
            raise GraphError(f"tensor {self.name}: data {self.data.shape} does not have shape {self.shape}")
        if not self.data.flags.c_contiguous:
            raise GraphError(f"tensor {self.name}: data is not C-contiguous; use numpy.ascontiguousarray")
        if not np.isfinite(self.data).all():
            raise GraphError(f"tensor {self.name}: data holds NaN or infinity; check the weights")


@dataclass(frozen=True, eq=False)
class Graph:
    """A network, or a part of one, ready for an emitter.

    Attributes:
        name: what a caller asks the file for (the signature key of a .tflite).
        inputs: names of the tensors a caller gives.
        outputs: names of the tensors a caller gets.
        tensors: every tensor by its name, weights included.
        ops: in an order in which they can run.

    Raises:
        GraphError: on construction, naming the first thing that is wrong.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, Tensor]
    ops: tuple[Op, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "tensors", MappingProxyType(dict(self.tensors)))
        if not _GRAPH_NAME.fullmatch(self.name):
            raise GraphError(f"graph name {self.name!r}: use letters, digits and the signs _ . -")
        try:
            self._check_interface()
            self._check_ops()
        except GraphError as error:
            raise GraphError(f"graph {self.name}: {error}") from None

    def _check_interface(self) -> None:
        for key, tensor in self.tensors.items():
            if key != tensor.name:
                raise GraphError(f"tensor {tensor.name} is filed under the name {key}")
        for role, names in (("input", self.inputs), ("output", self.outputs)):
            if not names:
                raise GraphError(f"it has no {role}; name at least one")
            if len(set(names)) != len(names):
                raise GraphError(f"an {role} is named twice in {list(names)}")
            for name in names:
                if self._tensor(name).data is not None:
                    raise GraphError(f"{role} {name} is a constant")
        read = {name for op in self.ops for name in op.inputs}
        for name in self.inputs:
            if name in self.outputs:
                raise GraphError(f"input {name} is also an output; drop it, the caller has it already")
            if name not in read:
                raise GraphError(f"input {name} is never used; drop it")

    def _check_ops(self) -> None:
        ready = {name for name, tensor in self.tensors.items() if tensor.data is not None}
        ready.update(self.inputs)
        for position, op in enumerate(self.ops):
            where = f"op {position} ({op.kind.value} -> {', '.join(op.outputs)})"
            for name in op.inputs:
                self._tensor(name)
                if name not in ready:
                    raise GraphError(f"{where} reads {name} before anything computes it; reorder the ops")
            for name in op.outputs:
                self._tensor(name)
                if name in ready:
                    raise GraphError(f"{where} defines {name} a second time")
                ready.add(name)
            try:
                self._check_operands(op)
                self._check_shapes(op)
            except GraphError as error:
                raise GraphError(f"{where}: {error}") from None
        for name in self.tensors.keys() - ready:
            raise GraphError(f"nothing computes tensor {name}")

    def _check_operands(self, op: Op) -> None:
        for slot, name in enumerate(op.inputs):
            constant = self.tensors[name].data is not None
            if op.kind in WEIGHTED and slot > 0:
                if not constant:
                    raise GraphError(f"weight or bias {name} must be a constant")
            elif constant and not (op.kind in ELEMENTWISE_PAIR and slot == 1):
                raise GraphError(f"{name} is a constant where a computed tensor belongs")

    def _check_shapes(self, op: Op) -> None:
        declared = tuple(self.tensors[name].shape for name in op.outputs)
        expected = output_shapes(
            op.kind,
            [self.tensors[name].shape for name in op.inputs],
            stride=op.stride,
            padding=op.padding,
            dilation=op.dilation,
            split_sizes=[shape[-1] for shape in declared],
            keep_dims=len(declared[0]) == 4,
        )
        if declared != expected:
            raise GraphError(f"its outputs are declared {list(declared)} and come out {list(expected)}")

    def _tensor(self, name: str) -> Tensor:
        tensor = self.tensors.get(name)
        if tensor is None:
            raise GraphError(f"tensor {name} is not defined")
        return tensor


class GraphBuilder:
    """Builds a `Graph` op by op; each method returns the name of the tensor it made.

    Weights may be anything numpy turns into an array. A float32, C-contiguous array is kept as the object
    it is, so that graphs built from the same arrays share them in one file.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._inputs: list[str] = []
        self._tensors: dict[str, Tensor] = {}
        self._ops: list[Op] = []

    def input(self, name: str, shape: tuple[int, ...]) -> str:
        """Declare an input, `[N, H, W, C]` or `[N, C]`.

        Raises:
            GraphError: when the name is taken or the shape is neither of the two.
        """
        if len(shape) not in (2, 4):
            raise GraphError(f"graph {self._name}: input {name} must be [N, H, W, C] or [N, C], not {shape}")
        self._inputs.append(self._define(Tensor(name, tuple(shape))))
        return name

    def conv2d(
        self,
        x: str,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike,
        *,
        stride: int = 1,
        padding: int = 0,
        activation: Activation = Activation.NONE,
    ) -> str:
        """Convolution of `[N, H, W, I]` with weight `[O, kh, kw, I]` and bias `[O]`, padded as torch does."""
        return self._weighted(OpKind.CONV_2D, x, weight, bias, activation, stride, padding)

    def depthwise_conv2d(
        self,
        x: str,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike,
        *,
        stride: int = 1,
        padding: int = 0,
        activation: Activation = Activation.NONE,
    ) -> str:
        """Convolution of each channel of `[N, H, W, C]` by itself: weight `[1, kh, kw, C]`, bias `[C]`."""
        return self._weighted(OpKind.DEPTHWISE_CONV_2D, x, weight, bias, activation, stride, padding)

    def fully_connected(
        self,
        x: str,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike,
        *,
        activation: Activation = Activation.NONE,
    ) -> str:
        """`[N, I]` times weight `[O, I]` plus bias `[O]`: `[N, O]`."""
        return self._weighted(OpKind.FULLY_CONNECTED, x, weight, bias, activation, 1, 0)

    def add(self, a: str, b: str, *, activation: Activation = Activation.NONE) -> str:
        """Elementwise sum; `b` has the shape of `a`, or ones where it is broadcast."""
        return self._append(OpKind.ADD, (a, b), activation=activation)[0]

    def mul(self, a: str, b: str) -> str:
        """Elementwise product; `b` has the shape of `a`, or ones where it is broadcast (`[1, 1, 1, C]`)."""
        return self._append(OpKind.MUL, (a, b))[0]

    def concat(self, parts: Sequence[str]) -> str:
        """Join tensors that agree in all dimensions but the last along their channels.

        On the CPU, XNNPACK joins up to five; more are joined by LiteRT's own kernel between two delegates.
        """
        return self._append(OpKind.CONCAT, tuple(parts))[0]

    def split(self, x: str, sizes: Sequence[int]) -> tuple[str, ...]:
        """Cut the channels of `x` into consecutive parts of the given sizes."""
        return self._append(OpKind.SPLIT, (x,), split_sizes=sizes)

    def global_average_pool(self, x: str, *, keep_dims: bool = False) -> str:
        """Mean over H and W: `[N, H, W, C]` to `[N, C]`, or to `[N, 1, 1, C]` with `keep_dims`."""
        return self._append(OpKind.MEAN, (x,), keep_dims=keep_dims)[0]

    def relu(self, x: str) -> str:
        """`max(x, 0)`."""
        return self._append(OpKind.RELU, (x,))[0]

    def relu6(self, x: str) -> str:
        """`min(max(x, 0), 6)`."""
        return self._append(OpKind.RELU6, (x,))[0]

    def sigmoid(self, x: str) -> str:
        """`1 / (1 + exp(-x))`."""
        return self._append(OpKind.LOGISTIC, (x,))[0]

    def hard_swish(self, x: str) -> str:
        """`x * relu6(x + 3) / 6`."""
        return self._append(OpKind.HARD_SWISH, (x,))[0]

    def hard_sigmoid(self, x: str) -> str:
        """`relu6(x + 3) / 6`, as an ADD that fuses the RELU6 and a MUL: TFLite has no op for it."""
        rank = len(self._shape(x))
        three, sixth = (np.full((1,) * rank, value, np.float32) for value in (3.0, 1.0 / 6.0))
        name = self._free_name("hard_sigmoid")
        shifted = self.add(x, self._constant(f"{name}/three", three), activation=Activation.RELU6)
        return self.mul(shifted, self._constant(f"{name}/sixth", sixth))

    def silu(self, x: str) -> str:
        """`x * sigmoid(x)`."""
        return self.mul(x, self.sigmoid(x))

    def build(self, outputs: Sequence[str]) -> Graph:
        """The finished graph.

        Raises:
            GraphError: when it could not run.
        """
        return Graph(self._name, tuple(self._inputs), tuple(outputs), self._tensors, tuple(self._ops))

    def _weighted(
        self,
        kind: OpKind,
        x: str,
        weight: npt.ArrayLike,
        bias: npt.ArrayLike,
        activation: Activation,
        stride: int,
        padding: int,
    ) -> str:
        name = self._free_name(kind.value)
        inputs = (x, self._constant(f"{name}/weight", weight), self._constant(f"{name}/bias", bias))
        return self._append(kind, inputs, activation=activation, stride=stride, padding=padding)[0]

    def _append(
        self,
        kind: OpKind,
        inputs: tuple[str, ...],
        *,
        activation: Activation = Activation.NONE,
        stride: int = 1,
        padding: int = 0,
        split_sizes: Sequence[int] = (),
        keep_dims: bool = False,
    ) -> tuple[str, ...]:
        name = self._free_name(kind.value)
        count = len(split_sizes) or 1
        outputs = (name,) if count == 1 else tuple(f"{name}:{part}" for part in range(count))
        try:
            op = Op(kind, inputs, outputs, activation, stride, padding)
            shapes = output_shapes(
                kind,
                [self._shape(tensor) for tensor in inputs],
                stride=stride,
                padding=padding,
                split_sizes=split_sizes,
                keep_dims=keep_dims,
            )
        except GraphError as error:
            raise GraphError(f"graph {self._name}, {name}: {error}") from None
        for output, shape in zip(outputs, shapes, strict=True):
            self._define(Tensor(output, shape))
        self._ops.append(op)
        return outputs

    def _constant(self, name: str, values: npt.ArrayLike) -> str:
        with np.errstate(over="ignore"):  # a value beyond float32 becomes infinity, which Tensor refuses
            data = np.require(values, np.float32, "C")
        return self._define(Tensor(name, data.shape, data))

    def _define(self, tensor: Tensor) -> str:
        if tensor.name in self._tensors:
            raise GraphError(f"graph {self._name}: the name {tensor.name} is taken; choose another")
        self._tensors[tensor.name] = tensor
        return tensor.name

    def _shape(self, name: str) -> Shape:
        if name not in self._tensors:
            raise GraphError(f"there is no tensor {name}; use a name that a method of the builder returned")
        return self._tensors[name].shape

    def _free_name(self, stem: str) -> str:
        number = len(self._ops)
        while f"{stem}_{number}" in self._tensors:
            number += 1
        return f"{stem}_{number}"
