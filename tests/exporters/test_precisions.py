"""fp16 and int8 files: what they compute, that XNNPACK takes them whole, and what they refuse."""

from __future__ import annotations

import dataclasses
from typing import Any

import flatbuffers
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from syncnas_exporters import (
    Graph,
    GraphBuilder,
    GraphError,
    RangeObserver,
    RangesError,
    TfliteRunner,
    read_signatures,
    stand_in_ranges,
    write_tflite,
)
from syncnas_exporters.ranges import Ranges
from syncnas_exporters.tflite.int8 import Int8Weights
from tests.support.delegation import wholly_delegated
from tests.support.export_cases import CASES, Case, weights
from tests.support.precision_cases import calibrated, rms_error

OPERATORS = {value: name for name, value in vars(schema.BuiltinOperator).items() if name.isupper()}
TYPES = {value: name for name, value in vars(schema.TensorType).items() if name.isupper()}
every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def unpacked(model: bytes) -> Any:
    return schema.ModelT.InitFromPackedBuf(model, 0)


def operators(model: bytes) -> list[str]:
    table = unpacked(model)
    codes = [OPERATORS[code.builtinCode] for code in table.operatorCodes]
    return [codes[op.opcodeIndex] for op in table.subgraphs[0].operators]


def ranges_of(case: Case) -> dict[str, Ranges]:
    observer = RangeObserver([case.graph()])
    observer.run(case.name, case.inputs())
    return dict(observer.ranges())


def one_conv(weight: Any, bias: Any, **options: Any) -> Graph:
    g = GraphBuilder("conv")
    return g.build([g.conv2d(g.input("x", (1, 6, 6, weight.shape[3])), weight, bias, **options)])


@every_case
@pytest.mark.parametrize(("precision", "tolerance"), [("fp16", 2e-3), ("int8", 4e-2)])
def test_a_case_computes_nearly_what_torch_does(case: Case, precision: str, tolerance: float) -> None:
    model = write_tflite([case.graph()], precision=precision, ranges=ranges_of(case))
    assert wholly_delegated(model)
    assert read_signatures(model) == read_signatures(write_tflite([case.graph()]))
    got = TfliteRunner(model).run(case.name, case.inputs())
    for name, want in zip(case.graph().outputs, case.expected(), strict=True):
        assert rms_error(got[name], want) < tolerance


def test_the_operators_of_a_block() -> None:
    case = next(case for case in CASES if case.name == "mbconv_se_hard_swish")
    swish = ["ADD", "MUL", "MUL"]
    assert operators(write_tflite([case.graph()], precision="int8", ranges=ranges_of(case))) == [
        "QUANTIZE",
        *("CONV_2D", *swish, "DEPTHWISE_CONV_2D", *swish),
        *("MEAN", "CONV_2D", "CONV_2D", "ADD", "MUL", "MUL", "CONV_2D", "ADD"),
        "DEQUANTIZE",
    ]
    halves = operators(write_tflite([case.graph()], precision="fp16"))
    assert halves.count("DEQUANTIZE") == 12 and "HARD_SWISH" in halves


def test_integers_types_and_versions() -> None:
    case = next(case for case in CASES if case.name == "mbconv_se_silu")
    table = unpacked(write_tflite([case.graph()], precision="int8", ranges=ranges_of(case)))
    versions = {OPERATORS[code.builtinCode]: code.version for code in table.operatorCodes}
    assert versions == {
        "QUANTIZE": 1,
        "CONV_2D": 3,
        "LOGISTIC": 2,
        "MUL": 2,
        "DEPTHWISE_CONV_2D": 3,
        "MEAN": 2,
        "ADD": 2,
        "DEQUANTIZE": 2,
    }
    tensors = {tensor.name.decode(): tensor for tensor in table.subgraphs[0].tensors}
    weight, bias = tensors["mbconv_se_silu/conv_2d_0/weight"], tensors["mbconv_se_silu/conv_2d_0/bias"]
    assert TYPES[weight.type] == "INT8" and len(weight.quantization.scale) == 24
    assert TYPES[bias.type] == "INT32"
    x = tensors["mbconv_se_silu/x0"].quantization.scale[0]
    np.testing.assert_allclose(bias.quantization.scale, x * weight.quantization.scale, rtol=1e-6)
    depthwise = [t for name, t in tensors.items() if name.endswith("weight") and t.shape[0] == 1 and t.shape[1] == 5]
    assert [t.quantization.quantizedDimension for t in depthwise] == [3]
    sigmoids = [t for name, t in tensors.items() if "logistic" in name]
    assert {(t.quantization.scale[0], t.quantization.zeroPoint[0]) for t in sigmoids} == {(1 / 256, -128)}


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_a_tensors_name_is_unique_in_the_file(precision: str) -> None:
    graphs = [case.graph() for case in CASES]
    ranges = {graph.name: stand_in_ranges(graph) for graph in graphs}
    table = unpacked(write_tflite(graphs, precision=precision, ranges=ranges))
    names = [tensor.name for subgraph in table.subgraphs for tensor in subgraph.tensors]
    assert len(names) == len(set(names))


