"""What `bench` makes of its rows, on simulated units in virtual time: every number is known."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from syncnas_bench import BenchPlan, Launch, SimDevice
from syncnas_bench.simulated.virtual import Pace, steady
from syncnas_deploy import pipeline
from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.benchmarking.result_files import read_result, result_to_json
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.errors import DocumentError, MeasurementError, ProfileMismatch
from syncnas_deploy.files.output import write_json
from syncnas_deploy.measuring.jobs import DISCARD, REPEATS
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.profile_files import write_profile
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.report.comparison import read_all
from syncnas_deploy.report.tables import bench_page
from tests.support.latency_cases import quick

LAWS = tuple(
    dataclasses.replace(law, vices=dataclasses.replace(law.vices, noise=0.0, slowdown=1.0))
    for law in quick("phone", 1.0)
)


def phone(pace: Pace = steady) -> SimDevice:
    return SimDevice("phone", (LAWS[0], LAWS[1]), pace=pace)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, mobilenet: ModelConfig) -> Bundle:
    return pipeline.export(branched(mobilenet, "nnanncc"), tmp_path_factory.mktemp("bench") / "bundle")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return pipeline.export("mobilenet_v2", tmp_path_factory.mktemp("bench") / "base")


@pytest.fixture(scope="module")
def profile(tmp_path_factory: pytest.TempPathFactory) -> DeviceProfile:
    settings = ProfileSettings(launches=1, rounds=1, discard=0, repeats=1, networks=1)
    return pipeline.profile("mobilenet_v2", phone(), out=tmp_path_factory.mktemp("bench") / "p.json", settings=settings)


class Spoiled(SimDevice):
    """Its first launches are marked, and slower."""

    def __init__(self, spoiled: int) -> None:
        super().__init__("phone", (LAWS[0], LAWS[1]), pace=lambda launch, *_: 2.0 if launch < spoiled else 1.0)
        self._spoiled = spoiled

    def run(self, plan: BenchPlan, *, on_run: Any, deadline_s: float = 60.0, stall_s: float = 60.0) -> Launch:
        mark = {"invalid": "thermal status 3"} if self._launches < self._spoiled else {}
        return super().run(plan, on_run=lambda run: on_run(run.with_metadata(mark)))


def test_what_was_hot_counts_in_no_result(bundle: Bundle, tmp_path: Path) -> None:
    cool = pipeline.bench(bundle, phone(), samples=18, launches=3)
    mixed = pipeline.bench(bundle, Spoiled(1), samples=18, launches=3, out=tmp_path / "b.json")
    assert mixed.makespan.median_us == cool.makespan.median_us
    assert len(mixed.makespan.samples_us) == 2 * len(cool.makespan.samples_us) // 3
    assert mixed.warnings == ("1 of 3 launches were left out: the device was not fit (thermal status 3)",)
    assert f"warning: {mixed.warnings[0]}" in str(bench_page(mixed))
    assert read_result(tmp_path / "b.json") == mixed
    with pytest.raises(MeasurementError, match=r"never fit to be measured \(thermal status 3\)"):
        pipeline.bench(bundle, Spoiled(3), samples=18, launches=3)


def test_a_launch_that_reads_wrong_counts_in_no_result(bundle: Bundle) -> None:
    odd = phone(lambda launch, *_: 1.2 if launch == 1 else 1.0)
    result = pipeline.bench(bundle, odd, samples=18, launches=3)
    assert result.makespan.median_us == pipeline.bench(bundle, phone(), samples=6, launches=1).makespan.median_us
    assert result.warnings[0].startswith("1 of 3 launches were left out: a network that each of them measures")


def test_a_network_that_slows_down_within_a_launch_is_told(bundle: Bundle, tmp_path: Path) -> None:
    cool = pipeline.bench(bundle, phone(), samples=60, launches=1)
    assert cool.change == 0.0 and "changed by" not in str(bench_page(cool))
    # A launch has a turn of four jobs per round: the network twice, and each branch alone.
    half_s = (
        5 * (DISCARD + REPEATS) * (2 * cool.makespan.median_us + sum(s.solo.median_us for s in cool.segments)) / 1e6
    )
    hot = phone(lambda launch, unit, elapsed_s: 1.25 if elapsed_s > half_s else 1.0)
    result = pipeline.bench(bundle, hot, samples=60, launches=1, out=tmp_path / "hot.json")
    # Calls are slower; crossings are not.
    assert 0.2 < result.change <= 0.25
    assert f"changed by {result.change:+.1%}" in read_all([tmp_path / "hot.json"]).to_text()


def test_a_prediction_holds_where_the_device_is_the_profiled_one(
    bundle: Bundle, base: Bundle, profile: DeviceProfile, tmp_path: Path
) -> None:
    predicted = pipeline.predict_bench(bundle, phone(), profile, units=profile.units)
    result = pipeline.bench(bundle, phone(), units=profile.units, samples=6, launches=1, baselines=[(base, None)])
    # By this law a feature counts where it is written and where it is read; in one graph it counts once.
    assert predicted.makespan_us == pytest.approx(result.makespan.median_us, rel=0.015)
    for segment in (segment for phase in predicted.phases for segment in phase.segments):
        (samples,) = [s for s in result.segments if s.name == segment.name]
        assert segment.solo_us == pytest.approx(samples.solo.median_us, rel=0.03)
    for baseline in result.baselines:
        unit = profile.units.index(baseline.unit)
        assert baseline.makespan.median_us == pytest.approx(profile.table.network_us(unit), rel=1e-3)


class Other(SimDevice):
    """Another phone."""

    @property
    def name(self) -> str:
        return "sim:other"


def renamed(result: BenchResult, **facts: str) -> BenchResult:
    return msgspec.structs.replace(result, facts={**result.facts, **facts})


def test_a_profile_of_another_device_or_of_other_units_is_refused(bundle: Bundle, profile: DeviceProfile) -> None:
    with pytest.raises(ProfileMismatch, match="name is 'sim:phone', not 'sim:other'"):
        pipeline.predict_bench(bundle, Other("phone", (LAWS[0], LAWS[1])), profile, units=profile.units)
    with pytest.raises(ProfileMismatch, match="units sim:cpu and sim:gpu, not of sim:gpu and sim:cpu"):
        pipeline.predict_bench(bundle, phone(), profile, units=("sim:gpu", "sim:cpu"))


def test_a_report_lays_no_other_devices_prediction_beside(
    bundle: Bundle, profile: DeviceProfile, tmp_path: Path
) -> None:
    result = pipeline.bench(bundle, phone(), units=profile.units, samples=6, launches=1)
    write_profile(tmp_path / "p.json", profile)
    write_json(tmp_path / "same.json", result_to_json(result))
    write_json(tmp_path / "other.json", result_to_json(renamed(result, model="another phone")))
    both = read_all([tmp_path / "p.json", tmp_path / "same.json", tmp_path / "other.json"])
    same, other = both.to_json()["results"]
    assert same["predicted"]["makespan_us"] == pytest.approx(result.makespan.median_us, rel=0.015)
    assert other["predicted"] is None
    text = both.to_text()
    assert text.count("no profile fits it") == 1 and "whose model is 'simulated device sim:phone'" in text


def first_samples(us: float) -> Callable[[Any], Any]:
    return lambda segments: [{**segments[0], "solo": {"samples_us": [us]}}, *segments[1:]]


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("makespan", lambda _: {"samples_us": [-5.0]}, "'samples_us' has a latency that is not above 0"),
        ("again", lambda _: {"samples_us": [0.0]}, "'samples_us' has a latency that is not above 0"),
        ("segments", first_samples(0.0), "'samples_us' has a latency that is not above 0"),
        ("segments", lambda rows: [*rows[:-1], {**rows[-1], "phase": 0}], "'segments' are not those of the network"),
        ("segments", lambda rows: [{**r, "branch": 1 - r["branch"]} for r in rows], "'segments' are not those of"),
        ("units", lambda units: units[:1], "'units' must name the unit of each branch"),
        ("change", lambda _: 1.7e308, "'change' must be a number from -1 to"),
        ("device", lambda _: "phone\n\x1b[2Jfake: line", "'device' must be printable text"),
        ("warnings", lambda _: ["\ud800"], "half of a character"),
    ],
)
def test_a_result_that_nothing_can_measure_is_refused(
    bundle: Bundle, tmp_path: Path, field: str, value: Callable[[Any], Any], says: str
) -> None:
    told = json.loads(json.dumps(result_to_json(pipeline.bench(bundle, phone(), samples=6, launches=1))))
    told["measured"][field] = value(told["measured"][field])
    (tmp_path / "b.json").write_text(json.dumps(told))
    with pytest.raises(DocumentError, match=says):
        read_result(tmp_path / "b.json")


def test_a_result_of_before_is_refused_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "old.json").write_text('{"schema": "syncnas-deploy/bench-result/1", "name": "x"}')
    with pytest.raises(DocumentError, match=r"old.json: 'schema' is of an earlier version; run `bench` again\.$"):
        read_result(tmp_path / "old.json")
