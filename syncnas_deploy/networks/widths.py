"""Widths as data: the expanded channels of every block, in the same form from config to report."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

WIDTH_STEP = 4
"""SyncNAS widths are multiples of 4."""


@dataclass(frozen=True, order=True)
class BlockKey:
    """A block of a base model, and whether its stage gives half of its output channels (CONCAT)."""

    stage: int
    block: int
    halved: bool = False

    def __str__(self) -> str:
        """Stage and block as people count them, from 1."""
        return f"stage {self.stage + 1} block {self.block + 1}{' (halved)' if self.halved else ''}"


@dataclass(frozen=True)
class Widths:
    """Expanded channels of every block of one or two branches: `widths[branch, stage, block]`.

    Attributes:
        nested: expanded channels, [branch][stage][block].
    """

    nested: tuple[tuple[tuple[int, ...], ...], ...]

    @classmethod
    def of(cls, nested: Iterable[Iterable[Iterable[int]]]) -> Widths:
        """Widths from sequences, [branch][stage][block]."""
        return cls(tuple(tuple(tuple(int(width) for width in stage) for stage in branch) for branch in nested))

    @classmethod
    def from_flat(cls, flat: Sequence[Sequence[int]], depths: Sequence[int]) -> Widths:
        """Widths from each branch's blocks in running order, as `flat` gives them.

        Args:
            flat: expanded channels, [branch][block of the network].
            depths: number of blocks of each stage, [stage].

        Raises:
            ValueError: another number of blocks.
        """
        if any(len(row) != sum(depths) for row in flat):
            raise ValueError(f"expected {sum(depths)} widths per branch, found {[len(row) for row in flat]}")
        starts = [0, *itertools.accumulate(depths)]
        return cls.of([row[i:j] for i, j in itertools.pairwise(starts)] for row in flat)

    @classmethod
    def both(cls, widths: Widths) -> Widths:
        """Two branches, each with the widths of the only branch of `widths`."""
        (branch,) = widths.nested
        return cls((branch, branch))

    def __getitem__(self, place: tuple[int, int, int]) -> int:
        """The width at (branch, stage, block)."""
        branch, stage, block = place
        return self.nested[branch][stage][block]

    @property
    def branch_count(self) -> int:
        """1 or 2."""
        return len(self.nested)

    @property
    def depths(self) -> tuple[int, ...]:
        """Number of blocks of each stage, [stage]."""
        return tuple(len(stage) for stage in self.nested[0])

    def flat(self) -> tuple[tuple[int, ...], ...]:
        """Each branch's widths in running order, [branch][block of the network]."""
        return tuple(tuple(itertools.chain.from_iterable(branch)) for branch in self.nested)

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Every place as (branch, stage, block)."""
        for branch, stages in enumerate(self.nested):
            for stage, blocks in enumerate(stages):
                for block in range(len(blocks)):
                    yield branch, stage, block
