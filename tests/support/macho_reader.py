"""A reader of 64-bit little-endian Mach-O files: only as much as the tests of the Mac's runner ask about.

Source: Apple's mach-o/loader.h, mach-o/nlist.h and, for the signature, cs_blobs.h of XNU.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CPU_ARM64 = 0x0100000C
MH_EXECUTE, MH_DYLIB, MH_PIE = 2, 6, 0x200000
LC_SYMTAB, LC_LOAD_DYLIB, LC_CODE_SIGNATURE, LC_RPATH, LC_BUILD_VERSION = 0x2, 0xC, 0x1D, 0x8000001C, 0x32
PLATFORM_MACOS = 1
CS_ADHOC, CS_RUNTIME, CS_LINKER_SIGNED = 0x2, 0x10000, 0x20000
_SUPER_BLOB, _CODE_DIRECTORY = 0xFADE0CC0, 0xFADE0C02
_N_STAB, _N_TYPE, _N_EXT = 0xE0, 0x0E, 0x01


@dataclass(frozen=True)
class Signature:
    """A code directory: what it calls the program, its flags, and the hashes of the pages that it covers."""

    identifier: str
    flags: int
    covered_bytes: int
    page_bytes: int
    hashes: tuple[bytes, ...]


class MachOFile:
    """The parts of one file."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        magic, self.cpu, _, self.kind, self._commands, _, self.flags, _ = struct.unpack_from("<8I", content)
        assert magic == 0xFEEDFACF, "no 64-bit little-endian Mach-O file"

    @classmethod
    def read(cls, path: Path) -> MachOFile:
        return cls(path.read_bytes())

    def _places(self, kind: int) -> Iterator[int]:
        """Where in the file the load commands of a kind are."""
        place = 32
        for _ in range(self._commands):
            found, size = struct.unpack_from("<2I", self.content, place)
            if found == kind:
                yield place
            place += size

    def numbers(self, kind: int, count: int) -> list[tuple[int, ...]]:
        """The first fields of each load command of a kind."""
        return [struct.unpack_from(f"<{count}I", self.content, place + 8) for place in self._places(kind)]

    def _text(self, place: int) -> str:
        return self.content[place : self.content.index(b"\0", place)].decode()

    @property
    def needed(self) -> list[str]:
        """The libraries that it is linked to."""
        kinds = self._places(LC_LOAD_DYLIB)
        return [self._text(place + struct.unpack_from("<I", self.content, place + 8)[0]) for place in kinds]

    @property
    def least_system(self) -> tuple[int, int, int]:
        """Platform, and the version that it asks for: major and minor."""
        ((platform, version),) = self.numbers(LC_BUILD_VERSION, 2)
        return platform, version >> 16, version >> 8 & 0xFF

    def symbols(self, *, defined: bool) -> set[str]:
        """Names that it exports, or that it wants of others, without their leading underscore."""
        found = set()
        for table, count, strings, _ in self.numbers(LC_SYMTAB, 4):
            for i in range(count):
                name, kind, _, _, _ = struct.unpack_from("<IBBHQ", self.content, table + 16 * i)
                if kind & _N_EXT and not kind & _N_STAB and bool(kind & _N_TYPE) == defined:
                    found.add(self._text(strings + name).removeprefix("_"))
        return found

    @property
    def signature(self) -> Signature:
        """Its code directory."""
        ((at, _),) = self.numbers(LC_CODE_SIGNATURE, 2)
        magic, _, blobs = struct.unpack_from(">3I", self.content, at)
        assert magic == _SUPER_BLOB
        offsets = [struct.unpack_from(">2I", self.content, at + 12 + 8 * i)[1] for i in range(blobs)]
        (start,) = (at + o for o in offsets if struct.unpack_from(">I", self.content, at + o)[0] == _CODE_DIRECTORY)
        _, _, _, flags, hashes, name, _, slots, covered, size, kind, _, page = struct.unpack_from(
            ">9I4B", self.content, start
        )
        assert (size, kind) == (32, 2), "hashes are SHA-256"
        table = self.content[start + hashes : start + hashes + size * slots]
        found = tuple(table[i : i + size] for i in range(0, len(table), size))
        return Signature(self._text(start + name), flags, covered, 1 << page, found)

    def page_hashes(self) -> tuple[bytes, ...]:
        """What the hashes of its signature should be."""
        signature = self.signature
        starts = range(0, signature.covered_bytes, signature.page_bytes)
        ends = (min(start + signature.page_bytes, signature.covered_bytes) for start in starts)
        return tuple(hashlib.sha256(self.content[start:end]).digest() for start, end in zip(starts, ends, strict=True))
