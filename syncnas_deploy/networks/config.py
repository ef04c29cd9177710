"""ModelConfig: one network, of one or two branches, as data.

A base model has one branch. A branched model has two, which exchange features after some stages. Its strategy says
after which stages and how: one letter per stage, n (none), a (add) or c (concat). The last letter is never n.
Tensor shapes here are spatial size (input_size, pixels, square) and channels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cached_property

from syncnas_deploy.errors import ConfigError, StrategyError
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.widths import Widths
from syncnas_deploy.shown import Drawn, brief

MAX_CHANNELS = 16_384
MAX_SIZE = 4_096
MAX_STAGES = 16
MAX_BLOCKS = 64
MAX_NAME = 128
ACTIVATIONS = ("relu", "relu6", "hswish", "silu")
GATES = ("sigmoid", "hsigmoid")


class SyncOp(str, Enum):
    """What happens to both branches' features after a stage. Source: SyncNAS, LCTES 2023."""

    NONE = "n"
    ADD = "a"
    CONCAT = "c"


@dataclass(frozen=True)
class SqueezeExcite:
    """Squeeze-and-excitation after the depthwise convolution: pool, reduce, activation, expand, gate, multiply.

    Source: Hu et al., CVPR 2018.
    """

    channels: int
    activation: str = "relu"
    gate: str = "sigmoid"
    batch_norm: bool = False
    before_activation: bool = False


@dataclass(frozen=True)
class BlockSpec:
    """One MBConv block: pointwise expansion, depthwise convolution(s), pointwise projection.

    Several kernels share the expanded channels among them (mixed depthwise convolution).
    The expansion is left out where the expanded width equals the input, unless `always_expand`.
    `residual` None means: where shapes allow it. `partial_residual` adds the input to the first channels only.
    """

    kernels: tuple[int, ...]
    stride: int
    in_channels: int
    expanded_channels: int
    out_channels: int
    input_size: int
    activation: str
    depthwise_activation: str | None = None
    squeeze_excite: SqueezeExcite | None = None
    always_expand: bool = False
    expand_groups: int = 1
    project_groups: int = 1
    residual: bool | None = None
    partial_residual: bool = False

    @property
    def expands(self) -> bool:
        """Whether the block begins with a pointwise expansion."""
        return self.always_expand or self.expanded_channels != self.in_channels

    @property
    def adds_input(self) -> bool:
        """Whether the block's input is added to its output."""
        if self.residual is False or self.stride != 1:
            return False
        if self.partial_residual:
            return self.in_channels <= self.out_channels
        return self.in_channels == self.out_channels

    @property
    def output_size(self) -> int:
        """Height and width of the output, pixels (symmetric padding of kernel // 2)."""
        return (self.input_size - 1) // self.stride + 1

    @property
    def kernel_channels(self) -> tuple[int, ...]:
        """How the expanded channels are shared among the kernels; the first takes the remainder."""
        share = self.expanded_channels // len(self.kernels)
        return (self.expanded_channels - share * (len(self.kernels) - 1),) + (share,) * (len(self.kernels) - 1)

    def macs(self) -> int:
        """Multiply-accumulates of all convolutions, one image."""
        here, there = self.input_size**2, self.output_size**2
        count = 0
        if self.expands:
            count += here * self.in_channels * self.expanded_channels // self.expand_groups
        count += there * sum(k * k * c for k, c in zip(self.kernels, self.kernel_channels, strict=True))
        if self.squeeze_excite is not None:
            count += 2 * self.expanded_channels * self.squeeze_excite.channels
        return count + there * self.expanded_channels * self.out_channels // self.project_groups

    def resized(self, *, expanded: int, in_channels: int, out_channels: int) -> BlockSpec:
        """The same block with other widths; the squeeze keeps its ratio to the expanded width."""
        se = self.squeeze_excite
        if se is not None and expanded != self.expanded_channels:
            se = dataclasses.replace(se, channels=max(1, round(se.channels * expanded / self.expanded_channels)))
        return dataclasses.replace(
            self,
            expanded_channels=expanded,
            in_channels=in_channels,
            out_channels=out_channels,
            squeeze_excite=se,
        )


@dataclass(frozen=True)
class StageSpec:
    """One stage: the blocks of each branch (one tuple of blocks in a base model, two in a branched one)."""

    branches: tuple[tuple[BlockSpec, ...], ...]


@dataclass(frozen=True)
class StemSpec:
    """The first convolution: 3x3, stride 2, batch norm, activation."""

    out_channels: int
    activation: str
    in_channels: int = 3
    kernel: int = 3
    stride: int = 2


