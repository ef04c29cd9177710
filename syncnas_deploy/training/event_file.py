"""Scalars for TensorBoard, written without it: a TFRecord file of Event messages.

An Event has field 1 wall_time (double), 2 step (int64), 3 file_version (string), 5 summary; a summary has values
(field 1) of tag (1, string) and simple_value (2, float). A record is its length (uint64), that length's masked
CRC-32C, the data and its masked CRC-32C, little-endian.
Source: tensorboard/compat/proto/event.proto, summary.proto; TensorFlow's "TFRecord" guide.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from syncnas_deploy.files.output import unwritable

FILE_NAME = "events.out.tfevents.0.syncnas-deploy"


def _crc_table() -> tuple[int, ...]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return tuple(table)


_TABLE = _crc_table()


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli) of some bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _record(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def _field(number: int, data: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(data)) + data


def _event(step: int, scalars: Mapping[str, float]) -> bytes:
    values = b"".join(
        _field(1, _field(1, tag.encode()) + b"\x15" + struct.pack("<f", value)) for tag, value in scalars.items()
    )
    return b"\x09" + struct.pack("<d", time.time()) + b"\x10" + _varint(step) + _field(5, values)


class EventFile:
    """Writes scalars of a run into a folder that TensorBoard watches.

    Args:
        folder: made where it is not there; an older file of this kind in it is replaced.
        past: (step, scalars) that were recorded before, of a run that is resumed.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, folder: Path, past: Iterable[tuple[int, Mapping[str, float]]] = ()) -> None:
        self._path = folder / FILE_NAME
        version = b"\x09" + struct.pack("<d", time.time()) + _field(3, b"brain.Event:2")
        records = [version, *(_event(step, scalars) for step, scalars in past)]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._path.write_bytes(b"".join(map(_record, records)))
        except OSError as e:
            raise unwritable(self._path, e) from None

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Append one step's scalars by tag.

        Raises:
            OutputError: it cannot be written.
        """
        try:
            with self._path.open("ab") as file:
                file.write(_record(_event(step, scalars)))
        except OSError as e:
            raise unwritable(self._path, e) from None