def test_joined_tensors_have_one_scale() -> None:
    g = GraphBuilder("joined")
    a, b = g.input("a", (1, 4, 4, 4)), g.input("b", (1, 4, 4, 4))
    first, rest = g.split(g.concat([a, b]), (3, 5))
    graph = g.build([g.depthwise_conv2d(first, weights(1, 3, 3, 3), np.zeros(3), stride=2, padding=1), rest])
    spans = dict.fromkeys(stand_in_ranges(graph), (-1.0, 1.0)) | {"b": (-5.0, 2.0)}
    table = unpacked(write_tflite([graph], precision="int8", ranges={"joined": spans}))
    scale = {t.name.decode(): t.quantization.scale for t in table.subgraphs[0].tensors if t.quantization is not None}
    joined = ["a", "b", "concat_0", "split_1:0", "split_1:1", "depthwise_conv2d_2$padded"]
    found = [v for k, v in scale.items() if any(k == f"joined/{n}" or k.endswith("$padded") for n in joined)]
    assert len(found) == 6 and {float(v[0]) for v in found} == {float(np.float32(7 / 255))}


def test_a_sigmoid_that_is_joined_with_others_is_rescaled_first() -> None:
    g = GraphBuilder("gate")
    x = g.input("x", (1, 3, 3, 4))
    graph = g.build([g.concat([g.sigmoid(x), x])])
    ranges, feeds = calibrated(graph)
    model = write_tflite([graph], precision="int8", ranges=ranges)
    assert operators(model) == ["QUANTIZE", "LOGISTIC", "QUANTIZE", "CONCATENATION", "DEQUANTIZE"]
    (got,), (want,) = (TfliteRunner(m).run("gate", feeds).values() for m in (model, write_tflite([graph])))
    assert wholly_delegated(model) and rms_error(got, want) < 2e-2


DEAD = weights(8, 1, 1, 8)


@pytest.mark.parametrize(
    ("channel", "bias"), [(0.0, 0.0), (0.0, 5.0), (1e-30, -3.0), (1e-12, 1.0)], ids=["none", "bias", "tiny", "small"]
)
def test_a_channel_whose_weights_are_next_to_nothing_gives_its_bias(channel: float, bias: float) -> None:
    weight, biases = DEAD.copy(), weights(8, seed=2)
    weight[3], biases[3] = channel, bias
    graph = one_conv(weight, biases)
    ranges, feeds = calibrated(graph)
    model = write_tflite([graph], precision="int8", ranges=ranges)
    (got,), (want,) = (TfliteRunner(m).run("conv", feeds).values() for m in (model, write_tflite([graph])))
    assert wholly_delegated(model) and rms_error(got, want) < 2e-2


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e-3, 1e3])
def test_scales_that_are_far_apart_stay_within_xnnpack(scale: float) -> None:
    """A layer that is dead, or next to it, beside one that is not."""
    g = GraphBuilder("far")
    x = g.input("x", (1, 6, 6, 8))
    weak = g.conv2d(x, DEAD * np.float32(scale), np.zeros(8))
    graph = g.build([g.add(weak, x), g.mul(weak, x), g.conv2d(weak, DEAD, np.zeros(8))])
    ranges, feeds = calibrated(graph)
    model = write_tflite([graph], precision="int8", ranges=ranges)
    assert wholly_delegated(model)
    got, want = (TfliteRunner(m).run("far", feeds) for m in (model, write_tflite([graph])))
    assert rms_error(got[graph.outputs[0]], want[graph.outputs[0]]) < 2e-2