@dataclass(frozen=True)
class HeadSpec:
    """The last 1x1 convolution, global average pooling, an optional layer after the pool, and the classifier."""

    in_channels: int
    out_channels: int
    activation: str
    post_pool_channels: int | None = None


@dataclass(frozen=True, repr=False)
class ModelConfig(Drawn):
    """A whole network; see the module's text. Frozen, checked on construction.

    `placement` says where stem and head run. `base` names the base model that a branched model came from.

    Raises:
        ConfigError: channels, sizes or strategy do not fit each other.
    """

    name: str
    stem: StemSpec
    stages: tuple[StageSpec, ...]
    head: HeadSpec
    strategy: str | None = None
    base: str | None = None
    placement: Placement = Placement()
    input_size: int = 224
    classes: int = 1000
    bn_momentum: float = 0.1
    bn_epsilon: float = 1e-5
    source: str = ""

    def __post_init__(self) -> None:
        problem = _first_problem(self)
        if problem:
            raise ConfigError(f"{self.name}: {problem}.")

    def __repr__(self) -> str:
        branches = "one branch" if self.branch_count == 1 else f"two branches {self.strategy}"
        image = f"{self.input_size} pixels, {self.classes} classes"
        return brief("ModelConfig", self.name, branches, f"{self.macs() / 1e6:.1f} M MACs", image)

    @property
    def branch_count(self) -> int:
        """1 for a base model, 2 for a branched one."""
        return len(self.stages[0].branches)

    @property
    def trunk(self) -> int:
        """The branch that runs stem and head."""
        return self.placement.trunk

    @property
    def twin_stem(self) -> bool:
        """Whether both branches compute the stem."""
        return self.placement.twin_stem

    @property
    def widths(self) -> Widths:
        """Expanded channels of every block."""
        return Widths(
            tuple(
                tuple(tuple(block.expanded_channels for block in stage.branches[branch]) for stage in self.stages)
                for branch in range(self.branch_count)
            )
        )

    @property
    def stem_size(self) -> int:
        """Height and width of the stem's output, pixels."""
        return (self.input_size - 1) // self.stem.stride + 1

    @property
    def sync_ops(self) -> tuple[SyncOp, ...]:
        """The sync after each stage; all NONE in a base model."""
        return tuple(SyncOp(letter) for letter in self.strategy or "n" * len(self.stages))

    def blocks(self) -> Iterator[tuple[int, int, int, BlockSpec]]:
        """Every block as (branch, stage, index in the stage, block)."""
        for branch in range(self.branch_count):
            for s, stage in enumerate(self.stages):
                for i, block in enumerate(stage.branches[branch]):
                    yield branch, s, i, block

    def stem_macs(self) -> int:
        """Multiply-accumulates of the stem, one image."""
        return self.stem_size**2 * self.stem.kernel**2 * self.stem.in_channels * self.stem.out_channels

    def head_macs(self) -> int:
        """Multiply-accumulates of head convolution, post-pool layer and classifier, one image."""
        size = self.stages[-1].branches[0][-1].output_size
        count = size**2 * self.head.in_channels * self.head.out_channels
        width = self.head.out_channels
        if self.head.post_pool_channels:
            count += width * self.head.post_pool_channels
            width = self.head.post_pool_channels
        return count + width * self.classes

    @cached_property
    def _macs(self) -> int:
        stems = 2 if self.twin_stem else 1
        return stems * self.stem_macs() + self.head_macs() + sum(block.macs() for *_, block in self.blocks())

    def macs(self) -> int:
        """Multiply-accumulates of the whole network, one image, both branches."""
        return self._macs


def _first_problem(config: ModelConfig) -> str | None:
    """The first thing that does not fit, as a sentence, or None."""
    branch_counts = {len(stage.branches) for stage in config.stages}
    if branch_counts not in ({1}, {2}):
        return "every stage must have one branch, or every stage two"
    branched = branch_counts == {2}
    if branched != (config.strategy is not None):
        return "a model of two branches needs a strategy" if branched else "a strategy needs two branches a stage"
    if config.strategy is not None:
        try:
            check_strategy(config.strategy, len(config.stages))
        except StrategyError as e:
            return str(e).rstrip(".")
    if config.trunk not in range(max(branch_counts)):
        return f"trunk must be 0{' or 1' if branched else ''}, found {config.trunk}"
    if config.twin_stem and not branched:
        return "twin_stem needs two branches"
    widths = [config.stem.out_channels] * config.branch_count
    size = config.stem_size
    for s, (stage, op) in enumerate(zip(config.stages, config.sync_ops, strict=True)):
        outs, sizes = [], []
        for b, blocks in enumerate(stage.branches):
            width, at = widths[b], size
            for i, block in enumerate(blocks):
                problem = _block_problem(block, width, at)
                if problem:
                    return f"stages[{s}] branch {b} block {i}: {problem}"
                width, at = block.out_channels, block.output_size
            outs.append(width)
            sizes.append(at)
        if len(set(sizes)) > 1:
            return f"stages[{s}]: the branches' outputs differ in size ({sizes[0]} and {sizes[1]} pixels)"
        size = sizes[0]
        if op is SyncOp.ADD and len(set(outs)) > 1:
            return f"stages[{s}]: add needs equal output channels, found {outs[0]} and {outs[1]}"
        if op is not SyncOp.NONE:
            widths = [outs[0] if op is SyncOp.ADD else sum(outs)] * config.branch_count
        else:
            widths = outs
    if config.head.in_channels != widths[0]:
        return f"head: in_channels is {config.head.in_channels}, the last stage gives {widths[0]}"
    return None


