"""Which widths to measure next: where the curves of both units are least certain.

A chain pair measures every block at one width with full outputs, and at one with halved outputs. The first three are at
the base's widths and at both ends of the range. In a further one each block gets the width that, once measured, leaves
the least variance on its curve, averaged over widths and summed over units (I-optimal design). The variance of a
Gaussian process does not depend on what will be measured, so blocks are chosen in turn, each given all before it.

Widths that a search would choose count most: those that no wider one is predicted to undercut. A search picks the
best of many predictions, and with it their errors; they should be small there.

Source: Chaloner & Verdinelli, "Bayesian experimental design: a review", Statistical Science 1995 (I-optimality);
Gramacy & Apley, "Local Gaussian process approximation for large computer experiments", JCGS 2015 (choice in turn).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from syncnas_deploy.networks.config import ModelConfig, SyncOp
from syncnas_deploy.networks.widths import WIDTH_STEP, ChainWidths, base_widths, input_width, ratio_widths
from syncnas_deploy.prediction.curves import Certainty, Curve, CurveModel, CurveShape, Floats, Widths

RANGE = (0.15, 1.4)
"""Widths relative to the base's that are measured, and that a table answers for."""

SLACK = 1.02
REST = 0.2
"""What a width counts that a wider one undercuts, against 1 for others."""


@dataclass(frozen=True)
class ChainPair:
    """Widths of the blocks that are measured together: with full outputs (`add`) and with halved ones (`concat`)."""

    add: ChainWidths
    concat: ChainWidths

    def of(self, op: SyncOp) -> ChainWidths:
        """The widths of the chain that ends its stages in `op`."""
        return self.concat if op is SyncOp.CONCAT else self.add


def curves_of(base: ModelConfig) -> tuple[Curve, ...]:
    """Each block of the base, with full and with halved outputs."""
    return tuple(
        Curve(s, i, halved, block.expanded_channels, block.output_size)
        for _, s, i, block in base.blocks()
        for halved in (False, True)
    )


def allowed_widths(base: ModelConfig, curve: Curve, low: int, high: int, branch: int = 0) -> Widths:
    """Multiples of 4 from `low` to `high` at which the block keeps its expansion, and each kernel has a channel."""
    widths = np.arange(-(-low // WIDTH_STEP) * WIDTH_STEP, high + 1, WIDTH_STEP, dtype=np.int64)
    kernels = base.stages[curve.stage].branches[0][curve.block].kernels
    entering = input_width(base, curve.stage, curve.block, curve.halved, branch)
    return np.asarray(widths[(widths != entering) & (widths >= len(kernels))])


def first_pairs(base: ModelConfig) -> tuple[ChainPair, ...]:
    """The base's own widths, and both ends of the range."""
    chains = (base_widths(base), *(ratio_widths(base, ratio) for ratio in RANGE))
    return tuple(ChainPair(widths, widths) for widths in chains)


def next_pair(base: ModelConfig, pairs: Sequence[ChainPair], models: Sequence[CurveModel] = ()) -> ChainPair:
    """The pair to measure after `pairs`.

    Args:
        base: a base model.
        pairs: measured already.
        models: of both units, as far as is known; without them all widths count alike.
    """
    curves = curves_of(base)
    known = [(i, width) for i, curve in enumerate(curves) for width in _measured(base, curve, pairs)]
    units = [Certainty(curves, known, model.shape) for model in models] or [Certainty(curves, known, CurveShape())]
    chosen: dict[tuple[int, int, bool], int] = {}
    for i, curve in enumerate(curves):
        free = _free(base, curve, pairs)
        # A block too narrow to have another width is measured where it was before.
        width = _width_in(pairs[0], curve)
        if len(free):
            weights = [worth(model, i, free) for model in models] or [np.ones(len(free))]
            gain = sum(unit.gains(i, free, weight) for unit, weight in zip(units, weights, strict=True))
            width = int(free[int(np.argmax(gain))])
            for unit in units:
                unit.add(i, width)
        chosen[curve.stage, curve.block, curve.halved] = width
    full, halved = (
        tuple(
            tuple(chosen[s, i, is_halved] for i in range(len(stage.branches[0]))) for s, stage in enumerate(base.stages)
        )
        for is_halved in (False, True)
    )
    return ChainPair(full, halved)


def worth(model: CurveModel, curve: int, widths: Widths) -> Floats:
    """How much each width counts: 1 where no wider one is predicted to be faster, or as fast but for a little."""
    us, _ = model.predict(curve, widths)
    wider_us = np.minimum.accumulate(np.append(us[1:], np.inf)[::-1])[::-1]
    return np.where(us < SLACK * wider_us, 1.0, REST)


def _width_in(pair: ChainPair, curve: Curve) -> int:
    return (pair.concat if curve.halved else pair.add)[curve.stage][curve.block]


def _measured(base: ModelConfig, curve: Curve, pairs: Sequence[ChainPair]) -> Iterator[int]:
    """The widths of a curve that are measured with their expansion, each once."""
    entering = input_width(base, curve.stage, curve.block, curve.halved)
    for width in dict.fromkeys(_width_in(pair, curve) for pair in pairs):
        if width != entering:
            yield width


def _free(base: ModelConfig, curve: Curve, pairs: Sequence[ChainPair]) -> Widths:
    """Widths of a curve that are left to measure."""
    taken = [_width_in(pair, curve) for pair in pairs]
    allowed = allowed_widths(base, curve, min(taken), max(taken))
    return np.asarray(allowed[~np.isin(allowed, taken)])
