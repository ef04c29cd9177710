"""From segments and weights to the exporters' Graphs: batch norms folded, activations fused where they can be.

Weights come in with torch's shapes [O, I, kh, kw] and leave in the Graph's: convolution [O, kh, kw, I],
depthwise [1, kh, kw, C], fully connected [O, I]. Features are [1, H, W, C].
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from syncnas_deploy.arrays import Float32Array, Float64Array
from syncnas_deploy.networks.config import BlockSpec, ModelConfig, SqueezeExcite, SyncOp
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.segments import Feed, Segment, cut, run_chain
from syncnas_deploy.networks.weights import Weights, block_prefix
from syncnas_exporters import Activation, Graph, GraphBuilder

_FUSED = {"relu": Activation.RELU, "relu6": Activation.RELU6}


class NetworkLowering:
    """One Graph being built from named weights.

    Args:
        name: of the Graph, and so of its TFLite signature.
        weights: named arrays (see `networks.weights`).
        epsilon: of the batch norms.
    """

    def __init__(self, name: str, weights: Weights, epsilon: float = 1e-5) -> None:
        self.graph = GraphBuilder(name)
        self._weights = weights
        self._epsilon = epsilon

    def input(self, name: str, shape: tuple[int, ...]) -> str:
        """A new input, [1, H, W, C]."""
        return self.graph.input(name, shape)

    def _folded(self, prefix: str, conv: str, norm: str | None) -> tuple[Float32Array, Float32Array]:
        """Convolution weight [O, I, kh, kw] and bias [O] with the batch norm folded in.

        Source: y = gamma (Wx + b - mean) / sqrt(var + eps) + beta is a convolution with scaled weights.
        """
        w = self._weights
        weight = w[f"{prefix}{conv}weight"]
        bias = w.get(f"{prefix}{conv}bias")
        if norm is None:
            assert bias is not None
            return weight, bias
        scale, shift = self._scale_shift(f"{prefix}{norm}")
        folded = (weight.astype(np.float64) * scale.reshape(-1, 1, 1, 1)).astype(np.float32)
        moved = shift if bias is None else shift + bias * scale
        return folded, moved.astype(np.float32)

    def _scale_shift(self, prefix: str) -> tuple[Float64Array, Float64Array]:
        w = self._weights
        scale = w[f"{prefix}weight"] / np.sqrt(w[f"{prefix}running_var"].astype(np.float64) + self._epsilon)
        return scale, w[f"{prefix}bias"] - w[f"{prefix}running_mean"] * scale

    def _activate(self, x: str, activation: str | None) -> str:
        if activation is None:
            return x
        act: Callable[[str], str] = {
            "relu": self.graph.relu,
            "relu6": self.graph.relu6,
            "hswish": self.graph.hard_swish,
            "silu": self.graph.silu,
        }[activation]
        return act(x)

    def conv(
        self,
        x: str,
        prefix: str,
        activation: str | None,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
    ) -> str:
        """Convolution with its batch norm and activation; groups become split, convolutions and concat."""
        weight, bias = self._folded(prefix, "0.", "1.")
        fused = _FUSED.get(activation or "", Activation.NONE)
        kernels = np.ascontiguousarray(weight.transpose(0, 2, 3, 1))
        if groups == 1:
            y = self.graph.conv2d(x, kernels, bias, stride=stride, padding=padding, activation=fused)
        else:
            parts = self.graph.split(x, (weight.shape[1],) * groups)
            share = weight.shape[0] // groups
            outs = []
            for g, part in enumerate(parts):
                rows = slice(g * share, (g + 1) * share)
                outs.append(self.graph.conv2d(part, kernels[rows], bias[rows], activation=fused))
            y = self.graph.concat(outs)
        return y if fused is not Activation.NONE else self._activate(y, activation)

    def depthwise(self, x: str, prefix: str, block: BlockSpec, activation: str | None) -> str:
        """Depthwise convolution(s) with batch norm and activation; several kernels share the channels."""
        scale, shift = self._scale_shift(f"{prefix}1.")
        fused = _FUSED.get(activation or "", Activation.NONE)
        shares = block.kernel_channels
        several = len(shares) > 1
        parts = self.graph.split(x, shares) if several else (x,)
        outs, first = [], 0
        for k, (part, kernel, channels) in enumerate(zip(parts, block.kernels, shares, strict=True)):
            weight = self._weights[f"{prefix}0.{k}.weight" if several else f"{prefix}0.weight"]
            rows = slice(first, first + channels)
            first += channels
            folded = (weight[:, 0] * scale[rows].reshape(-1, 1, 1)).astype(np.float32).transpose(1, 2, 0)[None]
            outs.append(
                self.graph.depthwise_conv2d(
                    part,
                    np.ascontiguousarray(folded),
                    shift[rows].astype(np.float32),
                    stride=block.stride,
                    padding=kernel // 2,
                    activation=fused,
                )
            )
        y = self.graph.concat(outs) if several else outs[0]
        return y if fused is not Activation.NONE else self._activate(y, activation)

    def squeeze_excite(self, x: str, prefix: str, se: SqueezeExcite) -> str:
        """Pool, reduce, activation, expand, gate, multiply."""
        pooled = self.graph.global_average_pool(x, keep_dims=True)
        weight, bias = self._folded(prefix, "reduce.0.", "reduce.1." if se.batch_norm else None)
        fused = _FUSED.get(se.activation, Activation.NONE)
        y = self.graph.conv2d(pooled, np.ascontiguousarray(weight.transpose(0, 2, 3, 1)), bias, activation=fused)
        if fused is Activation.NONE:
            y = self._activate(y, se.activation)
        weight, bias = self._folded(prefix, "expand.", None)
        y = self.graph.conv2d(y, np.ascontiguousarray(weight.transpose(0, 2, 3, 1)), bias)
        gate = self.graph.hard_sigmoid(y) if se.gate == "hsigmoid" else self.graph.sigmoid(y)
        return self.graph.mul(x, gate)

    def block(self, x: str, prefix: str, block: BlockSpec) -> str:
        y = x
        if block.expands:
            y = self.conv(y, f"{prefix}pw1.", block.activation, groups=block.expand_groups)
        activation = block.depthwise_activation or block.activation
        se = block.squeeze_excite
        if se is not None and se.before_activation:
            y = self.depthwise(y, f"{prefix}dw.", block, None)
            y = self._activate(self.squeeze_excite(y, f"{prefix}se.", se), activation)
        else:
            y = self.depthwise(y, f"{prefix}dw.", block, activation)
            if se is not None:
                y = self.squeeze_excite(y, f"{prefix}se.", se)
        y = self.conv(y, f"{prefix}pw2.", None, groups=block.project_groups)
        if not block.adds_input:
            return y
        if block.in_channels == block.out_channels:
            return self.graph.add(y, x)
        added, rest = self.graph.split(y, (block.in_channels, block.out_channels - block.in_channels))
        return self.graph.concat([self.graph.add(added, x), rest])

    def sync(self, branch0: str, branch1: str, op: SyncOp) -> str:
        """ADD or CONCAT of both branches' features, branch 0's first."""
        return self.graph.add(branch0, branch1) if op is SyncOp.ADD else self.graph.concat([branch0, branch1])

    def head(self, x: str, config: ModelConfig) -> str:
        """Head convolution, pool, post-pool layer if there is one, classifier: [1, H, W, C] -> [1, classes]."""
        head, w = config.head, self._weights
        x = self.graph.global_average_pool(self.conv(x, "head_conv.", head.activation))
        if head.post_pool_channels:
            fused = _FUSED.get(head.activation, Activation.NONE)
            x = self.graph.fully_connected(x, w["post_pool.weight"], w["post_pool.bias"], activation=fused)
            if fused is Activation.NONE:
                x = self._activate(x, head.activation)
        return self.graph.fully_connected(x, w["classifier.1.weight"], w["classifier.1.bias"])

    def segment(self, x: str, segment: Segment, config: ModelConfig) -> str:
        """All of a segment that follows its sync."""
        if segment.stem:
            stem = config.stem
            x = self.conv(x, "stem_conv.", stem.activation, stride=stem.stride, padding=stem.kernel // 2)
        for placed in segment.blocks:
            x = self.block(x, block_prefix(config, placed.branch, placed.stage, placed.index), placed.block)
        return self.head(x, config) if segment.head else x


def lower(segment: Segment, config: ModelConfig, weights: Weights) -> Graph:
    """One segment as a Graph; each input is named after its feed."""
    low = NetworkLowering(segment.name, weights, config.bn_epsilon)
    names = [low.input(f"{feed.value}", shape) for feed, shape in zip(segment.feeds, segment.input_shapes, strict=True)]
    x = low.sync(names[0], names[1], segment.sync) if segment.sync is not SyncOp.NONE else names[0]
    return low.graph.build([low.segment(x, segment, config)])


def network_graph(config: ModelConfig, weights: Weights, name: str) -> Graph:
    """A whole network as one graph, from an image to logits; a stem or a sync of both branches is in it once."""
    low = NetworkLowering(name, weights, config.bn_epsilon)
    segments = cut(dataclasses.replace(config, placement=Placement()))
    syncs: dict[int | None, str] = {}

    def add(segment: Segment, inputs: dict[str, str]) -> dict[str, str]:
        x, *partner = inputs.values()
        if partner and segment.sync_stage not in syncs:
            syncs[segment.sync_stage] = low.sync(x, partner[0], segment.sync)
        return {"": low.segment(syncs[segment.sync_stage] if partner else x, segment, config)}

    (shape,) = segments[0].input_shapes
    return low.graph.build([run_chain(segments, add, low.input(Feed.IMAGE.value, shape))])