def _block_problem(block: BlockSpec, width: int, size: int) -> str | None:
    if block.in_channels != width:
        return f"in_channels is {block.in_channels}, what comes before gives {width}"
    if block.input_size != size:
        return f"input_size is {block.input_size}, what comes before gives {size}"
    if block.expanded_channels < len(block.kernels):
        return f"expanded_channels ({block.expanded_channels}) is less than one a kernel"
    for what, groups, channels in (
        ("expand_groups", block.expand_groups, (block.in_channels, block.expanded_channels)),
        ("project_groups", block.project_groups, (block.expanded_channels, block.out_channels)),
    ):
        if any(c % groups for c in channels):
            return f"{what} ({groups}) does not divide {channels[0]} and {channels[1]} channels"
    return None


def check_strategy(text: str, stages: int) -> str:
    """Return `text` when it is a strategy for that many stages.

    Raises:
        StrategyError: wrong length, an unknown letter, or no sync after the last stage.
    """
    if len(text) != stages:
        raise StrategyError(f"Strategy {text[:40]!r} has {len(text)} letters; this base has {stages} stages.")
    wrong = sorted(set(text) - {op.value for op in SyncOp})
    if wrong:
        raise StrategyError(f"Strategy {text!r} contains {wrong[0]!r}; use n (none), a (add) and c (concat).")
    if text[-1] == SyncOp.NONE.value:
        raise StrategyError(f"Strategy {text!r} ends in n; the last stage must be synced by a or c.")
    return text


def stage_outputs(out_channels: int, op: SyncOp) -> tuple[int, int]:
    """Output channels of both branches of a stage: CONCAT shares them, branch 0 taking an odd one.

    Raises:
        ConfigError: there is one channel, which cannot be shared.
    """
    if op is SyncOp.CONCAT:
        if out_channels < 2:
            raise ConfigError(
                "A block with one output channel has none to share for CONCAT; give all blocks 2 or more."
            )
        return out_channels - out_channels // 2, out_channels // 2
    return out_channels, out_channels


def name_after(base: str, ending: str) -> str:
    """The name of what is made of a network, such as "mobilenet_v2_x1.68": never longer than a name may be."""
    return f"{base[: MAX_NAME - len(ending) - 1]}_{ending}"


def branched(
    base: ModelConfig,
    strategy: str,
    widths: Widths | None = None,
    *,
    name: str | None = None,
    placement: Placement = Placement(),
) -> ModelConfig:
    """Two branches of a base model that synchronize by `strategy`.

    Args:
        base: a model of one branch.
        strategy: one letter per stage.
        widths: of both branches; the base's own where None.
        name: of the new model; base and strategy where None.
        placement: where stem and head run.

    Raises:
        StrategyError: not a strategy for this base.
        ConfigError: widths that do not fit.
    """
    if base.branch_count != 1:
        raise ConfigError(f"{base.name}: has two branches already; branch a base model.")
    check_strategy(strategy, len(base.stages))
    stages = []
    feed = base.stem.out_channels
    for s, (stage, letter) in enumerate(zip(base.stages, strategy, strict=True)):
        op = SyncOp(letter)
        branches = []
        for b in (0, 1):
            width, blocks = feed, []
            for i, block in enumerate(stage.branches[0]):
                out = stage_outputs(block.out_channels, op)[b]
                wide = block.expanded_channels if widths is None else widths[b, s, i]
                blocks.append(block.resized(expanded=wide, in_channels=width, out_channels=out))
                width = out
            branches.append(tuple(blocks))
        stages.append(StageSpec(tuple(branches)))
        feed = stage.branches[0][-1].out_channels
    return dataclasses.replace(
        base,
        name=name or name_after(base.name, strategy),
        stages=tuple(stages),
        strategy=strategy,
        base=base.name,
        placement=placement,
        source="",
    )
