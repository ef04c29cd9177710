"""The benchmarks of simulated phones print what they say, on four networks."""

from __future__ import annotations

import pytest

from benchmarks import dispatch_features, phones
from benchmarks.prediction import draw
from syncnas_deploy.prediction.profile import DeviceProfile


@pytest.fixture(scope="module")
def profile() -> DeviceProfile:
    return phones.profiled("flagship", 1)


def test_unseen_networks_of_a_phone_are_predicted(profile: DeviceProfile, capsys: pytest.CaptureFixture[str]) -> None:
    configs = draw(profile.base, profile, 4, 1, phones.BUDGET)
    phones.told("as profiled", profile, configs, phones.measured("flagship", configs, 1))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines] == ["concurrent", "solo", "solo"]
    assert all("within_10  100.0" in line for line in lines)


def test_a_profile_predicts_with_and_without_work_groups(
    profile: DeviceProfile, capsys: pytest.CaptureFixture[str]
) -> None:
    configs = draw(profile.base, profile, 4, 1, phones.BUDGET)
    dispatch_features.compare("flagship", profile, configs, phones.measured("flagship", configs, 1)[:, 0].tolist())
    ruled, plain = capsys.readouterr().out.splitlines()
    assert "adreno" in ruled and plain.endswith("no rule and no rule")
