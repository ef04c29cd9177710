"""Initial weights of a branched model from its base's: each block keeps the base's most important channels.

A block that is narrower than the base's takes the expanded channels with the largest weights. A wider one copies the
most important channels, and the copies share the weight, as in Net2WiderNet (Chen et al., ICLR 2016). A stage that ends
in CONCAT gives each branch its half of the output channels, so the concatenation is the base's features. After an ADD
the features are the sum of two approximations of the base's features, so the weights that read them are halved.

The result is not a trained model. It is a start for training that is near the base and not random.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from syncnas_deploy.arrays import Float32Array
from syncnas_deploy.errors import WeightsError
from syncnas_deploy.networks.config import BlockSpec, ModelConfig, SyncOp, branched
from syncnas_deploy.networks.weights import (
    Weights,
    block_prefix,
    block_shapes,
    check_weights,
    parameter_shapes,
    random_weights,
)

Index = NDArray[np.intp]
_NORM = ("weight", "bias", "running_mean", "running_var")


def inherit(config: ModelConfig, base: ModelConfig, weights: Weights, seed: int = 0) -> dict[str, Float32Array]:
    """Weights for `config`, two branches of `base`, from trained weights of `base`.

    Args:
        config: the branched model.
        base: the base model it came from.
        weights: of the base.
        seed: of the weights that the base does not have.

    Raises:
        WeightsError: `weights` are not the base's, or `config` is not two branches of `base`.
    """
    check_weights(weights, base, f"weights of {base.name}")
    if config.strategy is None or len(config.stages) != len(base.stages):
        raise WeightsError(f"{config.name} is not two branches of {base.name}; give the base model it came from.")
    twin = branched(base, config.strategy)
    inherited = random_weights(parameter_shapes(config), seed)
    for name in inherited:
        if name.startswith(("stem_conv.", "head_conv.", "post_pool.", "classifier.")):
            _same_shape(weights, name, inherited[name], config, base)
            inherited[name] = weights[name].copy()
    read_twice = False
    for s, op in enumerate(config.sync_ops):
        for branch in (0, 1):
            pairs = zip(base.stages[s].branches[0], config.stages[s].branches[branch], strict=False)
            twins = twin.stages[s].branches[branch]
            for i, (old, new) in enumerate(pairs):
                if (new.kernels, new.stride, new.out_channels) != (old.kernels, old.stride, twins[i].out_channels):
                    raise WeightsError(f"{config.name} differs from {base.name} in more than its widths.")
                source = _Source(old, block_prefix(base, 0, s, i), weights)
                ins = _half(old.in_channels, new.in_channels, branch)
                outs = _half(old.out_channels, new.out_channels, branch)
                made = source.shrunk(new, ins, outs, halve_input=read_twice and i == 0, seed=seed)
                prefix = block_prefix(config, branch, s, i)
                inherited |= {prefix + name: value for name, value in made.items()}
        read_twice = op is SyncOp.ADD
    if config.sync_ops[-1] is SyncOp.ADD:
        inherited["head_conv.0.weight"] *= np.float32(0.5)
    return inherited


def _same_shape(weights: Weights, name: str, wanted: Float32Array, config: ModelConfig, base: ModelConfig) -> None:
    if name not in weights or weights[name].shape != wanted.shape:
        raise WeightsError(
            f"{name} of {base.name} does not fit {config.name}; both need the same stem, head and classes."
        )


def _half(whole: int, part: int, branch: int) -> Index:
    """Which channels a branch has: all, or its half of a concatenation."""
    if part == whole:
        return np.arange(whole)
    return np.arange(part) if branch == 0 else np.arange(whole - part, whole)


class _Source:
    """One block of the base with its weights."""

    def __init__(self, block: BlockSpec, prefix: str, weights: Weights) -> None:
        self.block = block
        self._w = {name: weights[prefix + name] for name in block_shapes(block)}

    def shrunk(
        self, new: BlockSpec, ins: Index, outs: Index, *, halve_input: bool, seed: int
    ) -> dict[str, Float32Array]:
        """The block's weights at other widths; weights that the base lacks stay at seeded random values."""
        made = random_weights(block_shapes(new), seed)
        if len(new.kernels) > 1 or new.expand_groups > 1 or new.project_groups > 1:
            # Split channels and groups tie a channel to its place: only equal widths can be inherited.
            made |= {name: w.copy() for name, w in self._w.items() if name in made and made[name].shape == w.shape}
            first = "pw1.0.weight" if new.expands else "dw.0."
            halved = {name: w * np.float32(0.5) for name, w in made.items() if halve_input and name.startswith(first)}
            return made | halved
        keep, share = self._chosen(new.expanded_channels)
        made["dw.0.weight"] = self._w["dw.0.weight"][keep]
        for name in _NORM:
            made[f"dw.1.{name}"] = self._w[f"dw.1.{name}"][keep]
        made["pw2.0.weight"] = self._w["pw2.0.weight"][outs][:, keep] * share.reshape(1, -1, 1, 1)
        for name in _NORM:
            made[f"pw2.1.{name}"] = self._w[f"pw2.1.{name}"][outs]
        if new.expands:
            made |= self._expansion(keep, ins, halve_input)
        elif halve_input:
            made["dw.0.weight"] = made["dw.0.weight"] * np.float32(0.5)
        made |= self._squeeze(new, keep)
        return {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in made.items()}

    def _chosen(self, width: int) -> tuple[Index, Float32Array]:
        """Base channels by place in the new block, in their old order, and each one's share of its weight.

        Kept are those of the largest L1 norm of their projection, times the scale of their batch norm.
        Source: Li et al., "Pruning Filters for Efficient ConvNets", ICLR 2017 (the L1 criterion).
        """
        have = self.block.expanded_channels
        importance = np.abs(self._w["pw2.0.weight"]).sum(axis=(0, 2, 3)) * np.abs(self._w["dw.1.weight"])
        order = np.argsort(-importance, kind="stable")
        keep = np.sort(np.concatenate([np.tile(order, width // have), order[: width % have]]))
        counts = np.bincount(keep, minlength=have)
        return keep, (1.0 / counts[keep]).astype(np.float32)

    def _expansion(self, keep: Index, ins: Index, halve_input: bool) -> dict[str, Float32Array]:
        made: dict[str, Float32Array] = {}
        if self.block.expands:
            made["pw1.0.weight"] = self._w["pw1.0.weight"][keep][:, ins]
            for name in _NORM:
                made[f"pw1.1.{name}"] = self._w[f"pw1.1.{name}"][keep]
        else:
            # The base does not expand here: its expansion is the identity.
            selection = np.zeros((len(keep), len(ins), 1, 1), np.float32)
            places = np.searchsorted(ins, keep)
            inside = (places < len(ins)) & (ins[np.minimum(places, len(ins) - 1)] == keep)
            selection[np.flatnonzero(inside), places[inside]] = 1.0
            made["pw1.0.weight"] = selection
            for name, value in zip(_NORM, (1.0, 0.0, 0.0, 1.0), strict=True):
                made[f"pw1.1.{name}"] = np.full(len(keep), value, np.float32)
        if halve_input:
            made["pw1.0.weight"] = made["pw1.0.weight"] * np.float32(0.5)
        return made

    def _squeeze(self, new: BlockSpec, keep: Index) -> dict[str, Float32Array]:
        """Squeeze-and-excitation: the first of its channels, on the kept channels."""
        if new.squeeze_excite is None or self.block.squeeze_excite is None:
            return {}
        have, want = self.block.squeeze_excite.channels, new.squeeze_excite.channels
        rows = np.arange(want) % have
        share = (1.0 / np.bincount(rows, minlength=have)[rows]).astype(np.float32)
        counts = np.bincount(keep, minlength=self.block.expanded_channels)
        pooled = (1.0 / counts[keep]).astype(np.float32)
        made = {
            "se.reduce.0.weight": self._w["se.reduce.0.weight"][rows][:, keep] * pooled.reshape(1, -1, 1, 1),
            "se.reduce.0.bias": self._w["se.reduce.0.bias"][rows],
            "se.expand.weight": self._w["se.expand.weight"][keep][:, rows] * share.reshape(1, -1, 1, 1),
            "se.expand.bias": self._w["se.expand.bias"][keep],
        }
        if new.squeeze_excite.batch_norm:
            made |= {f"se.reduce.1.{name}": self._w[f"se.reduce.1.{name}"][rows] for name in _NORM}
        return made
