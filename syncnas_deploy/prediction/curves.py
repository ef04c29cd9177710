"""Curves of latency over expanded width as data: which blocks have one, and what the curves of a unit have in common.

How they are fitted is in `curve_model`, what the numbers of a shape mean in `covariance`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from syncnas_bench.work_groups import WorkGroupRule
from syncnas_deploy.arrays import Float64Array
from syncnas_deploy.networks.config import MAX_BLOCKS, MAX_CHANNELS, MAX_SIZE, MAX_STAGES, ModelConfig
from syncnas_deploy.networks.widths import BlockKey

STEP_PERIODS = (8, 16, 32, 64, 128)
"""Sizes of a kernel's tile, in channels."""
ALIGNMENT_PERIODS = (16, 32)
"""Numbers of channels after which rows of features are aligned alike."""


_Amplitude = Annotated[float, Meta(ge=0, le=100)]
_Steps = Annotated[tuple[_Amplitude, ...], Meta(min_length=len(STEP_PERIODS), max_length=len(STEP_PERIODS))]
_Alignment = Annotated[
    tuple[_Amplitude, ...], Meta(min_length=len(ALIGNMENT_PERIODS), max_length=len(ALIGNMENT_PERIODS))
]


class Curve(Struct, frozen=True, forbid_unknown_fields=True):
    """A block of the base whose width varies.

    Attributes:
        halved: whether its stage gives half of its output channels (CONCAT).
        base_width: the base model's expanded channels.
        output_size: height and width of its output, pixels.
    """

    stage: Annotated[int, Meta(ge=0, le=MAX_STAGES)]
    block: Annotated[int, Meta(ge=0, le=MAX_BLOCKS)]
    halved: bool
    base_width: Annotated[int, Meta(ge=1, le=MAX_CHANNELS)]
    output_size: Annotated[int, Meta(ge=1, le=MAX_SIZE)]

    @property
    def key(self) -> BlockKey:
        """The block, and whether its outputs are halved."""
        return BlockKey(self.stage, self.block, self.halved)


def curves_of(base: ModelConfig) -> tuple[Curve, ...]:
    """The curves of a base: each block with full and with halved outputs."""
    return tuple(
        Curve(s, i, halved, block.expanded_channels, block.output_size)
        for _, s, i, block in base.blocks()
        for halved in (False, True)
    )


class CurveShape(Struct, frozen=True, forbid_unknown_fields=True):
    """What a unit's curves have in common. Amplitudes are relative to a block's time at the base width.

    Attributes:
        smooth: amplitude of slow bends of a curve, which come from caches, say.
        length: distance of these bends, in ln(width).
        steps: one amplitude for each of STEP_PERIODS; 1: an unused channel of a tile costs as much as a used one.
        alignment: one amplitude for each of ALIGNMENT_PERIODS.
        kinship: distance at which blocks stop being alike, in log2(output size).
        noise: standard deviation of a measured time, relative to it.
        rule: how the unit selects work groups; None where no rule explains its times.
        waste: with a rule, how far its kernels are from taking as long as what is dispatched says: amplitudes of the
            expansion and of the depthwise kernel.
    """

    smooth: _Amplitude = 0.06
    length: Annotated[float, Meta(ge=1e-3, le=100)] = 0.4
    steps: _Steps = (0.1, 0.25, 0.25, 0.05, 0.05)
    alignment: _Alignment = (0.02, 0.03)
    kinship: Annotated[float, Meta(ge=1e-3, le=1000)] = 4.0
    noise: Annotated[float, Meta(ge=1e-6, le=1)] = 0.01
    rule: WorkGroupRule | None = None
    waste: tuple[_Amplitude, _Amplitude] = (0.3, 0.3)

    def numbers(self) -> Float64Array:
        """The shape as one array, in the order of the fields, [numbers]; `waste` is there with a rule alone."""
        numbers = [self.smooth, self.length, *self.steps, *self.alignment, self.kinship, self.noise]
        return np.array([*numbers, *self.waste] if self.rule is not None else numbers)

    @classmethod
    def of(cls, numbers: Sequence[float], rule: WorkGroupRule | None = None) -> CurveShape:
        """The shape from an array that `numbers` made, [numbers]."""
        steps, aligned = len(STEP_PERIODS), len(ALIGNMENT_PERIODS)
        values = [float(value) for value in numbers]
        return cls(
            smooth=values[0],
            length=values[1],
            steps=tuple(values[2 : 2 + steps]),
            alignment=tuple(values[2 + steps : 2 + steps + aligned]),
            kinship=values[2 + steps + aligned],
            noise=values[3 + steps + aligned],
            rule=rule,
            **({} if rule is None else {"waste": (values[-2], values[-1])}),
        )
