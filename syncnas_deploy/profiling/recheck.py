"""Whether a profile still holds: a sample of it is measured again.

The sample is the base network alone on each unit, and the two-branch networks that were held out when the profile was
made. A device may be slower in another condition, after an update, or beside another program. Then every number of the
profile is off by about as much as the sample.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from syncnas_bench import BenchPlan, Call, Device, Job, Run, Step, Unit, run_with_retries
from syncnas_bench.work_folder import work_folder
from syncnas_deploy.errors import ProfileMismatch
from syncnas_deploy.measuring.jobs import DISCARD, REPEATS, SPIN_US
from syncnas_deploy.measuring.usable import Anchor, Runs, keeper, usable
from syncnas_deploy.networks.lowering import network_graph
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.precision import FileFormat
from syncnas_deploy.prediction.identity import without_folders
from syncnas_deploy.prediction.profile import DeviceProfile, flat_text
from syncnas_deploy.profiling.random_networks import write_network
from syncnas_deploy.profiling.timing_files import AddFile, write_formats, write_to
from syncnas_deploy.progress import OnProgress, Pace

STEP = "check"
ROUNDS = 3
LAUNCHES = 3
TOLERANCE = 0.05
"""A profile holds where the sample changed by no more than this, relative, in the median."""

_FACTS = ("cores", "os", "kernel", "runtime")


@dataclass(frozen=True)
class CheckRow:
    """One network, when the profile was made and now.

    Attributes:
        units: texts of the units that it runs on.
        then_us, now_us: median latency, microseconds.
    """

    name: str
    units: str
    then_us: float
    now_us: float

    @property
    def change(self) -> float:
        """Relative change: now over then, less 1."""
        return self.now_us / self.then_us - 1


@dataclass(frozen=True)
class ProfileCheck:
    """The verdict on a profile.

    Attributes:
        rows: the networks of the sample.
        differences: one sentence part for each fact of the device that is not what it was.
        warnings: one sentence for each thing that was left out of the measurement, and why.
    """

    rows: tuple[CheckRow, ...]
    differences: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def change(self) -> float:
        """Relative change in the median of all rows."""
        return statistics.median(row.change for row in self.rows)

    @property
    def holds(self) -> bool:
        """Whether the profile's numbers can still be used."""
        return abs(self.change) <= TOLERANCE


def check_profile(
    profile: DeviceProfile,
    device: Device,
    *,
    on_progress: OnProgress = lambda _: None,
) -> ProfileCheck:
    """Measure a sample of a profile again, on its units.

    Args:
        profile: its sample is measured again.
        device: to measure on.
        on_progress: called before the first launch and after each.

    Raises:
        ProfileMismatch: the profile is of another device.
        BenchError: the device could not measure.
        MeasurementError: it was never fit to be measured.
    """
    facts = flat_text(device.facts().to_dict())
    other = profile.other_device(facts, profile.units)
    if other:
        raise ProfileMismatch(f"The profile says nothing about {facts['name']!r}: {other}; give --device.")
    units = tuple(_unit_of(device, text) for text in profile.units)
    runs: dict[tuple[int, str], Run] = {}
    pace = Pace(on_progress, LAUNCHES)
    pace.begin(f"launch 1 of {LAUNCHES}")
    with work_folder("check") as folder:
        files: list[Path] = []
        step = _step(profile, units, write_to(folder, files))
        for launch in range(LAUNCHES):
            plan = BenchPlan(units, tuple(files), (step,), seed=launch, spin_us=SPIN_US)
            run_with_retries(device, plan, on_run=keeper(runs, launch))
            pace.step(f"launch {launch + 1} of {LAUNCHES}")
    counted = usable(runs, [Anchor(STEP, _base_job(unit)) for unit in (0, 1)])
    return ProfileCheck(_rows(profile, counted.runs), _differences(profile.device, facts), counted.warnings)


def _unit_of(device: Device, text: str) -> Unit:
    return next((info.unit for info in device.units() if str(info.unit) == text), None) or Unit.parse(text)


def _step(profile: DeviceProfile, units: Sequence[Unit], add_file: AddFile) -> Step:
    base, formats = profile.base, [FileFormat.of(unit) for unit in units]
    graph = network_graph(base, random_weights(parameter_shapes(base), 0), "whole")
    files = write_formats("base", [graph], formats, add_file)
    jobs = [Job.solo(_base_job(unit), unit, Call(0, files[form], "whole")) for unit, form in enumerate(formats)]
    for number, row in enumerate(profile.held_out):
        config = row.config(base, _held_out_job(number))
        jobs.append(write_network(config, 0, add_file, formats).job(config.name))
    return Step(STEP, tuple(jobs), rounds=ROUNDS, discard=DISCARD, repeats=REPEATS)


def _base_job(unit: int) -> str:
    return f"base{unit}"


def _held_out_job(number: int) -> str:
    return f"random{number}"


def _rows(profile: DeviceProfile, runs: Runs) -> tuple[CheckRow, ...]:
    def now_us(job: str) -> float:
        return statistics.median(float(np.median(run.job(job).makespan_us)) for run in runs.values())

    rows = [
        CheckRow(profile.base.name, profile.units[unit], profile.table.network_us(unit), now_us(_base_job(unit)))
        for unit in (0, 1)
    ]
    for number, row in enumerate(profile.held_out):
        units = " + ".join(profile.units)
        rows.append(CheckRow(row.strategy, units, row.sample.median_us, now_us(_held_out_job(number))))
    return tuple(rows)


def _differences(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        f"{name} was {then[name]!r} and is {now[name]!r}"
        for name in _FACTS
        if name in then and name in now and without_folders(then[name]) != without_folders(now[name])
    )
