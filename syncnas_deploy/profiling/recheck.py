"""Whether a profile still holds: a sample of what it says, measured again.

The sample is the base network alone on each unit, and the two-branch networks that were held out when the profile was
made. A device is slower in another condition, after an update or with another program running; then every number of
the profile is off by about as much as these.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from syncnas_bench import BenchPlan, Call, Device, Job, Run, Step, Unit
from syncnas_deploy.errors import ProfileMismatch
from syncnas_deploy.measuring.jobs import DISCARD, REPEATS, SPIN_US
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.lowering import network_graph
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.prediction.profile import DeviceProfile, flat_text
from syncnas_deploy.profiling.random_networks import nested_widths, write_network, write_to
from syncnas_exporters import write_tflite

ROUNDS = 3
LAUNCHES = 3
TOLERANCE = 0.05
"""A profile holds where what it says is off by no more than this in the median."""

_FACTS = ("model", "cpu_model", "cores", "os", "kernel", "runtime")


@dataclass(frozen=True)
class CheckRow:
    """One network, then and now.

    Attributes:
        then_us, now_us: median latency.
    """

    name: str
    units: str
    then_us: float
    now_us: float

    @property
    def change(self) -> float:
        """Now over then, less 1."""
        return self.now_us / self.then_us - 1


@dataclass(frozen=True)
class Check:
    """What a sample says of a profile.

    Attributes:
        differences: facts of the device that are not what they were, in words.
    """

    rows: tuple[CheckRow, ...]
    differences: tuple[str, ...]

    @property
    def change(self) -> float:
        """Of all rows, the median."""
        return statistics.median(row.change for row in self.rows)

    @property
    def holds(self) -> bool:
        """Whether the numbers are still good."""
        return abs(self.change) <= TOLERANCE


def check_profile(
    profile: DeviceProfile,
    base: ModelConfig,
    device: Device,
    *,
    on_launch: Callable[[int, int], None] = lambda _done, _total: None,
) -> Check:
    """Measure a sample of a profile again, on its units.

    Args:
        profile: of `base`.
        base: a base model.
        device: to measure on.
        on_launch: called with launches done and in all.

    Raises:
        ProfileMismatch: the profile is of another base, or of another device.
        BenchError: the device could not measure.
    """
    profile.check_base(base)
    facts = flat_text(device.facts().to_dict())
    if profile.device.get("name") != facts["name"]:
        raise ProfileMismatch(
            f"The profile is of device {profile.device.get('name')!r}, not of {facts['name']!r}; give --device."
        )
    units = tuple(_unit_of(device, text) for text in profile.units)
    found: dict[str, list[float]] = {}

    def keep(run: Run) -> None:
        for job in run.jobs:
            found.setdefault(job.name, []).append(float(np.median(job.makespan_us)))

    with tempfile.TemporaryDirectory(prefix="syncnas-check-") as folder:
        files: list[Path] = []
        step = _step(profile, base, write_to(Path(folder), files))
        for launch in range(LAUNCHES):
            device.run(BenchPlan(units, tuple(files), (step,), seed=launch, spin_us=SPIN_US), on_run=keep)
            on_launch(launch + 1, LAUNCHES)
    return Check(_rows(profile, found), _differences(profile.device, facts))


def _unit_of(device: Device, text: str) -> Unit:
    return next((info.unit for info in device.units() if str(info.unit) == text), None) or Unit.parse(text)


def _step(profile: DeviceProfile, base: ModelConfig, add_file: Callable[[str, bytes], int]) -> Step:
    graph = network_graph(base, random_weights(parameter_shapes(base), 0), "whole")
    call = Call(0, add_file("base.tflite", write_tflite([graph])), "whole")
    jobs = [Job.solo(f"base{unit}", unit, call) for unit in (0, 1)]
    for number, row in enumerate(profile.held_out):
        widths = [nested_widths(base, flat) for flat in (row.first_widths, row.second_widths)]
        name = f"random{number}"
        config = branched(base, row.strategy, widths, name=name, trunk=row.trunk, twin_stem=row.twin_stem)
        jobs.append(write_network(config, 0, add_file).job(config.name))
    return Step("check", tuple(jobs), rounds=ROUNDS, discard=DISCARD, repeats=REPEATS)


def _rows(profile: DeviceProfile, found: Mapping[str, list[float]]) -> tuple[CheckRow, ...]:
    rows = [
        CheckRow(profile.base, profile.units[unit], profile.table.network_us(unit), _median(found, f"base{unit}"))
        for unit in (0, 1)
    ]
    for number, row in enumerate(profile.held_out):
        rows.append(CheckRow(row.strategy, " + ".join(profile.units), row.sample.us, _median(found, f"random{number}")))
    return tuple(rows)


def _median(found: Mapping[str, list[float]], name: str) -> float:
    return statistics.median(found[name])


def _differences(then: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(
        f"{name} was {then[name]!r} and is {now[name]!r}"
        for name in _FACTS
        if name in then and name in now and then[name] != now[name]
    )
