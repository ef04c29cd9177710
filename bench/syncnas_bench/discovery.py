"""Find a device by the text a user types, or the one that is meant where none is named.

What speaks ADB is imported when a device over ADB is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from syncnas_bench.device import Device
from syncnas_bench.environment import SERIAL_VARIABLE, Environment
from syncnas_bench.errors import DeviceAmbiguous, DeviceNotFound, DeviceUnavailable, nearest

if TYPE_CHECKING:
    from syncnas_bench.adb.discovery import AdbEntry

CALL_S = 5.0
LOOK_S = 1.0
"""How long a look for phones may take that nobody asked for."""


def _attached(environment: Environment | None, deadline_s: float = CALL_S) -> tuple[AdbEntry, ...]:
    from syncnas_bench.adb.discovery import list_adb_devices

    try:
        return list_adb_devices((environment or Environment.of_process()).adb_server, deadline_s)
    except DeviceUnavailable:  # a variable that tells where the server is makes no sense
        return ()


def phone_specs(environment: Environment | None = None) -> tuple[str, ...]:
    """The devices over ADB that can be used now; `environment`, by default this process's, tells where a server is."""
    return tuple(entry.serial for entry in _attached(environment) if entry.state == "device")


def waiting_phones(environment: Environment | None = None) -> tuple[AdbEntry, ...]:
    """The devices over ADB that are there and cannot be used yet, each with the remedy."""
    return tuple(entry for entry in _attached(environment) if entry.state != "device")


def device_specs(environment: Environment | None = None) -> tuple[str, ...]:
    """What `find_device` takes: this machine, the simulated devices, and those connected over ADB."""
    from syncnas_bench.simulated.device import SIM_DEVICES

    return ("host", *(f"sim:{name}" for name in SIM_DEVICES), *phone_specs(environment))


@dataclass(frozen=True)
class Choice:
    """The device that is meant where none is named; `note` is what its user should know, "" for nothing."""

    spec: str
    note: str


def default_device(environment: Environment | None = None) -> Choice:
    """ANDROID_SERIAL, else the only phone that can be used, else this machine.

    Raises:
        DeviceAmbiguous: several phones can be used; the message lists them.
    """
    environment = environment or Environment.of_process()
    if environment.serial:
        return Choice(environment.serial, "")
    entries = _attached(environment, LOOK_S)
    usable = [entry.serial for entry in entries if entry.state == "device"]
    if len(usable) > 1:
        raise DeviceAmbiguous(
            f"{len(usable)} devices are attached ({', '.join(usable)}); name one with --device or in {SERIAL_VARIABLE}."
        )
    if usable:
        return Choice(usable[0], f"the device is {usable[0]}, the only one attached")
    waiting = dict.fromkeys(f"{entry.serial} is {entry.state}: {entry.remedy}" for entry in entries)
    return Choice("host", f"the device is this host; {'; '.join(waiting)}" if waiting else "")


def find_device(spec: str, environment: Environment | None = None) -> Device:
    """The device "host" (this machine), "sim:NAME" (a simulated one; with ":runner" behind it
    the native runner spends its times), or one over ADB by serial or HOST:PORT.

    Args:
        environment: by default this process's.

    Raises:
        DeviceNotFound: nothing answers to `spec`; the message lists what does.
        DeviceUnavailable: a device over ADB is there and cannot be used yet.
    """
    environment = environment or Environment.of_process()
    kind, _, name = spec.partition(":")
    if spec == "host":
        from syncnas_bench.local.host import HostDevice

        return HostDevice(environment=environment)
    if kind == "sim":
        from syncnas_bench.simulated.device import BY_RUNNER, SimDevice

        return SimDevice(name.removesuffix(BY_RUNNER), by_runner=name.endswith(BY_RUNNER))
    from syncnas_bench.adb.discovery import find_adb_device

    try:
        return find_adb_device(spec, environment)
    except DeviceNotFound as error:
        known = device_specs(environment)
        raise DeviceNotFound(
            f"there is no device {spec!r}; there are {', '.join(known)}.{nearest(spec, known)}"
        ) from error
