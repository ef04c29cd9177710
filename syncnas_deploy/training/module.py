"""ModelConfig as a torch module whose state dict carries the published names. Features are [N, C, H, W]."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from syncnas_deploy.arrays import Float32Array
from syncnas_deploy.networks.config import BlockSpec, ModelConfig, SqueezeExcite, StageSpec, SyncOp
from syncnas_deploy.networks.weights import Weights

_ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "relu6": nn.ReLU6,
    "hswish": nn.Hardswish,
    "silu": nn.SiLU,
}
_GATES: dict[str, type[nn.Module]] = {"sigmoid": nn.Sigmoid, "hsigmoid": nn.Hardsigmoid}


class _Normal:
    """How batch norms are made throughout one model."""

    def __init__(self, config: ModelConfig) -> None:
        self._momentum, self._epsilon = config.bn_momentum, config.bn_epsilon

    def __call__(self, channels: int) -> nn.BatchNorm2d:
        return nn.BatchNorm2d(channels, eps=self._epsilon, momentum=self._momentum)


def _conv(
    norm: _Normal, shape: tuple[int, int, int], activation: str | None, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    in_channels, out_channels, kernel = shape
    conv = nn.Conv2d(in_channels, out_channels, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    layers: list[nn.Module] = [conv, norm(out_channels)]
    if activation is not None:
        layers.append(_ACTIVATIONS[activation](inplace=True))
    return nn.Sequential(*layers)


class MixedDepthwise(nn.ModuleList):
    """Depthwise convolutions of several kernels that share the channels. Source: MixConv, Tan and Le, BMVC 2019."""

    def __init__(self, block: BlockSpec) -> None:
        self.shares = block.kernel_channels
        super().__init__(
            nn.Conv2d(c, c, k, block.stride, padding=k // 2, groups=c, bias=False)
            for k, c in zip(block.kernels, block.kernel_channels, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C, H / stride, W / stride]."""
        parts = torch.split(x, list(self.shares), dim=1)
        return torch.cat([conv(part) for conv, part in zip(self, parts, strict=True)], dim=1)


class SqueezeExciteLayer(nn.Module):
    """Channel gates from the pooled features."""

    def __init__(self, channels: int, spec: SqueezeExcite, norm: _Normal) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, spec.channels, 1)]
        if spec.batch_norm:
            layers.append(norm(spec.channels))
        self.reduce = nn.Sequential(*layers, _ACTIVATIONS[spec.activation](inplace=True))
        self.expand = nn.Conv2d(spec.channels, channels, 1)
        self.gate = _GATES[spec.gate]()

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> the same shape."""
        pooled = x.mean((2, 3), keepdim=True)
        return cast(Tensor, x * self.gate(self.expand(self.reduce(pooled))))


class MBConv(nn.Module):
    """One inverted residual block."""

    def __init__(self, block: BlockSpec, norm: _Normal) -> None:
        super().__init__()
        self.spec = block
        wide = block.expanded_channels
        if block.expands:
            shape = (block.in_channels, wide, 1)
            self.pw1 = _conv(norm, shape, block.activation, groups=block.expand_groups)
        if len(block.kernels) == 1:
            kernel = block.kernels[0]
            depthwise: nn.Module = nn.Conv2d(
                wide, wide, kernel, block.stride, padding=kernel // 2, groups=wide, bias=False
            )
        else:
            depthwise = MixedDepthwise(block)
        self.dw = nn.Sequential(depthwise, norm(wide))
        self.act = _ACTIVATIONS[block.depthwise_activation or block.activation](inplace=True)
        if block.squeeze_excite is not None:
            self.se = SqueezeExciteLayer(wide, block.squeeze_excite, norm)
        self.pw2 = _conv(norm, (wide, block.out_channels, 1), None, groups=block.project_groups)

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', H / stride, W / stride]."""
        spec, se = self.spec, self.spec.squeeze_excite
        y = self.dw(self.pw1(x) if spec.expands else x)
        if se is None:
            y = self.act(y)
        elif se.before_activation:
            y = self.act(self.se(y))
        else:
            y = self.se(self.act(y))
        y = self.pw2(y)
        if not spec.adds_input:
            return cast(Tensor, y)
        if spec.in_channels == spec.out_channels:
            return cast(Tensor, y + x)
        return torch.cat([y[:, : spec.in_channels] + x, y[:, spec.in_channels :]], dim=1)


