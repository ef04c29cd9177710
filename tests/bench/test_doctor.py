"""The doctor's table: what it makes of readings, on this machine, a simulated device, and made-up phones."""

from __future__ import annotations

import dataclasses

import pytest

from syncnas_bench import HostDevice, SimDevice
from syncnas_bench.adb.examination import phone_checks
from syncnas_bench.adb.probe import parse_condition
from syncnas_bench.doctor import Check, clocks_check, load_check, space_check, worst
from syncnas_bench.environment import Environment

CONDITION = """@@boot
6f1c
@@uptime
1234.56 99
@@time
1700000000
@@load
0.12 0.10 0.09 1/999 1
@@cpus
/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor:schedutil
@@thermal
Thermal Status: 0
@@battery
  level: 80
  temperature: 251
  USB powered: false
@@power
  mWakefulness=Awake
  mLowPowerMode=false
"""


def named(checks: tuple[Check, ...]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_this_machine_has_a_whole_table() -> None:
    found = named(HostDevice().examine())
    assert {"connection", "system", "processor", "GPU", "runtime", "free space", "governor", "load"} <= set(found)
    assert found["runtime"].status == "ok"
    for check in found.values():
        assert check.value and (check.status == "ok") <= (not check.advice)
        assert check.status == "ok" or check.advice


def test_a_missing_runtime_is_a_failure(tmp_path: object) -> None:
    checks = HostDevice(environment=Environment({"SYNCNAS_LITERT": "/nowhere/libLiteRt.so"})).examine()
    assert named(checks)["runtime"].status == "failure" and worst(checks) == "failure"


def test_a_simulated_device_says_so() -> None:
    assert "measure no hardware" in named(SimDevice("phone").examine())["units"].advice


def test_a_sound_phone_is_all_ok() -> None:
    condition = parse_condition(CONDITION)
    checks = (*phone_checks(condition), clocks_check(condition), load_check(condition))
    assert worst(checks) == "ok", checks


@pytest.mark.parametrize(
    ("changes", "name", "says"),
    [
        ({"thermal_status": 2}, "heat", "throttles"),
        ({"battery_percent": 12.0}, "battery", "under 25 %"),
        ({"powered": "USB"}, "battery", "charging"),
        ({"screen": "Asleep"}, "screen", "parks"),
        ({"power_saving": "true"}, "power saving", "caps the clocks"),
        ({"governors": {"cpu0": "powersave"}}, "governor", "low"),
        ({"governors": {"cpu0": "denied"}}, "governor", "cannot be read"),
        ({"load_1min": 3.0}, "load", "other programs"),
        ({"load_1min": "denied"}, "load", "unnoticed"),
    ],
)
def test_what_spoils_numbers_is_a_warning(changes: dict[str, object], name: str, says: str) -> None:
    condition = dataclasses.replace(parse_condition(CONDITION), **changes)
    check = named((*phone_checks(condition), clocks_check(condition), load_check(condition)))[name]
    assert check.status == "warning" and says in check.advice


def test_little_space_is_a_failure_and_unknown_space_a_warning() -> None:
    assert [space_check(n).status for n in (10**6, None, 10**12)] == ["failure", "warning", "ok"]
