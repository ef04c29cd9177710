"""Rows that a device marked invalid never reach a table."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from syncnas_bench import BenchPlan, Launch, Run, SimDevice
from syncnas_deploy.errors import MeasurementError
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.profiling.fit import settings_text
from syncnas_deploy.profiling.measure import REPEATED_LAUNCHES, measure
from tests.support.latency_cases import quick

FAST = ProfileSettings(launches=2, rounds=3, discard=1, repeats=1, networks=2)


class Hot(SimDevice):
    """A simulated device that marks a step of its first launches."""

    def __init__(self, spoiled: int) -> None:
        super().__init__("duo", quick("duo"))
        self._left = spoiled

    def run(self, plan: BenchPlan, *, on_run: Any, deadline_s: float = 60.0, stall_s: float = 60.0) -> Launch:
        marks, self._left = self._left > 0, self._left - 1

        def mark(run: Run) -> None:
            on_run(run.as_unusable("thermal status 3") if marks and run.step == "pair_1" else run)

        return super().run(plan, on_run=mark, deadline_s=deadline_s, stall_s=stall_s)


def test_a_spoiled_launch_is_left_out_and_said(mobilenet: ModelConfig, tmp_path: Path) -> None:
    device = Hot(1)
    profile = measure(mobilenet, device, device.default_units(), FAST, tmp_path / "j")
    # One launch is left, and one that was made in the spoiled one's stead.
    assert all(len(row.sample.launches_us) == 2 for row in profile.points)
    assert all(len(row.sample.launches_us) == 2 for row in profile.networks)
    assert any("1 of 3 launches were left out: the device was not fit" in text for text in profile.warnings)


def test_a_device_that_is_never_fit_is_one_sentence(mobilenet: ModelConfig, tmp_path: Path) -> None:
    device = Hot(2 + REPEATED_LAUNCHES)
    with pytest.raises(MeasurementError, match=r"never fit to be measured \(thermal status 3\)"):
        measure(mobilenet, device, device.default_units(), FAST, tmp_path / "j")


def test_settings_name_every_field() -> None:
    told = set(settings_text(FAST))
    assert told == {field.name for field in dataclasses.fields(ProfileSettings)} - {"deadline_s"}
