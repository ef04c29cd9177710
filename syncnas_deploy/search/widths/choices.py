"""Choices of widths: one for every block of a strategy, with exact times, and how what is left of a budget is spent."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class WidthChoices:
    """A block's widths worth choosing: each slower one is of more utility.

    Attributes:
        widths: expanded channels, ascending, [n].
        time_us: latency at each, ascending, [n].
        utility: of each, ascending, [n].
        bins: the latencies rounded up to time bins, [n].
    """

    widths: NDArray[np.int64]
    time_us: NDArray[np.float64]
    utility: NDArray[np.float64]
    bins: NDArray[np.int64]


class Selection:
    """One choice for each of the N blocks of a strategy, with exact times. A group is one branch of one segment.

    Args:
        choices: by [segment][branch][block].
        start_us: latency of a group before its first block, by [segment][branch].
        fixed_us: latency of the network besides its segments.
    """

    def __init__(self, choices: list[list[list[WidthChoices]]], start_us: list[list[float]], fixed_us: float) -> None:
        groups = [group for segment in choices for group in segment]
        self._blocks = [block for group in groups for block in group]
        # The group of each block, [N].
        self._group = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        self._start_us = np.array(start_us).ravel()
        self._fixed_us = fixed_us
        # [N, longest + 1]: past its last choice a block would take forever.
        longest = max(len(block.widths) for block in self._blocks)
        self._time_us = np.full((len(self._blocks), longest + 1), np.inf)
        self._utility = np.zeros_like(self._time_us)
        for i, block in enumerate(self._blocks):
            self._time_us[i, : len(block.widths)] = block.time_us
            self._utility[i, : len(block.widths)] = block.utility
        self._rows = np.arange(len(self._blocks))
        # The index of each block's choice, [N].
        self._level = np.zeros(len(self._blocks), dtype=np.intp)

    def reset(self) -> None:
        """Every block at its fastest width."""
        self._level[:] = 0

    def set(self, levels: list[list[list[int]]]) -> None:
        """Take the choices of these indices, by [segment][branch][block]."""
        self._level[:] = [level for segment in levels for group in segment for level in group]

    def widths(self, branch: int) -> list[int]:
        """The selected widths of one branch, in running order."""
        return [
            int(block.widths[level])
            for block, level, group in zip(self._blocks, self._level, self._group, strict=True)
            if group % 2 == branch
        ]

    def utility(self) -> float:
        """The sum of the selected utilities."""
        return float(self._utility[self._rows, self._level].sum())

    def latency_us(self) -> float:
        """The network's latency."""
        return self._network_us(self._groups_us())

    def _groups_us(self) -> NDArray[np.float64]:
        """Latency of each branch of each segment, [segments * 2]."""
        time_us = self._time_us[self._rows, self._level]
        return self._start_us + np.bincount(self._group, weights=time_us, minlength=len(self._start_us))

    def _network_us(self, groups_us: NDArray[np.float64]) -> float:
        return self._fixed_us + float(groups_us.reshape(-1, 2).max(axis=1).sum())

    def widen(self, budget_us: float) -> None:
        """Spend what is left of the budget: step by step, the next width of the most utility per network latency.

        Time that a branch would spend waiting for the other one costs nothing.
        """
        blocked = np.zeros(len(self._blocks), dtype=bool)
        groups_us = self._groups_us()
        latency_us = self._network_us(groups_us)
        while True:
            waits_us = np.repeat(groups_us.reshape(-1, 2).max(axis=1), 2) - groups_us
            longer_us = self._time_us[self._rows, self._level + 1] - self._time_us[self._rows, self._level]
            costs_us = np.maximum(longer_us - waits_us[self._group], 0.0)
            fits = (costs_us <= budget_us - latency_us) & ~blocked
            if not fits.any():
                return
            gain = self._utility[self._rows, self._level + 1] - self._utility[self._rows, self._level]
            free = fits & (costs_us == 0)
            rate = gain / np.where(free, longer_us, costs_us) if free.any() else gain / costs_us
            block = int(np.argmax(np.where(free if free.any() else fits, rate, -np.inf)))
            self._level[block] += 1
            groups_us = self._groups_us()
            latency_us = self._network_us(groups_us)
            if latency_us > budget_us:
                # The last digit of the sums decided: this block stays as it was.
                self._level[block] -= 1
                blocked[block] = True
                groups_us = self._groups_us()
                latency_us = self._network_us(groups_us)
