"""ADB's file service: SEND and RECV of one named file.

Source: Android's adb, file_sync_protocol.h: an id of four letters, a little-endian length, then the data.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import time
from collections.abc import Iterable, Iterator
from typing import BinaryIO

from syncnas_bench.adb.channel import Channel, ExactReader, is_sendable
from syncnas_bench.errors import LinkLost, LinkStalled, StorageFull, TransferFailed

BLOCK_BYTES = 64 * 1024
PATH_BYTES = 1024
_HEAD = struct.Struct("<4sI")
_BLOCKS_A_WRITE = 8
_ANSWER_S = 2.0


def blocks(file: BinaryIO) -> Iterator[bytes]:
    """The content of a file, in the pieces that `send` likes."""
    while block := file.read(BLOCK_BYTES * _BLOCKS_A_WRITE):
        yield block


def _request(name: bytes, path: str) -> bytes:
    if not is_sendable(path):
        raise TransferFailed(f"the path {path!r} holds a NUL or half a character; use another one.")
    raw = path.encode()
    if len(raw) > PATH_BYTES:
        raise TransferFailed(f"the path {path!r} is longer than {PATH_BYTES} bytes; use a shorter one.")
    return _HEAD.pack(name, len(raw)) + raw


def _packets(data: bytes) -> bytes:
    view, parts = memoryview(data), list[bytes | memoryview]()
    for i in range(0, len(data), BLOCK_BYTES):
        piece = view[i : i + BLOCK_BYTES]
        parts += [_HEAD.pack(b"DATA", len(piece)), piece]
    return b"".join(parts)


def _refusal(path: str, message: str) -> TransferFailed:
    if os.strerror(errno.ENOSPC) in message:
        return StorageFull(f"the device's storage is full: {path} could not be written; free some room on it.")
    return TransferFailed(f"the device refused {path}: {message}.")


def send(channel: Channel, content: Iterable[bytes], path: str, mode: int, deadline_at: float) -> None:
    """Write a file on the device.

    Raises:
        StorageFull, TransferFailed: the device refused it.
        LinkLost, LinkStalled: the connection failed.
    """
    reader = ExactReader(channel)
    try:
        channel.write(_request(b"SEND", f"{path},{mode | stat.S_IFREG}"), deadline_at)
        for block in content:
            channel.write(_packets(block), deadline_at)
        channel.write(_HEAD.pack(b"DONE", int(time.time())), deadline_at)
    except LinkStalled:
        raise
    except LinkLost:
        # A device that has given up on the file says why before it closes.
        _take_answer(reader, path, time.monotonic() + _ANSWER_S)
        raise
    _take_answer(reader, path, deadline_at)


def _take_answer(reader: ExactReader, path: str, deadline_at: float) -> None:
    name, length = _HEAD.unpack(reader.take(_HEAD.size, deadline_at))
    if name == b"FAIL":
        raise _refusal(path, _message(reader, length, deadline_at))
    if name != b"OKAY":
        raise LinkLost(f"the device's file service answered {name!r}; reconnect it.")


def _message(reader: ExactReader, length: int, deadline_at: float) -> str:
    return reader.take(min(length, BLOCK_BYTES), deadline_at).decode("utf-8", "replace")


def receive(channel: Channel, path: str, max_bytes: int, deadline_at: float) -> Iterator[bytes]:
    """The content of a file on the device, block by block.

    Raises:
        TransferFailed: the device refused, or sent more than `max_bytes`.
        LinkLost, LinkStalled: the connection failed.
    """
    reader = ExactReader(channel)
    channel.write(_request(b"RECV", path), deadline_at)
    total = 0
    while True:
        name, length = _HEAD.unpack(reader.take(_HEAD.size, deadline_at))
        if name == b"DONE":
            return
        if name == b"FAIL":
            raise _refusal(path, _message(reader, length, deadline_at))
        if name != b"DATA" or length > BLOCK_BYTES:
            raise LinkLost(f"the device's file service sent {name!r} of {length} bytes; reconnect it.")
        total += length
        if total > max_bytes:
            raise TransferFailed(f"{path} on the device is longer than the {max_bytes} bytes it may have.")
        yield reader.take(length, deadline_at)
