"""Find a device by the text a user types."""

from __future__ import annotations

from collections.abc import Mapping

from syncnas_bench.device import Device
from syncnas_bench.errors import DeviceNotFound
from syncnas_bench.host import HostDevice
from syncnas_bench.sim import SIM_DEVICES, SimDevice


def device_specs() -> tuple[str, ...]:
    """What `find_device` takes."""
    return ("host", *(f"sim:{name}" for name in SIM_DEVICES))


def find_device(spec: str, env: Mapping[str, str] | None = None) -> Device:
    """The device "host" (this machine) or "sim:NAME" (a simulated one).

    Args:
        env: environment variables; by default this process's.

    Raises:
        DeviceNotFound: nothing answers to `spec`; the message lists what does.
    """
    if spec == "host":
        return HostDevice(env=env)
    kind, _, name = spec.partition(":")
    if kind == "sim":
        return SimDevice(name)
    raise DeviceNotFound(f"there is no device {spec!r}; there are {', '.join(device_specs())}.")
