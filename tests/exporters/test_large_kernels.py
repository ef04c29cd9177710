"""Depthwise kernels over 5x5 in parts of at most 25 taps: the same result, and all of it XNNPACK's."""

from __future__ import annotations

import numpy as np
import pytest

from syncnas_exporters import (
    Activation,
    OpKind,
    RangeObserver,
    TfliteRunner,
    difference,
    has_large_kernels,
    nchw,
    nhwc,
    run_onnx,
    split_large_kernels,
    write_onnx,
    write_tflite,
)
from tests.support.delegation import wholly_delegated
from tests.support.export_cases import SIZES, Case, depthwise_case, mixed_kernels_case
from tests.support.precision_cases import rms_error

CASES = [
    *(depthwise_case(k, s, size, Activation.RELU6) for k in (7, 9) for s in (1, 2) for size in SIZES),
    depthwise_case(7, 1, (9, 9), Activation.NONE),
    depthwise_case(9, 3, (13, 13), Activation.RELU),
    mixed_kernels_case(),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_the_sum_of_the_parts_is_the_whole(case: Case, precision: str) -> None:
    graph = split_large_kernels(case.graph())
    assert has_large_kernels(case.graph()) and not has_large_kernels(graph)
    taps = [np.prod(graph.tensors[op.inputs[1]].shape[1:3]) for op in graph.ops if op.kind is OpKind.DEPTHWISE_CONV_2D]
    assert max(taps) <= 25
    observer = RangeObserver([graph])
    observer.run(graph.name, case.inputs())
    model = write_tflite([graph], precision=precision, ranges=observer.ranges())
    assert wholly_delegated(model)
    (got,), (want,) = TfliteRunner(model).run(graph.name, case.inputs()).values(), case.expected()
    if precision == "fp32":
        assert difference(got, want).max_abs < 1e-5
    else:
        assert rms_error(got, want) < {"fp16": 2e-3, "int8": 4e-2}[precision]


def test_onnx_has_the_parts_too() -> None:
    case = CASES[0]
    given = {name: nchw(x) for name, x in case.inputs().items()}
    (got,) = run_onnx(write_onnx(split_large_kernels(case.graph())), given).values()
    assert difference(nhwc(got), case.expected()[0]).max_abs < 1e-5


@pytest.mark.parametrize("kernel", [3, 5])
def test_small_kernels_stay_as_they_are(kernel: int) -> None:
    graph = depthwise_case(kernel, 1, (9, 9), Activation.NONE).graph()
    assert not has_large_kernels(graph) and split_large_kernels(graph).ops == graph.ops
