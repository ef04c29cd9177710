"""Profiles of simulated phones: unseen networks are predicted, by a rule that nobody told."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest

from syncnas_bench import SimDevice
from syncnas_deploy import pipeline
from syncnas_deploy.prediction import dispatch
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.report.tables import profile_page

SETTINGS = ProfileSettings()


def profiled(name: str, folder: Path) -> DeviceProfile:
    return pipeline.profile("mobilenet_v2", SimDevice(name), out=folder / "p.json", settings=SETTINGS)


@pytest.mark.parametrize(("name", "family", "wave"), [("midrange", "adreno", 64), ("mali", "mali", None)])
def test_unseen_networks_are_predicted_and_the_rule_is_shown(
    tmp_path: Path, name: str, family: str, wave: int | None
) -> None:
    profile = profiled(name, tmp_path)
    cpu, gpu = profile.shapes
    assert cpu.rule is None and gpu.rule is not None
    assert gpu.rule.family == family and wave in (None, gpu.rule.wave)
    assert max(abs(row.error) for row in profile.held_out) < 0.05
    assert profile.width_steps == (4, 4)
    assert f"sim:gpu: takes what it dispatches in work groups ({gpu.rule})" in str(profile_page(profile))
    assert max(sum(row.unit == unit for row in profile.points) for unit in (0, 1)) <= 250


def test_a_unit_that_stays_erratic_gets_coarse_widths(tmp_path: Path) -> None:
    with mock.patch.object(dispatch, "CANDIDATES", ()):
        profile = profiled("midrange", tmp_path)
    assert profile.shapes[1].rule is None and profile.width_steps == (4, 32)
