"""What a phone's answers mean: Android of 32 bits, cores that are off, power saving, made-up batteries."""

from __future__ import annotations

import pytest

from syncnas_bench import RuntimeMismatch, Step, UnitUnavailable
from syncnas_bench.adb.device import AdbDevice
from syncnas_bench.adb.examination import phone_checks
from syncnas_bench.adb.probe import FACTS_SCRIPT, parse_probe
from syncnas_bench.adb.target import target_of
from syncnas_bench.plan import Call, Job
from tests.support.adb_daemon import AdbDaemon
from tests.support.adb_phone import set_dump
from tests.support.bench_cases import plan_of


def facts(arch: str, *properties: str, glibc: str = "", linker64: bool = False) -> str:
    """An answer of `FACTS_SCRIPT`."""
    lines = [f"@@arch\n{arch}", "@@bionic", "/system/bin/linker64" if linker64 else "", f"@@glibc\n{glibc}"]
    return "\n".join([*lines, "@@getprop", *(f"[{p.partition('=')[0]}]: [{p.partition('=')[2]}]" for p in properties)])


ARM32 = "ro.product.cpu.abilist=armeabi-v7a,armeabi"


@pytest.mark.parametrize(
    ("answer", "target", "says"),
    [
        (facts("aarch64", ARM32, "ro.build.version.sdk=29"), "", "runs armeabi-v7a, armeabi programs; only arm64-v8a"),
        (facts("armv8l", ARM32, "ro.build.version.sdk=29"), "", "runs armeabi-v7a, armeabi programs; only arm64-v8a"),
        (facts("armv7l", "ro.product.cpu.abi=armeabi", "ro.build.version.sdk=19"), "", "runs armeabi programs"),
        (facts("i686", "ro.build.version.sdk=28"), "", "runs i686 programs; only arm64-v8a"),
        (facts("aarch64", "ro.product.cpu.abilist=arm64-v8a", "ro.build.version.sdk=34"), "aarch64-android", ""),
        (facts("aarch64", "ro.product.cpu.abilist=arm64-v8a", linker64=True), "aarch64-android", ""),
        # Linux with Android in a container: its own programs are those of glibc.
        (facts("aarch64", ARM32, "ro.build.version.sdk=29", glibc="glibc 2.31"), "aarch64-linux", ""),
        (facts("aarch64", glibc="glibc 2.31"), "aarch64-linux", ""),
    ],
)
def test_whose_programs_it_runs(answer: str, target: str, says: str) -> None:
    if target:
        assert target_of(parse_probe(answer)) == target
        return
    with pytest.raises(RuntimeMismatch, match=says):
        target_of(parse_probe(answer))


@pytest.mark.needs("LiteRT for boards")
def test_android_of_32_bits_is_examined_to_its_end(phone: AdbDaemon, device: AdbDevice) -> None:
    (phone.root / "getprop.txt").write_text("ro.product.cpu.abilist=armeabi-v7a\nro.build.version.sdk=29\n")
    for name in ("getconf", "ldd"):
        (phone.root / "bin" / name).write_text("#!/bin/sh\nexit 127\n")
        (phone.root / "bin" / name).chmod(0o755)
    checks = {check.name: check for check in device.examine()}
    assert checks["runner"].status == checks["runtime"].status == "failure" and "load" in checks
    assert "only arm64-v8a is supported" in checks["runner"].advice
    assert device.facts().runtime == "unknown" and "only arm64-v8a" in device.units()[-1].reason


def cores(online: str, *capacities: int, allowed: str = "", clocks: tuple[int, ...] = ()) -> str:
    """An answer with cores 0, 1, ... of these capacities; those off have no cpufreq folder."""
    lines = ["@@allowed", f"Cpus_allowed_list:\t{allowed or f'0-{len(capacities) - 1}'}", "@@online", online, "@@cpus"]
    for core, capacity in enumerate(capacities):
        lines.append(f"/sys/devices/system/cpu/cpu{core}/cpu_capacity:{capacity}")
    lines += [f"/sys/devices/system/cpu/cpu{n}/cpufreq/cpuinfo_max_freq:{clock}" for n, clock in enumerate(clocks)]
    return "\n".join(lines)


EIGHT = (300,) * 4 + (1024,) * 4


@pytest.mark.parametrize(
    ("answer", "clusters", "off"),
    [
        (cores("0-1", *EIGHT), [(0, 1)], (2, 3, 4, 5, 6, 7)),
        (cores("0-4", *EIGHT), [(0, 1, 2, 3), (4,)], (5, 6, 7)),
        (cores("0,4-5", *EIGHT, allowed="0-5"), [(4, 5), (0,)], (1, 2, 3)),
        (cores("0-7", *EIGHT), [(4, 5, 6, 7), (0, 1, 2, 3)], ()),
        (cores("", *EIGHT), [(4, 5, 6, 7), (0, 1, 2, 3)], ()),
    ],
)
def test_cores_that_are_off_are_not_offered(answer: str, clusters: list[tuple[int, ...]], off: tuple[int, ...]) -> None:
    probe = parse_probe(answer)
    assert ([cluster.cores for cluster in probe.clusters], probe.off) == (clusters, off)