def test_bounds_that_lie_on_one_side_of_zero_include_it() -> None:
    graph = one_conv(DEAD, np.full(8, 50.0))
    ranges, feeds = calibrated(graph)
    assert ranges["conv"]["conv_2d_0"][0] > 0
    model = write_tflite([graph], precision="int8", ranges=ranges)
    (got,), (want,) = (TfliteRunner(m).run("conv", feeds).values() for m in (model, write_tflite([graph])))
    assert rms_error(got, want) < 1e-2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({}, None),
        ({"x": (float("nan"), 1.0)}, "range of tensor x is nan to 1; calibrate again"),
        ({"conv_2d_0": (0.0, float("inf"))}, "range of tensor conv_2d_0 is 0 to inf; calibrate again"),
        ({"x": (2.0, 1.0)}, "range of tensor x is 2 to 1; calibrate again"),
        ({"x": None}, "there is no range of tensor x; calibrate this very graph"),
    ],
)
def test_ranges_that_do_not_fit_are_refused(change: dict[str, Any], says: str | None) -> None:
    graph = one_conv(DEAD, np.zeros(8))
    ranges = {k: v for k, v in {**stand_in_ranges(graph), **change}.items() if v is not None}
    if says is None:
        assert write_tflite([graph], precision="int8", ranges={"conv": ranges})
        return
    with pytest.raises(RangesError, match=says):
        write_tflite([graph], precision="int8", ranges={"conv": ranges})


def test_int8_without_ranges_and_an_unknown_precision_are_refused() -> None:
    graph = one_conv(DEAD, np.zeros(8))
    with pytest.raises(RangesError, match="graph conv: int8 needs its ranges"):
        write_tflite([graph], precision="int8")
    with pytest.raises(GraphError, match="there is no precision 'int4'; use one of fp32, fp16, int8"):
        write_tflite([graph], precision="int4")


def test_a_weight_beyond_fp16_is_refused() -> None:
    with pytest.raises(GraphError, match="conv_2d_0/weight is beyond 65504"):
        write_tflite([one_conv(DEAD * np.float32(1e6), np.zeros(8))], precision="fp16")


def test_observed_values_that_are_not_finite_are_refused() -> None:
    observer = RangeObserver([one_conv(DEAD, np.zeros(8))])
    with pytest.raises(RangesError, match="tensor x becomes NaN or infinite"):
        observer.run("conv", {"x": np.full((1, 6, 6, 8), np.nan, np.float32)})


def test_an_observer_widens_its_ranges_and_gives_the_graphs_own_outputs() -> None:
    g = GraphBuilder("two")
    graph = g.build([g.relu(g.add(g.input("x", (1, 2)), "x"))])
    observer = RangeObserver([graph])
    for value in (1.0, -4.0, 2.0):
        assert list(observer.run("two", {"x": np.full((1, 2), value, np.float32)})) == list(graph.outputs)
    assert observer.ranges() == {"two": {"x": (-4.0, 2.0), "add_0": (-8.0, 4.0), "relu_1": (0.0, 4.0)}}
    assert RangeObserver([graph]).ranges() == {"two": {}}


def test_weights_are_stored_once_and_equal_arguments_give_equal_bytes() -> None:
    weight = weights(64, 1, 1, 64)
    graphs = [dataclasses.replace(one_conv(weight, np.zeros(64)), name=name) for name in "abcd"]
    for precision, size in (("int8", 64 * 64), ("fp16", 2 * 64 * 64)):
        ranges = {graph.name: stand_in_ranges(graph) for graph in graphs}
        one = write_tflite(graphs[:1], precision=precision, ranges=ranges)
        four = write_tflite(graphs, precision=precision, ranges=ranges)
        assert len(four) - len(one) < size
        assert four == write_tflite(graphs, precision=precision, ranges=ranges)


def test_larger_scales_make_smaller_integers() -> None:
    made = Int8Weights()
    plain = made.scales(DEAD, 0)
    assert np.abs(made.rounded(DEAD, 0, plain)).max() == 127
    assert np.abs(made.rounded(DEAD, 0, plain * 2)).max() == 64


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_room_is_reserved_so_that_the_builder_never_grows(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(builder: object) -> None:
        raise AssertionError("the builder grew; raise the room reserved per tensor")

    monkeypatch.setattr(flatbuffers.Builder, "GrowByteBuffer", refuse)
    for case in CASES:
        graph = case.graph()
        write_tflite([graph], precision=precision, ranges={graph.name: stand_in_ranges(graph)})
