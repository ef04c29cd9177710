"""When what happened within a run: the time stamps that a result keeps of some of its runs, and their rules."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from syncnas_bench import JobRun
from syncnas_deploy.benchmarking.result import BenchResult, RunStamps

KEPT = 100
"""Runs of which the stamps are kept: a picture needs no more, and a file of 10,000 runs must stay readable."""
ROUNDING_US = 0.01
"""Stamps are rounded to nanoseconds; so much may two of them that are the same differ."""


def stamps_of(jobs: Sequence[JobRun], segments: Sequence[tuple[int, int]]) -> tuple[RunStamps, ...]:
    """The stamps of at most `KEPT` runs, evenly from the fastest to the slowest, and of the median one.

    Args:
        jobs: of the network, launch by launch.
        segments: branch and phase of each, in the order of the result's.
    """
    makespans_us = np.concatenate([job.makespan_us for job in jobs])
    order = np.argsort(makespans_us, kind="stable")
    ranks = np.unique(np.linspace(0, len(order) - 1, min(len(order), KEPT)).round().astype(int))
    nearest = int(np.abs(makespans_us - np.median(makespans_us)).argmin())
    kept = sorted({nearest, *(int(run) for run in order[ranks])})
    columns = []
    for branch, phase in segments:
        calls = [job.call(branch, phase) for job in jobs]
        stamps = [(call.begin_ns, call.end_ns, call.arrive_ns, call.arrive_ns + call.wait_ns) for call in calls]
        columns.append(np.concatenate(stamps, axis=1) / 1e3)
    times_us = np.array(columns)  # [segments, 4, runs]
    return tuple(
        RunStamps(run, *(tuple(round(float(us), 3) for us in row) for row in times_us[:, :, run].T)) for run in kept
    )


def wrong_stamps(result: BenchResult) -> str:
    """What is wrong with a result's stamps, for "'stamps' ..."; "" where nothing is."""
    samples_us, places = result.makespan.samples_us, [(s.branch, s.phase) for s in result.segments]
    for stamps in result.stamps:
        columns = (stamps.begin_us, stamps.end_us, stamps.arrive_us, stamps.leave_us)
        if stamps.run >= len(samples_us) or any(len(column) != len(places) for column in columns):
            return "are not of the network's runs and segments"
        for branch in (0, 1):
            mine = sorted((phase, i) for i, (of, phase) in enumerate(places) if of == branch)
            order = [column[i] for _, i in mine for column in columns]
            if any(later < earlier - ROUNDING_US for earlier, later in itertools.pairwise([0.0, *order])):
                return "go back in time"
        if abs(max(stamps.end_us) - samples_us[stamps.run]) > ROUNDING_US:
            return "do not end with the makespan"
    return ""
