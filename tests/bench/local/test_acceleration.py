"""A CPU unit refuses a model of which XNNPACK leaves a part, and says which operator it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from syncnas_bench import Call, HostDevice, Job, Lane, Step, UnitUnavailable
from syncnas_bench.acceleration import operator_outside
from syncnas_exporters import GraphBuilder, stand_in_ranges, write_tflite
from syncnas_exporters.tflite import int8
from syncnas_exporters.tflite.lowering import TfliteLowering
from tests.support.bench_cases import plan_of

pytestmark = pytest.mark.needs("host units")


def joined(parts: int, **options: str) -> bytes:
    """A file of two graphs, the second one a CONCAT of so many tensors."""
    builders = GraphBuilder("plain"), GraphBuilder("joined")
    plain, last = (builder.input("x", (1, 4, 4, 8)) for builder in builders)
    graphs = [
        builders[0].build([builders[0].relu(plain)]),
        builders[1].build([builders[1].concat([builders[1].relu(last) for _ in range(parts)])]),
    ]
    ranges = {graph.name: stand_in_ranges(graph) for graph in graphs}
    return write_tflite(graphs, ranges=ranges, **options)  # type: ignore[arg-type]


def swish(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """HARD_SWISH in int8, as Google's quantizer writes it."""
    monkeypatch.setattr(int8.Int8Lowering, "_lower", TfliteLowering._lower)
    builder = GraphBuilder("joined")
    graph = builder.build([builder.hard_swish(builder.input("x", (1, 4, 4, 8)))])
    return write_tflite([graph], precision="int8", ranges={"joined": stand_in_ranges(graph)})


OUTSIDE: dict[str, Callable[[pytest.MonkeyPatch], bytes]] = {
    "CONCATENATION (fp32)": lambda _: joined(6),
    "CONCATENATION (int8)": lambda _: joined(6, precision="int8"),
    "HARD_SWISH (int8)": swish,
}


@pytest.mark.parametrize("name", list(OUTSIDE))
def test_a_model_that_xnnpack_leaves_in_part_is_refused_and_the_operator_is_named(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(OUTSIDE[name](monkeypatch))
    step = Step("s", (Job("j", (Lane(0, (Call(0, 0, "joined", ("external",)),)),)),), rounds=1)
    with pytest.raises(UnitUnavailable) as refused:
        HostDevice().run(plan_of("cpu:1", step, files=(path,)), on_run=lambda _: None)
    assert str(refused.value).startswith(
        f"model {path} is not fully accelerated on the CPU: XNNPACK leaves its {name} to"
    )


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_nothing_is_named_where_all_is_taken(precision: str, tmp_path: Path) -> None:
    path = tmp_path / "m.tflite"
    path.write_bytes(joined(5, precision=precision))
    assert operator_outside(path) is None
    path.write_bytes(path.read_bytes()[:200])
    assert operator_outside(path) is None
    assert operator_outside(tmp_path / "none") is None
