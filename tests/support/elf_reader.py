"""A reader of 64-bit little-endian ELF files: only as much as the tests of the runners ask about.

Source: the System V ABI's chapters on object files and dynamic linking, and the GNU extension for symbol versions.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE, PT_TLS = 1, 2, 3, 4, 7
PT_GNU_STACK, PT_GNU_RELRO = 0x6474E551, 0x6474E552
DT_NEEDED, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_RELA, DT_RELASZ = 1, 4, 5, 6, 7, 8
DT_SONAME, DT_RPATH, DT_TEXTREL, DT_JMPREL, DT_PLTRELSZ, DT_RUNPATH, DT_FLAGS = 14, 15, 22, 23, 2, 29, 30
DT_GNU_HASH, DT_FLAGS_1, DT_VERNEED, DT_VERNEEDNUM = 0x6FFFFEF5, 0x6FFFFFFB, 0x6FFFFFFE, 0x6FFFFFFF
DF_TEXTREL, DF_BIND_NOW, DF_1_NOW, DF_1_PIE = 4, 8, 1, 0x08000000
PF_X, PF_W = 1, 2


@dataclass(frozen=True)
class Segment:
    kind: int
    flags: int
    offset: int
    address: int
    file_bytes: int
    memory_bytes: int
    alignment: int


class ElfFile:
    """The parts of one file; `dynamic` maps a tag to all its values."""

    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        assert self.content[:6] == b"\x7fELF\x02\x01", f"{path} is no 64-bit little-endian ELF file"
        self.kind, self.machine = struct.unpack_from("<HH", self.content, 16)
        phoff, self._shoff = struct.unpack_from("<QQ", self.content, 32)
        _, _, phnum, self._shentsize, self._shnum, self._shstrndx = struct.unpack_from("<HHHHHH", self.content, 52)
        self.segments = [self._segment(phoff + 56 * i) for i in range(phnum)]
        self.dynamic: dict[int, list[int]] = {}
        for segment in self.of_kind(PT_DYNAMIC):
            for tag, value in struct.iter_unpack("<qQ", self._bytes(segment)):
                self.dynamic.setdefault(tag, []).append(value)

    def _segment(self, at: int) -> Segment:
        kind, flags, offset, address, _, file_bytes, memory_bytes, alignment = struct.unpack_from(
            "<IIQQQQQQ", self.content, at
        )
        return Segment(kind, flags, offset, address, file_bytes, memory_bytes, alignment)

    def _bytes(self, segment: Segment) -> bytes:
        return self.content[segment.offset : segment.offset + segment.file_bytes]

    def of_kind(self, kind: int) -> list[Segment]:
        return [segment for segment in self.segments if segment.kind == kind]

    def at(self, address: int) -> int:
        """The place in the file of an address in memory."""
        for load in self.of_kind(PT_LOAD):
            if load.address <= address < load.address + load.file_bytes:
                return address - load.address + load.offset
        raise AssertionError(f"address {address:#x} is not in the file")

    def _string(self, place: int) -> str:
        return self.content[place : self.content.index(b"\0", place)].decode()

    def _name(self, offset: int) -> str:
        return self._string(self.at(self.dynamic[DT_STRTAB][0]) + offset)

    def value(self, tag: int) -> int:
        """The value of a tag, 0 if it is not there."""
        return self.dynamic.get(tag, [0])[0]

    @property
    def interpreter(self) -> str:
        (segment,) = self.of_kind(PT_INTERP)
        return self._bytes(segment).rstrip(b"\0").decode()

    @property
    def needed(self) -> list[str]:
        return [self._name(offset) for offset in self.dynamic.get(DT_NEEDED, [])]

    @property
    def soname(self) -> str:
        return self._name(self.value(DT_SONAME))

    @property
    def sections(self) -> set[str]:
        headers = [self._shoff + self._shentsize * i for i in range(self._shnum)]
        (names,) = struct.unpack_from("<Q", self.content, headers[self._shstrndx] + 24)
        return {self._string(names + struct.unpack_from("<I", self.content, header)[0]) for header in headers}

    def symbols(self, *, defined: bool) -> set[str]:
        """Names in the dynamic symbol table that the file defines, or that it wants of others."""
        _, count = struct.unpack_from("<II", self.content, self.at(self.dynamic[DT_HASH][0]))
        table = self.at(self.dynamic[DT_SYMTAB][0])
        found = set()
        for i in range(1, count):
            name, _, _, section, _, _ = struct.unpack_from("<IBBHQQ", self.content, table + 24 * i)
            if (section != 0) == defined:
                found.add(self._name(name))
        return found

    def relocation_types(self) -> set[int]:
        found = set()
        for tag, size in ((DT_RELA, DT_RELASZ), (DT_JMPREL, DT_PLTRELSZ)):
            if tag in self.dynamic:
                place = self.at(self.value(tag))
                records = struct.iter_unpack("<QQq", self.content[place : place + self.value(size)])
                found |= {info & 0xFFFFFFFF for _, info, _ in records}
        return found

    def versions(self) -> dict[str, set[str]]:
        """The symbol versions wanted of each library, e.g. {"libc.so.6": {"GLIBC_2.17"}}."""
        found: dict[str, set[str]] = {}
        place = self.at(self.value(DT_VERNEED)) if DT_VERNEED in self.dynamic else 0
        for _ in range(self.value(DT_VERNEEDNUM)):
            _, count, file, first, following = struct.unpack_from("<HHIII", self.content, place)
            names = found.setdefault(self._name(file), set())
            entry = place + first
            for _ in range(count):
                _, _, _, name, after = struct.unpack_from("<IHHII", self.content, entry)
                names.add(self._name(name))
                entry += after
            place += following
        return found

    def notes(self) -> dict[tuple[str, int], bytes]:
        """Contents of the notes by owner and type."""
        found = {}
        for segment in self.of_kind(PT_NOTE):
            rest = self._bytes(segment)
            while len(rest) >= 12:
                name_bytes, content_bytes, kind = struct.unpack_from("<III", rest)
                content = 12 + (name_bytes + 3) // 4 * 4
                owner = rest[12 : 12 + name_bytes].rstrip(b"\0").decode()
                found[owner, kind] = rest[content : content + content_bytes]
                rest = rest[content + (content_bytes + 3) // 4 * 4 :]
        return found
