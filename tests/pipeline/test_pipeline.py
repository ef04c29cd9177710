"""The whole road from Python, on this machine with real LiteRT: profile, search, export, bench, report."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from syncnas_bench import HostDevice, SimDevice, Unit
from syncnas_bench.local import vulkan
from syncnas_deploy import pipeline
from syncnas_deploy.benchmarking.result_files import read_result, result_to_json
from syncnas_deploy.benchmarking.run import run_bench
from syncnas_deploy.bundle import read_bundle
from syncnas_deploy.errors import BundleError, MeasurementError
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.formats import config_text
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.report.comparison import read_all
from syncnas_deploy.report.tables import bench_page
from syncnas_deploy.search.loop import SearchSettings
from tests.support.configs import parse_config

pytestmark = pytest.mark.needs("host units")

QUICK = ProfileSettings(launches=1, rounds=3, discard=1, repeats=1)
GPU = pytest.mark.skipif(
    vulkan.software_icd() is None,
    reason="a software Vulkan driver is missing (Debian: chromium-common and libvulkan1)",
)


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything the road leaves."""
    folder = tmp_path_factory.mktemp("road")
    host = HostDevice()
    profile = pipeline.profile("mobilenet_v2", host, out=folder / "host.json", settings=QUICK)
    trials = SearchSettings(trials=8)
    # A budget that any two branches meet, however much a busy machine slowed one of them.
    found = pipeline.search(profile, budget="3.0x", evaluator="capacity", settings=trials, out=folder / "found")
    bundle = pipeline.export(found.config, folder / "winner")
    pipeline.export("mobilenet_v2", folder / "base")
    pipeline.bench(
        bundle,
        host,
        units=profile.units,
        samples=18,
        baselines=[(folder / "base", None)],
        out=folder / "bench.json",
    )
    return folder


def test_the_road_ends_with_prediction_beside_measurement(road: Path) -> None:
    page = read_all([road / "host.json", road / "found", road / "winner", road / "bench.json"])
    text = page.to_text()
    for word in ("measured profile", "predicted (us)", "A/A", "overlap", "mobilenet_v2", "logits equal"):
        assert word in text, word
    value = json.loads(json.dumps(page.to_json(), allow_nan=False))
    (result,) = value["results"]
    assert result["predicted"]["segments"][0].keys() >= {"solo_us", "concurrent_us"}
    assert [s["name"] for s in result["predicted"]["segments"]] == [s["name"] for s in result["segments"]]
    assert result["makespan_us"] > 0


def test_measured_times_hang_together(road: Path) -> None:
    result = read_result(road / "bench.json")
    assert result_to_json(result) == json.loads((road / "bench.json").read_text())
    assert not result.simulated and not result.software_gpu
    assert result.difference is not None and result.difference <= 1e-3
    # Three launches of six runs; one that a busy machine has disturbed is left out, and that is said.
    left_out = 3 - len(result.makespan.samples_us) // 6
    assert len(result.makespan.samples_us) % 6 == 0 and bool(left_out) == any("left out" in w for w in result.warnings)
    # Run by run: what the later of two branches takes lies between what both of its segments take.
    phases = range(result.segments[-1].phase + 1)
    busy_us = [[np.array(s.concurrent.samples_us) for s in result.segments if s.phase == phase] for phase in phases]
    syncs_us = sum(np.array(sync.samples_us) for sync in result.syncs)
    least_us = sum(np.minimum.reduce(times) for times in busy_us) + syncs_us
    most_us = sum(np.maximum.reduce(times) for times in busy_us) + syncs_us
    makespans_us = np.array(result.makespan.samples_us)
    assert (least_us <= makespans_us + 0.1).all()
    # The first call begins a little after the run does.
    assert (makespans_us - most_us).min() < 100
    assert 1.0 <= result.overlap_ceiling <= 2.0
    units = [baseline.unit for baseline in result.baselines]
    assert len(units) == len(set(units)) >= 2


def test_a_wrong_output_is_no_result(road: Path, tmp_path: Path) -> None:
    bundle = read_bundle(road / "winner")
    image, logits = bundle.reference()

    class Wrong(type(bundle)):  # type: ignore[misc]
        def reference(self) -> tuple[np.ndarray, np.ndarray]:
            return image, logits + 1.0

    wrong = Wrong(**{field.name: getattr(bundle, field.name) for field in dataclasses.fields(bundle)})
    with pytest.raises(MeasurementError, match="do not count"):
        pipeline.bench(wrong, HostDevice(), samples=5, launches=1)


def test_a_baseline_has_one_branch(road: Path) -> None:
    with pytest.raises(BundleError, match="two branches"):
        pipeline.bench(road / "base", HostDevice(), samples=5, baselines=[(road / "winner", None)])


def test_both_at_once_give_the_logits_of_one_after_the_other(road: Path) -> None:
    bundle = read_bundle(road / "winner")
    plain = run_bench(bundle, HostDevice(), HostDevice().default_units(), samples=5, launches=1)
    assert plain.difference is not None and plain.difference < 1e-5


def test_a_simulated_result_is_labelled(road: Path, tmp_path: Path) -> None:
    result = pipeline.bench(
        road / "winner", SimDevice("phone", by_runner=True), samples=5, launches=1, out=tmp_path / "sim.json"
    )
    assert result.simulated and result.difference is None
    assert "SIMULATED" in read_all([tmp_path / "sim.json"]).to_text()


def small(mobilenet: ModelConfig, strategy: str) -> ModelConfig:
    """A two-branch network at 64 pixels, for units that are slow."""
    text = json.loads(config_text(mobilenet))
    text["input_size"] = 64
    return dataclasses.replace(branched(parse_config(json.dumps(text), "small"), strategy), classes=10)


@GPU
@pytest.mark.parametrize("strategy", ["annnana", "ncnncnc"])
def test_cpu_and_software_gpu_together_equal_the_reference(
    mobilenet: ModelConfig, tmp_path: Path, strategy: str
) -> None:
    bundle = pipeline.export(small(mobilenet, strategy), tmp_path / "b")
    result = pipeline.bench(bundle, HostDevice(), units=("cpu:1", "gpu:software"), samples=5, launches=1)
    assert result.software_gpu and result.difference is not None and result.difference < 1e-3
    assert "SOFTWARE GPU" in str(bench_page(result))
    assert all(sync.median_us > 0 for sync in result.syncs[1:])


@GPU
def test_a_software_gpu_is_never_a_default() -> None:
    assert not any(unit.software for unit in HostDevice().default_units())
    assert any(info.unit == Unit("gpu", software=True) for info in HostDevice().units())
