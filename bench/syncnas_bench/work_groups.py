"""What a phone's GPU dispatches over what a kernel needs, by the published rule that selects work groups.

A GPU delegate computes slices of 4 channels. A thread has a block of pixels and slices. Threads come in work groups,
and a work group in whole waves. With fast tuning the depth of a work group is a *divisor* of the number of slices. A
number of slices with few divisors leaves waves nearly empty: so latency over width is number theory there.

    convolution    depth of a group: the largest divisor of the grid's depth, at most 64 (Adreno) or 16; the rest of 256
                   threads goes to width and height. Block: by how much work each compute unit has
    depthwise      depth of a group: 8, 4 or 2 where it divides the slices, or their largest divisor below 8

A group of few threads takes a whole wave, and the last round of groups keeps all compute units. Source: TensorFlow,
tensorflow/lite/delegates/gpu/common, task/work_group_picking.cc (fast tuning), tasks/conv_generic.cc and task/util.cc
(blocks). How many threads a group of a depthwise kernel may have depends on its registers; 256 is a guess.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Family = Literal["adreno", "mali"]
Kind = Literal["conv", "depthwise"]

SLICE = 4
"""Channels of a slice."""
_MOST_THREADS = 256
_DEEPEST = {"adreno": 64, "mali": 16}
_DEEPEST_DEPTHWISE = 8
# Up to how much work of a compute unit a block is so large: (width, height, slices). Adreno counts waves, Mali slices.
_BLOCKS = {
    "adreno": ((6.0, (1, 1, 1)), (12.0, (2, 1, 1)), (24.0, (2, 1, 2)), (np.inf, (2, 2, 2))),
    "mali": ((256.0, (1, 1, 1)), (1536.0, (2, 1, 1)), (4096.0, (2, 1, 2)), (np.inf, (2, 2, 2))),
}


@dataclass(frozen=True)
class WorkGroupRule:
    """How a GPU's driver and delegate share work.

    Attributes:
        family: whose rule.
        wave: threads that run in step.
        units: compute units, or cores.

    Raises:
        ValueError: a number out of its range.
    """

    family: Family
    wave: int
    units: int

    def __post_init__(self) -> None:
        if not (1 <= self.wave <= 1024 and 1 <= self.units <= 1024):
            raise ValueError("a wave and a number of compute units are in 1..1024")

    def __str__(self) -> str:
        """As a person reads it."""
        return f"{self.family}, waves of {self.wave}, {self.units} compute units"

    def waste(self, kind: Kind, size: int | NDArray[np.int64], channels: NDArray[np.int64]) -> NDArray[np.float64]:
        """What is dispatched over what is needed, at least 1.

        Args:
            kind: of kernel.
            size: height and width of its output, pixels; one, or [n].
            channels: of its output, [n].

        Returns:
            By kernel, [n].
        """
        slices = -(-np.asarray(channels, dtype=np.int64) // SLICE)
        sizes = np.broadcast_to(np.asarray(size, dtype=np.int64), slices.shape)
        if kind == "depthwise":
            return self._waste(sizes, slices, (1, 1, 1), _divisors(slices, _DEEPEST_DEPTHWISE, True), deep=False)
        load = sizes * sizes * slices / self.units / (self.wave if self.family == "adreno" else 1)
        found, least = np.ones(slices.shape), -1.0
        for most, block in _BLOCKS[self.family]:
            here = (load > least) & (load <= most)
            if here.any():
                deepest = _divisors(-(-slices[here] // block[2]), _DEEPEST[self.family], False)
                found[here] = self._waste(sizes[here], slices[here], block, deepest, deep=True)
            least = most
        return found

    def _waste(
        self,
        size: NDArray[np.int64],
        slices: NDArray[np.int64],
        block: tuple[int, int, int],
        z: NDArray[np.int64],
        *,
        deep: bool,
    ) -> NDArray[np.float64]:
        width, height, depth = -(-size // block[0]), -(-size // block[1]), -(-slices // block[2])
        plane = _MOST_THREADS // z
        x = np.minimum(width if deep else -(-width // 2), plane)
        y = np.minimum(plane // x, height)
        if deep:
            y = np.where((y == height) & (height % 2 == 0), height // 2, y)
        groups = -(-width // x) * -(-height // y) * -(-depth // z)
        waves = -(-(x * y * z) // self.wave)
        threads = -(-groups // self.units) * self.units * waves * self.wave
        return np.asarray(threads * (block[0] * block[1] * block[2]) / (size * size * slices))


def _divisors(numbers: NDArray[np.int64], most: int, powers_first: bool) -> NDArray[np.int64]:
    """The largest divisor of each number up to `most`; 8, 4 or 2 before any other if `powers_first`. [n] to [n]"""
    return _divisor_table(1 << int(numbers.max(initial=1)).bit_length(), most, powers_first)[numbers]


@functools.cache
def _divisor_table(count: int, most: int, powers_first: bool) -> NDArray[np.int64]:
    numbers = np.arange(count)
    found = np.ones_like(numbers)
    for divisor in (*range(2, most + 1), *((2, 4, 8) if powers_first else ())):
        found[numbers % divisor == 0] = divisor
    return found
