"""A reader of 64-bit Windows programs and DLLs: only as much as the tests of the Windows runner ask about.

Source: Microsoft's "PE Format".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

MACHINE_X64 = 0x8664
DYNAMIC_BASE, NX_COMPAT = 0x40, 0x100
_PE32_PLUS, _OPTIONAL, _DIRECTORIES, _SECTION_BYTES = 0x20B, 24, 112, 40
_EXPORTS, _IMPORTS = 0, 1


class PeFile:
    """The parts of one file."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        (self._header,) = self._numbers("I", 0x3C)
        assert content[self._header :][:4] == b"PE\0\0", "no Windows program"
        self.machine, sections, self.time_stamp = self._numbers("HHI", self._header + 4)
        (optional,) = self._numbers("H", self._header + 20)
        kind, self.flags = *self._numbers("H", self._optional), *self._numbers("H", self._optional + 70)
        assert kind == _PE32_PLUS, "no 64-bit program"
        starts = range(self._optional + optional, self._optional + optional + sections * _SECTION_BYTES, _SECTION_BYTES)
        self._sections = [self._numbers("4I", start + 8) for start in starts]

    @property
    def _optional(self) -> int:
        return self._header + _OPTIONAL

    def _numbers(self, kinds: str, place: int) -> tuple[int, ...]:
        return struct.unpack_from(f"<{kinds}", self.content, place)

    def _place(self, address: int) -> int:
        """Where in the file a relative address lies."""
        (place,) = (at + address - start for _, start, size, at in self._sections if 0 <= address - start < size)
        return place

    def _text(self, address: int) -> str:
        place = self._place(address)
        return self.content[place : self.content.index(b"\0", place)].decode()

    def _directory(self, number: int) -> int:
        return self._place(self._numbers("I", self._optional + _DIRECTORIES + 8 * number)[0])

    @property
    def needed(self) -> list[str]:
        """The DLLs that it is linked to."""
        return list(map(self._text, self._import_names()))

    def _import_names(self) -> Iterator[int]:
        place = self._directory(_IMPORTS)
        while name := self._numbers("I", place + 12)[0]:
            yield name
            place += 20

    @property
    def exports(self) -> set[str]:
        """The names that it exports."""
        place = self._directory(_EXPORTS)
        count, _, names = self._numbers("3I", place + 24)
        return {self._text(address) for address in self._numbers(f"{count}I", self._place(names))}
