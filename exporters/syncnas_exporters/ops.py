"""The operations a graph is made of, and the shape rule of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum

from syncnas_exporters.errors import GraphError

Shape = tuple[int, ...]
Pair = tuple[int, int]
"""For H and W."""


class Activation(str, Enum):
    """What an operation does to its result before storing it."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"


class OpKind(str, Enum):
    """The operations, small enough in number that every emitter and every delegate knows them all."""

    CONV_2D = "conv_2d"
    DEPTHWISE_CONV_2D = "depthwise_conv_2d"
    FULLY_CONNECTED = "fully_connected"
    ADD = "add"
    MUL = "mul"
    CONCAT = "concat"
    SPLIT = "split"
    MEAN = "mean"
    RELU = "relu"
    RELU6 = "relu6"
    LOGISTIC = "logistic"
    HARD_SWISH = "hard_swish"


WEIGHTED = frozenset({OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D, OpKind.FULLY_CONNECTED})
CONVOLUTIONS = frozenset({OpKind.CONV_2D, OpKind.DEPTHWISE_CONV_2D})
ELEMENTWISE_PAIR = frozenset({OpKind.ADD, OpKind.MUL})
FUSES_ACTIVATION = WEIGHTED | {OpKind.ADD}

_ARITY = {
    OpKind.CONV_2D: 3,
    OpKind.DEPTHWISE_CONV_2D: 3,
    OpKind.FULLY_CONNECTED: 3,
    OpKind.ADD: 2,
    OpKind.MUL: 2,
    OpKind.SPLIT: 1,
    OpKind.MEAN: 1,
    OpKind.RELU: 1,
    OpKind.RELU6: 1,
    OpKind.LOGISTIC: 1,
    OpKind.HARD_SWISH: 1,
}


@dataclass(frozen=True)
class Op:
    """One operation: named inputs to named outputs.

    The inputs of the three weighted kinds are `(x, weight, bias)`. A SPLIT takes the sizes of its parts,
    and a MEAN whether it keeps H and W as ones, from the shapes of the output tensors.

    Attributes:
        stride: step of a convolution over H and W; 1 for every other kind.
        padding: rows of zeros above and below, and columns left and right, as torch pads; one number for both. 0 for
            every other kind.
        dilation: distance of a kernel's taps over H and W; 1 for every other kind.

    Raises:
        GraphError: on construction, when the numbers do not fit the kind.
    """

    kind: OpKind
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    activation: Activation = Activation.NONE
    stride: int = 1
    padding: int | Pair = 0
    dilation: Pair = (1, 1)

    def __post_init__(self) -> None:
        if not self.outputs or not self.inputs:
            raise GraphError(f"a {self.kind.value} needs at least one input and one output")
        arity = _ARITY.get(self.kind, len(self.inputs))
        if len(self.inputs) != arity:
            raise GraphError(f"a {self.kind.value} takes {arity} inputs, it was given {len(self.inputs)}")
        if len(self.outputs) != 1 and self.kind is not OpKind.SPLIT:
            raise GraphError(f"a {self.kind.value} has one output, it was given {len(self.outputs)}")
        if self.activation is not Activation.NONE and self.kind not in FUSES_ACTIVATION:
            raise GraphError(f"a {self.kind.value} fuses no activation; add a separate op for it")
        if self.stride < 1 or min(self.pads) < 0 or min(self.dilation) < 1:
            raise GraphError(
                f"stride {self.stride}, padding {self.padding}, dilation {self.dilation}: use at least 1, 0 and 1"
            )
        if (self.stride, self.pads, self.dilation) != (1, (0, 0), (1, 1)) and self.kind not in CONVOLUTIONS:
            raise GraphError(f"a {self.kind.value} has neither stride nor padding nor dilation")

    @property
    def pads(self) -> Pair:
        """Rows of zeros above and below, and columns left and right."""
        return pads_of(self.padding)


def pads_of(padding: int | Pair) -> Pair:
    """Padding of rows and of columns."""
    return (padding, padding) if isinstance(padding, int) else padding


def output_shapes(
    kind: OpKind,
    inputs: Sequence[Shape],
    *,
    stride: int = 1,
    padding: int | Pair = 0,
    dilation: Pair = (1, 1),
    split_sizes: Sequence[int] = (),
    keep_dims: bool = False,
) -> tuple[Shape, ...]:
    """Shapes that an operation gives its outputs; `[N, H, W, C]` or `[N, C]`.

    Args:
        inputs: shapes in the order of `Op.inputs`.
        split_sizes: channels of each part, for SPLIT.
        keep_dims: for MEAN, whether the result is `[N, 1, 1, C]` instead of `[N, C]`.

    Raises:
        GraphError: when the inputs do not fit each other or the kind.
    """
    if kind in CONVOLUTIONS:
        return (_convolution(kind, inputs, stride, pads_of(padding), dilation),)
    if kind is OpKind.SPLIT:
        return _split(inputs[0], split_sizes)
    if kind is OpKind.MEAN:
        n, _, _, c = _rank4(inputs[0])
        return ((n, 1, 1, c) if keep_dims else (n, c),)
    return (_SIMPLE_RULES[kind](inputs),)


