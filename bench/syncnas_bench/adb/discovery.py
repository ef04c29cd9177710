"""Which devices are there over ADB, and how to get to one: through a running adb server, else directly."""

from __future__ import annotations

import functools
import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from syncnas_bench.adb.device import AdbDevice
from syncnas_bench.adb.link import Link
from syncnas_bench.adb.server import (
    CALL_S,
    ServerEntry,
    ServerTransport,
    is_serial,
    remedy_of,
    server_devices,
    server_version,
    state_among,
)
from syncnas_bench.adb.target import find_runtime
from syncnas_bench.environment import Address, Environment, KeyPlaces
from syncnas_bench.errors import DeviceNotFound, DeviceUnavailable, LinkLost
from syncnas_bench.systems import here

if TYPE_CHECKING:
    from syncnas_bench.adb.direct import DirectTransport

USB_CONNECT_S = 10.0
_HOST_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]*):([0-9]{1,5})")
_BUSY_REMEDY = "another adb server owns its USB port; use that server (ANDROID_ADB_SERVER_PORT) or end it"


@dataclass(frozen=True)
class AdbEntry:
    """A device that was found.

    Attributes:
        state: "device" if it can be used; else e.g. "unauthorized", "offline", "busy", or what its serial lacks.
        remedy: what to do about its state; "" for "device".
    """

    serial: str
    state: str
    model: str
    remedy: str


def list_adb_devices(server: Address, deadline_s: float = CALL_S) -> tuple[AdbEntry, ...]:
    """The devices that a running adb server knows; without a server, those on USB.

    Devices on the network that no server knows are not listed; `HOST:PORT` reaches them all the same.

    Args:
        server: where the adb server is, if there is one.
        deadline_s: for each question to the server.
    """
    entries = _server_entries(server, deadline_s)
    if entries is None:
        return _usb_entries()
    return tuple(AdbEntry(entry.serial, entry.state, entry.model, remedy_of(entry.state)) for entry in entries)


def _server_entries(server: Address, deadline_s: float = CALL_S) -> tuple[ServerEntry, ...] | None:
    """The server's devices, or None if no server answers."""
    if server_version(server, deadline_s) is None:
        return None
    try:
        return server_devices(server, deadline_s)
    except LinkLost:
        return None


def _usb_transports() -> list[Any]:
    """adb-shell's transports of all devices on USB; none without its `usb` extra."""
    if importlib.util.find_spec("usb1") is None:
        return []
    from adb_shell.transport.usb_transport import UsbTransport

    try:
        return list(UsbTransport.find_all_adb_devices())
    except OSError:  # no libusb on this machine
        return []


def _usb_entries() -> tuple[AdbEntry, ...]:
    entries = []
    for wire in _usb_transports():
        state, remedy = "device", ""
        try:
            wire.connect(1.0)
            serial = wire.serial_number or "(no serial number)"
            wire.close()
        except Exception as error:  # libusb's errors share no base that is there without it
            state, remedy = usb_state(error)
            serial = "unknown"
        entries.append((serial, state, remedy))
    serials = [serial for serial, _, _ in entries]
    return tuple(
        AdbEntry(serial, told, "unknown", remedy or remedy_of(told))
        for serial, state, remedy in entries
        for told in [state_among(serial, state, serials)]
    )


def usb_state(error: Exception) -> tuple[str, str]:
    """State and remedy of a device whose USB port cannot be opened, by the name of libusb's error."""
    name = type(error).__name__ + str(getattr(error, "usb_error", ""))
    if "Busy" in name or "BUSY" in name:
        return "busy", _BUSY_REMEDY
    if "Access" in name or "ACCESS" in name:
        return "no permissions", remedy_of("no permissions")
    return "offline", remedy_of("offline")


def connector(serial: str, server: Address, keys: KeyPlaces) -> Callable[[], Link]:
    """How to get a link to a device; the way is chosen anew with each call."""

    def connect() -> Link:
        entries = _server_entries(server)
        if entries is not None and any(entry.serial == serial for entry in entries):
            return Link(ServerTransport(server, serial))
        match = _HOST_PORT.fullmatch(serial)
        if match and int(match[2]) < 65536:
            from syncnas_bench.adb.direct import connect_tcp

            return Link(connect_tcp(match[1].strip("[]"), int(match[2]), keys))
        if entries is not None:
            raise DeviceUnavailable(f"device {serial} is not connected; {remedy_of('offline')}.", "offline")
        return Link(_connect_usb(serial, keys))

    return connect


def _connect_usb(serial: str, keys: KeyPlaces) -> DirectTransport:
    from syncnas_bench.adb.direct import DirectTransport
    from syncnas_bench.adb.wires import UsbWire

    trouble: DeviceUnavailable | None = None
    for wire in _usb_transports():
        try:
            wire.connect(USB_CONNECT_S)
            if wire.serial_number == serial:
                return DirectTransport(UsbWire(wire), serial, keys)
            wire.close()
        except (DeviceUnavailable, LinkLost):
            raise
        except Exception as error:  # see `_usb_entries`
            state, remedy = usb_state(error)
            trouble = DeviceUnavailable(f"a device on USB is {state}; {remedy}.", state)
    if trouble:  # it may be this one: a port that cannot be opened does not tell its serial
        raise trouble
    can_do_without = here().usb_without_server and not importlib.util.find_spec("usb1")
    hint = ", or `pip install 'syncnas-deploy[usb]'` to do without one" if can_do_without else ""
    raise DeviceUnavailable(
        f"device {serial} is not connected; plug it in and run `adb start-server`{hint}.", "offline"
    )


def find_adb_device(serial: str, environment: Environment) -> AdbDevice:
    """A device by its serial or HOST:PORT, connected.

    Raises:
        DeviceNotFound: the text can be no serial, or no such device is connected.
        DeviceUnavailable: it is there and cannot be used yet; the message says what to do.
    """
    if not is_serial(serial):
        raise DeviceNotFound(f"{serial!r} can be no device's serial; run `syncnas-deploy devices` for those there are.")
    server, find = environment.adb_server, functools.partial(find_runtime, environment=environment)
    device = AdbDevice(serial, connector(serial, server, environment.adb_keys), runtime=find)
    try:
        device.probe()
    except DeviceUnavailable as error:
        if error.state == "offline" and ":" not in serial and not _is_listed(serial, server):
            raise DeviceNotFound(str(error)) from error
        raise
    return device


def _is_listed(serial: str, server: Address) -> bool:
    return any(entry.serial == serial for entry in list_adb_devices(server))
