"""Devices by their names, and the units of a device."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeVar

from syncnas_bench import (
    BenchError,
    Device,
    DeviceAmbiguous,
    DeviceNotFound,
    DeviceUnavailable,
    Unit,
    UnitError,
    UnitUnavailable,
    default_device,
    device_specs,
    find_device,
    phone_specs,
)
from syncnas_bench.discovery import waiting_phones
from syncnas_bench.environment import Environment
from syncnas_deploy.files.places import as_name

T = TypeVar("T")

ALL_DEVICES = "all"
"""In the place of a device's name: every phone that can be used."""

CHOICES = ("GPU", "units")
"""Checks of what a device has to choose from; they spoil no number."""


def devices(environment: Environment | None = None) -> Iterator[Device]:
    """Every device that can be used: this host, the simulated ones, and those connected over ADB.

    Each is closed when the next one is asked for.
    """
    for spec in device_specs(environment):
        try:
            opened = find_device(spec, environment)
        except BenchError:  # a phone can be unplugged between being listed and being opened
            continue
        with opened:
            yield opened


def read_devices(
    read: Callable[[Device], T], environment: Environment | None = None
) -> tuple[list[T], list[Mapping[str, str]]]:
    """What `read` tells of every device that can be used, and the others as `waiting_devices` does.

    A device that fails while it is opened or read is among the others, and hides none of the rest.
    """
    found: list[T] = []
    others = list(waiting_devices(environment))
    for spec in device_specs(environment):
        try:
            with find_device(spec, environment) as opened:
                found.append(read(opened))
        except BenchError as error:
            state = error.state if isinstance(error, DeviceUnavailable) else "failed"
            others.append({"name": spec, "state": state, "remedy": str(error)})
    return found, others


def waiting_devices(environment: Environment | None = None) -> tuple[Mapping[str, str], ...]:
    """Devices over ADB that are there and cannot be used yet: name, state, and the remedy."""
    waiting = waiting_phones(environment)
    return tuple({"name": entry.serial, "state": entry.state, "remedy": entry.remedy} for entry in waiting)


def device(spec: str | None = None, environment: Environment | None = None) -> Device:
    """The device that is named, or the one that is meant where none is named. A `with` closes it.

    Without `spec` that is the one in ANDROID_SERIAL, else the only phone attached, else this host.

    Raises:
        ArgumentError: `spec` is no text, or is empty.
        DeviceNotFound: no such device.
        DeviceAmbiguous: no `spec`, and several phones are attached.
    """
    name = default_device(environment).spec if spec is None else as_name(spec, "host")
    return find_device(name, environment)


def tell_what_spoils_numbers(on: Device, on_notice: Callable[[str], None]) -> None:
    """Examine a device before it is measured, and tell each thing that the numbers suffer from.

    Raises:
        BenchError: it cannot be reached.
    """
    for check in on.examine():
        if check.status != "ok" and check.name not in CHOICES:
            on_notice(f"{on.name}: {check.name} {check.value}: {check.advice}")


def device_names(names: Sequence[str], environment: Environment | None = None) -> tuple[str, ...]:
    """Names of devices with ``all`` replaced by every phone that can be used.

    Raises:
        DeviceNotFound: there is no phone.
        DeviceAmbiguous: a device is named twice.
    """
    found: list[str] = []
    for name in names:
        phones = phone_specs(environment) if name == ALL_DEVICES else (name,)
        if not phones:
            others = "; ".join(f"{entry['name']} is {entry['state']}" for entry in waiting_devices(environment))
            raise DeviceNotFound(
                f"No phone is attached that can be used{others and f' ({others})'}; see `syncnas-deploy devices`."
            )
        found += phones
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice:
        raise DeviceAmbiguous(f"Device {twice} is named twice; name each device once.")
    return tuple(found)


def units_of(of: Device, units: Sequence[str] = ()) -> tuple[Unit, Unit]:
    """Two units from their texts, or the device's default ones.

    Raises:
        UnitError: a text that is no unit, or not two of them.
        UnitUnavailable: see `unit_of`.
        DeviceNotFound: a name in the device's place.
    """
    if isinstance(of, str):
        raise DeviceNotFound(
            f"{of[:80]!r} is a name; give the device that it opens: with sd.device({of[:80]!r}) as device."
        )
    if not units:
        return of.default_units()
    if len(units) != 2:
        count = "One unit was" if len(units) == 1 else f"{len(units)} units were"
        raise UnitError(f"{count} given; give --unit twice, the first for branch 0, or not at all.")
    first, second = (unit_of(of, text) for text in units)
    if first == second:
        raise UnitError(f"Both units are {first}; two branches need two different units.")
    return first, second


def unit_of(of: Device, text: str) -> Unit:
    """A unit of a device from its text.

    Raises:
        UnitError: a text that is no unit.
        UnitUnavailable: it is simulated and the device is not, or the other way round.
    """
    unit = Unit.parse(text)
    if (unit.kind == "sim") != of.facts().simulated:
        known = ", ".join(str(info.unit) for info in of.units() if info.available)
        raise UnitUnavailable(f"device {of.name} has no unit {unit}; it has {known}.")
    return unit


def paired_units(
    of: Device, units: Sequence[str], pictures: Path | None, on_notice: Callable[[str], None] = lambda _: None
) -> tuple[Unit, Unit]:
    """Two units from their texts, or the device's default ones, in the formats that would be shipped.

    Where no unit is named, there are pictures to calibrate with, and the device has a GPU, that is int8 on the CPU and
    fp16 on the GPU. `on_notice` is told so.

    Args:
        pictures: to calibrate int8 with; None where there are none.

    Raises:
        UnitError, DeviceNotFound: as `units_of`.
    """
    cpu, gpu = units_of(of, units)
    if units or pictures is None or (cpu.kind, gpu.kind) != ("cpu", "gpu"):
        return cpu, gpu
    cpu, gpu = in_int8(cpu), in_int8(gpu)
    on_notice(f"units {cpu} and {gpu}, since {pictures} is there to calibrate int8 with; --unit names others")
    return cpu, gpu


def in_int8(unit: Unit) -> Unit:
    """A CPU that runs int8 files, a GPU that computes in fp16; a simulated unit as it is."""
    precision: dict[str, Literal["int8", "fp16"]] = {"cpu": "int8", "gpu": "fp16"}
    return dataclasses.replace(unit, precision=precision[unit.kind]) if unit.kind in precision else unit


def other_units(of: Device, chosen: Sequence[Unit]) -> tuple[Unit, ...]:
    """Units besides two chosen ones that a network of one branch could run on: all cores of the CPU as one unit."""
    if any(unit.kind == "sim" for unit in chosen):
        return ()
    cpus = [info.unit for info in of.units() if info.available and info.unit.kind == "cpu"]
    widest = max(cpus, key=lambda unit: unit.threads, default=None)
    mine = [unit for unit in chosen if unit.kind == "cpu"]
    if widest is None or widest.threads <= max((unit.threads for unit in mine), default=0):
        return ()
    # One would run files of the faster format on it.
    fastest = max(mine, key=lambda unit: (unit.precision == "int8", unit.split), default=widest)
    return (dataclasses.replace(widest, precision=fastest.precision, split=fastest.split),)
