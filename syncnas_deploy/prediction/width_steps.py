"""Which widths the solver may choose on a unit: coarser steps where a curve says little about a width's neighbours."""

from __future__ import annotations

import statistics
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from syncnas_deploy.networks.widths import WIDTH_STEP
from syncnas_deploy.prediction.rows import LearningRow, PointRow

COARSE_STEP = 32
"""Channels. A multiple of 32 is 8 slices of 4, which work groups and tiles of all known units divide."""
ERRATIC = 0.03
"""Relative error of unseen blocks, in the median, from which a unit's widths are taken in coarse steps.

Where launches disagree by more, the error may be noise, of which coarse steps are no cure.
"""
FEWEST = 4
"""A block keeps at least so many widths; where a step leaves fewer, it is halved."""


def width_step(learning: Iterable[LearningRow], points: Iterable[PointRow], unit: int) -> int:
    """The step of a unit, by how well its curves predicted blocks before these were measured. Channels."""
    rows = sorted((row for row in learning if row.unit == unit), key=lambda row: row.points)
    noise = [row.sample.disagreement for row in points if row.unit == unit and row.point.part == "block"]
    limit = max(ERRATIC, statistics.median(noise) if noise else 0.0)
    return COARSE_STEP if rows and rows[-1].point_error > limit else WIDTH_STEP


def on_step(widths: NDArray[np.int64], step: int) -> NDArray[np.bool_]:
    """Which widths are multiples of a step, or of half of it where too few are. [n] to [n]"""
    while step > WIDTH_STEP and np.count_nonzero(widths % step == 0) < FEWEST:
        step //= 2
    return np.asarray((widths % step == 0) | (step <= WIDTH_STEP))
