"""Find a device by the text a user types, or the one that is meant where none is named."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from syncnas_bench.adb.discovery import AdbEntry, find_adb_device, is_serial, list_adb_devices
from syncnas_bench.adb.server import CALL_S
from syncnas_bench.device import Device
from syncnas_bench.errors import DeviceAmbiguous, DeviceNotFound, DeviceUnavailable
from syncnas_bench.local.host import HostDevice
from syncnas_bench.simulated.device import SIM_DEVICES, SimDevice

SERIAL_VARIABLE = "ANDROID_SERIAL"
LOOK_S = 1.0
"""How long a look for phones may take that nobody asked for."""


def _attached(env: Mapping[str, str] | None, deadline_s: float) -> tuple[AdbEntry, ...]:
    try:
        entries = list_adb_devices(env, deadline_s)
    except DeviceUnavailable:
        return ()
    return tuple(entry for entry in entries if is_serial(entry.serial))


def phone_specs(env: Mapping[str, str] | None = None, deadline_s: float = CALL_S) -> tuple[str, ...]:
    """The devices over ADB that can be used now.

    Args:
        env: environment variables that tell where an adb server is; by default this process's.
    """
    return tuple(entry.serial for entry in _attached(env, deadline_s) if entry.state == "device")


def device_specs(env: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """What `find_device` takes: this machine, the simulated devices, and those connected over ADB.

    Args:
        env: see `phone_specs`.
    """
    return ("host", *(f"sim:{name}" for name in SIM_DEVICES), *phone_specs(env))


@dataclass(frozen=True)
class Choice:
    """The device that is meant where none is named; `note` is what its user should know, "" for nothing."""

    spec: str
    note: str


def default_device(env: Mapping[str, str] | None = None) -> Choice:
    """ANDROID_SERIAL, else the only phone that can be used, else this machine.

    Raises:
        DeviceAmbiguous: several phones can be used; the message lists them.
    """
    environment = os.environ if env is None else env
    named = environment.get(SERIAL_VARIABLE)
    if named:
        return Choice(named, "")
    entries = _attached(environment, LOOK_S)
    usable = [entry.serial for entry in entries if entry.state == "device"]
    if len(usable) > 1:
        raise DeviceAmbiguous(
            f"{len(usable)} devices are attached ({', '.join(usable)}); name one with --device or in {SERIAL_VARIABLE}."
        )
    if usable:
        return Choice(usable[0], f"the device is {usable[0]}, the only one attached")
    waiting = [f"{entry.serial} is {entry.state}: {entry.remedy}" for entry in entries]
    return Choice("host", f"the device is this host; {'; '.join(waiting)}" if waiting else "")


def find_device(spec: str, env: Mapping[str, str] | None = None) -> Device:
    """The device "host" (this machine), "sim:NAME" (a simulated one), or one over ADB by serial or HOST:PORT.

    Args:
        env: environment variables; by default this process's.

    Raises:
        DeviceNotFound: nothing answers to `spec`; the message lists what does.
        DeviceUnavailable: a device over ADB is there and cannot be used yet.
    """
    environment = dict(os.environ if env is None else env)
    if spec == "host":
        return HostDevice(env=environment)
    kind, _, name = spec.partition(":")
    if kind == "sim":
        return SimDevice(name)
    try:
        return find_adb_device(spec, environment)
    except DeviceNotFound as error:
        known = ", ".join(device_specs(environment))
        raise DeviceNotFound(f"there is no device {spec!r}; there are {known}.") from error
