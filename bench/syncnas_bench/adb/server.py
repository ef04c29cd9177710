"""Devices through a running adb server, over its smart sockets. The server is never started or stopped.

Source: Android's adb, docs/user/adb.1.md and SERVICES.TXT: four hex digits of length, a request, OKAY or FAIL.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from syncnas_bench.adb.channel import left_s, stalled
from syncnas_bench.environment import Address
from syncnas_bench.errors import DeviceUnavailable, LinkLost, ServiceRefused
from syncnas_bench.systems import here

CALL_S = 5.0
MAX_SERVICE_BYTES = 4000
_READ_BYTES = 256 * 1024

REMEDIES = {
    "unauthorized": "unlock it and accept this computer's key in the dialog it shows",
    "authorizing": "wait a moment, then accept this computer's key on it",
    "offline": "replug it, or switch USB debugging off and on",
    "connecting": "wait a moment and try again",
    "recovery": "boot it into Android",
    "sideload": "boot it into Android",
    "bootloader": "boot it into Android",
    "rescue": "boot it into Android",
    "host": "connect it as a device, not as a host",
    "without": "give it one (a board: in the settings of its USB gadget) and replug it",
    "one of": "unplug all but one of them",
}

_STATES = "device|offline|unauthorized|authorizing|connecting|recovery|sideload|bootloader|rescue|host|detached|unknown"
_LINES = (  # serial, state and the rest
    re.compile(r"(.*?)\s+(no permissions)\b(.*)"),
    # A serial may have blanks: the state is the last word of these that a port and NAME:VALUE alone follow.
    re.compile(rf"(.*\S)\s+({_STATES})((?:\s+[^\s:]+)?(?:\s+\w+:\S*)*)\s*"),
    re.compile(r"(\S+)\s+(\S+)(.*)"),  # a state of servers to come
)
_NAMELESS = re.compile(r"\?*|\(no serial number\)")
_MAX_SERIAL_CHARS = 128


def is_serial(text: str) -> bool:
    """Whether a text may be a device's serial or HOST:PORT: printable, and not what stands where there is none."""
    return (
        len(text) <= _MAX_SERIAL_CHARS
        and text.isprintable()
        and text == text.strip()
        and _NAMELESS.fullmatch(text) is None
    )


def state_among(serial: str, state: str, listed: Sequence[str]) -> str:
    """The state of a device that is listed with others: "device" only where its serial names it and no other one."""
    if state != "device" or (is_serial(serial) and listed.count(serial) == 1):
        return state
    if not is_serial(serial):
        return "without a usable serial number"
    return f"one of {listed.count(serial)} devices with this serial"


def remedy_of(state: str) -> str:
    """What to do about a device in that state; "" for one that works."""
    if state == "device":
        return ""
    if state.startswith("no permissions"):
        return here().usb_remedy
    return next((remedy for name, remedy in REMEDIES.items() if state.startswith(name)), "replug it")


def unavailable(serial: str, state: str) -> DeviceUnavailable:
    """The error for a device in a state other than "device"."""
    return DeviceUnavailable(f"device {serial} is {state}; {remedy_of(state)}.", state)


@dataclass(frozen=True)
class ServerEntry:
    """One line of the server's list. `state` is "device" if it can be used."""

    serial: str
    state: str
    model: str


class SocketChannel:
    """A channel that is a socket of its own."""

    def __init__(self, address: Address, deadline_at: float) -> None:
        try:
            self._socket = socket.create_connection(address, timeout=left_s(deadline_at))
        except TimeoutError:
            raise stalled() from None
        except OSError as error:
            raise LinkLost(
                f"no adb server answers at {address[0]}:{address[1]} ({error.strerror}); run `adb start-server`."
            ) from error
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def is_open(self) -> bool:
        """Whether `close` has not been called."""
        return self._socket.fileno() >= 0

    def read(self, deadline_at: float) -> bytes:
        return self._receive(_READ_BYTES, deadline_at)

    def take(self, count: int, deadline_at: float) -> bytes:
        """The next `count` bytes and not one more: what follows is for whoever reads next.

        Raises:
            LinkLost, LinkStalled: they do not come.
        """
        taken = bytearray()
        while len(taken) < count:
            chunk = self._receive(count - len(taken), deadline_at)
            if not chunk:
                raise LinkLost("the adb server ended the connection in the middle of an answer; try again.")
            taken += chunk
        return bytes(taken)

    def _receive(self, most_bytes: int, deadline_at: float) -> bytes:
        self._socket.settimeout(left_s(deadline_at))
        if hasattr(socket, "TCP_QUICKACK"):  # the server waits for acknowledgements of small writes
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        try:
            return self._socket.recv(most_bytes)
        except TimeoutError:
            raise stalled() from None
        except OSError as error:
            raise LinkLost(f"the connection to the adb server broke: {error.strerror or error}.") from error

    def write(self, data: bytes, deadline_at: float) -> None:
        view = memoryview(data)
        while view:
            self._socket.settimeout(left_s(deadline_at))
            try:
                view = view[self._socket.send(view) :]
            except TimeoutError:
                raise stalled() from None
            except OSError as error:
                raise LinkLost(f"the connection to the adb server broke: {error.strerror or error}.") from error

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class _Request:
    """A connection to the server on which requests are made."""

    def __init__(self, address: Address, deadline_at: float) -> None:
        self.channel = SocketChannel(address, deadline_at)
        self._deadline_at = deadline_at

    def ask(self, request: str) -> str:
        """Send a request; "" if it is granted, else the server's reason."""
        raw = request.encode()
        self.channel.write(b"%04x" % len(raw) + raw, self._deadline_at)
        status = self.channel.take(4, self._deadline_at)
        if status == b"OKAY":
            return ""
        if status != b"FAIL":
            raise LinkLost(f"what answers is no adb server: it said {status!r}.")
        return self.text() or "no reason given"

    def text(self) -> str:
        """A text that follows an answer."""
        length = self.channel.take(4, self._deadline_at)
        if not re.fullmatch(rb"[0-9a-fA-F]{4}", length):
            raise LinkLost(f"what answers is no adb server: it said {length!r}.")
        return self.channel.take(int(length, 16), self._deadline_at).decode("utf-8", "replace")


