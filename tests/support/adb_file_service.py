"""The file service of the tests' ADB daemon: SEND, RECV, STAT and LIST, and their second versions, uncompressed."""

from __future__ import annotations

import asyncio
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

HEAD = struct.Struct("<4sI")
STAT_V1 = struct.Struct("<4sIII")
STAT_V2 = struct.Struct("<4sIQQIIIIQqqq")
BLOCK = 64 * 1024


class FileService:
    """One connection to the file service.

    Args:
        locate: where a path of the device is.
        has_room: whether so many more bytes fit.
    """

    def __init__(self, locate: Callable[[str], Path], has_room: Callable[[int], bool]) -> None:
        self._locate, self._has_room = locate, has_room

    async def serve(self, channel: Any) -> None:
        """Answer requests until QUIT or the client's end."""
        handlers = {
            b"SEND": self._send_v1, b"SND2": self._send_v2, b"RECV": self._receive_v1, b"RCV2": self._receive_v2,
            b"STAT": self._stat_v1, b"STA2": self._stat_v2, b"LST2": self._stat_v2,
            b"LIST": self._list_v1, b"LIS2": self._list_v2,
        }  # fmt: skip
        while True:
            try:
                name, length = HEAD.unpack(await channel.readexactly(HEAD.size))
            except asyncio.IncompleteReadError:
                return
            if name == b"QUIT":
                return
            text = (await channel.readexactly(length)).decode()
            if name not in handlers:
                await self._fail(channel, f"unknown request {name!r}")
                return
            await handlers[name](channel, name, text)

    async def _fail(self, channel: Any, message: str) -> None:
        await channel.write(HEAD.pack(b"FAIL", len(message)) + message.encode())

    async def _send_v1(self, channel: Any, _: bytes, text: str) -> None:
        path, _, mode = text.rpartition(",")
        await self._store(channel, self._locate(path), int(mode))

    async def _send_v2(self, channel: Any, _: bytes, text: str) -> None:
        _, mode, flags = struct.unpack("<4sII", await channel.readexactly(12))
        if flags & 0x7FFFFFFF:
            await self._fail(channel, "compression is not supported")
            return
        await self._store(channel, self._locate(text), mode)

    async def _store(self, channel: Any, path: Path, mode: int) -> None:
        failure = ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            file = path.open("wb")
        except OSError as error:
            failure = os.strerror(error.errno or 0)
            file = Path(os.devnull).open("wb")  # noqa: SIM115
        with file:
            while True:
                name, length = HEAD.unpack(await channel.readexactly(HEAD.size))
                if name == b"DONE":
                    break
                data = await channel.readexactly(length)
                if not failure and not self._has_room(length):
                    failure = "couldn't write: No space left on device"
                if not failure:
                    file.write(data)
                    file.flush()
        if failure:
            path.unlink(missing_ok=True)
            await self._fail(channel, failure)
            return
        path.chmod(stat.S_IMODE(mode))
        await channel.write(HEAD.pack(b"OKAY", 0))

    async def _receive_v1(self, channel: Any, _: bytes, text: str) -> None:
        try:
            file = self._locate(text).open("rb")
        except OSError as error:
            await self._fail(channel, f"open failed: {os.strerror(error.errno or 0)}")
            return
        with file:
            while data := file.read(BLOCK * 8):
                pieces = [data[i : i + BLOCK] for i in range(0, len(data), BLOCK)]
                await channel.write(b"".join(HEAD.pack(b"DATA", len(piece)) + piece for piece in pieces))
        await channel.write(HEAD.pack(b"DONE", 0))

    async def _receive_v2(self, channel: Any, name: bytes, text: str) -> None:
        await channel.readexactly(8)
        await self._receive_v1(channel, name, text)

    async def _stat_v1(self, channel: Any, _: bytes, text: str) -> None:
        try:
            found = self._locate(text).stat()
            values = (found.st_mode, found.st_size, int(found.st_mtime))
        except OSError:
            values = (0, 0, 0)
        await channel.write(STAT_V1.pack(b"STAT", *values))

    async def _stat_v2(self, channel: Any, name: bytes, text: str) -> None:
        await channel.write(_stat_v2(name, self._locate(text), follow=name == b"STA2"))

    async def _list_v1(self, channel: Any, _: bytes, text: str) -> None:
        for path in _entries(self._locate(text)):
            found = path.lstat()
            raw = path.name.encode()
            head = struct.pack("<4sIIII", b"DENT", found.st_mode, found.st_size, int(found.st_mtime), len(raw))
            await channel.write(head + raw)
        await channel.write(struct.pack("<4sIIII", b"DONE", 0, 0, 0, 0))

    async def _list_v2(self, channel: Any, _: bytes, text: str) -> None:
        for path in _entries(self._locate(text)):
            raw = path.name.encode()
            await channel.write(_stat_v2(b"DNT2", path, follow=False) + struct.pack("<I", len(raw)) + raw)
        await channel.write(b"DONE" + bytes(STAT_V2.size))


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _stat_v2(name: bytes, path: Path, *, follow: bool) -> bytes:
    try:
        found = path.stat() if follow else path.lstat()
    except OSError as error:
        return STAT_V2.pack(name, error.errno or 1, *([0] * 10))
    times = (int(found.st_atime), int(found.st_mtime), int(found.st_ctime))
    owner = (found.st_mode, found.st_nlink, found.st_uid, found.st_gid)
    return STAT_V2.pack(name, 0, found.st_dev, found.st_ino, *owner, found.st_size, *times)
