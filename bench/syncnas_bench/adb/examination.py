"""A phone or board, examined: what it has and is doing now, and what that does to measurements."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from syncnas_bench.adb.probe import MADE_UP, PhoneCondition, Probe
from syncnas_bench.adb.scratch import is_private
from syncnas_bench.adb.target import runner_for
from syncnas_bench.adb.workspace import free_bytes
from syncnas_bench.doctor import (
    UNKNOWN,
    Check,
    clocks_check,
    gpu_check,
    load_check,
    power_check,
    space_check,
)
from syncnas_bench.errors import BenchError

if TYPE_CHECKING:
    from syncnas_bench.adb.device import AdbDevice


def examine(device: AdbDevice) -> Iterator[Check]:
    probe, condition = device.probe(again=True), device.condition()
    yield Check("connection", "ok", f"{device.name}, {'shell v2' if device.link.has_shell_v2 else 'legacy shell'}")
    yield Check("model", "ok", f"{probe.model}, {probe.cpu_model}")
    yield _system(probe)
    yield _attempt("runner", lambda: runner_for(probe).parent.name)
    yield _clusters(probe)
    yield gpu_check(device)
    yield _attempt("runtime", lambda: device.runtime().version)
    if probe.scratch:
        yield Check("writable folder", "ok", probe.scratch)
        place = probe.scratch.rpartition("/")[0] if is_private(probe.scratch) else probe.scratch  # not made yet
        yield space_check(free_bytes(device.link, place))
    else:
        yield Check("writable folder", "failure", "none", "make /data/local/tmp writable for the shell")
    yield power_check(device)
    yield from phone_checks(condition)
    yield clocks_check(condition)
    yield load_check(condition)


def _attempt(name: str, read: Callable[[], str]) -> Check:
    try:
        return Check(name, "ok", read())
    except BenchError as error:
        return Check(name, "failure", "none", str(error))


def _system(probe: Probe) -> Check:
    libc = "bionic" if probe.bionic else f"glibc {'.'.join(map(str, probe.glibc))}" if probe.glibc else "libc unknown"
    abis = ", ".join(probe.abis) or probe.arch
    return Check("system", "ok", f"{probe.os}, {abis}, {libc}, pages of {probe.page_bytes or '?'} bytes")


def _clusters(probe: Probe) -> Check:
    if not probe.clusters:
        return Check("CPU clusters", "warning", "denied", "cores cannot be chosen by speed: name them with --unit")
    texts = [f"{len(c.cores)} cores {list(c.cores)}, capacity {c.capacity or '?'}" for c in probe.clusters]
    if probe.off:
        advice = "units have none of the cores that are off: let the system switch them on, then look again"
        return Check("CPU clusters", "warning", "; ".join([*texts, f"off: {list(probe.off)}"]), advice)
    return Check("CPU clusters", "ok", "; ".join(texts))


def phone_checks(condition: PhoneCondition) -> Iterator[Check]:
    """Battery, heat, screen and power saving."""
    battery = condition.battery_percent
    low = isinstance(battery, float) and battery < 25
    advice = "nothing is measured under 25 %: charge it" if low else ""
    charging = condition.powered not in ("no", *UNKNOWN)
    if charging and not low:
        advice = "charging warms the phone, and energy cannot be read"
    if battery == MADE_UP:
        advice = "nobody knows its real level: run `adb shell dumpsys battery reset`"
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
