"""What a gauge of a simulated device would have told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from syncnas_bench.runs import PowerTrace, Run

IDLE_W = 0.8
"""What a simulated device draws at rest, if its power is told."""
_GAUGE_NS = 100_000_000
"""A simulated gauge tells the mean of so long, as often."""


def simulated_power(run: Run, watts: Sequence[float]) -> PowerTrace:
    """What a gauge would have told while a step ran, from its recorded runs.

    Args:
        run: the step; its unrecorded runs draw nothing here.
        watts: of each unit while it is in a call.
    """
    calls = [
        (job.t0_ns + phase.begin_ns, job.t0_ns + phase.end_ns, watts[lane.unit_index])
        for job in run.jobs
        for lane in job.lanes
        for phase in lane.phases
    ]
    first, last = min(int(job.t0_ns[0]) for job in run.jobs), max(int(end.max()) for _, end, _ in calls)
    ticks = np.arange(first, last + _GAUGE_NS, _GAUGE_NS, dtype=np.int64)
    joules = np.zeros(len(ticks))  # times 1e9, up to each tick
    for begin, end, power in calls:
        order = np.argsort(begin)
        spent = np.concatenate([[0], np.cumsum((end - begin)[order])])
        at = np.searchsorted(begin[order], ticks)
        over = np.where(at > 0, np.maximum(end[order][np.maximum(at, 1) - 1] - ticks, 0), 0)
        joules += power * (spent[at] - over)
    microwatts = 1e6 * (IDLE_W + np.diff(joules) / _GAUGE_NS)
    return PowerTrace(ticks[1:], microwatts.astype(np.int64))
