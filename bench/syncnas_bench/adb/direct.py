"""A device without an adb server in between: ADB's packets over a wire of our own.

Source: Android's adb, protocol.txt: a head of six little-endian words, then the payload. Each channel has a
number on either side; a WRTE is answered by an OKAY before the next may follow.
"""

from __future__ import annotations

import contextlib
import itertools
import struct
import threading
import time
from collections import deque
from typing import Any

from syncnas_bench.adb.channel import left_s, stalled
from syncnas_bench.adb.server import unavailable
from syncnas_bench.adb.wires import TcpWire, Wire
from syncnas_bench.environment import KeyPlaces
from syncnas_bench.errors import DeviceUnavailable, LinkLost, LinkStalled, ServiceRefused

CONNECT_S = 10.0
AUTHORIZE_S = 3.0
VERSION_WITHOUT_CHECKSUM = 0x01000001
MAX_PAYLOAD_BYTES = 1024 * 1024
_SMALLEST_PAYLOAD_BYTES = 4096
_HEAD = struct.Struct("<4s5I")
_POLL_S = 1.0
_SIGNATURE, _PUBLIC_KEY = 2, 3
_TOKEN_BYTES = 20
_MOST_WAITING = 4
"""How many packets of a channel may wait for their reader. A daemon that keeps to the protocol has one under way."""
_FEATURES = "shell_v2,cmd,stat_v2"


def connect_tcp(host: str, port: int, keys: KeyPlaces, deadline_s: float = CONNECT_S) -> DirectTransport:
    """Connect to a daemon that listens on a TCP port.

    Raises:
        DeviceUnavailable: nobody answers, or this computer's key is not accepted yet.
        LinkLost, LinkStalled: it answered and then fell silent.
    """
    serial = f"{host}:{port}"
    try:
        wire = TcpWire(host, port, deadline_s)
    except OSError as error:
        raise DeviceUnavailable(
            f"no device answers at {serial} ({error.strerror or 'timed out'}); switch its network debugging on.",
            "offline",
        ) from error
    return DirectTransport(wire, serial, keys, deadline_s)


