"""Slices follow each other without gaps and end with the makespan, whatever the network and the device."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from syncnas_bench import SimDevice
from syncnas_deploy import pipeline
from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.benchmarking.result_files import read_result, result_to_json
from syncnas_deploy.benchmarking.stamps import KEPT
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.errors import DocumentError
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.prediction.predict import Circumstances, predict
from syncnas_deploy.report.timeline import Timeline, measured_timelines, median_timeline, timeline_of_prediction
from tests.support.latency_cases import law_profile


def check(timeline: Timeline, units: int = 2) -> None:
    for unit in range(units):
        pieces = timeline.of_unit(unit)
        assert pieces[0].begin_us == 0.0 and pieces[-1].end_us == timeline.makespan_us
        assert all(before.end_us == after.begin_us for before, after in itertools.pairwise(pieces))
        assert all(piece.duration_us >= 0 for piece in pieces)
        assert sum(piece.duration_us for piece in pieces) == pytest.approx(timeline.makespan_us, abs=1e-6)


@pytest.mark.parametrize("strategy", ["nnnnnna", "aaaaaaa", "ccccccc", "nanccna"])
@pytest.mark.parametrize("placement", [Placement(0), Placement(1), Placement(0, True), Placement(1, True)])
def test_a_prediction_is_laid_out_whole(mobilenet: ModelConfig, strategy: str, placement: Placement) -> None:
    profile = law_profile(mobilenet)
    config = branched(mobilenet, strategy, placement=placement)
    for given in (Circumstances(), Circumstances(contention=False), Circumstances((1.5, 0.7), crossing_us=3.0)):
        prediction = predict(config, profile, given)
        timeline = timeline_of_prediction(prediction)
        check(timeline)
        assert timeline.makespan_us == prediction.makespan_us
        work_us = sum(segment.concurrent_us for phase in prediction.phases for segment in phase.segments)
        assert sum(timeline.spent_us(unit, "work") for unit in (0, 1)) == pytest.approx(work_us)
        # What a later branch waits for is neither longer nor shorter than the crossing in the prediction.
        crossing_us = sum(phase.sync_us for phase in prediction.phases)
        assert timeline.spent_us(0, "crossing") + timeline.spent_us(1, "crossing") > 0.5 * crossing_us


@pytest.fixture(scope="module")
def result(bundle: Bundle) -> BenchResult:
    return pipeline.bench(bundle, SimDevice("phone"), samples=180)


def test_measured_runs_are_laid_out_whole(result: BenchResult, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text(json.dumps(result_to_json(result)))
    assert read_result(tmp_path / "r.json") == result
    timelines = measured_timelines(result)
    assert KEPT <= len(timelines) <= KEPT + 1
    for timeline in timelines:
        check(timeline)
        assert timeline.run is not None and timeline.makespan_us == result.makespan.samples_us[timeline.run]
    ordered = [timeline.makespan_us for timeline in timelines]
    assert ordered == sorted(ordered)
    assert (ordered[0], ordered[-1]) == (min(result.makespan.samples_us), max(result.makespan.samples_us))
    assert median_timeline(result).run == result.median_run
    # Every run has the same slices, so that one can be drawn over the other.
    shapes = {tuple((p.unit, p.kind, p.name) for p in timeline.slices) for timeline in timelines}
    assert len(shapes) == 1


def test_a_result_without_stamps_is_laid_out_from_its_segments(result: BenchResult) -> None:
    (timeline,) = measured_timelines(msgspec.structs.replace(result, stamps=()))
    check(timeline)
    assert timeline.run is None
    assert timeline.makespan_us == pytest.approx(result.makespan.median_us, rel=0.02)


def stamps(change: Any) -> Any:
    """Change the first run's stamps."""
    return lambda measured: change(measured["stamps"][0])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (stamps(lambda s: s.update(run=10_000)), "not of the network's runs"),
        (stamps(lambda s: s["end_us"].pop()), "not of the network's runs"),
        (stamps(lambda s: s["begin_us"].__setitem__(0, -5.0)), "go back in time"),
        (stamps(lambda s: s["leave_us"].__setitem__(1, 0.0)), "go back in time"),
        (stamps(lambda s: s["end_us"].__setitem__(-1, s["end_us"][-1] + 1.0)), "go back in time"),
        (stamps(lambda s: s.update(run=(s["run"] + 1) % 100)), "do not end with the makespan"),
        (stamps(lambda s: s.update(begin_us="x")), "begin_us"),
        (lambda m: m.update(stamps=m["stamps"] * 11), "stamps"),
    ],
)
def test_stamps_that_no_run_has_are_refused(result: BenchResult, tmp_path: Path, change: Any, says: str) -> None:
    value = json.loads(json.dumps(result_to_json(result)))
    change(value["measured"])
    (tmp_path / "r.json").write_text(json.dumps(value))
    with pytest.raises(DocumentError, match=says):
        read_result(tmp_path / "r.json")


def test_a_network_of_one_branch_is_one_slice_of_work(tmp_path: Path) -> None:
    bundle = pipeline.export("mobilenet_v2", tmp_path / "b")
    result = pipeline.bench(bundle, SimDevice("phone"), units=("sim:gpu",), samples=6, launches=1)
    timeline = median_timeline(result)
    check(timeline, units=1)
    assert timeline.spent_us(0, "work") == pytest.approx(timeline.makespan_us)
