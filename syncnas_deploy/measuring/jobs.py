"""How jobs are measured, and a branch alone as a job."""

from __future__ import annotations

from collections.abc import Sequence

from syncnas_bench import Job, Lane
from syncnas_deploy.bundle_network import SOURCES, segment_call
from syncnas_deploy.networks.segments import Feed, Segment

SPIN_US = 2000
"""How long a lane polls at a barrier before it sleeps, microseconds. Waking up from sleep costs tens of them."""

DISCARD, REPEATS = 6, 6
"""A turn of a job: unrecorded runs, then recorded ones.

What is measured is a job in a loop, as an application runs it. After another job, its first runs are not like that.
On one server CPU the first run took 5 to 30 % longer and the second 5 to 16 %. On another CPU the first took 1 to 5 %
longer and the second up to 2.5 % less. The sixth run is within 1 to 3 % on both. See `benchmarks/turns.py`.
"""

CHANGE = 0.05
"""Relative change of a time within a launch. A larger one makes a profile or a result carry a warning."""


def solo_job(name: str, segments: Sequence[Segment], branch: int, *, file: int, unit: int) -> Job:
    """One branch of a network alone, its segments one after another; the other unit is idle.

    What would come from the partner is a buffer of random values, already visible on the unit. What would go to it is
    not read.
    """
    mine = [segment for segment in segments if segment.branch == branch]
    calls = []
    for phase, segment in enumerate(mine):
        sources = dict(SOURCES) | {Feed.PARTNER: "external"} | ({} if phase else {Feed.OWN: "external"})
        calls.append(segment_call(segment, phase, file, sources))
    return Job(name, (Lane(unit, tuple(calls)),), unread=not mine[-1].head)
