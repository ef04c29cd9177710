"""Checking a profile: it holds on the device it was made on, and not on one that has become slower."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from syncnas_bench import BenchPlan, Launch, SimDevice
from syncnas_deploy import pipeline
from syncnas_deploy.cli import cli
from syncnas_deploy.errors import ProfileMismatch
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.profile_files import write_profile
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.profiling.recheck import CheckRow, ProfileCheck
from tests.support.latency_cases import exactly, quick

SETTINGS = ProfileSettings(launches=1, rounds=4, discard=1, repeats=1, networks=2)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> DeviceProfile:
    out = tmp_path_factory.mktemp("check") / "p.json"
    return pipeline.profile("mobilenet_v2", SimDevice("duo", quick("duo")), out=out, settings=SETTINGS)


def test_the_same_networks_are_measured_again(measured: DeviceProfile) -> None:
    slower = tuple(
        dataclasses.replace(law, macs_per_us=law.macs_per_us / 2, bytes_per_us=law.bytes_per_us / 2)
        for law in quick("duo")
    )
    found = pipeline.check_profile(measured, SimDevice("duo", (slower[0], slower[1])))
    assert [row.name for row in found.rows][:2] == ["mobilenet_v2"] * 2
    assert [row.name for row in found.rows][2:] == [row.strategy for row in measured.held_out]
    assert [row.then_us for row in found.rows][2:] == [row.sample.median_us for row in measured.held_out]
    assert not found.holds and found.change == pytest.approx(0.98, abs=0.04)


def test_it_holds_on_the_device_it_was_made_on(measured: DeviceProfile) -> None:
    found = pipeline.check_profile(measured, SimDevice("duo", quick("duo"), seed=1))
    assert found.holds and abs(found.change) < 0.01 and found.warnings == () and found.differences == ()


class Warm(SimDevice):
    """Too hot in its first launch, and slower there."""

    def run(self, plan: BenchPlan, *, on_run: Any, deadline_s: float = 60.0, stall_s: float = 60.0) -> Launch:
        mark = {"invalid": "thermal status 3"} if self._launches == 0 else {}
        return super().run(plan, on_run=lambda run: on_run(run.with_metadata(mark)))


def test_what_was_hot_counts_in_no_check(measured: DeviceProfile) -> None:
    def pace(launch: int, unit: int, elapsed_s: float) -> float:
        return 3.0 if launch == 0 else 1.0

    found = pipeline.check_profile(measured, Warm("duo", quick("duo"), pace=pace))
    assert found.holds and abs(found.change) < 0.01
    assert found.warnings == ("1 of 3 launches were left out: the device was not fit (thermal status 3)",)


def test_another_device_is_refused(measured: DeviceProfile) -> None:
    with pytest.raises(ProfileMismatch, match="give --device"):
        pipeline.check_profile(measured, SimDevice("phone"))


def test_a_few_percent_hold() -> None:
    rows = tuple(CheckRow(f"n{i}", "u", 100.0, 100.0 * (1 + change)) for i, change in enumerate((0.01, 0.04, 0.3)))
    assert ProfileCheck(rows, ()).holds and ProfileCheck(rows, ()).change == pytest.approx(0.04)
    assert not ProfileCheck(rows[1:], ()).holds


@pytest.mark.parametrize(("change", "holds"), [(0.049, True), (-0.049, True), (0.051, False), (-0.051, False)])
def test_more_than_five_percent_do_not_hold(change: float, holds: bool) -> None:
    rows = tuple(CheckRow(f"n{i}", "u", 100.0, 100.0 * (1 + change)) for i in range(3))
    assert ProfileCheck(rows, ()).holds is holds


def test_the_command_exits_with_7_where_it_does_not_hold(measured: DeviceProfile, tmp_path: Path) -> None:
    # As if the device had been five times as fast then.
    rows = tuple(msgspec.structs.replace(row, sample=exactly(row.sample.median_us / 5)) for row in measured.held_out)
    write_profile(tmp_path / "p.json", msgspec.structs.replace(measured, held_out=rows))
    done = CliRunner().invoke(cli, ["profile", "--device", "sim:duo", "--check", str(tmp_path / "p.json"), "--json"])
    assert done.exit_code == 7
    assert json.loads(done.stdout)["holds"] is False
    wrong = CliRunner().invoke(cli, ["profile", "--check", "p.json", "--base", "mobilenet_v2"])
    assert wrong.exit_code == 2 and "--check takes --device" in wrong.output
    neither = CliRunner().invoke(cli, ["profile"])
    assert neither.exit_code == 2 and "--base" in neither.output
