"""Which devices are there over ADB, and how to get to one: through a running adb server, else directly."""

from __future__ import annotations

import importlib.util
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from syncnas_bench.adb.device import AdbDevice, FindRuntime
from syncnas_bench.adb.direct import DirectTransport, connect_tcp
from syncnas_bench.adb.link import Link
from syncnas_bench.adb.run import Patience
from syncnas_bench.adb.server import (
    CALL_S,
    ServerEntry,
    ServerTransport,
    remedy_of,
    server_address,
    server_devices,
    server_version,
)
from syncnas_bench.adb.target import find_runtime
from syncnas_bench.errors import DeviceNotFound, DeviceUnavailable, LinkLost

USB_CONNECT_S = 10.0
_SERIAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_HOST_PORT = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]*):([0-9]{1,5})")
_BUSY_REMEDY = "another adb server owns its USB port; use that server (ANDROID_ADB_SERVER_PORT) or end it"


@dataclass(frozen=True)
class AdbEntry:
    """A device that was found.

    Attributes:
        state: "device" if it can be used; else e.g. "unauthorized", "offline", "busy".
        way: "server" or "usb".
        remedy: what to do about its state; "" for "device".
    """

    serial: str
    state: str
    model: str
    way: str
    remedy: str


def is_serial(text: str) -> bool:
    """Whether a text may be a device's serial or HOST:PORT."""
    return _SERIAL.fullmatch(text) is not None or _HOST_PORT.fullmatch(text) is not None


def list_adb_devices(env: Mapping[str, str] | None = None, deadline_s: float = CALL_S) -> tuple[AdbEntry, ...]:
    """The devices that a running adb server knows; without a server, those on USB.

    Devices on the network that no server knows are not listed; `HOST:PORT` reaches them all the same.

    Args:
        env: environment variables; by default this process's.
        deadline_s: for each question to the server.

    Raises:
        DeviceUnavailable: a variable that tells where the server is cannot be read.
    """
    entries = _server_entries(os.environ if env is None else env, deadline_s)
    if entries is None:
        return _usb_entries()
    return tuple(
        AdbEntry(entry.serial, entry.state, entry.model, "server", remedy_of(entry.state)) for entry in entries
    )


def _server_entries(env: Mapping[str, str], deadline_s: float = CALL_S) -> tuple[ServerEntry, ...] | None:
    """The server's devices, or None if no server answers."""
    address = server_address(env)
    if server_version(address, deadline_s) is None:
        return None
    try:
        return server_devices(address, deadline_s)
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
            serial = wire.serial_number
            wire.close()
        except Exception as error:  # libusb's errors share no base that is there without it
            state, remedy = usb_state(error)
            serial = "unknown"
        entries.append(AdbEntry(serial, state, "unknown", "usb", remedy))
    return tuple(entries)


def usb_state(error: Exception) -> tuple[str, str]:
    """State and remedy of a device whose USB port cannot be opened, by the name of libusb's error."""
    name = type(error).__name__ + str(getattr(error, "usb_error", ""))
    if "Busy" in name or "BUSY" in name:
        return "busy", _BUSY_REMEDY
    if "Access" in name or "ACCESS" in name:
        return "no permissions", remedy_of("no permissions")
    return "offline", remedy_of("offline")


def connector(serial: str, env: Mapping[str, str]) -> Callable[[], Link]:
    """How to get a link to a device; the way is chosen anew with each call."""

    def connect() -> Link:
        entries = _server_entries(env)
        if entries is not None and any(entry.serial == serial for entry in entries):
            return Link(ServerTransport(server_address(env), serial))
        match = _HOST_PORT.fullmatch(serial)
        if match and int(match[2]) < 65536:
            return Link(connect_tcp(match[1].strip("[]"), int(match[2]), env))
        if entries is not None:
            raise DeviceUnavailable(f"device {serial} is not connected; {remedy_of('offline')}.", "offline")
        return Link(_connect_usb(serial, env))

    return connect


def _connect_usb(serial: str, env: Mapping[str, str]) -> DirectTransport:
    for wire in _usb_transports():
        try:
            wire.connect(USB_CONNECT_S)
            if wire.serial_number == serial:
                return DirectTransport(wire, serial, env)
            wire.close()
        except (DeviceUnavailable, LinkLost):
            raise
        except Exception as error:  # see `_usb_entries`
            state, remedy = usb_state(error)
            raise DeviceUnavailable(f"a device on USB is {state}; {remedy}.", state) from error
    hint = "" if importlib.util.find_spec("usb1") else ", or `pip install adb-shell[usb]` to do without one"
    raise DeviceUnavailable(
        f"device {serial} is not connected; plug it in and run `adb start-server`{hint}.", "offline"
    )


def find_adb_device(
    serial: str,
    env: Mapping[str, str] | None = None,
    *,
    runtime: FindRuntime = find_runtime,
    patience: Patience | None = None,
) -> AdbDevice:
    """A device by its serial or HOST:PORT, connected.

    Raises:
        DeviceNotFound: the text can be no serial, or no such device is connected.
        DeviceUnavailable: it is there and cannot be used yet; the message says what to do.
    """
    environment = dict(os.environ if env is None else env)
    if not is_serial(serial):
        raise DeviceNotFound(f"{serial!r} can be no device's serial; run `syncnas-deploy devices` for those there are.")
    device = AdbDevice(serial, connector(serial, environment), env=environment, runtime=runtime, patience=patience)
    try:
        device.link.shell(["true"])
    except DeviceUnavailable as error:
        if error.state == "offline" and ":" not in serial and not _is_listed(serial, environment):
            raise DeviceNotFound(str(error)) from error
        raise
    return device


def _is_listed(serial: str, env: Mapping[str, str]) -> bool:
    return any(entry.serial == serial for entry in list_adb_devices(env))
