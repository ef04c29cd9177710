"""A device's ADB daemon for tests: real clients connect to it, a folder is the device, faults are switched on at will.

Shell commands run in this machine's sh with the scripts of the folder's `bin` first in PATH (getprop, dumpsys, df);
paths below /sys, /proc, /system and /data are looked up in the folder. TMPDIR is the folder's data/local/tmp, which a
client that asks for it uses like a phone's. The protocol is ADB's as of Android 14, and of Android 6 in legacy mode.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import secrets
import socket
import struct
import threading
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.adb_file_service import FileService
from tests.support.adb_shells import end, raw_shell, shell_v2

HEAD = struct.Struct("<4s5I")
MODERN = "shell_v2,cmd,stat_v2,ls_v2,sendrecv_v2"
SHOWN_WITHIN_S = 15.0
_SHA1_INFO = bytes.fromhex("3021300906052b0e03021a05000414")


@dataclass
class Faults:
    """What goes wrong, from now on.

    Attributes:
        stalled: nothing is read or written any more; connections stay open.
        stall_after_bytes: stalled once so many more bytes have come and gone.
        reset_after_bytes: connections are reset once so many more bytes have been sent.
        refused_services: names of services that are refused.
        instead: by a service's name, what answers in its place.
        bytes_per_s: a connection takes and gives no more than this.
    """

    stalled: bool = False
    stall_after_bytes: int | None = None
    reset_after_bytes: int | None = None
    refused_services: frozenset[str] = frozenset()
    instead: dict[str, Callable[[Any], Coroutine[Any, Any, None]]] = field(default_factory=dict)
    bytes_per_s: float | None = None


@dataclass
class Counts:
    """What happened so far. An early write is one that did not wait for the OKAY of the one before, and is answered
    by a reset.
    """

    connections: int = 0
    resets: int = 0
    early_writes: int = 0
    services: list[str] = field(default_factory=list)


class AdbDaemon:
    """Listens on a port of 127.0.0.1, in a thread of its own, between `with` and its end.

    Args:
        root: the folder that is the device.
        legacy: as Android 6: no shell_v2, 4096-byte packets, checksums, \\r\\n from a shell.
        keys: whether a client must show an accepted key.
    """

    def __init__(self, root: Path, *, legacy: bool = False, keys: bool = False, serial: str = "test") -> None:
        self.root, self.legacy, self.keys, self.serial = root, legacy, keys, serial
        self.faults, self.counts = Faults(), Counts()
        self.quota_bytes: int | None = None
        self.accepted: set[int] = set()
        self.shown: set[int] = set()
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._peers: set[_Peer] = set()
        self.left_behind: list[asyncio.subprocess.Process] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="adb daemon", daemon=True)

    @property
    def address(self) -> str:
        """Where a client finds it."""
        return f"127.0.0.1:{self.port}"

    def __enter__(self) -> AdbDaemon:
        self._thread.start()
        self._call(self._listen())
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._call(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(timeout=20)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.counts.connections += 1
        peer = _Peer(self, reader, writer)
        self._peers.add(peer)
        try:
            with contextlib.suppress(asyncio.CancelledError):  # at the end; asyncio's streams would log it
                await peer.serve()
        finally:
            self._peers.discard(peer)

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.faults = Faults()
        await self._cut()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        if tasks:  # those of a connection end with it, and wait for their commands to end
            await asyncio.wait(tasks, timeout=3)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for process in self.left_behind:
            await end(process)

    async def _cut(self) -> None:
        for peer in list(self._peers):
            peer.reset()

    async def _unplug(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._cut()

    def drop(self) -> None:
        """Reset all connections; new ones are taken."""
        self._call(self._cut())

    def unplug(self) -> None:
        """Reset all connections and refuse new ones."""
        self._call(self._unplug())

    def plug(self) -> None:
        """Take connections again, on the same port."""
        self._call(self._listen())

    def reboot(self) -> None:
        """Lose all connections and processes, and come up with another boot id."""
        self.unplug()
        write_boot_id(self.root)
        self.plug()

    def accept_shown_keys(self) -> None:
        """What a user does who accepts the dialog, once it is there: connections that wait are let in.

        A server calls a device unauthorized as soon as its signatures are refused, and shows its key after that.
        """
        end = time.monotonic() + SHOWN_WITHIN_S
        while not self.shown:
            assert time.monotonic() < end, "no key was shown"
            time.sleep(0.01)
        self.accepted |= self.shown
        self._call(self._let_in())

    async def _let_in(self) -> None:
        for peer in list(self._peers):
            await peer.let_in()

    def has_room(self, count: int) -> bool:
        """Whether `count` more bytes fit the quota."""
        if self.quota_bytes is None:
            return True
        used = sum(path.stat().st_size for path in (self.root / "data").rglob("*") if path.is_file())
        return used + count <= self.quota_bytes

    def path(self, text: str) -> Path:
        """A device's path in the folder; one that lies in the folder already is left as it is."""
        path = Path(os.path.normpath("/" + text.lstrip("/")))
        return path if path.is_relative_to(self.root) else self.root / str(path).lstrip("/")


