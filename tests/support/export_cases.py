"""Small graphs, each beside the same computation in torch on `[N, C, H, W]`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - torch's own convention
from torch import Tensor as Torch

from syncnas_exporters import Activation, Graph, GraphBuilder, nhwc

Float32Array = npt.NDArray[np.float32]
FUSED = {Activation.NONE: lambda x: x, Activation.RELU: F.relu, Activation.RELU6: F.relu6}


@dataclass(frozen=True)
class Case:
    """A graph and its reference; `shapes` are `[N, H, W, C]` or `[N, C]`, one per input."""

    name: str
    shapes: tuple[tuple[int, ...], ...]
    build: Callable[..., Sequence[str]]
    reference: Callable[..., Sequence[Torch]]

    def graph(self) -> Graph:
        builder = GraphBuilder(self.name)
        inputs = [builder.input(f"x{i}", shape) for i, shape in enumerate(self.shapes)]
        return builder.build(self.build(builder, *inputs))

    def inputs(self) -> dict[str, Float32Array]:
        rng = np.random.default_rng(7)
        return {f"x{i}": (3 * rng.standard_normal(s)).astype(np.float32) for i, s in enumerate(self.shapes)}

    def expected(self) -> list[Float32Array]:
        """Outputs by torch, laid out as the graph's: `[N, H, W, C]` or `[N, C]`."""
        arrays = self.inputs().values()
        given = [torch.from_numpy(a if a.ndim == 2 else a.transpose(0, 3, 1, 2).copy()) for a in arrays]
        with torch.no_grad():
            results = [r.numpy() for r in self.reference(*given)]
        return [nhwc(r) if r.ndim == 4 else r for r in results]


def weights(*shape: int, seed: int = 1) -> Float32Array:
    scale = 1.0 / np.sqrt(max(1, int(np.prod(shape[1:]))))
    values = np.random.default_rng([seed, *shape]).standard_normal(shape)
    return (scale * values).astype(np.float32)


def torch_conv(x: Torch, weight: Float32Array, bias: Float32Array, **options: Any) -> Torch:
    return F.conv2d(x, torch.from_numpy(weight.transpose(0, 3, 1, 2).copy()), torch.from_numpy(bias), **options)


def torch_depthwise(x: Torch, weight: Float32Array, bias: Float32Array, **options: Any) -> Torch:
    laid_out = torch.from_numpy(weight.transpose(3, 0, 1, 2).copy())
    return F.conv2d(x, laid_out, torch.from_numpy(bias), groups=weight.shape[3], **options)


