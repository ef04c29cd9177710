"""The law of a simulated unit: how long a call takes, by what it computes.

For a call with `Work(macs, bytes, ops)` on one `SimUnit`:

    run_us      = launch_us + ops * op_us + macs / macs_per_us + bytes / bytes_per_us
    download_us = transfer_us + moved bytes / transfer_bytes_per_us
    upload_us   = back_us + moved bytes / transfer_bytes_per_us
    shared      = bytes / bytes_per_us / run_us

A unit that computes channels in tiles takes for each kernel what it takes to fill its last tile. One with work groups
takes what it dispatches (see `work_groups`). One with a queue (`submit_us`) runs its kernels one after another, and
each of them reads its inputs. `launch_us` passes when the queue ran empty: every call begins so, since the one before
it ended with a read of its output. Later kernels of a call are submitted every `submit_us`. A kernel that is over
before the next was submitted leaves the unit waiting.

A download moves the call's own output, an upload the outputs it reads from its partner. A unit whose memory is the
host's moves nothing. The vices are added by the virtual clock, or by the runner (see bench/native/simulated.h).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from syncnas_bench.errors import UnitError
from syncnas_bench.units import Unit
from syncnas_bench.work_groups import WorkGroupRule

if TYPE_CHECKING:
    from syncnas_bench.simulated.work import Kernel, Work

_RANGES = {
    "noise": (0, 0.3),
    "slowdown": (1, 100),
    "tail": (0, 1),
    "drift": (0, 0.5),
    "period_s": (0.01, 1e6),
    "throttle": (1, 100),
    "heat_s": (0.01, 1e6),
}


@dataclass(frozen=True)
class Vices:
    """How a simulated unit departs from its law. `virtual.py` and `bench/native/simulated.c` act by them.

    Attributes:
        noise: standard deviation of a call's time, relative to that time.
        slowdown: factor by which the unit is slower while the partner unit is busy, if both calls share all of their
            time (see `Spend.shared`).
        tail: share of the calls that take up to 10 times as long.
        drift, period_s: speed swings by this much, relative, to and fro within a period.
        throttle, heat_s: once the unit has worked so many seconds longer than it rested, it is slower by this factor
            until it has cooled.

    Raises:
        UnitError: a field is out of its range.
    """

    noise: float = 0.0
    slowdown: float = 1.0
    tail: float = 0.0
    drift: float = 0.0
    period_s: float = 60.0
    throttle: float = 1.0
    heat_s: float = 1e6

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UnitError(f"a simulated unit has {name} in {low:g}..{high:g}, not {value}.")

    @property
    def words(self) -> str:
        """As the plan's text has them."""
        return " ".join(f"{name}={getattr(self, name):.6f}" for name in _RANGES)


@dataclass(frozen=True)
class SimUnit:
    """The law of one simulated unit. See the module for the formulas.

    Attributes:
        transfer_us, transfer_bytes_per_us: cost of moving features; 0 bytes per us means that the
            unit works in the host's memory and moves nothing, infinitely many that size costs nothing.
        vices: how it departs from the law.
        tile: output channels that a kernel computes at a time.
        steady: whether every call shares all of its time with the other unit, whatever it computes.
        watts: drawn while it is in a call, besides what the device draws at rest.
        back_us: as `transfer_us`, of an upload; None: the same.
        submit_us: time from the submission of one kernel of a call to that of the next; 0: it has no queue.
        groups: how it dispatches kernels; None: nothing is wasted.
    """

    name: str
    description: str
    launch_us: float
    op_us: float
    macs_per_us: float
    bytes_per_us: float
    transfer_us: float = 0.0
    transfer_bytes_per_us: float = 0.0
    vices: Vices = Vices()
    tile: int = 1
    steady: bool = True
    watts: float = 0.0
    back_us: float | None = None
    submit_us: float = 0.0
    groups: WorkGroupRule | None = None

    @property
    def unit(self) -> Unit:
        """As a plan names it."""
        return Unit("sim", name=self.name)

    def run_us(self, work: Work) -> float:
        """Time of a call, in microseconds, before vices."""
        if self.submit_us == 0:
            macs = sum(self._macs(kernel) for kernel in work.kernels)
            return self.launch_us + work.ops * self.op_us + macs / self.macs_per_us + work.bytes / self.bytes_per_us
        done_us = submitted_us = self.launch_us
        for kernel in work.kernels:
            done_us = max(done_us, submitted_us) + self.op_us
            done_us += self._macs(kernel) / self.macs_per_us + kernel.bytes / self.bytes_per_us
            submitted_us += self.submit_us
        return done_us

    def _macs(self, kernel: Kernel) -> float:
        """What is computed for a kernel, for nothing or not."""
        macs = kernel.macs * (1 + (-kernel.channels % self.tile) / kernel.channels)
        if self.groups is not None and kernel.macs and kernel.kind != "other":
            macs *= float(self.groups.waste(kernel.kind, kernel.size, np.array([kernel.channels]))[0])
        return macs

    def shared(self, work: Work) -> float:
        """Share of a call that is spent on memory which both units use, 0 to 1."""
        return 1.0 if self.steady else work.bytes / self.bytes_per_us / self.run_us(work)

    def move_us(self, moved_bytes: int, *, back: bool = False) -> float:
        """Time to move features from this unit to the host, or back, in microseconds."""
        if self.transfer_bytes_per_us == 0:
            return 0.0
        fixed_us = self.back_us if back and self.back_us is not None else self.transfer_us
        return fixed_us + moved_bytes / self.transfer_bytes_per_us
