"""A result's file: what no measurement can hold is refused, and nothing that is read makes a report fail."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from syncnas_bench import SimDevice
from syncnas_deploy import pipeline
from syncnas_deploy.errors import DocumentError
from syncnas_deploy.report.comparison import read_all
from tests.support.picture_cases import small_branched


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("result")
    device = SimDevice("phone")
    bundle, base = pipeline.export(small_branched(), folder / "b"), pipeline.export("mobilenet_v2", folder / "base")
    pipeline.bench(bundle, device, samples=18, baselines=[(base, "sim:gpu")], out=folder / "r.json")
    value = json.loads((folder / "r.json").read_text())
    value["measured"]["baselines"][0]["role"] = "rival"
    return value


def spoilt(good: Any, folder: Path, change: Callable[[Any], object]) -> Path:
    value = json.loads(json.dumps(good))
    change(value["measured"])
    (folder / "r.json").write_text(json.dumps(value))
    return folder / "r.json"


def first(name: str, value: float) -> Callable[[Any], object]:
    """Change the first sample of a quantity."""
    return lambda measured: measured[name]["samples_us"].__setitem__(0, value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (first("makespan", 0.0), "samples_us"),
        (first("again", -5.0), "samples_us"),
        (first("makespan", 5e-324), "samples_us"),
        (lambda m: m["baselines"][0]["makespan"]["samples_us"].__setitem__(3, -1.0), "samples_us"),
        (lambda m: m["segments"][0]["concurrent"]["samples_us"].__setitem__(0, 1e-300), "samples_us"),
        (lambda m: m["baselines"][0].update(macs=0), "macs"),
        (lambda m: m["baselines"][0].update(macs=2 * 10**18), "macs"),
        (lambda m: m["baselines"][0].update(slope=-1e308), "slope"),
        (lambda m: m["baselines"][0].update(standard_error=-1.0), "standard_error"),
        (lambda m: m.update(simulated=False), "said to be measured, and the device is a simulated one; run `bench`"),
        (lambda m: m["facts"].pop("simulated") and m.update(simulated=False), "the device is a simulated one"),
        (lambda m: m.update(simulated=False, units=["cpu:1", "sim:gpu"], facts={}), "the device is a simulated one"),
        (lambda m: m.update(units=["npu", "sim:gpu"]), "measured: units: unit 'npu' is not valid"),
        (lambda m: m["baselines"][0].update(unit="cpu:99"), "units: a unit has 1 to 64 threads, not 99; run `bench`"),
        (
            lambda m: m.update(simulated=False, units=["cpu:1", "gpu:fp16:software"], facts={}, baselines=[]),
            "'software_gpu' must be true",
        ),
        (lambda m: m["launch_samples"].append(1), "launch_samples"),
        (lambda m: m["again"]["samples_us"].pop(), "launch_samples"),
        (lambda m: m["syncs"][0]["samples_us"].__setitem__(0, 1e12), "a part of a run that is longer than the run"),
        (lambda m: m["syncs"][1]["samples_us"].__setitem__(2, -1e9), "a part of a run that is longer than the run"),
        (lambda m: m["syncs"][0]["samples_us"].pop(), "a part of a run that is longer than the run"),
        (lambda m: m["segments"][1]["concurrent"]["samples_us"].__setitem__(4, 1e9), "longer than the run"),
        (lambda m: m.update(makespan={"samples_us": [1e-3] * 17 + [1e12]}, stamps=[]), "longer than the run"),
        (lambda m: m.update(warnings=[""]), "warnings"),
        (lambda m: m["baselines"][0]["makespan"]["samples_us"].pop(), "launch_samples"),
    ],
)
def test_what_no_measurement_holds_is_refused(
    good: Any, tmp_path: Path, change: Callable[[Any], object], says: str
) -> None:
    with pytest.raises(DocumentError, match=says):
        read_all([spoilt(good, tmp_path, change)])


@pytest.mark.parametrize(
    "change",
    [
        lambda m: m["baselines"][0].update(slope=-1e6),
        lambda m: m["baselines"][0].update(slope=1e6, reward=1e308),
        lambda m: m["baselines"][0]["makespan"].update(samples_us=[1e12] * 18),
        lambda m: m["baselines"][0]["makespan"].update(samples_us=[1e-3, 1e12] * 9),
        lambda m: m["facts"].update(cores="9" * 4000, simulated="False"),
        lambda m: m["before"].update(load_1min="1e308"),
        lambda m: m.update(launch_samples=[1, 17]),
        lambda m: m.update(change=1e6),
        lambda m: m["makespan"]["samples_us"].__setitem__(3, 1e12) or m.update(stamps=[]),
    ],
)
def test_what_is_read_can_be_reported(good: Any, tmp_path: Path, change: Callable[[Any], object]) -> None:
    page = read_all([spoilt(good, tmp_path, change)])
    assert "This measurement is" in page.to_text() or "the measurement is" in page.to_text()
    json.dumps(page.to_json(), allow_nan=False)
