"""Runs beside other programs: a load that is not the measurement's own is told before all else."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import pytest

from syncnas_bench import Run, SimDevice
from syncnas_bench.conditions import Condition, allowed_cores
from syncnas_deploy import pipeline
from syncnas_deploy.benchmarking.trust import trust
from syncnas_deploy.measuring.usable import usable
from syncnas_deploy.profiling.experiment import ProfileSettings
from tests.support.picture_cases import small_branched, small_config

LINUX = {"os": "Debian", "cores": 4, "boot_id": "b"}


def warnings(loads: tuple[object, ...], facts: dict[str, Any]) -> tuple[str, ...]:
    """What is said of launches of one step each."""
    runs = {
        (launch, "s"): Run(0, "s", (), (), {"device": facts, "condition_before": {"load_1min": load}})
        for launch, load in enumerate(loads)
    }
    return usable(runs, ()).warnings


@pytest.mark.parametrize(
    ("loads", "facts", "said"),
    [
        ((14.0,), LINUX, "14.0 on 4 cores"),
        ((0.2, 14.0, 9.5), LINUX, "9.5 on 4 cores"),
        ((6,), {**LINUX, "os": "simulated", "cores": 2}, "6.0 on 2 cores"),
        ((14.0, 4.0, 4.5), LINUX, ""),  # what a measurement makes of four cores itself
        ((14.0,), {**LINUX, "os": "Android 14"}, ""),
        (("denied", "absent"), LINUX, ""),
        ((), LINUX, ""),
    ],
)
def test_a_load_of_other_programs_is_told(loads: tuple[object, ...], facts: dict[str, Any], said: str) -> None:
    told = [f"the load was {said} while it was measured: end other programs, and measure again"] if said else []
    assert list(warnings(loads, facts)) == told


class Busy(SimDevice):
    """On a computer that does much else."""

    def condition(self) -> Condition:
        return dataclasses.replace(super().condition(), load_1min=10.0 * len(allowed_cores()))


def test_a_simulated_device_on_a_busy_computer_says_why_to_doubt_it(tmp_path: Path) -> None:
    settings = ProfileSettings(launches=1, rounds=1, networks=1)
    busy, base = Busy("duo"), small_config(8)
    profile = pipeline.profile(base, busy, out=tmp_path / "p.json", settings=settings)
    assert profile.warnings[0].startswith("the load was") and profile.level != "trustworthy"
    assert any("other programs run" in check.advice for check in Busy("duo", by_runner=True).examine())
    assert not any("other programs run" in check.advice for check in busy.examine())
    result = pipeline.bench(pipeline.export(small_branched(8), tmp_path / "b"), busy, samples=6, launches=1)
    assert any(reason.startswith("the load was") for reason in trust(result).reasons)
    quiet = pipeline.profile(base, SimDevice("duo"), out=tmp_path / "q.json", settings=settings)
    assert not any("load" in text for text in quiet.warnings)
    assert msgspec.structs.replace(quiet, warnings=(), held_out=()).level == "trustworthy"
