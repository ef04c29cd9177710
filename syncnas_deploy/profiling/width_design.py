"""Which widths to measure next: where the curves of both units are least certain.

A width pair measures every block at one width with full outputs, and at one with halved outputs. The first three are at
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

from syncnas_deploy.arrays import Float64Array, Int64Array
from syncnas_deploy.networks.config import ModelConfig, SyncOp
from syncnas_deploy.networks.resizing import allowed_widths, input_width, ratio_widths
from syncnas_deploy.networks.widths import BlockKey, Widths
from syncnas_deploy.prediction.curves import Certainty, Curve, CurveModel, CurveShape

RANGE = (0.15, 1.4)
"""Widths relative to the base's that are measured, and that a table answers for."""

SLACK = 1.02
DOMINATED_WEIGHT = 0.2
"""Weight of a width that a wider width beats in latency; all others weigh 1."""


@dataclass(frozen=True)
class WidthPair:
    """Widths that are measured together: of one branch with full outputs, and of one with halved outputs."""

    full: Widths
    halved: Widths

    def of(self, op: SyncOp) -> Widths:
        """The widths of the chain that ends its stages in `op`."""
        return self.halved if op is SyncOp.CONCAT else self.full

    def width(self, key: BlockKey) -> int:
        """Of one block."""
        return (self.halved if key.halved else self.full)[0, key.stage, key.block]


def curves_of(base: ModelConfig) -> tuple[Curve, ...]:
    """Each block of the base, with full and with halved outputs."""
    return tuple(
        Curve(s, i, halved, block.expanded_channels, block.output_size)
        for _, s, i, block in base.blocks()
        for halved in (False, True)
    )


def first_pairs(base: ModelConfig) -> tuple[WidthPair, ...]:
    """The base's own widths, and both ends of the range."""
    sets = (base.widths, *(ratio_widths(base, ratio) for ratio in RANGE))
    return tuple(WidthPair(widths, widths) for widths in sets)


def next_pair(base: ModelConfig, pairs: Sequence[WidthPair], models: Sequence[CurveModel] = ()) -> WidthPair:
    """The pair to measure after `pairs`.

    Args:
        base: a base model.
        pairs: measured already.
        models: of both units, as far as is known; without them all widths count alike.
    """
    curves = curves_of(base)
    known = [(i, width) for i, curve in enumerate(curves) for width in _measured(base, curve, pairs)]
    units = [Certainty(curves, known, model.shape) for model in models] or [Certainty(curves, known, CurveShape())]
    chosen: dict[BlockKey, int] = {}
    for i, curve in enumerate(curves):
        free = _free(base, curve, pairs)
        # A block too narrow to have another width is measured where it was before.
        width = pairs[0].width(curve.key)
        if len(free):
            weights = [worth(model, i, free) for model in models] or [np.ones(len(free))]
            gain = sum(unit.gains(i, free, weight) for unit, weight in zip(units, weights, strict=True))
            width = int(free[int(np.argmax(gain))])
            for unit in units:
                unit.add(i, width)
        chosen[curve.key] = width
    full, halved = (
        Widths.of(
            [[[chosen[BlockKey(s, i, is_halved)] for i in range(depth)] for s, depth in enumerate(base.widths.depths)]]
        )
        for is_halved in (False, True)
    )
    return WidthPair(full, halved)


def worth(model: CurveModel, curve: int, widths: Int64Array) -> Float64Array:
    """How much each width counts: 1 where no wider one is predicted to be faster, or as fast but for a little."""
    latencies_us, _ = model.predict(curve, widths)
    wider_us = np.minimum.accumulate(np.append(latencies_us[1:], np.inf)[::-1])[::-1]
    return np.where(latencies_us < SLACK * wider_us, 1.0, DOMINATED_WEIGHT)


def _measured(base: ModelConfig, curve: Curve, pairs: Sequence[WidthPair]) -> Iterator[int]:
    """The widths of a curve that are measured with their expansion, each once."""
    entering = input_width(base, curve.key)
    for width in dict.fromkeys(pair.width(curve.key) for pair in pairs):
        if width != entering:
            yield width


def _free(base: ModelConfig, curve: Curve, pairs: Sequence[WidthPair]) -> Int64Array:
    """Widths of a curve that are left to measure. [n]"""
    taken = [pair.width(curve.key) for pair in pairs]
    allowed = allowed_widths(base, curve.key, min(taken), max(taken))
    return np.asarray(allowed[~np.isin(allowed, taken)])