class DirectTransport:
    """A connection to a device's daemon, with a thread that sorts what comes by channel.

    Args:
        wire: connected; it is closed with the transport.

    Raises:
        DeviceUnavailable: this computer's key is not accepted yet.
        LinkLost, LinkStalled: the daemon closes the connection, or does not answer.
    """

    def __init__(self, wire: Wire, serial: str, keys: KeyPlaces, deadline_s: float = CONNECT_S) -> None:
        self._wire, self._serial = wire, serial
        self._send_lock = threading.Lock()
        self._changed = threading.Condition()
        self._channels: dict[int, _DirectChannel] = {}
        self._ids = itertools.count(1)
        self._lost: str | None = None
        self._checksum = True
        self.max_payload_bytes = _SMALLEST_PAYLOAD_BYTES
        try:
            banner = self._handshake(keys, time.monotonic() + deadline_s)
        except BaseException:
            self._wire.close()
            raise
        properties = dict(part.split("=", 1) for part in banner.partition("::")[2].split(";") if "=" in part)
        self._features = frozenset(properties.get("features", "").split(","))
        self._sorter = threading.Thread(target=self._sort, name=f"adb {serial}", daemon=True)
        self._sorter.start()

    @property
    def serial(self) -> str:
        """The device's serial, or HOST:PORT."""
        return self._serial

    @property
    def features(self) -> frozenset[str]:
        """What the daemon can."""
        return self._features

    @property
    def max_service_bytes(self) -> int:
        """What fits an OPEN packet."""
        return self.max_payload_bytes - 1

    def _handshake(self, keys: KeyPlaces, deadline_at: float) -> str:
        hello = f"host::features={_FEATURES}\0".encode()
        self.send(b"CNXN", VERSION_WITHOUT_CHECKSUM, MAX_PAYLOAD_BYTES, hello, deadline_at)
        name, kind, limit, payload = self._packet(deadline_at)
        if name == b"STLS":
            raise DeviceUnavailable(
                f"device {self._serial} wants an encrypted connection; pair it with `adb pair` and `adb connect`, "
                "and leave the adb server running.",
                "unauthorized",
            )
        if name == b"AUTH":
            name, kind, limit, payload = self._authorize(keys, payload, deadline_at)
        if name != b"CNXN":
            raise self._no_daemon(f"it said {name!r}")
        self._checksum = kind < VERSION_WITHOUT_CHECKSUM
        self.max_payload_bytes = max(_SMALLEST_PAYLOAD_BYTES, min(limit, MAX_PAYLOAD_BYTES))
        return payload.rstrip(b"\0").decode("utf-8", "replace")

    def _no_daemon(self, reason: str) -> LinkLost:
        return LinkLost(f"what answers at {self._serial} is no ADB daemon ({reason}); check the address.")

    def _authorize(self, keys: KeyPlaces, token: bytes, deadline_at: float) -> tuple[bytes, int, int, bytes]:
        try:
            from syncnas_bench.adb.keys import load_signers
        except ImportError as error:
            raise DeviceUnavailable(
                f"device {self._serial} wants a key, and what signs it is missing; "
                "`pip install 'syncnas-deploy[direct]'`, or use an adb server.",
                "unauthorized",
            ) from error
        signers = load_signers(keys)
        for signer in signers:
            if len(token) != _TOKEN_BYTES:
                raise self._no_daemon(f"its token has {len(token)} bytes instead of {_TOKEN_BYTES}")
            self.send(b"AUTH", _SIGNATURE, 0, signer.Sign(token), deadline_at)
            answer = self._packet(deadline_at)
            if answer[0] != b"AUTH":
                return answer
            token = answer[3]
        self.send(b"AUTH", _PUBLIC_KEY, 0, signers[0].GetPublicKey().encode() + b"\0", deadline_at)
        try:
            return self._packet(min(deadline_at, time.monotonic() + AUTHORIZE_S))
        except LinkLost:
            raise unavailable(self._serial, "unauthorized") from None

    def send(self, name: bytes, first: int, second: int, payload: bytes, deadline_at: float) -> None:
        """Send one packet. Raises LinkLost, LinkStalled."""
        command = int.from_bytes(name, "little")
        check = sum(payload) & 0xFFFFFFFF if self._checksum else 0
        head = _HEAD.pack(name, first, second, len(payload), check, command ^ 0xFFFFFFFF)
        with self._send_lock:
            self._write(head, deadline_at)
            if payload:
                self._write(payload, deadline_at)

    def _write(self, data: bytes, deadline_at: float) -> None:
        view = memoryview(data)
        while view:
            try:
                view = view[self._wire.write(view, left_s(deadline_at)) :]
            except BlockingIOError:
                continue
            except TimeoutError:
                # Half a packet may be out: the connection is of no more use.
                self._give_up("a packet could not be sent in time")
                raise stalled() from None
            except OSError as error:
                raise self._loss(str(error)) from error

    def _packet(self, deadline_at: float | None) -> tuple[bytes, int, int, bytes]:
        head = self._take(_HEAD.size, deadline_at)
        name, first, second, length, _, magic = _HEAD.unpack(head)
        if int.from_bytes(name, "little") ^ 0xFFFFFFFF != magic or length > MAX_PAYLOAD_BYTES:
            raise self._loss(f"{head[:4]!r} is no packet")
        return name, first, second, self._take(length, deadline_at) if length else b""

    def _take(self, count: int, deadline_at: float | None) -> bytes:
        """Exactly `count` bytes; without a deadline, until the connection is closed."""
        taken = bytearray()
        while len(taken) < count:
            wait_s = _POLL_S if deadline_at is None else left_s(deadline_at)
            try:
                chunk = self._wire.read(count - len(taken), wait_s)
            except BlockingIOError:
                continue
            except TimeoutError:
                if deadline_at is not None:
                    raise stalled() from None
                continue
            except OSError as error:
                raise self._loss(str(error)) from error
            if not chunk:
                raise self._loss("it closed the connection")
            taken += chunk
        return bytes(taken)

    def _sort(self) -> None:
        try:
            while self._lost is None:
                name, theirs, ours, payload = self._packet(None)
                with self._changed:
                    channel = self._channels.get(ours)
                    if channel is None:
                        continue
                    channel.take(name, theirs, payload)
                    if channel.waiting > _MOST_WAITING:
                        raise self._loss("it sends more without waiting for an answer")
                    self._changed.notify_all()
        except LinkLost:
            pass  # whoever waits is told
        finally:
            self._close_wire()

    def _loss(self, reason: str) -> LinkLost:
        self._give_up(reason)
        return LinkLost(f"the connection to {self._serial} broke ({self._lost}); check its cable or network.")

    def _give_up(self, reason: str) -> None:
        with self._changed:
            self._lost = self._lost or reason
            self._changed.notify_all()

    def open(self, service: str, deadline_at: float) -> _DirectChannel:
        channel = _DirectChannel(self, next(self._ids))
        with self._changed:
            self._channels[channel.number] = channel
        try:
            self.send(b"OPEN", channel.number, 0, service.encode() + b"\0", deadline_at)
            self.wait(lambda: channel.theirs or channel.closed, deadline_at)
        except BaseException:
            self.forget(channel)
            raise
        if not channel.theirs:
            self.forget(channel)
            kind = service.partition(":")[0]
            raise ServiceRefused(f"device {self._serial} refused the service {kind!r}; update its Android.")
        return channel

    def wait(self, condition: Any, deadline_at: float) -> None:
        """Wait until a channel's state has changed as wanted. Raises LinkLost, LinkStalled."""
        with self._changed:
            while not condition():
                if self._lost is not None:
                    raise self._loss(self._lost)
                self._changed.wait(left_s(deadline_at))

    def forget(self, channel: _DirectChannel) -> None:
        """Drop whatever still comes for a channel."""
        with self._changed:
            self._channels.pop(channel.number, None)

    def _close_wire(self) -> None:
        with self._changed:
            self._wire.close()

    def close(self) -> None:
        self._give_up("it was closed here")
        self._close_wire()
        self._sorter.join(timeout=2 * _POLL_S)