def _query(address: Address, request: str, deadline_s: float) -> tuple[str, str]:
    """Refusal ("" for none) and answer."""
    asked = _Request(address, time.monotonic() + deadline_s)
    try:
        refused = asked.ask(request)
        return refused, "" if refused else asked.text()
    finally:
        asked.channel.close()


def server_version(address: Address, deadline_s: float = CALL_S) -> int | None:
    """The protocol version of the adb server, or None if none answers there."""
    try:
        refused, answer = _query(address, "host:version", deadline_s)
        return None if refused else int(answer, 16)
    except (LinkLost, ValueError):
        return None


def server_devices(address: Address, deadline_s: float = CALL_S) -> tuple[ServerEntry, ...]:
    """The devices an adb server knows, whatever their state.

    Raises:
        LinkLost: no server answers.
    """
    _, answer = _query(address, "host:devices-l", deadline_s)
    parsed = (next(filter(None, (p.fullmatch(line) for p in _LINES)), None) for line in answer.splitlines())
    found = list(filter(None, parsed))
    serials = [match[1] for match in found]
    models = [re.search(r"\bmodel:(\S+)", match[3]) for match in found]
    return tuple(
        ServerEntry(match[1], state_among(match[1], match[2], serials), model[1] if model else "unknown")
        for match, model in zip(found, models, strict=True)
    )


class ServerTransport:
    """One device behind an adb server.

    Raises:
        DeviceUnavailable: the server does not have it, or not in the state "device".
        LinkLost: no server answers.
    """

    max_service_bytes = MAX_SERVICE_BYTES

    def __init__(self, address: Address, serial: str) -> None:
        self._address, self._serial = address, serial
        self._channels: list[SocketChannel] = []
        state = next((entry.state for entry in server_devices(address) if entry.serial == serial), None)
        if state != "device":
            raise unavailable(serial, state or "offline")
        refused, features = _query(address, f"host-serial:{serial}:features", CALL_S)
        self._features = frozenset() if refused else frozenset(features.split(","))

    @property
    def serial(self) -> str:
        """The device's serial."""
        return self._serial

    @property
    def features(self) -> frozenset[str]:
        """What the device's daemon can."""
        return self._features

    def open(self, service: str, deadline_at: float) -> SocketChannel:
        asked = _Request(self._address, deadline_at)
        try:
            _require_granted(self._serial, asked, service)
        except BaseException:
            asked.channel.close()
            raise
        self._channels = [channel for channel in self._channels if channel.is_open]
        self._channels.append(asked.channel)
        return asked.channel

    def close(self) -> None:
        for channel in self._channels:
            channel.close()
        self._channels.clear()


def _require_granted(serial: str, asked: _Request, service: str) -> None:
    refused = asked.ask(f"host:transport:{serial}")
    if refused:
        raise _transport_error(serial, refused)
    refused = asked.ask(service)
    if refused:
        raise _service_error(serial, service, refused)


def _transport_error(serial: str, refused: str) -> Exception:
    for state in ("unauthorized", "offline", "authorizing"):
        if state in refused:
            return unavailable(serial, state)
    if "more than one" in refused:
        return unavailable(serial, "one of several devices with this serial")
    return LinkLost(f"the adb server does not reach device {serial} ({refused}); replug it.")


def _service_error(serial: str, service: str, refused: str) -> Exception:
    if refused == "closed":
        return ServiceRefused(f"device {serial} refused the service {service.partition(':')[0]!r}; update its Android.")
    return LinkLost(f"device {serial} was lost: {refused}.")
