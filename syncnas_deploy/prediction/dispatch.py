"""What a GPU dispatches over what a block needs, as a feature of its latency over width.

Which rule selects a GPU's work groups, how many threads run in step and how many compute units there are is not told by
a device. So rules are tried on what was measured, and the times decide (see `syncnas_bench.work_groups`). Under a wrong
rule the times are less likely than under none, and then none is taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from syncnas_bench.work_groups import WorkGroupRule
from syncnas_deploy.arrays import Float64Array, Int64Array
from syncnas_deploy.networks.config import ModelConfig, SyncOp, stage_outputs

CANDIDATES = (
    *(WorkGroupRule("adreno", wave, units) for wave in (32, 64, 128) for units in (1, 2, 3, 4, 5, 6, 8, 12)),
    *(WorkGroupRule("mali", wave, units) for wave in (4, 8, 16) for units in (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 20)),
)
"""Rules that are tried: phones of 2017 to 2026."""
FEATURES = 2
"""Kernels of a block whose grid grows with its width: the expansion and the depthwise one."""
_TRIED_WELL = 10
"""Rules whose likelihood is worked out in full."""


@dataclass(frozen=True)
class BlockGrid:
    """The kernels of a block whose grid grows with its expanded width.

    Attributes:
        base_width: the base's expanded channels.
        input_size, output_size: height and width of the expansion's and of the depthwise kernel's output, pixels.
        expansion, depthwise: their shares of the block's multiply-accumulates at the base's width. A kernel that shares
            its channels with others counts as none.
    """

    base_width: int
    input_size: int
    output_size: int
    expansion: float
    depthwise: float


@dataclass(frozen=True)
class GridTable:
    """The grids of places on curves, so that a rule is worked out for all of them at once. Each array is [n]."""

    base_width: Int64Array
    input_size: Int64Array
    output_size: Int64Array
    shares: Float64Array
    """[n, FEATURES]"""

    @classmethod
    def of(cls, grids: Sequence[BlockGrid]) -> GridTable:
        """One row for each grid."""
        numbers = [(grid.base_width, grid.input_size, grid.output_size) for grid in grids]
        base_width, input_size, output_size = np.array(numbers, dtype=np.int64).reshape(-1, 3).T
        shares = np.array([(grid.expansion, grid.depthwise) for grid in grids]).reshape(-1, FEATURES)
        return cls(base_width, input_size, output_size, shares)

    def waste(self, rule: WorkGroupRule, width: Int64Array) -> tuple[Float64Array, Float64Array]:
        """What is computed for nothing, relative to all that a block dispatches at the base's width.

        Args:
            rule: by which work groups are selected.
            width: expanded channels, [n].

        Returns:
            By kernel, [n, FEATURES], and what the block needs at the base's width, relative to the same, [n].
        """
        there, base = (self._surplus(rule, channels) for channels in (width, self.base_width))
        whole = 1 + base.sum(axis=1)
        return np.asarray(there * (width / self.base_width / whole)[:, None]), np.asarray(1 / whole)

    def _surplus(self, rule: WorkGroupRule, width: Int64Array) -> Float64Array:
        wastes = rule.waste("conv", self.input_size, width), rule.waste("depthwise", self.output_size, width)
        return np.asarray(self.shares * (np.stack(wastes, axis=1) - 1))


def grids_of(base: ModelConfig) -> tuple[BlockGrid, ...]:
    """The grid of each curve of a base, in the order of `curves_of`."""
    grids = []
    for _, _, i, block in base.blocks():
        for op in (SyncOp.ADD, SyncOp.CONCAT):
            out = stage_outputs(block.out_channels, op)[0]
            entering = stage_outputs(block.in_channels, op)[0] if i else block.in_channels
            sized = block.resized(expanded=block.expanded_channels, in_channels=entering, out_channels=out)
            alone = len(block.kernels) == 1
            expansion = sized.input_size**2 * entering * sized.expanded_channels * (block.expand_groups == 1)
            depthwise = sized.output_size**2 * block.kernels[0] ** 2 * sized.expanded_channels * alone
            macs = sized.macs()
            grids.append(
                BlockGrid(
                    block.expanded_channels,
                    sized.input_size,
                    sized.output_size,
                    expansion / macs if block.expands else 0.0,
                    depthwise / macs,
                )
            )
    return tuple(grids)


def disagreement(grids: Sequence[BlockGrid], widths: Int64Array) -> Float64Array:
    """How far the rules that are tried are apart: standard deviation of what is dispatched over what is needed.

    Args:
        grids: of each place, [n].
        widths: expanded channels there, [n].

    Returns:
        By place, [n].
    """
    if not CANDIDATES or not grids:
        return np.zeros(len(widths))
    table = GridTable.of(grids)
    wastes = [table.waste(rule, widths)[0].sum(axis=1) for rule in CANDIDATES]
    return np.asarray(np.std(wastes, axis=0) * table.base_width / widths)


def likelier_rules(
    wastes: Mapping[WorkGroupRule, Float64Array], factor: Float64Array, residuals: Float64Array
) -> Sequence[WorkGroupRule]:
    """The rules that explain best what no rule explains, the best first; those that explain nothing are left out.

    Args:
        wastes: by rule, [n, FEATURES]; how much each costs is unknown, with a standard deviation of 1.
        factor: Cholesky factor of the covariance of the times without a rule, [n, n].
        residuals: measured times less their mean, [n].
    """
    if not wastes:
        return ()
    whitened = np.linalg.solve(factor, np.column_stack([*wastes.values(), residuals]))
    gains = []
    for i in range(len(wastes)):
        own = whitened[:, FEATURES * i : FEATURES * (i + 1)]
        gram, told = np.eye(FEATURES) + own.T @ own, own.T @ whitened[:, -1]
        gains.append(0.5 * float(told @ np.linalg.solve(gram, told) - np.linalg.slogdet(gram)[1]))
    order = [int(i) for i in np.argsort(gains)[::-1][:_TRIED_WELL]]
    return [list(wastes)[i] for i in order if gains[i] > np.log(len(wastes))]
