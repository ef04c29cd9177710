"""Depthwise kernels of 7x7 and 9x9 as sums of kernels with at most 25 taps.

XNNPACK has depthwise kernels for up to 25 taps; beyond, it is many times slower on x86. Rows or columns that lie two
apart are a dilated kernel. Those with odd numbers, and those with even ones, are symmetric about the centre, so each
part is padded as the whole kernel is, on each side alike.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from syncnas_exporters.graph import Graph, Tensor
from syncnas_exporters.ops import Activation, Op, OpKind

_Taps = tuple[int, int]
"""First tap and distance of taps."""

_EVEN, _ODD, _ALL = (0, 2), (1, 2), (0, 1)

# Rows and columns of each part, by the size of the kernel.
_PARTS: dict[int, tuple[tuple[_Taps, _Taps], ...]] = {
    7: ((_ODD, _ALL), (_EVEN, _EVEN), (_EVEN, _ODD)),  # 21, 16 and 12 taps
    9: ((_EVEN, _EVEN), (_EVEN, _ODD), (_ODD, _EVEN), (_ODD, _ODD)),  # 25, 20, 20 and 16 taps
}

LARGE_KERNELS = frozenset(_PARTS)
"""Sizes of the kernels that are split."""


def split_large_kernels(graph: Graph) -> Graph:
    """The same graph with its 7x7 and 9x9 depthwise convolutions split; sums come in another order, nothing else."""
    tensors, ops = dict(graph.tensors), []
    for op in graph.ops:
        ops += _split(op, tensors) if _is_large(op, tensors) else [op]
    used = {name for op in ops for name in (*op.inputs, *op.outputs)}
    return dataclasses.replace(graph, tensors={k: v for k, v in tensors.items() if k in used}, ops=tuple(ops))


def has_large_kernels(graph: Graph) -> bool:
    """Whether `split_large_kernels` would change a graph."""
    return any(_is_large(op, graph.tensors) for op in graph.ops)


def _is_large(op: Op, tensors: Mapping[str, Tensor]) -> bool:
    if op.kind is not OpKind.DEPTHWISE_CONV_2D or op.dilation != (1, 1):
        return False
    _, rows, columns, _ = tensors[op.inputs[1]].shape
    return rows == columns and rows in _PARTS and min(op.pads) >= 1


def _split(op: Op, tensors: dict[str, Tensor]) -> list[Op]:
    x, weight, bias = op.inputs
    data, (y,) = tensors[weight].data, op.outputs
    assert data is not None
    ops: list[Op] = []
    total = ""
    parts = _PARTS[data.shape[1]]
    for number, ((top, row_step), (left, column_step)) in enumerate(parts):
        taps = np.ascontiguousarray(data[:, top::row_step, left::column_step])
        part, kernel = f"{y}/part{number}", f"{weight}/part{number}"
        shared = bias if number == 0 else f"{bias}/none"
        tensors[part] = Tensor(part, tensors[y].shape)
        tensors[kernel] = Tensor(kernel, taps.shape, taps)
        if shared not in tensors:
            tensors[shared] = Tensor(shared, tensors[bias].shape, np.zeros(tensors[bias].shape, np.float32))
        pads = op.pads[0] - top, op.pads[1] - left
        dilation = row_step, column_step
        ops.append(Op(op.kind, (x, kernel, shared), (part,), Activation.NONE, op.stride, pads, dilation))
        if number:
            last = number == len(parts) - 1
            added = y if last else f"{y}/sum{number}"
            tensors[added] = Tensor(added, tensors[y].shape)
            ops.append(Op(OpKind.ADD, (total, part), (added,), op.activation if last else Activation.NONE))
            part = added
        total = part
    return ops
