"""Rivals: networks of one branch that meet a latency on their unit, predicted and measured."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from syncnas_bench import SimDevice
from syncnas_deploy import pipeline
from syncnas_deploy.errors import InfeasibleBudget, ProfileMismatch
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.prediction.one_branch import OneBranchLatency
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.rows import NetworkRow
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.search.rivals import RivalSolver, rivals
from tests.support.latency_cases import exactly, law_profile


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> DeviceProfile:
    settings = ProfileSettings(launches=2, networks=0)
    out = tmp_path_factory.mktemp("rivals") / "p.json"
    return pipeline.profile("mobilenet_v2", SimDevice("phone"), out=out, settings=settings)


def measured_us(config: ModelConfig, unit: str, folder: Path) -> float:
    bundle = pipeline.export(config, folder / "b")
    result = pipeline.bench(bundle, SimDevice("phone"), units=[unit], samples=30, launches=1)
    return result.makespan.median_us


@pytest.mark.parametrize("share", [0.7, 1.0, 1.2])
def test_a_rival_takes_the_latency_it_was_made_for(profile: DeviceProfile, share: float, tmp_path: Path) -> None:
    latency_us = share * profile.table.network_us(1)
    (rival,) = [rival for rival in rivals(profile, latency_us) if rival.unit == "sim:gpu"]
    assert rival.config.branch_count == 1 and not rival.beyond
    assert rival.predicted_us == pytest.approx(latency_us, rel=0.01)
    assert measured_us(rival.config, rival.unit, tmp_path) == pytest.approx(latency_us, rel=0.03)
    assert rival.config.name == f"mobilenet_v2_x{rival.config.macs() / profile.base.macs():.2f}"


def test_more_time_gives_more_work_by_the_slope(profile: DeviceProfile) -> None:
    solver = RivalSolver(profile, 1)
    less, more = solver.within(9_000.0), solver.within(10_000.0)
    found = math.log(more.config.macs() / less.config.macs()) / math.log(more.predicted_us / less.predicted_us)
    assert more.slope == pytest.approx(found, rel=0.1) and 1.0 < found < 2.0


def test_where_there_is_time_for_more_than_was_profiled_all_blocks_are_wider(
    profile: DeviceProfile, tmp_path: Path
) -> None:
    latency_us = 2 * profile.table.network_us(1)
    rival = RivalSolver(profile, 1).within(latency_us)
    assert rival.beyond and rival.config.macs() > 1.6 * profile.base.macs()
    assert rival.predicted_us == pytest.approx(latency_us, rel=0.02)
    assert measured_us(rival.config, rival.unit, tmp_path) == pytest.approx(latency_us, rel=0.2)


def test_what_is_too_short(profile: DeviceProfile) -> None:
    with pytest.raises(InfeasibleBudget):
        RivalSolver(profile, 0).within(100.0)
    assert [rival.unit for rival in rivals(profile, 5_000.0)] == ["sim:gpu"]


def test_another_unit_is_told_by_its_own_whole_networks(mobilenet: ModelConfig) -> None:
    plain = law_profile(mobilenet)
    own = OneBranchLatency(plain, 0)
    flat = mobilenet.widths.flat()[0]
    halves = tuple(max(4, width // 2 // 4 * 4) for width in flat)
    # All cores take half of the time of unit 0 for the base, and 0.6 of it for a network of half the widths.
    whole = (NetworkRow(2, 0, exactly(0.5 * own.makespan_us(mobilenet)), flat),)
    profile = msgspec.structs.replace(plain, networks=(*plain.networks, *whole), other_units=("cpu:8",))
    assert OneBranchLatency(profile, 2).makespan_us(mobilenet) == pytest.approx(0.5 * own.makespan_us(mobilenet))
    narrow = OneBranchLatency(profile, 2)
    more = NetworkRow(2, 1, exactly(0.6 * own.parts_us(_resized(plain, halves))), halves)
    bent = OneBranchLatency(msgspec.structs.replace(profile, networks=(*profile.networks, more)), 2)
    assert bent.unit == "cpu:8"
    assert bent.makespan_us(mobilenet) == pytest.approx(narrow.makespan_us(mobilenet), rel=1e-6)
    assert bent.makespan_us(_resized(plain, halves)) == pytest.approx(more.sample.median_us, rel=1e-6)
    with pytest.raises(ProfileMismatch, match="no whole network on cpu:9"):
        OneBranchLatency(msgspec.structs.replace(plain, other_units=("cpu:9",)), 2)


def _resized(profile: DeviceProfile, flat: tuple[int, ...]) -> ModelConfig:
    from syncnas_deploy.networks.resizing import at_widths

    return at_widths(profile.base, NetworkRow(0, 0, exactly(1.0), flat).full_widths(profile.base))
