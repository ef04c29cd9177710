"""Before a device is measured it is examined, and what its numbers will suffer from is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from syncnas_bench import SIM_DEVICES, SimDevice
from syncnas_bench.doctor import Check
from syncnas_deploy import pipeline
from syncnas_deploy.profiling.experiment import ProfileSettings

QUICK = ProfileSettings(launches=1, rounds=1, networks=1)
CHECKS = (
    Check("processor", "ok", "a core"),
    Check("heat", "warning", "throttling", "cool it"),
    Check("battery", "failure", "3 %", "charge it"),
    Check("GPU", "warning", "none", "both branches must run on the CPU"),
)
TOLD = ["sim:phone: heat throttling: cool it", "sim:phone: battery 3 %: charge it"]


class Warned(SimDevice):
    """A device that is hot."""

    examined = 0

    def examine(self) -> tuple[Check, ...]:
        """Not fit."""
        self.examined += 1
        return CHECKS


@pytest.fixture
def hot() -> Warned:
    return Warned("phone", SIM_DEVICES["phone"])


def test_profile_tells_what_its_numbers_will_suffer_from(hot: Warned, tmp_path: Path) -> None:
    notices: list[str] = []
    pipeline.profile("mobilenet_v2", hot, out=tmp_path / "p.json", settings=QUICK, on_notice=notices.append)
    assert notices == TOLD
    pipeline.profile("mobilenet_v2", hot, out=tmp_path / "p.json", resume=True, settings=QUICK)
    assert hot.examined == 1, "nothing is measured, so nothing is examined"


def test_bench_tells_it_too_unless_it_was_told(hot: Warned, tmp_path: Path) -> None:
    bundle = pipeline.export("syncnas_mobilenet_v2_100", tmp_path / "bundle")
    notices: list[str] = []
    pipeline.bench(bundle, hot, samples=6, launches=1, on_notice=notices.append)
    assert notices == TOLD
    pipeline.bench(bundle, hot, samples=6, launches=1, on_notice=notices.append, examine=False)
    assert notices == TOLD
