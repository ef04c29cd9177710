"""The GPU code path on a software Vulkan driver: right numbers, never a time."""

import os
from pathlib import Path

import numpy as np
import pytest

from syncnas_bench import Call, HostDevice, Job, Lane, Step, UnitUnavailable
from syncnas_bench.environment import SOFTWARE_ICD_VARIABLE, Environment
from syncnas_bench.local.vulkan import software_icd
from tests.support.bench_cases import Collector, branches, plan_of, write_branches

pytestmark = pytest.mark.needs("host units")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_branches(tmp_path_factory.mktemp("models") / "branches.tflite")


@pytest.fixture(scope="module")
def device(model: Path) -> HostDevice:
    icd = software_icd(Environment.of_process().software_icd)
    if icd is None:
        pytest.skip("no software Vulkan driver: install SwiftShader (Debian: chromium-common)")
    found = HostDevice()
    step = Step("probe", (Job.solo("j", 0, Call(0, 0, "left0")),), rounds=1)
    try:
        found.run(plan_of("gpu:software", step, files=(model,)), on_run=Collector())
    except UnitUnavailable as error:
        if SOFTWARE_ICD_VARIABLE in os.environ or "No adapters found" not in error.log:
            raise
        pytest.skip(f"LiteRT rejects {icd.name}: install SwiftShader (Debian: chromium-common)")
    return found


def outputs(device: HostDevice, units: str, model: Path, path: Path, *, serial: bool) -> np.ndarray:
    runs = Collector()
    job = Job("net", branches(), serial=serial, output=path)
    launch = device.run(plan_of(units, Step("s", (job,), rounds=3, discard=1), files=(model,)), on_run=runs)
    assert [u.fully_accelerated for u in launch.units if u.unit.startswith("gpu")] == [True]
    assert runs[0].jobs[0].output.finite
    return np.fromfile(path, "<f4")


@pytest.mark.parametrize("units", ["cpu:1 gpu:software", "gpu:software cpu:1"])
def test_features_cross_between_cpu_and_gpu(device: HostDevice, model: Path, tmp_path: Path, units: str) -> None:
    at_once = outputs(device, units, model, tmp_path / "a", serial=False)
    in_turns = outputs(device, units, model, tmp_path / "b", serial=True)
    np.testing.assert_array_equal(at_once, in_turns)
    on_cpus = tmp_path / "c"
    step = Step("s", (Job("net", branches(), output=on_cpus),), rounds=1)
    device.run(plan_of("cpu:1 cpu:1", step, files=(model,)), on_run=Collector())
    np.testing.assert_allclose(at_once, np.fromfile(on_cpus, "<f4"), rtol=0, atol=1e-4)


def test_own_output_stays_on_the_gpu(device: HostDevice, model: Path, tmp_path: Path) -> None:
    chain = (Call(0, 0, "left0"), Call(1, 0, "right0", ("own",)), Call(2, 0, "left0", ("own",)))
    paths = tmp_path / "gpu", tmp_path / "cpu"
    jobs = tuple(Job(path.name, (Lane(unit, chain),), output=path) for unit, path in enumerate(paths))
    runs = Collector()
    step = Step("s", jobs, rounds=3)
    device.run(plan_of("gpu:software cpu:1", step, files=(model,)), on_run=runs)
    gpu, cpu = (np.fromfile(path, "<f4") for path in paths)
    np.testing.assert_allclose(gpu, cpu, rtol=0, atol=1e-4)
    assert runs[0].job("gpu").lanes[0].buffer_type != 1, "the features are in host memory"


def test_software_and_hardware_gpu_do_not_mix(device: HostDevice, model: Path) -> None:
    step = Step("s", (Job.solo("j", 0, Call(0, 0, "left0")),))
    with pytest.raises(UnitUnavailable, match="cannot share one plan"):
        device.run(plan_of("gpu gpu:software", step, files=(model,)), on_run=Collector())


def test_driver_that_is_not_there(model: Path, tmp_path: Path) -> None:
    absent = HostDevice(environment=Environment({**os.environ, SOFTWARE_ICD_VARIABLE: str(tmp_path / "icd.json")}))
    step = Step("s", (Job.solo("j", 0, Call(0, 0, "left0")),))
    with pytest.raises(UnitUnavailable, match="chromium-common"):
        absent.run(plan_of("gpu:software", step, files=(model,)), on_run=Collector())
