"""Every kind of op, run from the written file, against torch."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from syncnas_exporters import OpKind, TfliteRunner, difference, nchw, nhwc, run_onnx, write_onnx, write_tflite
from tests.support.export_cases import CASES, Case

TOLERANCE = 1e-4

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@pytest.fixture(scope="module")
def all_in_one() -> TfliteRunner:
    return TfliteRunner(write_tflite([case.graph() for case in CASES]))


@every_case
def test_tflite_agrees_with_torch(case: Case, all_in_one: TfliteRunner) -> None:
    got = all_in_one.run(case.name, case.inputs())
    graph = case.graph()
    assert set(got) == set(graph.outputs)
    for name, want in zip(graph.outputs, case.expected(), strict=True):
        assert difference(got[name], want).max_abs < TOLERANCE


@every_case
def test_onnx_agrees_with_torch(case: Case) -> None:
    graph = case.graph()
    model = write_onnx(graph)
    onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
    given = {name: nchw(x) if x.ndim == 4 else x for name, x in case.inputs().items()}
    got = run_onnx(model, given)
    assert list(got) == list(graph.outputs)
    for name, want in zip(graph.outputs, case.expected(), strict=True):
        laid_out = nhwc(got[name]) if want.ndim == 4 else got[name]
        assert difference(laid_out, want).max_abs < TOLERANCE


def test_the_cases_cover_every_kind() -> None:
    assert {op.kind for case in CASES for op in case.graph().ops} == set(OpKind)


def test_the_tolerance_notices_a_wrong_weight(all_in_one: TfliteRunner) -> None:
    case = next(case for case in CASES if case.name == "mbconv_se_silu")
    (want,) = case.expected()
    wrong = want.copy()
    wrong[0, 3, 3, 2] += 2 * TOLERANCE
    assert difference(wrong, want).max_abs > TOLERANCE
    assert not np.array_equal(want, case.inputs()["x0"])
