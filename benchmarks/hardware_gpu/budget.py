"""How much of a step fits in the time that is left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Speed:
    """What decides how long a step takes; measured by the step `right`, a guess before.

    Attributes:
        cpu_us, gpu_us: the base network on either unit, microseconds.
        call_us: a GPU call that computes next to nothing, microseconds.
        setup_s: start of a launch with the base on the GPU, seconds.
        network_s: making one more network's files and compiling them for the GPU, seconds.
    """

    cpu_us: float = 8_000.0
    gpu_us: float = 8_000.0
    call_us: float = 500.0
    setup_s: float = 3.0
    network_s: float = 1.0

    @property
    def both_us(self) -> float:
        """The base once on either unit."""
        return self.cpu_us + self.gpu_us


@dataclass(frozen=True)
class Size:
    """One size of a step: how much it measures, and the seconds that it is expected to take."""

    cost_s: float
    launches: int = 1
    rounds: int = 1
    count: int = 0


def choose(sizes: Sequence[Size], left_s: float, share_s: float) -> Size | None:
    """The largest size that fits in the time that is left and in the step's own share of the run.

    A step whose smallest size exceeds its share is run all the same where it fits in the time that is left.

    Args:
        sizes: largest first.
        left_s: seconds until the run must end.
        share_s: seconds that are meant for this step.

    Returns:
        None where nothing fits.
    """
    limit_s = min(left_s, share_s)
    fitting = next((size for size in sizes if size.cost_s <= limit_s), None)
    if fitting is not None:
        return fitting
    smallest = sizes[-1]
    return smallest if smallest.cost_s <= left_s else None
