"""Which launches count. `profile`, `profile --check` and `bench` all ask this one rule.

A launch counts as a whole, because its steps are compared with each other. It is left out for one of two reasons:

- The device was hot, low on battery, or changed meanwhile. The run says so itself (`Run.unusable_reason`).
- It read wrong: an anchor was off by more than `WRONG_LAUNCH`.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from syncnas_bench import Run
from syncnas_deploy.errors import MeasurementError

Runs = Mapping[tuple[int, str], Run]
"""Runs by (launch, name of the step)."""

OWN_LOAD = 1.0
"""What a measurement adds to the load, besides one for each core: it may keep all cores at work."""
WRONG_LAUNCH = 0.10
"""Relative difference of an anchor's time to its median over launches. A larger one says that the launch read wrong."""


@dataclass(frozen=True)
class Anchor:
    """A job that every launch measures. Its time says whether a launch read wrong."""

    step: str
    job: str


@dataclass(frozen=True)
class UsableRuns:
    """The runs of the launches that count.

    Attributes:
        runs: by (launch, name of the step).
        left_out: numbers of the launches that do not count.
        warnings: one sentence for each thing that a reader should know, such as what was left out and why.
    """

    runs: Runs
    left_out: frozenset[int]
    warnings: tuple[str, ...]


def usable(runs: Runs, anchors: Sequence[Anchor]) -> UsableRuns:
    """The launches that count.

    Args:
        runs: of all launches.
        anchors: that each launch measures.

    Raises:
        MeasurementError: the device was never fit to be measured.
    """
    marked = {launch: run.unusable_reason for (launch, _), run in runs.items() if run.unusable_reason}
    fit = {key: run for key, run in runs.items() if key[0] not in marked}
    reasons = ", ".join(sorted(set(marked.values())))
    if marked and not fit:
        raise MeasurementError(
            f"The device was never fit to be measured ({reasons}); let it cool, charge it, keep the screen as it is, "
            "and measure again."
        )
    wrong = _wrong_launches(fit, anchors)
    kept = {key: run for key, run in fit.items() if key[0] not in wrong}
    launches = len({launch for launch, _ in runs})
    warnings = []
    if marked:
        warnings.append(f"{len(marked)} of {launches} launches were left out: the device was not fit ({reasons})")
    if wrong:
        warnings.append(
            f"{len(wrong)} of {launches} launches were left out: a network that each of them measures was off by more "
            f"than {WRONG_LAUNCH:.0%} there"
        )
    return UsableRuns(kept, frozenset(marked) | wrong, (*_busy(runs), *warnings, *_remarks(runs)))


def keeper(runs: dict[tuple[int, str], Run], launch: int) -> Callable[[Run], None]:
    """What a device calls with each run of a launch: it is kept in `runs`."""

    def keep(run: Run) -> None:
        runs[launch, run.step] = run

    return keep


def launches_of(runs: Runs, step: str) -> list[int]:
    """Numbers of the launches in which a step was measured, ascending."""
    return sorted(launch for launch, name in runs if name == step)


def _wrong_launches(runs: Runs, anchors: Sequence[Anchor]) -> frozenset[int]:
    wrong: set[int] = set()
    launches: set[int] = set()
    for anchor in anchors:
        times_us = {
            launch: float(np.median(runs[launch, anchor.step].job(anchor.job).makespan_us))
            for launch in launches_of(runs, anchor.step)
        }
        launches |= times_us.keys()
        if times_us:
            middle_us = statistics.median(times_us.values())
            wrong |= {launch for launch, us in times_us.items() if abs(us / middle_us - 1) > WRONG_LAUNCH}
    # Where most launches disagree none of them is wrong: the device is like that, and the profile says so.
    return frozenset(wrong) if 2 * len(wrong) < len(launches) else frozenset()


def _busy(runs: Runs) -> Iterator[str]:
    """Whether other programs were at work while most steps ran. A phone's load counts sleeping drivers, too.

    Where the runner spends a simulated device's times, that is this computer's load.
    """
    loads: list[float] = []
    cores = 0
    for run in runs.values():
        facts, load = run.metadata.get("device", {}), run.metadata.get("condition_before", {}).get("load_1min")
        if isinstance(load, (int, float)) and not str(facts.get("os", "")).startswith("Android"):
            loads.append(float(load))
            cores = facts.get("cores", 0)
    load = statistics.median(loads) if loads else 0.0
    if cores and load > cores + OWN_LOAD:
        yield f"the load was {load:.1f} on {cores} cores while it was measured: end other programs, and measure again"


def _remarks(runs: Runs) -> list[str]:
    texts = []
    again = sum(bool(run.metadata.get("failures")) for run in runs.values())
    if again:
        texts.append(f"{again} steps were measured again, since the runner had died or the outputs were wrong at first")
    boots = {str(run.metadata["device"]["boot_id"]) for run in runs.values() if "device" in run.metadata}
    if len(boots) > 1:
        texts.append(f"the device was restarted while it was measured: {len(boots)} boots in one measurement")
    return texts
