"""Event files are what TensorBoard reads: records with right checksums, events with right fields."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from syncnas_deploy.errors import OutputError
from syncnas_deploy.training.event_file import FILE_NAME, EventFile, crc32c


def unmasked(value: int) -> int:
    """Undo the mask of a record's checksum."""
    rotated = (value - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated >> 17 | rotated << 15) & 0xFFFFFFFF


def records(data: bytes) -> list[bytes]:
    """The payloads of a TFRecord file; every checksum is checked."""
    found = []
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert unmasked(struct.unpack("<I", data[8:12])[0]) == crc32c(data[:8])
        payload, rest = data[12 : 12 + length], data[12 + length :]
        assert unmasked(struct.unpack("<I", rest[:4])[0]) == crc32c(payload)
        found.append(payload)
        data = rest[4:]
    return found


def test_the_checksum_is_castagnolis() -> None:
    # RFC 3720, B.4, and the usual check value.
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_steps_follow_each_other_and_a_new_file_begins_with_the_past(tmp_path: Path) -> None:
    EventFile(tmp_path / "logs").add(1, {"loss": 9.0})
    events = EventFile(tmp_path / "logs", [(1, {"loss": 2.0})])
    events.add(300, {"loss": 0.5, "top1": 0.25})
    version, first, second = records((tmp_path / "logs" / FILE_NAME).read_bytes())
    assert version[9:] == b"\x1a\x0dbrain.Event:2"
    assert first[9:] == b"\x10\x01\x2a\x0d\x0a\x0b\x0a\x04loss\x15" + struct.pack("<f", 2.0)
    value = b"\x0a\x0b\x0a\x04loss\x15" + struct.pack("<f", 0.5) + b"\x0a\x0b\x0a\x04top1\x15" + struct.pack("<f", 0.25)
    assert second[9:] == b"\x10\xac\x02\x2a\x1a" + value


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="cannot be written"):
        EventFile(tmp_path / "file")