class BranchedStage(nn.Module):
    """Both branches of one stage and the sync after it."""

    def __init__(self, stage: StageSpec, op: SyncOp, norm: _Normal) -> None:
        super().__init__()
        self.branch1, self.branch2 = (
            nn.Sequential(*(MBConv(block, norm) for block in blocks)) for blocks in stage.branches
        )
        self.op = op

    def forward(self, features: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Each branch's features [N, C, H, W] in, each branch's features out (the same ones after a sync)."""
        features0, features1 = self.branch1(features[0]), self.branch2(features[1])
        if self.op is SyncOp.NONE:
            return features0, features1
        joined = features0 + features1 if self.op is SyncOp.ADD else torch.cat([features0, features1], dim=1)
        return joined, joined


class BaseStage(nn.Module):
    """One stage of a base model."""

    def __init__(self, stage: StageSpec, norm: _Normal) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(MBConv(block, norm) for block in stage.branches[0]))

    def forward(self, x: Tensor) -> Tensor:
        """[N, C, H, W] -> [N, C', H', W']."""
        return cast(Tensor, self.blocks(x))


class SyncNet(nn.Module):
    """A whole network of one or two branches.

    Args:
        config: the network.
        dropout: probability before the classifier, in training only.
    """

    def __init__(self, config: ModelConfig, dropout: float = 0.2) -> None:
        super().__init__()
        norm = _Normal(config)
        self.config = config
        stem, head = config.stem, config.head
        shape = (stem.in_channels, stem.out_channels, stem.kernel)
        self.stem_conv = _conv(norm, shape, stem.activation, stride=stem.stride)
        if config.branch_count == 1:
            self.stages = nn.Sequential(*(BaseStage(stage, norm) for stage in config.stages))
        else:
            for s, (stage, op) in enumerate(zip(config.stages, config.sync_ops, strict=True)):
                self.add_module(f"stage{s + 1}", BranchedStage(stage, op, norm))
        self.head_conv = _conv(norm, (head.in_channels, head.out_channels, 1), head.activation)
        width = head.out_channels
        if head.post_pool_channels:
            self.post_pool = nn.Linear(width, head.post_pool_channels)
            self.post_pool_act = _ACTIVATIONS[head.activation](inplace=True)
            width = head.post_pool_channels
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, config.classes))

    def features(self, x: Tensor) -> Tensor:
        """Images [N, 3, H, W] -> what enters the global pool, [N, C, H / 32, W / 32]."""
        x = self.stem_conv(x)
        if self.config.branch_count == 1:
            x = self.stages(x)
        else:
            both = (x, x)
            for s in range(len(self.config.stages)):
                both = self.get_submodule(f"stage{s + 1}")(both)
            x = both[0]
        return cast(Tensor, self.head_conv(x))

    def forward(self, x: Tensor) -> Tensor:
        """Images [N, 3, H, W] -> logits [N, classes]."""
        x = self.features(x).mean((2, 3))
        if self.config.head.post_pool_channels:
            x = self.post_pool_act(self.post_pool(x))
        return cast(Tensor, self.classifier(x))


def build(config: ModelConfig, weights: Weights | None = None) -> SyncNet:
    """The torch module of a config, in eval mode, with the given weights or torch's own initial ones."""
    model = SyncNet(config).eval()
    if weights is not None:
        state: dict[str, Any] = {name: torch.from_numpy(np.array(value)) for name, value in weights.items()}
        state |= {name: value for name, value in model.state_dict().items() if name.endswith("num_batches_tracked")}
        model.load_state_dict(state)
    return model


def state_arrays(model: nn.Module) -> dict[str, Float32Array]:
    """The module's weights as named NumPy arrays (counters left out)."""
    return {
        name: value.detach().cpu().numpy()
        for name, value in model.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
