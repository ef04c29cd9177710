"""How much a signature of a .tflite file computes: what a simulated unit's law turns into a time.

Source: tensorflow/lite/schema/schema.fbs, by the classes that the ai-edge-litert package has of it.
"""

from __future__ import annotations

import functools
import math
import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from ai_edge_litert import schema_py_generated as schema

from syncnas_bench.errors import ModelRejected

KernelKind = Literal["conv", "depthwise", "other"]

_FLOAT_BYTES = 4
_WEIGHTED = {
    # Which of a weight's axes one output value sums over: all but the output channels.
    schema.BuiltinOperator.CONV_2D: slice(1, None),  # [out, height, width, in]
    schema.BuiltinOperator.FULLY_CONNECTED: slice(1, None),  # [out, in]
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: slice(1, -1),  # [1, height, width, channels]
}

_NAMES: dict[int, KernelKind] = {
    schema.BuiltinOperator.CONV_2D: "conv",
    schema.BuiltinOperator.DEPTHWISE_CONV_2D: "depthwise",
}


class Kernel(NamedTuple):
    """What one operator computes.

    Attributes:
        kind: convolution, depthwise convolution, or anything else.
        macs: multiply-accumulate operations; 0 for an operator without weights.
        channels, size: of the output, and its height, pixels.
        bytes: of its inputs, weights and outputs, as float32.
    """

    kind: KernelKind
    macs: int
    channels: int
    size: int = 1
    bytes: int = 0


@dataclass(frozen=True)
class Work:
    """How much one call computes. A PAD counts as part of the operator that reads it.

    Attributes:
        macs: multiply-accumulate operations.
        bytes: of all weights and features, as float32.
        ops: operators, i.e. kernels to launch.
        kernels: each operator, in running order.
        output_bytes: of the outputs, as float32.
    """

    macs: int
    bytes: int
    ops: int
    kernels: tuple[Kernel, ...] = ()
    output_bytes: int = 0


def work_of(path: Path, signature: str) -> Work:
    """What a signature of a file computes. A file is read once, unless it changes.

    Raises:
        ModelRejected: the file cannot be read, or has no such signature.
    """
    try:
        stat = path.stat()
        works = _works_in(path, stat.st_ino, stat.st_size, stat.st_mtime_ns)
    except (OSError, ValueError) as error:
        raise ModelRejected(f"{path} cannot be read ({error}); give the path of a .tflite file.") from error
    if signature not in works:
        raise ModelRejected(f"{path} has no signature {signature!r}; it has {', '.join(works) or 'none'}.")
    return works[signature]


@functools.lru_cache(maxsize=256)
def _works_in(path: Path, _inode: int, _bytes: int, _mtime_ns: int) -> Mapping[str, Work]:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return read_works(content)


def read_works(content: bytes | mmap.mmap) -> Mapping[str, Work]:
    """What each signature computes, by its name.

    Raises:
        ValueError: the content is no .tflite file.
    """
    if content[4:8] != b"TFL3":
        raise ValueError("it is no .tflite file")
    try:
        model = schema.Model.GetRootAs(content)
        kinds = [_kind(model.OperatorCodes(i)) for i in range(model.OperatorCodesLength())]
        signatures = (model.SignatureDefs(i) for i in range(model.SignatureDefsLength()))
        return {
            definition.SignatureKey().decode(): _work(model.Subgraphs(definition.SubgraphIndex()), kinds)
            for definition in signatures
        }
    except Exception as error:  # the generated classes follow any offset: struct.error, TypeError, AttributeError
        raise ValueError(f"it is damaged: {error}") from error


def _kind(code: Any) -> int:
    """An operator's number; old files have it in a field of one byte."""
    return max(int(code.BuiltinCode()), int(code.DeprecatedBuiltinCode()))


def _work(subgraph: Any, kinds: list[int]) -> Work:
    tensors = [subgraph.Tensors(i) for i in range(subgraph.TensorsLength())]
    shapes = [tuple(tensor.Shape(axis) for axis in range(tensor.ShapeLength())) for tensor in tensors]
    operators = [subgraph.Operators(i) for i in range(subgraph.OperatorsLength())]
    pads = [operator for operator in operators if kinds[operator.OpcodeIndex()] == schema.BuiltinOperator.PAD]
    padded = {pad.Outputs(0) for pad in pads}
    sizes = [
        0 if tensor.Type() == schema.TensorType.INT32 or i in padded else _FLOAT_BYTES * math.prod(shape)
        for i, (tensor, shape) in enumerate(zip(tensors, shapes, strict=True))
    ]
    # What a PAD reads is read by the operator after it.
    read = {pad.Outputs(0): sizes[pad.Inputs(0)] for pad in pads}
    kernels = tuple(
        _kernel(operator, kinds[operator.OpcodeIndex()], shapes, {**dict(enumerate(sizes)), **read})
        for operator in operators
        if operator not in pads
    )
    outputs = [shapes[subgraph.Outputs(i)] for i in range(subgraph.OutputsLength())]
    return Work(
        macs=sum(kernel.macs for kernel in kernels),
        bytes=sum(sizes),
        ops=len(kernels),
        kernels=kernels,
        output_bytes=_FLOAT_BYTES * sum(map(math.prod, outputs)),
    )


def _kernel(operator: Any, kind: int, shapes: list[tuple[int, ...]], sizes: Mapping[int, int]) -> Kernel:
    """One operator. `sizes` are what each tensor's reader or writer moves, bytes."""
    out = shapes[operator.Outputs(0)]
    inputs = [operator.Inputs(i) for i in range(operator.InputsLength())]
    outputs = [operator.Outputs(i) for i in range(operator.OutputsLength())]
    summed = _WEIGHTED.get(kind)
    macs = 0 if summed is None else math.prod(out) * math.prod(shapes[inputs[1]][summed])
    moved = sum(sizes[i] for i in (*inputs, *outputs) if i >= 0)
    return Kernel(_NAMES.get(kind, "other"), macs, out[-1] if out else 1, out[1] if len(out) == 4 else 1, moved)
