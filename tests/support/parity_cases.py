"""What is exported computes what torch computes: every segment, and the chain of segments."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from syncnas_deploy.bundle import graphs
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.segments import Feed, Segment, cut, run_chain
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.training.module import SyncNet, build
from syncnas_exporters import TfliteRunner, nchw, nhwc, run_onnx, write_onnx, write_tflite

Float32Array = NDArray[np.float32]
Features = Mapping[str, Float32Array]
TOLERANCE = 1e-4
"""Relative to the largest value of the tensor, as float32 sums in another order differ."""


def torch_features(model: SyncNet, image: Float32Array) -> dict[tuple[int, int], Float32Array]:
    """Each branch's own features [1, H, W, C] after each stage, before the sync; stage -1 is the stem."""
    found: dict[tuple[int, int], Float32Array] = {}
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


def close(got: Float32Array, want: Float32Array) -> None:
    """Equal within the tolerance."""
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= TOLERANCE * max(1.0, float(np.abs(want).max()))


class Exported:
    """A network in torch, TFLite and ONNX, with the same seeded weights and image."""

    def __init__(self, config: ModelConfig, seed: int) -> None:
        weights = random_weights(parameter_shapes(config), seed)
        self.segments = cut(config)
        self.model = build(config, weights)
        shape = (1, config.input_size, config.input_size, 3)
        self.image = np.random.default_rng(seed).uniform(-1, 1, shape).astype(np.float32)
        with torch.no_grad():
            self.logits = self.model(torch.from_numpy(nchw(self.image))).numpy()
        self._graphs = graphs(config, weights)
        self._runners = [
            TfliteRunner(write_tflite([self._graphs[s.name] for s in self.segments if s.branch == branch]))
            for branch in range(config.branch_count)
        ]

    def tflite(self, segment: Segment, inputs: Features) -> Features:
        """Run a segment with LiteRT."""
        return self._runners[segment.branch].run(segment.name, inputs)

    def onnx(self, segment: Segment, inputs: Features) -> Features:
        """Run a segment with ONNX Runtime; NHWC in and out."""
        model = write_onnx(self._graphs[segment.name])
        outputs = run_onnx(model, {name: nchw(x) for name, x in inputs.items()})
        return {name: nhwc(y) if y.ndim == 4 else y for name, y in outputs.items()}


def check(config: ModelConfig, seed: int) -> None:
    """Every segment and the chain, TFLite and ONNX, against torch."""
    exported = Exported(config, seed)
    if config.branch_count == 2:
        features = torch_features(exported.model, exported.image)
        for segment in exported.segments:
            inputs = inputs_of(segment, features, exported.image)
            stage = segment.blocks[-1].stage if segment.blocks else -1
            wanted = exported.logits if segment.head else features[stage, segment.branch]
            for run in (exported.tflite, exported.onnx):
                (found,) = run(segment, inputs).values()
                close(found, wanted)
    for run in (exported.tflite, exported.onnx):
        close(run_chain(exported.segments, run, exported.image), exported.logits)


def chain_equals_torch(config: ModelConfig, seed: int) -> None:
    """The chain of TFLite segments against torch."""
    exported = Exported(config, seed)
    close(run_chain(exported.segments, exported.tflite, exported.image), exported.logits)


def inputs_of(
    segment: Segment, features: Mapping[tuple[int, int], Float32Array], image: Float32Array
) -> dict[str, Float32Array]:
    """The segment's inputs as torch has them."""
    if segment.stem:
        return {"image": image}
    stage = -1 if segment.sync_stage is None else segment.sync_stage
    other = 1 - segment.branch
    sides = {Feed.OWN: features[stage, segment.branch], Feed.PARTNER: features[stage, other]}
    return {feed.value: sides[feed] for feed in segment.feeds}