class _Peer:
    """One connection."""

    def __init__(self, daemon: AdbDaemon, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.daemon, self._reader, self._writer = daemon, reader, writer
        self.version, self.max_payload = 0x01000000, 4096
        self._token = secrets.token_bytes(20)
        self._channels: dict[int, DaemonChannel] = {}
        self._next = 1
        self._lock = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting_for: int | None = None
        self._free_at = 0.0
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def reset(self) -> None:
        """End it with a TCP reset."""
        self.daemon.counts.resets += 1
        sock = self._writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def serve(self) -> None:
        try:
            while True:
                name, first, second, length, check, magic = HEAD.unpack(await self._reader.readexactly(HEAD.size))
                payload = await self._reader.readexactly(length)
                assert int.from_bytes(name, "little") ^ 0xFFFFFFFF == magic
                if self.version < 0x01000001:
                    assert check == sum(payload) & 0xFFFFFFFF or name == b"CNXN"
                await self._flow(HEAD.size + length)
                await self._take(name, first, second, payload)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            for channel in list(self._channels.values()):
                channel.end()
            for task in self._tasks:
                task.cancel()
            self._writer.close()

    async def _flow(self, count: int) -> None:
        """Wait until `count` more bytes may pass."""
        left = self.daemon.faults.stall_after_bytes
        if left is not None:
            self.daemon.faults.stall_after_bytes = left - count if left > count else None
            self.daemon.faults.stalled = left <= count
        while self.daemon.faults.stalled:
            await asyncio.sleep(0.02)
        if self.daemon.faults.bytes_per_s is not None:
            now = time.monotonic()
            self._free_at = max(now, self._free_at) + count / self.daemon.faults.bytes_per_s
            await asyncio.sleep(self._free_at - now)

    async def send(self, name: bytes, first: int, second: int, payload: bytes = b"") -> None:
        command = int.from_bytes(name, "little")
        check = sum(payload) & 0xFFFFFFFF if self.version < 0x01000001 else 0
        data = HEAD.pack(name, first, second, len(payload), check, command ^ 0xFFFFFFFF) + payload
        async with self._lock:
            await self._flow(len(data))
            left = self.daemon.faults.reset_after_bytes
            if left is not None and len(data) >= left:
                self.daemon.faults.reset_after_bytes = None
                self._writer.write(data[:left])
                with contextlib.suppress(ConnectionError):
                    await self._writer.drain()
                self.reset()
                raise ConnectionResetError
            if left is not None:
                self.daemon.faults.reset_after_bytes = left - len(data)
            self._writer.write(data)
            await self._writer.drain()

    async def _take(self, name: bytes, first: int, second: int, payload: bytes) -> None:
        if name == b"CNXN":
            self.max_payload = min(second, 4096 if self.daemon.legacy else 1 << 20)
            self.version = 0x01000000 if self.daemon.legacy else min(first, 0x01000001)
            await (self.send(b"AUTH", 1, 0, self._token) if self.daemon.keys else self.welcome())
        elif name == b"AUTH":
            await self._check_key(first, payload)
        elif name == b"OPEN":
            await self._open(first, payload.rstrip(b"\0").decode())
        elif second in self._channels:
            await self._channels[second].take(name, payload)

    async def welcome(self) -> None:
        features = "" if self.daemon.legacy else f";features={MODERN}"
        name = f"device::ro.product.name=syncnas;ro.product.model=Test_Phone;ro.product.device=test{features}"
        version = 0x01000000 if self.daemon.legacy else 0x01000001
        await self.send(b"CNXN", version, 4096 if self.daemon.legacy else 1 << 20, name.encode() + b"\0")

    async def _check_key(self, kind: int, payload: bytes) -> None:
        if kind == 2:
            if any(_is_signed(payload, self._token, modulus) for modulus in self.daemon.accepted):
                await self.welcome()
                return
            self._token = secrets.token_bytes(20)
            await self.send(b"AUTH", 1, 0, self._token)
        elif kind == 3:
            key = base64.b64decode(payload.rstrip(b"\0").split()[0])
            self._waiting_for = int.from_bytes(key[8 : 8 + 256], "little")
            self.daemon.shown.add(self._waiting_for)
            await self.let_in()

    async def let_in(self) -> None:
        if self._waiting_for in self.daemon.accepted:
            self._waiting_for = None
            await self.welcome()

    async def _open(self, theirs: int, service: str) -> None:
        kind, _, rest = service.partition(":")
        kind, *options = kind.split(",")
        self.daemon.counts.services.append(service)
        run = self._service(kind, options, rest)
        if run is None or kind in self.daemon.faults.refused_services:
            await self.send(b"CLSE", 0, theirs)
            return
        channel = DaemonChannel(self, self._next, theirs)
        self._channels[self._next] = channel
        self._next += 1
        await self.send(b"OKAY", channel.ours, theirs)
        task = asyncio.create_task(self._run(channel, run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _service(
        self, kind: str, options: list[str], rest: str
    ) -> Callable[[DaemonChannel], Coroutine[Any, Any, None]] | None:
        if kind in self.daemon.faults.instead:
            return self.daemon.faults.instead[kind]
        if kind == "sync":
            return FileService(self.daemon.path, self.daemon.has_room).serve
        if kind == "exec":
            return lambda channel: raw_shell(self.daemon.root, channel, rest, b"\n")
        if kind == "shell" and "v2" in options and not self.daemon.legacy:
            return lambda channel: shell_v2(self.daemon.root, channel, rest)
        if kind == "shell":
            newline = b"\r\n" if self.daemon.legacy else b"\n"
            return lambda channel: raw_shell(self.daemon.root, channel, rest, newline)
        return None

    async def _run(self, channel: DaemonChannel, run: Callable[[DaemonChannel], Coroutine[Any, Any, None]]) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                await run(channel)
            finally:
                await channel.close()

    def forget(self, channel: DaemonChannel) -> None:
        self._channels.pop(channel.ours, None)


class DaemonChannel:
    """One service that a client has opened."""

    def __init__(self, peer: _Peer, ours: int, theirs: int) -> None:
        self._peer, self.ours, self.theirs = peer, ours, theirs
        self._received: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._ready = asyncio.Semaphore(1)
        self._owes_okay = False
        self._buffer = bytearray()
        self.ended = asyncio.Event()

    async def take(self, name: bytes, payload: bytes) -> None:
        if name == b"OKAY":
            self._ready.release()
        elif name == b"WRTE":
            if self._owes_okay:  # a real daemon's buffers are made for one at a time
                self._peer.daemon.counts.early_writes += 1
                self._peer.reset()
            self._owes_okay = True
            self._received.put_nowait(payload)
        elif name == b"CLSE":
            self.end()

    def left_behind(self, process: asyncio.subprocess.Process) -> None:
        """A command goes on although its connection is gone; it ends with the device."""
        self._peer.daemon.left_behind.append(process)

    def end(self) -> None:
        self.ended.set()
        self._received.put_nowait(None)
        self._ready.release()

    async def read(self) -> bytes:
        """What the client wrote, or b"" at its end."""
        data = await self._received.get()
        if data is None:
            self._received.put_nowait(None)
            return b""
        self._owes_okay = False
        if not self.ended.is_set():
            await self._peer.send(b"OKAY", self.ours, self.theirs)
        return data

    async def readexactly(self, count: int) -> bytes:
        while len(self._buffer) < count:
            data = await self.read()
            if not data:
                raise asyncio.IncompleteReadError(bytes(self._buffer), count)
            self._buffer += data
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    async def write(self, data: bytes) -> None:
        for begin in range(0, len(data), self._peer.max_payload):
            await self._ready.acquire()
            if self.ended.is_set():
                raise ConnectionResetError
            await self._peer.send(b"WRTE", self.ours, self.theirs, data[begin : begin + self._peer.max_payload])

    async def close(self) -> None:
        # A client may lose what it has not acknowledged yet.
        if not self.ended.is_set():
            await self._ready.acquire()
        self._peer.forget(self)
        if not self.ended.is_set():
            await self._peer.send(b"CLSE", self.ours, self.theirs)


def _is_signed(signature: bytes, token: bytes, modulus: int) -> bool:
    """PKCS #1 v1.5 with the token in the place of a SHA-1 digest; the exponent of adb's keys is 65537."""
    wanted = b"\x00\x01" + b"\xff" * (256 - 3 - len(_SHA1_INFO) - len(token)) + b"\x00" + _SHA1_INFO + token
    return pow(int.from_bytes(signature, "big"), 65537, modulus).to_bytes(256, "big") == wanted


def write_boot_id(root: Path) -> str:
    """Give the device a new boot id."""
    boot_id = hashlib.sha256(secrets.token_bytes(8)).hexdigest()[:32]
    path = root / "proc/sys/kernel/random/boot_id"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(boot_id + "\n")
    return boot_id