class _DirectChannel:
    """One channel of a `DirectTransport`; `take` is called by its thread, the rest by the user's."""

    def __init__(self, transport: DirectTransport, number: int) -> None:
        self._transport = transport
        self._chunks: deque[bytes] = deque()
        self._sent = self._acknowledged = 0
        self.number = number
        self.theirs = 0
        self.closed = False

    @property
    def waiting(self) -> int:
        """How many packets have come that nobody has read yet."""
        return len(self._chunks)

    def take(self, name: bytes, theirs: int, payload: bytes) -> None:
        """A packet for this channel."""
        if name == b"OKAY":
            self._acknowledged += 1 if self.theirs else 0
            self.theirs = self.theirs or theirs
        elif name == b"WRTE":
            self._chunks.append(payload)
        elif name == b"CLSE":
            self.closed = True

    def read(self, deadline_at: float) -> bytes:
        """See `Channel.read`. The OKAY is sent here, so a reader that is slow slows the device."""
        while True:
            self._transport.wait(lambda: self._chunks or self.closed, deadline_at)
            if not self._chunks:
                return b""
            chunk = self._chunks.popleft()
            if not self.closed:
                self._transport.send(b"OKAY", self.number, self.theirs, b"", deadline_at)
            if chunk:
                return chunk

    def write(self, data: bytes, deadline_at: float) -> None:
        """See `Channel.write`. What was sent last may still be on its way when it returns."""
        for begin in range(0, len(data), self._transport.max_payload_bytes):
            self._transport.wait(lambda: self._acknowledged == self._sent or self.closed, deadline_at)
            if self.closed:
                raise LinkLost("the device closed the channel; the command or transfer has ended.")
            chunk = data[begin : begin + self._transport.max_payload_bytes]
            self._sent += 1
            self._transport.send(b"WRTE", self.number, self.theirs, chunk, deadline_at)

    def close(self) -> None:
        self._transport.forget(self)
        if not self.closed:
            self.closed = True
            with contextlib.suppress(LinkLost, LinkStalled):
                self._transport.send(b"CLSE", self.number, self.theirs, b"", time.monotonic() + _POLL_S)
