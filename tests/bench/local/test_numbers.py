"""Runs as records, statistics, conditions, adapters and the host's choices."""

import dataclasses
import json
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from syncnas_bench import Condition, HostDevice, Run, Unit, run_plan
from syncnas_bench.device import runner_program
from syncnas_bench.environment import Environment
from syncnas_bench.errors import RowMalformed
from syncnas_bench.local import vulkan
from syncnas_bench.local.host_units import split_cores
from syncnas_bench.runs import parse_row
from tests.support.bench_cases import Collector, sim_plan


@pytest.fixture(scope="module")
def run() -> Run:
    runs = Collector()
    run_plan(sim_plan(), command=[str(runner_program())], on_run=runs)
    return runs[0]


def test_run_survives_json(run: Run) -> None:
    again = Run.from_record(json.loads(json.dumps(run.to_record(), allow_nan=False)))
    assert again.to_record() == run.to_record()
    assert again.metadata["launch_id"] == run.metadata["launch_id"]
    np.testing.assert_array_equal(again.job("job").makespan_ns, run.job("job").makespan_ns)


def test_samples_cannot_be_changed(run: Run) -> None:
    with pytest.raises(ValueError, match="read-only"):
        run.job("job").t0_ns[0] = 0


def test_what_a_run_does_not_have_is_a_key_error(run: Run) -> None:
    with pytest.raises(KeyError, match="no job"):
        run.job("other")
    with pytest.raises(KeyError, match="phase 1"):
        run.job("job").call(0, 1)
    with pytest.raises(KeyError, match="no synchronization"):
        run.job("job").sync_overhead_us(0)


def spoil(record: dict[str, Any], *path: str | int, value: object) -> None:
    for key in path[:-1]:
        record = record[key]
    record[path[-1]] = value


PHASE = ("jobs", 0, "lanes", 0, "phases", 0)


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("row",), 1, "row 1"),
        (("row",), True, "not of type int"),
        (("step",), "other", "step 'other'"),
        (("jobs",), [], "jobs are not"),
        (("jobs", 0, "job"), "other", "jobs are not"),
        (("jobs", 0, "t0_ns"), [1, 2], "2 samples instead of 3"),
        (("jobs", 0, "t0_ns"), [1, 2, "3"], "ns counts"),
        (("jobs", 0, "t0_ns"), [1, 2, -3], "ns counts"),
        (("jobs", 0, "t0_ns"), [1, 2, 2**70], "ns counts"),
        (("jobs", 0, "makespan_ns"), [1, 1, 1], "not the last end"),
        (("jobs", 0, "lanes"), [], "no lanes"),
        (("jobs", 0, "lanes", 0, "unit"), 3, "unit 3"),
        (("jobs", 0, "lanes", 0, "phases"), [], "no phases"),
        ((*PHASE, "phase"), 1, "other lanes or phases"),
        ((*PHASE, "begin_ns"), [2**40] * 3, "ends before it begins"),
        ((*PHASE, "arrive_ns"), [0] * 3, "barrier before it ends"),
        ((*PHASE, "wait_ns"), None, "not of type list"),
        ((*PHASE, "sleeps"), 4, "slept more often than it ran"),
        ((*PHASE, "sleeps"), -1, "slept more often than it ran"),
        ((*PHASE, "sleeps"), True, "not of type int"),
        (("jobs", 0, "output", "finite"), 1, "not of type bool"),
    ],
)  # fmt: skip
def test_malformed_row(run: Run, path: tuple[str | int, ...], value: object, reason: str) -> None:
    record = run.to_record()
    spoil(record, *path, value=value)
    with pytest.raises(RowMalformed, match=reason):
        parse_row(record, sim_plan(), 0)


def test_a_journal_of_before_has_no_sleeps(run: Run) -> None:
    record = run.to_record()
    del record["jobs"][0]["lanes"][0]["phases"][0]["sleeps"]
    assert Run.from_record(record).jobs[0].lanes[0].phases[0].sleeps == 0


