"""A device over ADB: its facts, what is refused before anything is pushed, whole runs, and its lease."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from syncnas_bench import BenchPlan, Call, HostDevice, Job, Run, Step, Unit
from syncnas_bench.adb.device import AdbDevice
from syncnas_bench.adb.lease import take_lease
from syncnas_bench.adb.probe import Cluster, parse_condition, parse_probe
from syncnas_bench.adb.target import check_fits, find_runtime, target_of
from syncnas_bench.device import runner_program
from syncnas_bench.environment import DEVICE_LITERT_VARIABLE, Environment
from syncnas_bench.errors import (
    DeviceLeased,
    RuntimeMismatch,
    RuntimeMissing,
    StorageFull,
    UnitUnavailable,
)
from syncnas_exporters.tflite import write_tflite
from tests.support.adb_cases import device_of, new_phone, no_server_env
from tests.support.adb_daemon import AdbDaemon
from tests.support.adb_phone import battery, set_dump
from tests.support.bench_cases import SHAPE, Collector, branches, plan_of, segment, sim_plan, write_branches
from tests.support.lease_race import race, start

PHONE = """
@@getprop
[ro.product.manufacturer]: [Example]
[ro.product.model]: [Nine Pro]
[ro.product.cpu.abilist]: [arm64-v8a,armeabi-v7a]
[ro.build.version.release]: [15]
[ro.build.version.sdk]: [35]
@@arch
aarch64
@@kernel
6.1.0
@@boot
aaaa
@@memory
MemTotal:       11000000 kB
@@allowed
Cpus_allowed_list:\t0-7
@@bionic
/system/bin/linker64
@@glibc
@@page
4096
@@cpus
""" + "\n".join(
    f"/sys/devices/system/cpu/cpu{n}/cpu_capacity:{capacity}\n"
    f"/sys/devices/system/cpu/cpu{n}/cpufreq/related_cpus:{related}\n"
    for n, (capacity, related) in enumerate([(250, "0 1 2 3")] * 4 + [(870, "4 5 6")] * 3 + [(1024, "7")])
)  # fmt: skip


def left_behind(daemon: AdbDaemon) -> list[str]:
    return [path.name for path in (daemon.root / "data/local/tmp").iterdir() if path.name != "syncnas.lease"]


def two_branches(folder: Path, **fields: object) -> BenchPlan:
    step = Step("two", (Job("net", branches(), output=folder / "out"),), rounds=5)
    again = Step("again", (Job("net", branches(), serial=True),), rounds=3)
    return plan_of("cpu:1 cpu:1", step, again, files=(write_branches(folder / "m.tflite"),), seed=3, **fields)


def shape_of(run: Run) -> object:
    jobs = [
        (job.name, len(job.t0_ns), [(lane.unit_index, [p.phase for p in lane.phases]) for lane in job.lanes])
        for job in run.jobs
    ]
    return run.row, run.step, run.units, jobs


def test_facts(device: AdbDevice) -> None:
    facts = device.facts()
    assert (facts.model, facts.cpu_model, facts.os) == ("Example Test Phone", "Example EX1000", "Android 14 (API 34)")
    assert not facts.simulated
    assert facts.memory_bytes > 0
    assert facts.runtime.startswith(("ai-edge-litert ", "LiteRT from "))


def test_condition(phone: AdbDaemon, device: AdbDevice) -> None:
    set_dump(phone.root, "battery", battery(24))
    condition = device.condition()
    assert condition.thermal_status == 0
    assert condition.battery_percent == 24
    assert condition.battery_c == 27
    assert condition.powered == "USB"
    assert condition.screen == "Awake"
    assert condition.temperature_c == {"0:cpu-0": 31.0}
    assert set(condition.governors.values()) == {"schedutil"}
    assert condition.boot_id == (phone.root / "proc/sys/kernel/random/boot_id").read_text().strip()
    assert condition.trouble == "battery at 24 %"


def test_a_phone_that_tells_little() -> None:
    condition = parse_condition(
        "@@uptime\n12.5 3\n@@cpus\ngrep: /sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq: Permission denied\n"
        "grep: /sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq: No such file or directory\n@@power\n"
    )
    assert condition.monotonic_ns == 12_500_000_000
    assert condition.cpu_mhz == {"cpu0": "denied"}
    assert (condition.thermal_status, condition.screen, condition.battery_percent) == ("absent",) * 3
    assert condition.trouble == ""
    assert parse_probe("").model == "unknown"
    assert parse_condition("garbage").boot_id == "absent"


def test_clusters_of_a_phone() -> None:
    probe = parse_probe(PHONE)
    assert probe.clusters == (
        Cluster((4, 5, 6), 870),
        Cluster((7,), 1024),
        Cluster((0, 1, 2, 3), 250),
    )
    assert target_of(probe) == "aarch64-android"
    assert probe.bionic
    assert probe.glibc is None


def test_units(phone: AdbDaemon, device: AdbDevice) -> None:
    infos = {str(info.unit): info for info in device.units()}
    big, little = device.default_units()
    assert big.kind == little.kind == "cpu"
    assert infos[str(big)].description == "CPU cluster, capacity 1024"
    assert not infos["gpu"].available
    with pytest.raises(UnitUnavailable, match="GPU of"):
        device.run(plan_of("gpu", Step("s", (Job.solo("j", 0, Call(0, 0, "c")),)), files=(Path("x"),)), on_run=print)
    with pytest.raises(UnitUnavailable, match="cores \\[77\\]"):
        device.run(
            plan_of("cpu:1@77", Step("s", (Job.solo("j", 0, Call(0, 0, "c")),)), files=(Path("x"),)), on_run=print
        )


@pytest.mark.parametrize("way", ["direct-new", "direct-old", "server-new", "server-old"])
def test_real_plan_end_to_end(way: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    server = request.getfixturevalue("server") if way.startswith("server") else None
    with new_phone(legacy=way.endswith("old")) as phone:
        serial = server.connect(phone) if server else phone.address
        device = device_of(serial, server.env if server else no_server_env(tmp_path))
        plan, runs = two_branches(tmp_path), Collector()
        launch = device.run(plan, on_run=runs)
        assert launch.exit == "0"
        assert launch.litert is not None
        assert launch.litert.startswith(str(phone.root))
        output = (tmp_path / "out").read_bytes()
        on_host = Collector()
        HostDevice().run(plan, on_run=on_host)
        assert [shape_of(run) for run in runs] == [shape_of(run) for run in on_host]
        assert runs[0].job("net").output == on_host[0].job("net").output
        assert output == (tmp_path / "out").read_bytes()
        assert set(on_host[0].metadata) <= set(runs[0].metadata)
        assert runs[0].metadata["device"]["name"] == serial
        assert runs[0].unusable_reason == ""
        assert left_behind(phone) == []
        device.close()


def test_input_files_travel(device: AdbDevice, tmp_path: Path) -> None:
    values = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    (tmp_path / "in").write_bytes(values.tobytes())
    model = tmp_path / "one.tflite"
    model.write_bytes(write_tflite([segment("one", 1, joins=False)]))
    job = Job("j", Job.solo("j", 0, Call(0, 0, "one")).lanes, input=tmp_path / "in", output=tmp_path / "out")
    plan = plan_of("cpu:1", Step("s", (job,), rounds=1), files=(model,))
    device.run(plan, on_run=Collector())
    first = (tmp_path / "out").read_bytes()
    HostDevice().run(plan, on_run=Collector())
    assert first == (tmp_path / "out").read_bytes()


def test_files_are_pushed_once_and_with_their_mode(phone: AdbDaemon, device: AdbDevice, tmp_path: Path) -> None:
    modes = []

    def look(run: Run) -> None:
        (folder,) = (phone.root / "data/local/tmp").glob("syncnas-*")
        modes.append((folder.stat().st_mode & 0o777, (folder / "syncnas-runner").stat().st_mode & 0o777))

    device.run(sim_plan(steps=2), on_run=look)
    assert modes == [(0o700, 0o755)] * 2
    assert sum(service == "sync:" for service in phone.counts.services) == 2  # the runner and the plan


def set_fact(phone: AdbDaemon, program: str, script: str) -> None:
    path = phone.root / "bin" / program
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("program", "script", "error", "reason"),
    [
        ("getconf", "[ $1 = PAGE_SIZE ] && echo 4096 || echo glibc 2.12", RuntimeMismatch, "needs glibc 2.* has 2.12"),
        ("uname", "[ $1 = -m ] && echo armv7l || echo 5.4", RuntimeMismatch, "no runner for armv7l"),
        pytest.param(
            *("uname", "[ $1 = -m ] && echo aarch64 || echo 5.4", RuntimeMissing, "runtime fetch --abi aarch64-linux"),
            marks=pytest.mark.needs("LiteRT for boards"),
        ),
    ],
)
def test_refused_before_a_byte_is_pushed(
    phone: AdbDaemon, device: AdbDevice, tmp_path: Path, program: str, script: str, error: type[Exception], reason: str
) -> None:
    set_fact(phone, program, script)
    with pytest.raises(error, match=reason):
        device.run(two_branches(tmp_path), on_run=Collector())
    assert "sync:" not in phone.counts.services
    assert left_behind(phone) == []


def test_android_of_another_abi_is_refused(phone: AdbDaemon, device: AdbDevice, tmp_path: Path) -> None:
    (phone.root / "system/bin").mkdir(parents=True)
    (phone.root / "system/bin/linker64").touch()
    with pytest.raises(RuntimeMismatch, match="runs x86_64 programs; only arm64-v8a"):
        device.run(sim_plan(), on_run=Collector())
    assert "sync:" not in phone.counts.services


def test_a_library_for_another_device(tmp_path: Path) -> None:
    android, board = parse_probe(PHONE), parse_probe("@@arch\naarch64\n@@glibc\nglibc 2.31\n")
    with pytest.raises(RuntimeMismatch, match="another processor"):
        check_fits(
            android, runner_program() if runner_program().parent.name == "x86_64-linux" else Path(sys.executable)
        )
    text = tmp_path / "libLiteRt.so"
    text.write_text("hello")
    with pytest.raises(RuntimeMismatch, match="does not begin like an ELF file"):
        check_fits(board, text)
    runner = runner_program().parent.parent / "aarch64-linux" / "syncnas-runner"
    check_fits(board, runner)
    with pytest.raises(RuntimeMismatch, match="the device runs Android"):
        check_fits(android, runner)
    with pytest.raises(RuntimeMissing, match=r"no libLiteRt\.so in"):
        find_runtime(android, Environment({DEVICE_LITERT_VARIABLE: str(tmp_path / "none")}))
    assert find_runtime(android, Environment({DEVICE_LITERT_VARIABLE: str(tmp_path)})).library == text


def test_twice_the_room_is_needed(phone: AdbDaemon, device: AdbDevice, tmp_path: Path) -> None:
    (phone.root / "free_kib").write_text("12000\n")  # the library alone has 8 MB
    with pytest.raises(StorageFull, match=r"12 MB free and 1\d MB are needed"):
        device.run(two_branches(tmp_path), on_run=Collector())
    assert "sync:" not in phone.counts.services
    assert left_behind(phone) == []


def test_leftovers_of_a_killed_host_are_removed(phone: AdbDaemon, device: AdbDevice) -> None:
    old = phone.root / "data/local/tmp/syncnas-0123456789abcdef"
    (old / "lib").mkdir(parents=True)
    mine = phone.root / "data/local/tmp/photos"
    mine.mkdir()
    device.run(sim_plan(), on_run=Collector())
    assert left_behind(phone) == ["photos"]


def test_lease_keeps_the_second_host_off(phone: AdbDaemon, device: AdbDevice) -> None:
    scratch = device.probe().scratch
    lease = take_lease(device.link, scratch, seconds=60)
    with pytest.raises(DeviceLeased, match=r"ends in \d+ s"):
        device.run(sim_plan(), on_run=Collector())
    lease.release(device.link)
    device.run(sim_plan(), on_run=Collector())


def test_lease_ends_by_its_time_and_by_a_restart(phone: AdbDaemon, device: AdbDevice) -> None:
    scratch = device.probe().scratch
    first = take_lease(device.link, scratch, seconds=1)
    second = take_lease(device.link, scratch, seconds=1000, wait_s=5)
    first._extended_at = 0.0
    with pytest.raises(DeviceLeased, match="taken over"):
        first.extend(device.link)
    second._extended_at = 0.0
    second.extend(device.link)
    phone.reboot()
    device.close()
    take_lease(device.link, scratch).release(device.link)


def test_eight_processes_of_two_hosts_never_hold_it_at_once(phone: AdbDaemon, tmp_path: Path) -> None:
    found = race(phone, tmp_path, processes=8, tries=12)
    assert found.overlaps == 0 and found.held >= 8


def test_lease_of_a_killed_host_is_over_at_once(phone: AdbDaemon, device: AdbDevice, tmp_path: Path) -> None:
    killed = start(phone, tmp_path, host="0", tries=1, dies=True)
    assert killed.communicate(timeout=60) == ("", "") and killed.returncode == 9
    take_lease(device.link, str(scratch_of(phone)), seconds=60).release(device.link)


def scratch_of(phone: AdbDaemon) -> Path:
    return phone.root / "data/local/tmp"


def test_default_units_without_clusters(phone: AdbDaemon, device: AdbDevice) -> None:
    for path in (phone.root / "sys/devices/system/cpu").rglob("*"):
        if path.is_file():
            path.unlink()
    first, second = device.default_units()
    assert isinstance(first, Unit)
    assert not set(first.cores) & set(second.cores) or not first.cores