def extent(kernel: int, dilation: int) -> int:
    """Pixels from a kernel's first tap to its last one."""
    return (kernel - 1) * dilation + 1


def _rank4(shape: Shape) -> tuple[int, int, int, int]:
    if len(shape) != 4:
        raise GraphError(f"x must be [N, H, W, C], it has shape {list(shape)}")
    return shape[0], shape[1], shape[2], shape[3]


def _convolution(kind: OpKind, inputs: Sequence[Shape], stride: int, pads: Pair, dilation: Pair) -> Shape:
    n, h, w, c = _rank4(inputs[0])
    if len(inputs[1]) != 4:
        raise GraphError(f"the weight must have four dimensions, it has shape {list(inputs[1])}")
    first, kernel_h, kernel_w, last = inputs[1]
    if kind is OpKind.DEPTHWISE_CONV_2D and first != 1:
        raise GraphError(f"a depthwise weight is [1, kh, kw, C], it has shape {list(inputs[1])}")
    out_channels = first if kind is OpKind.CONV_2D else last
    if last != c:
        raise GraphError(f"the weight is for {last} input channels, x has {c}")
    if inputs[2] != (out_channels,):
        raise GraphError(f"the bias must have shape [{out_channels}], it has {list(inputs[2])}")
    out_h = (h + 2 * pads[0] - extent(kernel_h, dilation[0])) // stride + 1
    out_w = (w + 2 * pads[1] - extent(kernel_w, dilation[1])) // stride + 1
    if out_h < 1 or out_w < 1:
        padding = pads[0] if pads[0] == pads[1] else pads
        raise GraphError(f"a {kernel_h}x{kernel_w} kernel with padding {padding} does not fit into {h}x{w}")
    return n, out_h, out_w, out_channels


def _fully_connected(inputs: Sequence[Shape]) -> Shape:
    x, weight, bias = inputs
    if len(x) != 2 or len(weight) != 2:
        raise GraphError(f"x and weight must be [N, I] and [O, I], they have {list(x)} and {list(weight)}")
    if x[1] != weight[1]:
        raise GraphError(f"the weight is for {weight[1]} inputs, x has {x[1]}")
    if bias != (weight[0],):
        raise GraphError(f"the bias must have shape [{weight[0]}], it has {list(bias)}")
    return x[0], weight[0]


def _elementwise_pair(inputs: Sequence[Shape]) -> Shape:
    a, b = inputs
    if len(a) != len(b) or any(bd not in (ad, 1) for ad, bd in zip(a, b, strict=True)):
        raise GraphError(f"the second operand {list(b)} must have, or broadcast to, the shape {list(a)}")
    return a


def _concat(inputs: Sequence[Shape]) -> Shape:
    if len(inputs) < 2:
        raise GraphError("a concat joins at least two tensors")
    leading = {shape[:-1] for shape in inputs}
    if len(leading) != 1:
        shown = ", ".join(str(list(shape)) for shape in inputs)
        raise GraphError(f"a concat joins channels only, all other dimensions must agree; got {shown}")
    return (*leading.pop(), sum(shape[-1] for shape in inputs))


def _split(x: Shape, sizes: Sequence[int]) -> tuple[Shape, ...]:
    if len(sizes) < 2 or any(size < 1 for size in sizes) or sum(sizes) != x[-1]:
        raise GraphError(f"the parts {list(sizes)} must be at least two and add up to the {x[-1]} channels")
    return tuple((*x[:-1], size) for size in sizes)


def _same(inputs: Sequence[Shape]) -> Shape:
    return inputs[0]


_SIMPLE_RULES: dict[OpKind, Callable[[Sequence[Shape]], Shape]] = {
    OpKind.FULLY_CONNECTED: _fully_connected,
    OpKind.ADD: _elementwise_pair,
    OpKind.MUL: _elementwise_pair,
    OpKind.CONCAT: _concat,
    OpKind.RELU: _same,
    OpKind.RELU6: _same,
    OpKind.LOGISTIC: _same,
    OpKind.HARD_SWISH: _same,
}
