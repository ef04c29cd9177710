"""The benchmark of simulated phones prints what it says, on four networks."""

from __future__ import annotations

import pytest

from benchmarks import phones
from benchmarks.prediction import draw


def test_unseen_networks_of_a_phone_are_predicted(capsys: pytest.CaptureFixture[str]) -> None:
    profile = phones.profiled("flagship", 1)
    configs = draw(profile.base, profile, 4, 1, phones.BUDGET)
    phones.told("as profiled", profile, configs, phones.measured("flagship", configs, 1))
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[2] for line in lines] == ["concurrent", "solo", "solo"]
    assert all("within_10  100.0" in line for line in lines)