@pytest.mark.parametrize("record", [None, "", [], {}, {"units": [1], "jobs": []}, {"units": ["a"], "jobs": []}])
def test_malformed_record(record: object) -> None:
    with pytest.raises(RowMalformed):
        Run.from_record(record)


@pytest.mark.needs("/proc")
def test_condition_of_a_made_up_machine(tmp_path: Path) -> None:
    cpu = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
    zone = tmp_path / "sys/class/thermal/thermal_zone0"
    for folder in (cpu, zone, tmp_path / "proc"):
        folder.mkdir(parents=True)
    (cpu / "scaling_cur_freq").write_text("1800000\n")
    (zone / "type").write_text("soc\n")
    (zone / "temp").write_text("41500\n")
    (tmp_path / "proc/loadavg").write_text("0.50 0.4 0.3 1/100 1\n")
    condition = Condition.read(tmp_path)
    assert condition.cpu_mhz == {"cpu0": 1800.0}
    assert condition.governors == {"cpu0": "absent"}
    assert condition.temperature_c == {"0:soc": 41.5}
    assert (condition.load_1min, condition.boot_id) == (0.5, "absent")
    json.dumps(condition.to_dict(), allow_nan=False)


def test_condition_of_this_machine_is_readable() -> None:
    assert isinstance(Condition.read().load_1min, float)


def test_adapters_without_a_loader_or_with_a_crashing_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    crash = tmp_path / "python"
    crash.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crash.chmod(crash.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(vulkan.sys, "executable", str(crash))
    assert vulkan.list_adapters() == ()


def test_adapters_are_read_from_the_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "python"
    adapter = {"name": "Mali-T860", "type": "integrated", "api": "1.0.0"}
    fake.write_text(f"#!/bin/sh\necho 'driver chatter'\necho '{json.dumps([adapter])}'\n")
    fake.chmod(fake.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(vulkan.sys, "executable", str(fake))
    device = HostDevice(environment=Environment(dict(os.environ)))
    assert [a.name for a in vulkan.list_adapters()] == ["Mali-T860"]
    assert device.default_units()[1] == Unit("gpu")
    assert {str(info.unit) for info in device.units() if info.available} >= {"gpu", "gpu:fp16"}


def test_software_driver_is_found_in_order(tmp_path: Path) -> None:
    assert vulkan.software_icd(None, tmp_path) is None
    lavapipe = tmp_path / "usr/share/vulkan/icd.d/lvp_icd.x86_64.json"
    swiftshader = tmp_path / "usr/lib/chromium/vk_swiftshader_icd.json"
    for path in (lavapipe, swiftshader):
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    assert vulkan.software_icd(None, tmp_path) == swiftshader
    swiftshader.unlink()
    assert vulkan.software_icd(None, tmp_path) == lavapipe
    assert vulkan.software_icd(Path("/none"), tmp_path) is None


@pytest.mark.parametrize(
    ("cores", "units"),
    [
        ((3,), ("cpu:1", "cpu:1")),
        ((0, 1), ("cpu:1@0", "cpu:1@1")),
        ((0, 1, 2, 3), ("cpu:2@0,1", "cpu:2@2,3")),
        ((1, 4, 6), ("cpu:1@1", "cpu:1@4")),
    ],
)
def test_cores_are_split_in_halves(cores: tuple[int, ...], units: tuple[str, str]) -> None:
    assert tuple(str(unit) for unit in split_cores(cores)) == units


@pytest.mark.needs("host units")
def test_host_without_a_gpu_uses_cpu_cores_and_says_why() -> None:
    device = HostDevice(
        environment=Environment({**os.environ, "VK_DRIVER_FILES": "/none.json", "VK_ICD_FILENAMES": "/none.json"})
    )
    assert {unit.kind for unit in device.default_units()} == {"cpu"}
    gpu = next(info for info in device.units() if str(info.unit) == "gpu")
    assert not gpu.available
    assert gpu.reason
    facts = device.facts()
    assert not facts.simulated
    assert facts.cores == len(os.sched_getaffinity(0))
    assert facts.memory_bytes > 0
    assert set(facts.to_dict()) == {field.name for field in dataclasses.fields(facts)}
