"""Find a device by the text a user types."""

from __future__ import annotations

import os
from collections.abc import Mapping

from syncnas_bench.adb_discovery import find_adb_device, is_serial, list_adb_devices
from syncnas_bench.device import Device
from syncnas_bench.errors import DeviceNotFound, DeviceUnavailable
from syncnas_bench.host import HostDevice
from syncnas_bench.sim import SIM_DEVICES, SimDevice


def device_specs(env: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """What `find_device` takes: this machine, the simulated devices, and those connected over ADB.

    Args:
        env: environment variables that tell where an adb server is; by default this process's.
    """
    try:
        entries = list_adb_devices(env)
    except DeviceUnavailable:
        entries = ()
    connected = (entry.serial for entry in entries if entry.state == "device" and is_serial(entry.serial))
    return ("host", *(f"sim:{name}" for name in SIM_DEVICES), *connected)


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
