"""A device is who it is: another one at its address gets no row, and nothing of it is touched."""

from __future__ import annotations

import re

import pytest

from syncnas_bench import DeviceIdentity, HostDevice, SimDevice
from syncnas_bench.adb.device import AdbDevice
from syncnas_bench.adb.probe import parse_probe
from syncnas_bench.errors import DeviceLost
from tests.support.adb_daemon import AdbDaemon, write_boot_id
from tests.support.bench_cases import Collector, sim_plan

PHONE = "Example Test Phone, Example EX1000, serial R1, system example/test/test:14/1:user/release-keys"
BOARD = {
    "ro.product.manufacturer": "",
    "ro.product.model": "",
    "ro.soc": "",
    "ro.build.fingerprint": "",
    "ro.serial": "",
}
OTHERS = {
    "another model": ({}, {"ro.product.model": "Other Phone"}, "Example Other Phone, .* and not Example Test Phone, "),
    "another processor": ({}, {"ro.soc.model": "ZZ9"}, "Example ZZ9, .* and not .*Example EX1000, "),
    "the same model": ({}, {"ro.serialno": "R2"}, "serial R2, .* and not .*serial R1, "),
    "another system": ({}, {"ro.build.fingerprint": "o/o/o:9/1"}, "system o/o/o:9/1 and not .*system example/test"),
    "one that tells nothing": ({}, BOARD, "unknown, .* GiB and not Example Test Phone, "),
    "another board": (BOARD, {"memory": "MemTotal: 4000000 kB"}, r", 3\.8 GiB and not unknown, .* GiB"),
    "another board's processor": (BOARD, {"cpu": "model name\t: Other CPU"}, "unknown, Other CPU, .* and not"),
}  # fmt: skip


def tell(phone: AdbDaemon, facts: dict[str, str]) -> None:
    """Have the device tell other facts; a property's name may be the beginning of some."""
    properties = phone.root / "getprop.txt"
    for name, text in facts.items():
        if "." in name:
            properties.write_text(re.sub(rf"(?m)^({re.escape(name)}[^=]*)=.*$", rf"\1={text}", properties.read_text()))
            continue
        place = phone.root / "proc" / {"memory": "meminfo", "cpu": "cpuinfo"}[name]
        place.unlink()
        place.write_text(f"{text}\n")


@pytest.fixture
def phone(phone: AdbDaemon) -> AdbDaemon:
    with (phone.root / "getprop.txt").open("a") as file:
        file.write("ro.serialno=R1\n")
    return phone


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("reboots", [False, True])
def test_another_device_in_mid_run_is_refused(phone: AdbDaemon, device: AdbDevice, other: str, reboots: bool) -> None:
    first, second, says = OTHERS[other]
    tell(phone, first)
    before = (phone.root / "getprop.txt").read_text()
    runs = Collector()

    def swap() -> None:
        phone.unplug()
        tell(phone, second)
        if reboots:
            write_boot_id(phone.root)
        phone.plug()

    def on_run(run: object) -> None:
        runs.append(run)  # type: ignore[arg-type]
        if len(runs) == 1:
            swap()

    with pytest.raises(
        DeviceLost, match=f"another device answers at .*: it is .*{says}.*; connect the first one again"
    ):
        device.run(sim_plan(steps=3), on_run=on_run)
    assert len(runs) == 1
    assert len(list((phone.root / "data/local/tmp").glob("syncnas-*/plan.txt"))) == 1, "nothing is removed on it"
    for ask in (device.facts, device.condition, device.power_meter, device.examine):
        with pytest.raises(DeviceLost, match="another device answers"):
            ask()
    if "board" not in other:
        (phone.root / "getprop.txt").write_text(before)
        device.run(sim_plan(steps=2), on_run=runs)
        assert len(runs) == 3


def test_another_device_between_two_runs_is_refused(phone: AdbDaemon, device: AdbDevice) -> None:
    device.run(sim_plan(), on_run=Collector())
    assert str(device.identity()) == PHONE
    tell(phone, {"ro.product.model": "Other Phone"})  # behind an adb server the link is still there
    with pytest.raises(DeviceLost, match="another device answers"):
        device.run(sim_plan(), on_run=Collector())
    with pytest.raises(DeviceLost, match="another device answers"):
        device.condition()
    device.close()
    with pytest.raises(DeviceLost, match="another device answers"):
        device.run(sim_plan(), on_run=Collector())


def test_what_an_identity_is_made_of() -> None:
    board = parse_probe("@@memory\nMemTotal: 4000000 kB\n@@serial\n10000000abcdef\0\n@@cpu\nHardware : BCM2835\n")
    assert board.identity == DeviceIdentity("unknown, BCM2835", "10000000abcdef")
    assert parse_probe("").identity == DeviceIdentity("unknown, unknown, 0.0 GiB")
    assert DeviceIdentity("a", "b", "c").to_key() == {"device_kind": "a", "device_serial": "b", "device_system": "c"}
    assert HostDevice().identity() == HostDevice().identity() and "GiB" in HostDevice().identity().kind
    assert SimDevice("duo").identity() != SimDevice("phone", by_runner=True).identity()
