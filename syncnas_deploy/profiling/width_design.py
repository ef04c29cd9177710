"""Which widths to measure next: those where the curves of both units are least certain.

A width pair measures every block at one width with full outputs, and at one width with halved outputs. The first three
pairs have the base's widths and both ends of the range. In each further pair a block gets the width whose measurement
leaves the least variance on its curve, averaged over widths and summed over units (I-optimal design). The variance of a
Gaussian process does not depend on the times that will be measured. So the blocks' widths are chosen one after another,
each given all before it.

Where nothing is known yet, widths count more at which rules of a GPU's work groups disagree: `prediction.dispatch`.
Widths that a search would choose count most: those that no wider width is predicted to beat. A search picks the best of
many predictions, and with them their errors. So the errors should be small there.

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
from syncnas_deploy.prediction.certainty import Certainty
from syncnas_deploy.prediction.curve_model import CurveModel
from syncnas_deploy.prediction.curves import Curve, CurveShape, curves_of
from syncnas_deploy.prediction.dispatch import disagreement, grids_of

RANGE = (0.15, 1.4)
"""Lowest and highest width, relative to the base's. These are measured, and a table answers for widths between them."""

SLACK = 1.02
"""A wider width beats a width whose latency is at least this many times its own."""
DOMINATED_WEIGHT = 0.2
"""Weight of a width that a wider width beats in latency; all others weigh 1."""


@dataclass(frozen=True)
class WidthPair:
    """Widths that are measured together: for each block one with full outputs, and one with halved outputs."""

    full: Widths
    halved: Widths

    def of(self, op: SyncOp) -> Widths:
        """The widths of the ADD chain or of the CONCAT chain."""
        return self.halved if op is SyncOp.CONCAT else self.full

    def width(self, key: BlockKey) -> int:
        """The width of one block, expanded channels."""
        return (self.halved if key.halved else self.full)[0, key.stage, key.block]


def first_pairs(base: ModelConfig) -> tuple[WidthPair, ...]:
    """The first three pairs: the base's own widths, and both ends of the range."""
    sets = (base.widths, *(ratio_widths(base, ratio) for ratio in RANGE))
    return tuple(WidthPair(widths, widths) for widths in sets)


def next_pair(base: ModelConfig, pairs: Sequence[WidthPair], models: Sequence[CurveModel] = ()) -> WidthPair:
    """The pair to measure after `pairs`.

    Args:
        base: a base model.
        pairs: the pairs that are measured already.
        models: curves of both units, where they are known; without them all widths count alike.
    """
    curves = curves_of(base)
    known = [(i, width) for i, curve in enumerate(curves) for width in _measured(base, curve, pairs)]
    units = [Certainty(curves, known, model.shape, model.grids) for model in models]
    units = units or [Certainty(curves, known, CurveShape())]
    frees = [_free(base, curve, pairs) for curve in curves]
    apart = None if models else _apart(base, frees)
    chosen: dict[BlockKey, int] = {}
    for i, curve in enumerate(curves):
        free = frees[i]
        # A block too narrow to have another width is measured where it was before.
        width = pairs[0].width(curve.key)
        if len(free):
            weights = [worth(model, i, free) for model in models] or [np.ones(len(free))]
            gain = sum(unit.gains(i, free, weight) for unit, weight in zip(units, weights, strict=True))
            if apart is not None:
                gain = gain * (1 + apart[i])
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


def _apart(base: ModelConfig, frees: Sequence[Int64Array]) -> list[Float64Array]:
    """How far rules of work groups are apart at each free width of each curve: before anything is known of a GPU."""
    counts = [len(free) for free in frees]
    grids = [grid for grid, count in zip(grids_of(base), counts, strict=True) for _ in range(count)]
    found = disagreement(grids, np.concatenate(frees))
    return [np.asarray(part) for part in np.split(found, np.cumsum(counts)[:-1])]


def worth(model: CurveModel, curve: int, widths: Int64Array) -> Float64Array:
    """How much each width counts: 1 where no wider width is predicted to be faster by 2 % (`SLACK`) or more.

    Args:
        model: curves of one unit.
        curve: index of a curve.
        widths: expanded channels, ascending, [n].

    Returns:
        Weights, [n].
    """
    latencies_us, _ = model.predict(curve, widths)
    wider_us = np.minimum.accumulate(np.append(latencies_us[1:], np.inf)[::-1])[::-1]
    return np.where(latencies_us < SLACK * wider_us, 1.0, DOMINATED_WEIGHT)


def _measured(base: ModelConfig, curve: Curve, pairs: Sequence[WidthPair]) -> Iterator[int]:
    """The widths at which a curve is measured already, each once. Widths without an expansion are left out."""
    entering = input_width(base, curve.key)
    for width in dict.fromkeys(pair.width(curve.key) for pair in pairs):
        if width != entering:
            yield width


def _free(base: ModelConfig, curve: Curve, pairs: Sequence[WidthPair]) -> Int64Array:
    """Widths of a curve that can still be measured, ascending, [n]."""
    taken = [pair.width(curve.key) for pair in pairs]
    allowed = allowed_widths(base, curve.key, min(taken), max(taken))
    return np.asarray(allowed[~np.isin(allowed, taken)])
