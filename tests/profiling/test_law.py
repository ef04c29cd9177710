"""The table must find the law: profiles of simulated units whose runs are computed, so that every number is known."""

from __future__ import annotations

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest

from syncnas_bench import JobRun, LaneRun, Output, PhaseRun, SimDevice, SimUnit
from syncnas_bench.simulated.law import Vices
from syncnas_bench.simulated.virtual import Pace, steady
from syncnas_bench.simulated.work import Work, read_works
from syncnas_deploy import pipeline
from syncnas_deploy.networks.config import ModelConfig, SyncOp
from syncnas_deploy.networks.widths import Widths
from syncnas_deploy.prediction.curve_model import CurveModel
from syncnas_deploy.prediction.curves import curves_of
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.rows import Point, SyncRow
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.profiling.fit import slept_share
from syncnas_deploy.profiling.parts import chain
from syncnas_deploy.profiling.width_design import DOMINATED_WEIGHT, worth
from syncnas_exporters.tflite import write_tflite
from tests.support.latency_cases import quick

SETTINGS = ProfileSettings(launches=2, rounds=3, discard=0, repeats=1, networks=3)


def laws(*, noise: float = 0.0, slowdown: tuple[float, float] = (1.3, 1.15)) -> tuple[SimUnit, SimUnit]:
    """The units of sim:phone: unlike in all, and only unit 1 moves features."""
    pair = [
        dataclasses.replace(law, vices=Vices(noise=noise, slowdown=factor))
        for law, factor in zip(quick("phone", 1.0), slowdown, strict=True)
    ]
    return pair[0], pair[1]


def profiled(
    folder: Path, base: ModelConfig, units: tuple[SimUnit, SimUnit], settings: ProfileSettings, pace: Pace = steady
) -> DeviceProfile:
    device = SimDevice("phone", units, pace=pace)
    return pipeline.profile(base, device, out=folder / "p.json", settings=settings)


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory, mobilenet: ModelConfig) -> DeviceProfile:
    return profiled(tmp_path_factory.mktemp("law"), mobilenet, laws(), SETTINGS)


@functools.cache
def works_at(base: ModelConfig, widths: Widths, op: SyncOp) -> dict[Point, Work]:
    parts = chain(base, widths, op, 0, "")
    works = read_works(write_tflite([part.graph for part in parts]))
    return {part.point: works[part.graph.name] for part in parts}


def work_of(base: ModelConfig, point: Point) -> Work:
    """What a point computes."""
    nested = [[list(stage) for stage in branch] for branch in base.widths.nested]
    if point.part == "block":
        nested[0][point.stage][point.block] = point.width
    op = SyncOp.CONCAT if point.halved else SyncOp.ADD
    return works_at(base, Widths.of(nested), op)[point]


def test_every_point_is_what_the_law_says(exact: DeviceProfile, mobilenet: ModelConfig) -> None:
    units = laws()
    # Every third one: making each block's graph anew takes a while.
    for row in exact.points[::3]:
        truth_us = units[row.unit].run_us(work_of(mobilenet, row.point))
        assert row.sample.median_us == pytest.approx(truth_us, abs=0.01), row.point
        assert row.sample.disagreement < 1e-3


def test_contention_is_what_the_law_says(exact: DeviceProfile) -> None:
    assert len(exact.contention) == 2 * (len(exact.base.stages) + 2)
    for row in exact.contention:
        if row.part != "stage":  # the other unit waits, and by this law a unit that waits slows nothing
            assert row.stage == -1 and row.factor == pytest.approx(1.0, abs=1e-3)
            continue
        # A factor is pulled towards 1 by the uncertainty of a measured time, the more so the less was shared.
        slowdown = laws()[row.unit].vices.slowdown
        assert 1 + 0.87 * (slowdown - 1) < row.factor < slowdown, row


def crossing_us(row: SyncRow, unit: SimUnit) -> tuple[tuple[float, float], tuple[float, float]]:
    """Downloads and uploads by unit; unit 0 works in the host's memory."""
    move_us = unit.move_us(row.bytes)
    down = row.place == "sync" or row.trunk == (1 if row.place == "fork" else 0)
    up = row.place == "sync" or row.trunk == (0 if row.place == "fork" else 1)
    return (0.0, move_us * down), (0.0, move_us * up)


