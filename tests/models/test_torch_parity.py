"""What is exported computes what torch computes: every segment, and the chain of segments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from syncnas_deploy.bundle import graphs, run_chain
from syncnas_deploy.models.config import ModelConfig, branched
from syncnas_deploy.models.formats import load_config
from syncnas_deploy.models.segments import Feed, Segment, cut
from syncnas_deploy.models.torch_model import SyncNet, build, state_arrays
from syncnas_deploy.models.weights import load_weights, parameter_shapes, random_weights
from syncnas_deploy.search.strategy import random_strategy
from syncnas_exporters import TfliteRunner, nchw, nhwc, run_onnx, write_onnx, write_tflite

Array = NDArray[np.float32]
TOLERANCE = 1e-4
"""Relative to the largest value of the tensor, as float32 sums in another order differ."""


def torch_features(model: SyncNet, image: Array) -> dict[tuple[int, int], Array]:
    """Each branch's own features [1, H, W, C] after each stage, before the sync; stage -1 is the stem."""
    found: dict[tuple[int, int], Array] = {}
    with torch.no_grad():
        x = model.stem_conv(torch.from_numpy(nchw(image)))
        both = (x, x)
        found[-1, 0] = found[-1, 1] = nhwc(x.numpy())
        for s in range(len(model.config.stages)):
            stage = model.get_submodule(f"stage{s + 1}")
            for b, name in enumerate(("branch1", "branch2")):
                found[s, b] = nhwc(stage.get_submodule(name)(both[b]).numpy())
            both = stage(both)
    return found


def close(got: Array, want: Array) -> None:
    """Equal within the tolerance."""
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= TOLERANCE * max(1.0, float(np.abs(want).max()))


def check(config: ModelConfig, seed: int) -> None:
    """Every segment and the chain, TFLite and ONNX, against torch."""
    weights = random_weights(parameter_shapes(config), seed)
    model = build(config, weights)
    size = (1, config.input_size, config.input_size, 3)
    image = np.random.default_rng(seed).uniform(-1, 1, size).astype(np.float32)
    with torch.no_grad():
        logits = model(torch.from_numpy(nchw(image))).numpy()
    lowered, segments = graphs(config, weights), cut(config)
    runners = [TfliteRunner(write_tflite([lowered[s.name] for s in segments if s.branch == b])) for b in (0, 1)]
    models = {segment.name: write_onnx(lowered[segment.name]) for segment in segments}

    def tflite(segment: Segment, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        return runners[segment.branch].run(segment.name, inputs)

    def onnx(segment: Segment, inputs: Mapping[str, Array]) -> Mapping[str, Array]:
        outputs = run_onnx(models[segment.name], {name: nchw(x) for name, x in inputs.items()})
        return {name: nhwc(y) if y.ndim == 4 else y for name, y in outputs.items()}

    features = torch_features(model, image)
    for segment in segments:
        inputs = inputs_of(segment, features, image)
        wanted = (
            logits if segment.head else features[segment.blocks[-1].stage if segment.blocks else -1, segment.branch]
        )
        for run in (tflite, onnx):
            (found,) = run(segment, inputs).values()
            close(found, wanted)
    for run in (tflite, onnx):
        close(run_chain(segments, run, image), logits)


def inputs_of(segment: Segment, features: Mapping[tuple[int, int], Array], image: Array) -> dict[str, Array]:
    """The segment's inputs as torch has them."""
    if segment.stem:
        return {"image": image}
    stage = -1 if segment.sync_stage is None else segment.sync_stage
    other = 1 - segment.branch
    sides = {Feed.OWN: features[stage, segment.branch], Feed.PARTNER: features[stage, other]}
    return {feed.value: sides[feed] for feed in segment.feeds}


def strategies(count: int) -> list[str]:
    """Random strategies, always the same ones."""
    rng = np.random.default_rng(60)
    drawn: dict[str, None] = {}
    while len(drawn) < count:
        drawn[random_strategy(rng, 7)] = None
    return list(drawn)


@pytest.mark.parametrize("strategy", strategies(60))
def test_segments_and_chain_equal_torch(mobilenet: ModelConfig, strategy: str) -> None:
    rng = np.random.default_rng(sum(map(ord, strategy)))
    expanded = [
        [[4 * int(rng.integers(1, 1 + b.expanded_channels // 3)) for b in st.branches[0]] for st in mobilenet.stages]
        for _ in (0, 1)
    ]
    check(branched(mobilenet, strategy, expanded, trunk=len(strategy.strip("n")) % 2), seed=1)


def test_the_published_model_equals_torch() -> None:
    check(load_config("syncnas_mobilenet_v2_100"), seed=2)


def test_the_base_model_equals_torch(mobilenet: ModelConfig) -> None:
    weights = random_weights(parameter_shapes(mobilenet), 3)
    image = np.random.default_rng(3).uniform(-1, 1, (1, 224, 224, 3)).astype(np.float32)
    graph = graphs(mobilenet, weights)["whole"]
    with torch.no_grad():
        wanted = build(mobilenet, weights)(torch.from_numpy(nchw(image))).numpy()
    (found,) = TfliteRunner(write_tflite([graph])).run("whole", {"image": image}).values()
    close(found, wanted)
    (found,) = run_onnx(write_onnx(graph), {"image": nchw(image)}).values()
    close(found, wanted)


def test_state_dict_order_is_the_named_order(mobilenet: ModelConfig) -> None:
    for config in (mobilenet, load_config("syncnas_mobilenet_v2_100")):
        assert {k: v.shape for k, v in state_arrays(build(config)).items()} == parameter_shapes(config)
        assert list(state_arrays(build(config))) == list(parameter_shapes(config))


def test_a_saved_state_dict_loads(mobilenet: ModelConfig, tmp_path: Path) -> None:
    weights = random_weights(parameter_shapes(mobilenet), 4)
    model = build(mobilenet, weights)
    torch.save(model.state_dict(), tmp_path / "model.pth")
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, tmp_path / "wrapped.pth")
    np.savez(tmp_path / "model.npz", **weights)
    for name in ("model.pth", "wrapped.pth", "model.npz"):
        found = load_weights(tmp_path / name, mobilenet)
        assert found.keys() == weights.keys()
        assert all(np.array_equal(found[key], weights[key]) for key in weights)
