"""The published rule that selects work groups, worked out by hand for a few grids."""

from __future__ import annotations

import numpy as np
import pytest

from syncnas_bench.work_groups import Kind, WorkGroupRule

ADRENO = WorkGroupRule("adreno", 64, 2)
MALI = WorkGroupRule("mali", 16, 10)

BY_HAND: list[tuple[WorkGroupRule, Kind, int, int, float]] = [
    # 176 slices, blocks of 2 x 2 x 2: a grid of 4 x 4 x 88, groups of 4 x 1 x 44 in 3 waves, 8 of them.
    (ADRENO, "conv", 7, 704, 8 * 3 * 64 * 8 / (49 * 176)),
    # 177 slices make a depth of 89, a prime: groups of 4 x 2 x 1 in one wave each, 178 of them.
    (ADRENO, "conv", 7, 708, 178 * 64 * 8 / (49 * 177)),
    # 8 slices are little work (3 waves a unit): blocks of one; groups of 7 x 4 x 8, two of them, 4 waves each.
    (ADRENO, "conv", 7, 32, 2 * 4 * 64 / (49 * 8)),
    # 7 slices, a prime, in one group of 7: 36 threads for a plane, 7 x 5: two groups of 4 waves.
    (ADRENO, "conv", 7, 28, 2 * 4 * 64 / (49 * 7)),
    # Depthwise, 177 slices: the largest divisor below 8 is 3, groups of 4 x 7 x 3 in 2 waves, 2 x 1 x 59 of them.
    (ADRENO, "depthwise", 7, 708, 118 * 2 * 64 / (49 * 177)),
    # 176 slices: 8 deep, groups of 4 x 7 x 8 in 4 waves, 2 x 22 of them.
    (ADRENO, "depthwise", 7, 704, 44 * 4 * 64 / (49 * 176)),
    # Mali, 862 of 256 to 1,536 slices a core: blocks of 2 x 1 x 1, so a grid of 4 x 7 x 176. 16 deep: groups of
    # 4 x 4 x 16 in 16 waves, 2 x 11 of them, 30 with the last round.
    (MALI, "conv", 7, 704, 30 * 16 * 16 * 2 / (49 * 176)),
]


@pytest.mark.parametrize(("rule", "kind", "size", "channels", "waste"), BY_HAND)
def test_what_is_dispatched_is_as_worked_out_by_hand(
    rule: WorkGroupRule, kind: Kind, size: int, channels: int, waste: float
) -> None:
    assert rule.waste(kind, size, np.array([channels])) == pytest.approx([waste])


@pytest.mark.parametrize("rule", [ADRENO, MALI, WorkGroupRule("adreno", 128, 6)])
@pytest.mark.parametrize("kind", ["conv", "depthwise"])
@pytest.mark.parametrize("size", [1, 7, 14, 112])
def test_no_less_is_dispatched_than_is_needed(rule: WorkGroupRule, kind: Kind, size: int) -> None:
    widths = np.arange(4, 1400, 4)
    together = rule.waste(kind, size, widths)
    assert together.min() >= 1
    assert together == pytest.approx([float(rule.waste(kind, size, np.array([width]))[0]) for width in widths])


@pytest.mark.parametrize(("wave", "units"), [(0, 2), (64, 0), (-1, 1), (64, 10**6)])
def test_a_rule_has_a_range(wave: int, units: int) -> None:
    with pytest.raises(ValueError, match=r"1\.\.1024"):
        WorkGroupRule("adreno", wave, units)
