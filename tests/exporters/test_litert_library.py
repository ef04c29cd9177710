"""Where Python's binding of LiteRT cannot be loaded, its C library gives the same numbers."""

from __future__ import annotations

import builtins
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from syncnas_deploy import pipeline
from syncnas_deploy.networks.formats import write_config
from syncnas_exporters import (
    GraphBuilder,
    MissingLibrary,
    NotATfliteFile,
    TfliteRunner,
    litert_library,
    stand_in_ranges,
    write_tflite,
)
from tests.support.picture_cases import small_branched


def model(precision: str = "fp32") -> bytes:
    """Two signatures, of one and of two inputs."""
    weights = np.random.default_rng(0).standard_normal((8, 3, 3, 8), np.float32)
    both = GraphBuilder("both")
    x, y = both.input("x", (1, 4, 4, 8)), both.input("y", (1, 4, 4, 8))
    first = both.build([both.conv2d(both.add(x, y), weights, np.zeros(8, np.float32))])
    two = GraphBuilder("two")
    z = two.input("z", (1, 2, 2, 3))
    graphs = [first, two.build([two.add(z, z)])]
    ranges = {graph.name: stand_in_ranges(graph) for graph in graphs} if precision == "int8" else None
    return write_tflite(graphs, precision=precision, ranges=ranges)


@pytest.fixture
def no_binding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its import fails as on a system that is too old."""
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("ai_edge_litert.interpreter"):
            raise ImportError(
                "dlopen(libpywrap_litert_common.dylib): built for macOS 15.2 which is newer than running OS"
            )
        return real(name, *args, **kwargs)

    monkeypatch.delitem(sys.modules, "ai_edge_litert.interpreter", raising=False)
    monkeypatch.setattr(builtins, "__import__", refuse)


def inputs(seed: int) -> dict[str, dict[str, Any]]:
    draw = np.random.default_rng(seed).standard_normal
    return {
        "both": {name: draw((1, 4, 4, 8), np.float32) for name in "xy"},
        "two": {"z": draw((1, 2, 2, 3), np.float32)},
    }


@pytest.mark.needs("host units")
@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_it_computes_what_the_binding_does(no_binding: None, monkeypatch: pytest.MonkeyPatch, precision: str) -> None:
    runner = TfliteRunner(model(precision))
    found = [(key, runner.run(key, feeds)) for seed in (1, 2, 1) for key, feeds in inputs(seed).items()]
    monkeypatch.undo()
    binding = TfliteRunner(model(precision))
    wanted = [(key, binding.run(key, feeds)) for seed in (1, 2, 1) for key, feeds in inputs(seed).items()]
    for (key, mine), (_, theirs) in zip(found, wanted, strict=True):
        assert mine.keys() == theirs.keys(), key
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name])


@pytest.mark.needs("host units")
def test_a_network_is_exported_without_the_binding(
    no_binding: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    write_config(tmp_path / "net.json", small_branched())
    without = pipeline.export(tmp_path / "net.json", tmp_path / "without")
    monkeypatch.undo()
    within = pipeline.export(tmp_path / "net.json", tmp_path / "within")
    for mine, theirs in zip(without.reference(), within.reference(), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.needs("host units")
def test_outputs_are_the_callers_own(no_binding: None) -> None:
    runner = TfliteRunner(model())
    first = runner.run("two", inputs(1)["two"])
    kept = {name: values.copy() for name, values in first.items()}
    runner.run("two", inputs(2)["two"])
    for name in first:
        np.testing.assert_array_equal(first[name], kept[name])


def test_a_damaged_model_is_refused(no_binding: None) -> None:
    raw = model()
    with pytest.raises(NotATfliteFile):
        TfliteRunner(raw[: len(raw) // 2]).run("two", inputs(1)["two"])


def test_without_any_litert_there_is_a_sentence(no_binding: None, monkeypatch: pytest.MonkeyPatch) -> None:
    litert_library._library.cache_clear()
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(MissingLibrary, match="pip install ai-edge-litert"):
        litert_library._library()
