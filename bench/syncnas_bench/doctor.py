"""What a device is examined for, and what it does to measurements. A device's `examine` puts the checks together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from syncnas_bench.conditions import ComputerCondition, Condition
from syncnas_bench.device import Device
from syncnas_bench.systems import ABSENT, DENIED

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


def facts_checks(device: Device) -> tuple[Check, ...]:
    """System, processor, GPU and runtime of a device, by its facts and units."""
    facts = device.facts()
    known = facts.runtime not in UNKNOWN
    remedy = "" if known else "install ai-edge-litert, or `syncnas-deploy runtime fetch` for a phone"
    simulated = Check("units", "warning", facts.model, "simulated: its numbers measure no hardware")
    return (
        Check("system", "ok", f"{facts.os}, kernel {facts.kernel}, {facts.arch}"),
        Check("processor", "ok", f"{facts.cpu_model}, {facts.cores} cores"),
        simulated if facts.simulated else gpu_check(device),
        Check("runtime", "ok" if known else "failure", facts.runtime, remedy),
    )


def gpu_check(device: Device) -> Check:
    """Whether a branch can run on a GPU."""
    gpus = [info for info in device.units() if info.unit.kind == "gpu" and not info.unit.software]
    usable = [info for info in gpus if info.available]
    if usable:
        return Check("GPU", "ok", f"{usable[0].description} ({usable[0].unit})")
    reason = gpus[0].reason if gpus else "it has none"
    return Check("GPU", "warning", "none", f"both branches must run on the CPU: {reason}")


def power_check(device: Device) -> Check:
    """Whether energy can be measured."""
    meter, reason = device.power_meter()
    return Check("power meter", "ok", meter.source if meter else f"none, energy is not measured: {reason}")


def space_check(free_bytes: int | None) -> Check:
    """Whether files of a profile find room; None is a storage that does not tell."""
    if free_bytes is None:
        return Check("free space", "warning", "denied", "a full storage would be noticed only while pushing")
    text = f"{free_bytes / 2**20:,.0f} MiB"
    if free_bytes < NEEDED_BYTES:
        return Check("free space", "failure", text, f"free at least {NEEDED_BYTES / 2**20:.0f} MiB")
    return Check("free space", "ok", text)


def clocks_check(condition: Condition) -> Check:
    """Whether the clocks are left to go up, by their governors."""
    governors = sorted(set(condition.governors.values()))
    readable = [name for name in governors if name not in UNKNOWN]
    if not readable:
        text = governors[0] if governors else ABSENT
        return Check("governor", "warning", text, "clocks cannot be read: a change of them goes unnoticed")
    slow = [name for name in readable if name in ("powersave", "conservative")]
    return Check("governor", "warning" if slow else "ok", ", ".join(readable), "holds the clocks low" if slow else "")


def load_check(condition: Condition) -> Check:
    """Whether other programs run."""
    load = condition.load_1min
    if not isinstance(load, float):
        return Check("load", "warning", str(load), "other programs that run now go unnoticed")
    busy = load > 0.5
    return Check(
        "load",
        "warning" if busy else "ok",
        f"{load:.2f}",
        "other programs run, or did in the last minute: close them" if busy else "",
    )


def computer_checks(condition: Condition) -> Iterator[Check]:
    """Power and heat of a Mac or a Windows computer, which tells those instead of its clocks."""
    if not isinstance(condition, ComputerCondition):
        return
    advice = "a computer on battery may hold its clocks low: connect it" if condition.powered == "battery" else ""
    yield Check("power", "warning" if advice else "ok", condition.powered, advice)
    advice = "caps the clocks: switch it off" if condition.power_saving == "true" else ""
    yield Check("power saving", "warning" if advice else "ok", condition.power_saving, advice)
    hot = condition.thermal_pressure not in ("nominal", *UNKNOWN)
    advice = "the computer throttles: let it cool" if hot else ""
    yield Check("heat", "warning" if hot else "ok", f"thermal pressure {condition.thermal_pressure}", advice)


def worst(checks: tuple[Check, ...]) -> Status:
    """The gravest status among the checks."""
    order: tuple[Status, ...] = ("failure", "warning", "ok")
    return next((status for status in order if any(check.status == status for check in checks)), "ok")