@pytest.mark.parametrize(
    ("capacities", "clocks", "first"),
    [
        ((1024,) * 4, (1_800_000, 1_800_000, 2_800_000, 2_800_000), (2, 3)),
        ((0,) * 7, (1_800_000,) * 4 + (2_400_000,) * 3, (4, 5, 6)),
        ((300, 300, 1024, 1024), (2_000_000,) * 4, (2, 3)),
    ],
)
def test_the_faster_cluster_comes_first(
    capacities: tuple[int, ...], clocks: tuple[int, ...], first: tuple[int, ...]
) -> None:
    kinds = list(zip(capacities, clocks, strict=True))
    alike = [" ".join(str(m) for m, other in enumerate(kinds) if other == kind) for kind in kinds]
    related = [f"/sys/devices/system/cpu/cpu{n}/cpufreq/related_cpus:{text}" for n, text in enumerate(alike)]
    answer = "\n".join([cores(f"0-{len(clocks) - 1}", *capacities, clocks=clocks), *related])
    assert parse_probe(answer).clusters[0].cores == first


def test_a_core_that_is_off_is_named_when_it_is_asked_for(phone: AdbDaemon, device: AdbDevice) -> None:
    used = device.probe().cores
    (phone.root / "sys/devices/system/cpu/online").write_text(f"{used[0]}\n")
    clusters = next(check for check in device.examine() if check.name == "CPU clusters")
    assert clusters.status == "warning" and f"off: [{used[1]}]" in clusters.value and clusters.advice
    assert all(unit.cores in ((used[0],), ()) for unit in device.default_units())
    step = Step("s", (Job.solo("j", 0, Call(0, 0, "c")),))
    with pytest.raises(UnitUnavailable, match=rf"cores \[{used[1]}\] .* are switched off; switch them on"):
        device.run(plan_of(f"cpu:1@{used[1]}", step, files=(phone.root / "x",)), on_run=print)


MACHINE = "POWER MANAGER (dumpsys power)\n\nPower Manager State:\n  mWakefulness=Awake\n{}"


@pytest.mark.parametrize(
    ("dump", "saving"),
    [
        ("  mLowPowerModeEnabled=true\n", "true"),
        ("  mLowPowerMode=false\n", "false"),
        ("\nBattery saver state machine:\n  Enabled=true\n  mLastChangedIntReason=8\n", "true"),
        ("\nBattery saver state machine:\n  Enabled=false\n    full=false\n", "false"),
        ("\nBattery saving stats:\n  Battery Saver is currently: ON\n\nBattery saver state machine:\n  Enabled=true\n",
         "true"),
        ("\nBattery saving stats:\n  Battery Saver is currently: ADAPTIVE\n", "true"),
        ("\nBattery saving stats:\n  Battery Saver is currently: OFF\n", "false"),
        ("\nOther state machine:\n  Enabled=true\n", "absent"),
        ("", "absent"),
    ],
)  # fmt: skip
def test_power_saving_of_any_android(phone: AdbDaemon, device: AdbDevice, dump: str, saving: str) -> None:
    set_dump(phone.root, "power", MACHINE.format(dump))
    condition = device.condition()
    assert (condition.power_saving, condition.screen) == (saving, "Awake")
    check = {check.name: check for check in phone_checks(condition)}["power saving"]
    assert check.status == ("warning" if saving == "true" else "ok")


def test_power_saving_that_is_switched_on_is_a_change(phone: AdbDaemon, device: AdbDevice) -> None:
    texts = [MACHINE.format(f"Battery saver state machine:\n  Enabled={on}\n") for on in ("false", "true")]
    set_dump(phone.root, "power", *texts)
    before, after = device.condition(), device.condition()
    assert after.change_since(before) == "power saving changed"


@pytest.mark.parametrize(
    ("lines", "level"),
    [
        ("  level: 80\n", 80.0),
        ("  (UPDATES STOPPED -- use 'reset' to restart)\n  level: 100\n", "made up"),
        ("  (UPDATES STOPPED -- use 'reset' to restart)\n", "made up"),
        ("  level: x\n", "absent"),
    ],
)
def test_a_battery_that_is_made_up_is_told(phone: AdbDaemon, device: AdbDevice, lines: str, level: float | str) -> None:
    set_dump(phone.root, "battery", f"Current Battery Service state:\n  AC powered: false\n{lines}")
    condition = device.condition()
    assert condition.battery_percent == level
    battery = next(phone_checks(condition))
    assert ("dumpsys battery reset" in battery.advice) == (level == "made up")


@pytest.mark.parametrize(
    ("dump", "status"),
    [
        ("IsStatusOverride: false\nThermal Status: 2\nHAL Ready: true\n", 2),
        ("IsStatusOverride: false\nThermal Status: 0\nCached temperatures:\nHAL Ready: false\n", "absent"),
        ("HAL Ready: false\n", "absent"),
        ("Permission Denial: can't dump\n", "absent"),
    ],
)
def test_heat_that_nobody_measures_is_not_known(
    phone: AdbDaemon, device: AdbDevice, dump: str, status: int | str
) -> None:
    set_dump(phone.root, "thermalservice", dump)
    assert device.condition().thermal_status == status


@pytest.mark.parametrize("note", ["@@arch\narmv9", "x\n@@bionic\n/system/bin/linker64", "@@glibc\nglibc 2.99\n@@arch"])
def test_a_property_of_several_lines_is_no_section(note: str) -> None:
    assert target_of(parse_probe(facts("aarch64", f"persist.note={note}", glibc="glibc 2.31"))) == "aarch64-linux"
    assert FACTS_SCRIPT.rstrip().endswith("getprop 2>/dev/null"), "of two sections of one name the first counts"
