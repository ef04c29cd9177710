"""Where a unit's neighbours are erratic the solver takes coarse steps: chosen from the profile, shown, overridable."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from syncnas_deploy.errors import SettingsError
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.widths import BlockKey
from syncnas_deploy.prediction.one_branch import OneBranchLatency
from syncnas_deploy.prediction.predict import ProfileCosts
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.rows import LaunchSample, LearningRow, PointRow
from syncnas_deploy.prediction.width_steps import on_step, width_step
from syncnas_deploy.report.tables import profile_page
from syncnas_deploy.search.loop import SearchSettings
from tests.support.latency_cases import law_profile


def erratic(base: ModelConfig, error: float = 0.08) -> DeviceProfile:
    """A profile whose unit 1 was predicted badly where it had not been measured."""
    learning = (LearningRow(0, 120, 0.01, 0.01), LearningRow(1, 120, 0.3, 0.3), LearningRow(1, 154, 0.02, error))
    return msgspec.structs.replace(law_profile(base), learning=learning)


@pytest.mark.parametrize(("errors", "step"), [([], 4), ([0.01], 4), ([0.2, 0.03], 4), ([0.031], 32), ([0.01, 0.3], 32)])
def test_the_last_pair_that_was_predicted_decides(errors: list[float], step: int) -> None:
    rows = [LearningRow(1, 100 + 34 * i, 0.0, error) for i, error in enumerate(errors)]
    assert width_step([*rows[::-1], LearningRow(0, 999, 0.9, 0.9)], (), 1) == step


@pytest.mark.parametrize(("apart", "step"), [(0.01, 32), (0.079, 32), (0.081, 4), (0.5, 4)])
def test_noise_is_not_taken_for_steps(apart: float, step: int, mobilenet: ModelConfig) -> None:
    def noisy(row: PointRow) -> PointRow:
        us = row.sample.median_us
        return msgspec.structs.replace(
            row, sample=LaunchSample((us, us * (1 - apart / 2), us * (1 + apart / 2)), us, us, 9)
        )

    profile = erratic(mobilenet)
    assert profile.width_steps == (4, 32)
    assert msgspec.structs.replace(profile, points=tuple(map(noisy, profile.points))).width_steps == (4, step)


@pytest.mark.parametrize(
    ("top", "step", "left"),
    [(200, 4, 49), (200, 32, 6), (100, 32, 6), (20, 32, 4), (128, 32, 4), (12, 64, 2), (200, 64, 6)],
)
def test_a_narrow_block_keeps_widths_to_choose_from(top: int, step: int, left: int) -> None:
    assert np.count_nonzero(on_step(np.arange(8, top + 1, 4), step)) == left


def test_the_solver_and_the_rivals_take_its_step(mobilenet: ModelConfig) -> None:
    profile, key = erratic(mobilenet), BlockKey(5, 1)
    costs = ProfileCosts(profile, Placement())
    assert [min(np.diff(costs.block_us(unit, key)[0])) for unit in (0, 1)] == [4, 32]
    one_branch = [OneBranchLatency(profile, unit).costs().block_us(0, key)[0] for unit in (0, 1)]
    assert [min(np.diff(widths)) for widths in one_branch] == [4, 32]
    for step in (4, 16):
        widths, _ = ProfileCosts(profile, Placement(), step).block_us(1, key)
        assert min(np.diff(widths)) == step


def test_it_is_shown(mobilenet: ModelConfig) -> None:
    text = str(profile_page(erratic(mobilenet)))
    assert (
        "sim:right: blocks of unseen widths were off by more than 3%, so `search` takes multiples of 32 there" in text
    )
    assert "multiples of" not in str(profile_page(erratic(mobilenet, 0.02)))


@pytest.mark.parametrize("step", [0, -4, 6])
def test_a_step_that_is_none_is_refused(step: int) -> None:
    with pytest.raises(SettingsError, match="a multiple of 4, found"):
        SearchSettings(width_step=step)