def test_every_crossing_is_what_the_law_says(exact: DeviceProfile) -> None:
    assert {(row.trunk, row.place) for row in exact.syncs} == {(t, p) for t in (0, 1) for p in ("fork", "sync", "join")}
    for row in exact.syncs:
        downloads_us, uploads_us = crossing_us(row, laws()[1])
        assert row.downloads_us == pytest.approx(downloads_us, abs=0.01), row
        assert row.uploads_us == pytest.approx(uploads_us, abs=0.01), row
        assert row.barrier_us == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(("sleeps", "share"), [((0, 0), 0.0), ((3, 0), 0.75), ((1, 4), 1.0)])
def test_how_often_a_unit_slept_at_a_crossing(sleeps: tuple[int, int], share: float) -> None:
    stamps = np.zeros(4, np.int64)
    lanes = [LaneRun(i, 0, (PhaseRun(0, stamps, stamps, stamps, stamps, count),)) for i, count in enumerate(sleeps)]
    job = JobRun("net", stamps, stamps, tuple(lanes), Output(4, "0" * 64, True))
    assert slept_share([job, job], 0) == share


def test_networks_it_was_not_made_from_are_predicted(exact: DeviceProfile) -> None:
    assert len(exact.held_out) == 3
    assert exact.expected_error is not None and exact.expected_error < 0.01
    assert exact.warnings == ()


def test_jitter_is_the_standard_deviation_of_a_call(tmp_path: Path, mobilenet: ModelConfig) -> None:
    many = dataclasses.replace(SETTINGS, rounds=60, networks=0)
    # Without contention: a call whose partner ends early or late varies less than its law.
    profile = profiled(tmp_path, mobilenet, laws(noise=0.03, slowdown=(1.0, 1.0)), many)
    assert profile.jitter == pytest.approx((0.03, 0.03), rel=0.1)
    assert profile.held_out == () and profile.expected_error is None


def test_a_launch_that_reads_wrong_is_measured_again_and_left_out(tmp_path: Path, mobilenet: ModelConfig) -> None:
    settings = dataclasses.replace(SETTINGS, launches=3, networks=0)

    def wrong(launch: int, unit: int, elapsed_s: float) -> float:
        return 1.2 if launch == 1 and unit == 1 else 1.0

    profile = profiled(tmp_path, mobilenet, laws(), settings, wrong)
    assert all(len(row.sample.launches_us) == 3 and row.sample.disagreement < 1e-3 for row in profile.networks)
    (text,) = profile.warnings
    assert text.startswith(
        "1 of 4 launches were left out: a network that each of them measures was off by more than 10%"
    )


def test_a_unit_that_changes_within_each_launch_is_told(tmp_path: Path, mobilenet: ModelConfig) -> None:
    # All launches agree on it, so nothing else tells.
    def hotter(launch: int, unit: int, elapsed_s: float) -> float:
        return 1.25 if unit == 0 and elapsed_s > 1.5 else 1.0

    profile = profiled(tmp_path, mobilenet, laws(), dataclasses.replace(SETTINGS, networks=0), hotter)
    (text,) = [text for text in profile.warnings if "at the end of a launch" in text]
    assert text.startswith("sim:cpu: at the end of a launch the base network's time had changed by +25%")


def test_a_width_that_a_wider_one_beats_weighs_less(mobilenet: ModelConfig) -> None:
    curves = curves_of(mobilenet)

    def tiled_us(width: int) -> float:
        return 10.0 + -(-width // 32) * 32 * (1.0 if width % 32 == 0 else 1.1)

    index = next(i for i, curve in enumerate(curves) if curve.base_width == 192 and not curve.halved)
    measured = {(i, curve.base_width): tiled_us(curve.base_width) for i, curve in enumerate(curves)}
    measured |= {(index, width): tiled_us(width) for width in range(32, 260, 4)}
    widths = np.array([160, 164, 188, 192, 196, 224], dtype=np.int64)
    # Just above a multiple of 32 a block takes longer than at the next multiple.
    weights = worth(CurveModel(curves, measured), index, widths)
    assert weights.tolist() == [1.0, DOMINATED_WEIGHT, DOMINATED_WEIGHT, 1.0, DOMINATED_WEIGHT, 1.0]
    assert DOMINATED_WEIGHT < 0.5
