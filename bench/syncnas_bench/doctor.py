"""Doctor: what a device has and is doing now, and what that does to measurements. It only reads."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from syncnas_bench.adb.device import AdbDevice
from syncnas_bench.adb.probe import PhoneCondition, Probe
from syncnas_bench.adb.target import runner_for
from syncnas_bench.adb.workspace import free_bytes
from syncnas_bench.conditions import ABSENT, DENIED, Condition
from syncnas_bench.device import Device
from syncnas_bench.errors import BenchError
from syncnas_bench.local.host import HostDevice

Status = Literal["ok", "warning", "failure"]

NEEDED_BYTES = 512 * 1024 * 1024
"""Free space that a profile of the largest base model needs, twice over."""

UNKNOWN = ("", ABSENT, DENIED, "unknown")


@dataclass(frozen=True)
class Check:
    """One line of the doctor's table.

    Attributes:
        name: what was looked at.
        status: ok; warning, where numbers suffer; failure, where nothing can be measured.
        value: what was found; "denied" or "absent" where the device does not tell.
        advice: what a warning does to numbers, or the remedy of a failure; "" where all is well.
    """

    name: str
    status: Status
    value: str
    advice: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def examine(device: Device) -> tuple[Check, ...]:
    """Look at a device from all sides; what cannot be read is said, and nothing is changed on it.

    Raises:
        DeviceUnavailable, LinkLost: it is lost while being examined.
    """
    if isinstance(device, AdbDevice):
        return tuple(_examine_adb(device))
    checks = [Check("connection", "ok", "this machine"), *_facts(device)]
    if isinstance(device, HostDevice):
        free = shutil.disk_usage(tempfile.gettempdir()).free
        checks += [_power(device), _space(free), *_clocks(device.condition()), _load(device.condition())]
    return tuple(checks)


def _facts(device: Device) -> Iterator[Check]:
    facts = device.facts()
    yield Check("system", "ok", f"{facts.os}, kernel {facts.kernel}, {facts.arch}")
    yield Check("processor", "ok", f"{facts.cpu_model}, {facts.cores} cores")
    if facts.simulated:
        yield Check("units", "warning", facts.model, "simulated: its numbers measure no hardware")
    yield _units(device)
    known = facts.runtime not in UNKNOWN
    remedy = "" if known else "install ai-edge-litert, or `syncnas-deploy runtime fetch` for a phone"
    yield Check("runtime", "ok" if known else "failure", facts.runtime, remedy)


def _units(device: Device) -> Check:
    gpus = [info for info in device.units() if info.unit.kind == "gpu" and not info.unit.software]
    usable = [info for info in gpus if info.available]
    if usable:
        return Check("GPU", "ok", f"{usable[0].description} ({usable[0].unit})")
    reason = gpus[0].reason if gpus else "it has none"
    return Check("GPU", "warning", "none", f"both branches must run on the CPU: {reason}")


def _power(device: Device) -> Check:
    meter, reason = device.power_meter()
    return Check("power meter", "ok", meter.source if meter else f"none, energy is not measured: {reason}")


def _examine_adb(device: AdbDevice) -> Iterator[Check]:
    probe, condition = device.probe(again=True), device.condition()
    yield Check("connection", "ok", f"{device.name}, {'shell v2' if device.link.has_shell_v2 else 'legacy shell'}")
    yield Check("model", "ok", f"{probe.model}, {probe.cpu_model}")
    yield _system(probe)
    yield _attempt("runner", lambda: runner_for(probe).parent.name)
    yield _clusters(probe)
    yield _units(device)
    yield _attempt("runtime", lambda: device.runtime().version)
    if probe.scratch:
        yield Check("writable folder", "ok", probe.scratch)
        yield _space(free_bytes(device.link, probe.scratch))
    else:
        yield Check("writable folder", "failure", "none", "make /data/local/tmp writable for the shell")
    yield _power(device)
    yield from _phone(condition)
    yield from _clocks(condition)
    yield _load(condition)


def _attempt(name: str, read: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", read())
    except BenchError as e:
        return Check(name, "failure", "none", str(e))


def _system(probe: Probe) -> Check:
    libc = "bionic" if probe.bionic else f"glibc {'.'.join(map(str, probe.glibc))}" if probe.glibc else "libc unknown"
    abis = ", ".join(probe.abis) or probe.arch
    return Check("system", "ok", f"{probe.os}, {abis}, {libc}, pages of {probe.page_bytes or '?'} bytes")


def _clusters(probe: Probe) -> Check:
    if not probe.clusters:
        return Check("CPU clusters", "warning", "denied", "cores cannot be chosen by speed: name them with --unit")
    texts = [f"{len(c.cores)} cores {list(c.cores)}, capacity {c.capacity or '?'}" for c in probe.clusters]
    return Check("CPU clusters", "ok", "; ".join(texts))


def _space(free_bytes: int | None) -> Check:
    if free_bytes is None:
        return Check("free space", "warning", "denied", "a full storage would be noticed only while pushing")
    text = f"{free_bytes / 2**20:,.0f} MiB"
    if free_bytes < NEEDED_BYTES:
        return Check("free space", "failure", text, f"free at least {NEEDED_BYTES / 2**20:.0f} MiB")
    return Check("free space", "ok", text)


def _phone(condition: PhoneCondition) -> Iterator[Check]:
    battery = condition.battery_percent
    low = isinstance(battery, float) and battery < 25
    advice = "nothing is measured under 25 %: charge it" if low else ""
    charging = condition.powered not in ("no", *UNKNOWN)
    if charging and not low:
        advice = "charging warms the phone, and energy cannot be read"
    text = f"{battery:g} %" if isinstance(battery, float) else battery
    yield Check("battery", "warning" if advice else "ok", f"{text}, powered by: {condition.powered}", advice)
    status = condition.thermal_status
    hot = isinstance(status, int) and status > 0
    yield Check(
        "heat",
        "warning" if hot else "ok",
        f"thermal status {status}",
        "the phone throttles: profiling waits until it has cooled" if hot else "",
    )
    awake = condition.screen in ("Awake", *UNKNOWN)
    asleep = "a sleeping phone parks its cores: wake it and keep the screen on"
    yield Check("screen", "ok" if awake else "warning", condition.screen, "" if awake else asleep)
    saving = condition.power_saving == "true"
    yield Check(
        "power saving",
        "warning" if saving else "ok",
        condition.power_saving,
        "caps the clocks: switch it off" if saving else "",
    )


def _clocks(condition: Condition) -> Iterator[Check]:
    governors = sorted(set(condition.governors.values()))
    readable = [name for name in governors if name not in UNKNOWN]
    if not readable:
        text = governors[0] if governors else ABSENT
        yield Check("governor", "warning", text, "clocks cannot be read: a change of them goes unnoticed")
        return
    slow = [name for name in readable if name in ("powersave", "conservative")]
    yield Check("governor", "warning" if slow else "ok", ", ".join(readable), "holds the clocks low" if slow else "")


def _load(condition: Condition) -> Check:
    load = condition.load_1min
    if not isinstance(load, float):
        return Check("load", "warning", str(load), "other programs that run now go unnoticed")
    busy = load > 0.5
    return Check("load", "warning" if busy else "ok", f"{load:.2f}", "other programs run: close them" if busy else "")


def worst(checks: tuple[Check, ...]) -> Status:
    """The gravest status among the checks."""
    order: tuple[Status, ...] = ("failure", "warning", "ok")
    return next((status for status in order if any(check.status == status for check in checks)), "ok")