def conv_case(kernel: int, stride: int, size: tuple[int, int], activation: Activation) -> Case:
    w, b = weights(6, kernel, kernel, 5), weights(6)
    options = {"stride": stride, "padding": kernel // 2}
    return Case(
        f"conv_k{kernel}_s{stride}_{size[0]}x{size[1]}_{activation.value}",
        ((1, *size, 5),),
        lambda g, x: [g.conv2d(x, w, b, activation=activation, **options)],
        lambda x: [FUSED[activation](torch_conv(x, w, b, **options))],
    )


def depthwise_case(kernel: int, stride: int, size: tuple[int, int], activation: Activation) -> Case:
    w, b = weights(1, kernel, kernel, 12), weights(12)
    options = {"stride": stride, "padding": kernel // 2}
    return Case(
        f"depthwise_k{kernel}_s{stride}_{size[0]}x{size[1]}_{activation.value}",
        ((1, *size, 12),),
        lambda g, x: [g.depthwise_conv2d(x, w, b, activation=activation, **options)],
        lambda x: [FUSED[activation](torch_depthwise(x, w, b, **options))],
    )


def unary_case(name: str, reference: Callable[[Torch], Torch], shape: tuple[int, ...]) -> Case:
    return Case(
        f"{name}_rank{len(shape)}",
        (shape,),
        lambda g, x: [getattr(g, name)(x)],
        lambda x: [reference(x)],
    )


def mbconv_case(activation: str) -> Case:
    """Expand, stride-1 depthwise 5x5, squeeze-and-excitation, project, residual."""
    expand, depthwise, project = weights(24, 1, 1, 8), weights(1, 5, 5, 24), weights(8, 1, 1, 24)
    squeeze, excite = weights(6, 1, 1, 24), weights(24, 1, 1, 6)
    b24, b8, b6 = weights(24), weights(8), weights(6)

    def build(g: GraphBuilder, x: str) -> list[str]:
        act = getattr(g, activation)
        y = act(g.conv2d(x, expand, b24))
        y = act(g.depthwise_conv2d(y, depthwise, b24, padding=2))
        gate = g.global_average_pool(y, keep_dims=True)
        gate = g.conv2d(gate, squeeze, b6, activation=Activation.RELU)
        y = g.mul(y, g.hard_sigmoid(g.conv2d(gate, excite, b24)))
        return [g.add(x, g.conv2d(y, project, b8))]

    def reference(x: Torch) -> list[Torch]:
        act = {"hard_swish": F.hardswish, "silu": F.silu}[activation]
        y = act(torch_conv(x, expand, b24))
        y = act(torch_depthwise(y, depthwise, b24, padding=2))
        gate = F.relu(torch_conv(y.mean((2, 3), keepdim=True), squeeze, b6))
        y = y * F.hardsigmoid(torch_conv(gate, excite, b24))
        return [x + torch_conv(y, project, b8)]

    return Case(f"mbconv_se_{activation}", ((1, 14, 14, 8),), build, reference)


def mixed_kernels_case() -> Case:
    """Unequal channel groups through kernels 3, 5 and 9, each of stride 2, joined again."""
    sizes, kernels = (4, 6, 2), (3, 5, 9)
    pieces = [(weights(1, k, k, c), weights(c), k // 2) for k, c in zip(kernels, sizes, strict=True)]

    def build(g: GraphBuilder, x: str) -> list[str]:
        parts = zip(g.split(x, sizes), pieces, strict=True)
        return [g.concat([g.depthwise_conv2d(p, w, b, stride=2, padding=k) for p, (w, b, k) in parts])]

    def reference(x: Torch) -> list[Torch]:
        parts = zip(x.split(list(sizes), 1), pieces, strict=True)
        return [torch.cat([torch_depthwise(p, w, b, stride=2, padding=k) for p, (w, b, k) in parts], 1)]

    return Case("mixed_kernels", ((1, 16, 15, 12),), build, reference)


def grouped_pointwise_case() -> Case:
    w, b = [weights(3, 1, 1, 4, seed=s) for s in range(3)], weights(3)
    whole = np.concatenate(w)

    def build(g: GraphBuilder, x: str) -> list[str]:
        parts = zip(g.split(x, (4, 4, 4)), w, strict=True)
        return [g.concat([g.conv2d(part, weight, b) for part, weight in parts])]

    def reference(x: Torch) -> list[Torch]:
        kernel = torch.from_numpy(whole.transpose(0, 3, 1, 2).copy())
        return [F.conv2d(x, kernel, torch.from_numpy(np.tile(b, 3)), groups=3)]

    return Case("grouped_pointwise", ((1, 7, 7, 12),), build, reference)


def partial_residual_case() -> Case:
    def build(g: GraphBuilder, x: str, y: str) -> list[str]:
        first, rest = g.split(y, (5, 3))
        return [g.concat([g.add(first, x), rest])]

    def reference(x: Torch, y: Torch) -> list[Torch]:
        return [torch.cat([y[:, :5] + x, y[:, 5:]], 1)]

    return Case("partial_residual", ((1, 6, 6, 5), (1, 6, 6, 8)), build, reference)


def classifier_case() -> Case:
    w, b = weights(10, 16), weights(10)
    return Case(
        "pool_and_classifier",
        ((1, 5, 7, 16),),
        lambda g, x: [g.fully_connected(g.global_average_pool(x), w, b, activation=Activation.RELU)],
        lambda x: [F.relu(F.linear(x.mean((2, 3)), torch.from_numpy(w), torch.from_numpy(b)))],
    )


def two_outputs_case() -> Case:
    return Case(
        "two_inputs_two_outputs",
        ((1, 4, 4, 3), (1, 4, 4, 3)),
        lambda g, x, y: [g.mul(x, y), g.concat([y, x])],
        lambda x, y: [x * y, torch.cat([y, x], 1)],
    )


SIZES = ((16, 16), (15, 15), (14, 11))
PLAIN = Activation.NONE
MAP, VECTOR = (1, 6, 5, 8), (1, 9)
CASES = [
    *(depthwise_case(k, s, size, PLAIN) for k in (3, 5, 7, 9) for s in (1, 2) for size in SIZES),
    *(conv_case(k, s, size, PLAIN) for k in (1, 3, 5) for s in (1, 2) for size in SIZES),
    *(depthwise_case(3, 2, (8, 8), activation) for activation in Activation),
    *(conv_case(3, 2, (8, 8), activation) for activation in Activation),
    unary_case("relu", F.relu, MAP),
    unary_case("relu6", F.relu6, MAP),
    unary_case("sigmoid", torch.sigmoid, MAP),
    unary_case("hard_swish", F.hardswish, MAP),
    unary_case("hard_sigmoid", F.hardsigmoid, MAP),
    unary_case("hard_sigmoid", F.hardsigmoid, VECTOR),
    unary_case("silu", F.silu, MAP),
    unary_case("silu", F.silu, VECTOR),
    Case(
        "pool_keep_dims",
        (MAP,),
        lambda g, x: [g.global_average_pool(x, keep_dims=True)],
        lambda x: [x.mean((2, 3), keepdim=True)],
    ),
    *(
        Case(
            f"add_{activation.value}",
            (MAP, MAP),
            lambda g, x, y, activation=activation: [g.add(x, y, activation=activation)],
            lambda x, y, activation=activation: [FUSED[activation](x + y)],
        )
        for activation in Activation
    ),
    Case("mul_broadcast", (MAP, (1, 1, 1, 8)), lambda g, x, y: [g.mul(x, y)], lambda x, y: [x * y]),
    Case("add_batch_of_two", ((2, 3, 4, 5), (2, 3, 4, 5)), lambda g, x, y: [g.add(x, y)], lambda x, y: [x + y]),
    Case(
        "split_vector",
        (VECTOR,),
        lambda g, x: [g.relu(part) for part in g.split(x, (2, 7))],
        lambda x: [F.relu(part) for part in x.split([2, 7], 1)],
    ),
    *(
        Case(
            f"split_into_{parts}",
            ((1, 6, 5, 2 * parts),),
            lambda g, x, parts=parts: g.split(x, (2,) * parts),
            lambda x: x.split(2, 1),
        )
        for parts in (2, 4, 5)
    ),
    mbconv_case("hard_swish"),
    mbconv_case("silu"),
    mixed_kernels_case(),
    grouped_pointwise_case(),
    partial_residual_case(),
    classifier_case(),
    two_outputs_case(),
]


def add_graph() -> Graph:
    """Two inputs ``a`` and ``b`` [1, 3, 3, 2], and their sum ``add_0``."""
    g = GraphBuilder("sum")
    return g.build([g.add(g.input("a", (1, 3, 3, 2)), g.input("b", (1, 3, 3, 2)))])
