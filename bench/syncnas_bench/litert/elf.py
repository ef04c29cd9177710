"""What a shared library, or a program that may lie anywhere, says of itself: machine, system, name, what it needs.

Source: the System V ABI's chapters on object files and dynamic linking.
"""

from __future__ import annotations

import mmap
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from syncnas_bench.errors import RuntimeRejected

_MACHINES = {183: "aarch64", 62: "x86_64", 40: "arm", 3: "x86", 243: "riscv64"}
_SHARED = 3  # ET_DYN
_PT_LOAD, _PT_DYNAMIC = 1, 2
_DT_NEEDED, _DT_STRTAB, _DT_SONAME, _DT_VERNEED = 1, 5, 14, 0x6FFFFFFE
_MAX_SEGMENTS, _MAX_DYNAMIC, _MAX_NAME_BYTES, _MAX_VERSIONS = 64, 4096, 256, 4096
_GLIBC = re.compile(r"GLIBC_([0-9]{1,4})\.([0-9]{1,4})")


@dataclass(frozen=True)
class ElfFacts:
    """What a shared library says of itself.

    Attributes:
        machine: "aarch64", "x86_64", "arm", "x86", "riscv64", or "machine NUMBER".
        system: "linux" if it wants glibc, "android" if it wants bionic, else "unknown".
        soname: its own name, or "".
        needed: names of the libraries it is linked to.
        glibc: the newest version of glibc that it asks for, such as (2, 31); None if it asks for none.
    """

    machine: str
    system: str
    soname: str
    needed: tuple[str, ...]
    glibc: tuple[int, int] | None = None

    @property
    def abi(self) -> str:
        """Machine and system in one word, as the folders of the native runners are called: "aarch64-android"."""
        return f"{self.machine}-{self.system}"


def read_elf(path: Path) -> ElfFacts:
    """Read a shared library.

    Raises:
        RuntimeRejected: it is no shared library, or a damaged one.
    """
    try:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _read(content)
    except (OSError, ValueError, OverflowError, struct.error) as e:
        raise RuntimeRejected(f"{path.name} is not a whole shared library ({e}); get it again.") from e


def _read(content: mmap.mmap) -> ElfFacts:
    if content[:4] != b"\x7fELF" or len(content) < 64:
        raise ValueError("it does not begin like an ELF file")
    if content[5] != 1:
        raise ValueError("it is big-endian")
    kind, number = struct.unpack_from("<HH", content, 16)
    machine = _MACHINES.get(number, f"machine {number}")
    if kind != _SHARED:
        raise ValueError("it is an ELF file, but not a shared library")
    if content[4] != 2:  # a 32-bit library: its machine is all that a refusal has to name
        return ElfFacts(machine, "32-bit", "", ())
    loads, dynamic = _segments(content)
    values = _dynamic_values(content, dynamic)
    strings = _place(loads, values[_DT_STRTAB][0]) if _DT_STRTAB in values else 0
    needed = tuple(_name(content, strings + offset) for offset in values.get(_DT_NEEDED, []))
    sonames = [_name(content, strings + offset) for offset in values.get(_DT_SONAME, [])]
    versions = _versions(content, loads, strings, values[_DT_VERNEED][0]) if _DT_VERNEED in values else []
    glibc = [(int(match[1]), int(match[2])) for name in versions if (match := _GLIBC.match(name))]
    return ElfFacts(machine, _system(needed), sonames[0] if sonames else "", needed, max(glibc, default=None))


def _segments(content: mmap.mmap) -> tuple[list[tuple[int, int, int]], tuple[int, int]]:
    """Loaded segments as (address, offset, bytes), and the dynamic one as (offset, bytes)."""
    (headers,) = struct.unpack_from("<Q", content, 32)
    entry_bytes, count = struct.unpack_from("<HH", content, 54)
    if entry_bytes != 56 or count > _MAX_SEGMENTS:
        raise ValueError("its program headers are odd")
    loads, dynamic = [], (0, 0)
    for i in range(count):
        kind, _, offset, address, _, size = struct.unpack_from("<IIQQQQ", content, headers + 56 * i)
        if offset + size > len(content):
            raise ValueError("it ends before its last segment does")
        if kind == _PT_LOAD:
            loads.append((address, offset, size))
        elif kind == _PT_DYNAMIC:
            dynamic = (offset, size)
    return loads, dynamic


def _dynamic_values(content: mmap.mmap, dynamic: tuple[int, int]) -> dict[int, list[int]]:
    values: dict[int, list[int]] = {}
    for i in range(min(dynamic[1] // 16, _MAX_DYNAMIC)):
        tag, value = struct.unpack_from("<qQ", content, dynamic[0] + 16 * i)
        if tag == 0:
            break
        values.setdefault(tag, []).append(value)
    return values


def _versions(content: mmap.mmap, loads: list[tuple[int, int, int]], strings: int, address: int) -> list[str]:
    """Names of all symbol versions that it needs, such as "GLIBC_2.17". Both lists are chained by distances."""
    place, names = _place(loads, address), list[str]()
    while len(names) <= _MAX_VERSIONS:
        _, count, _, first, following = struct.unpack_from("<HHIII", content, place)
        entry = place + first
        for _ in range(count):
            _, _, _, name, step = struct.unpack_from("<IHHII", content, entry)
            names.append(_name(content, strings + name))
            entry += step
        if following == 0 or count == 0:
            return names
        place += following
    raise ValueError("it needs too many symbol versions")


def _place(loads: list[tuple[int, int, int]], address: int) -> int:
    for start, offset, size in loads:
        if start <= address < start + size:
            return address - start + offset
    raise ValueError("its table of names is outside of it")


def _name(content: mmap.mmap, place: int) -> str:
    end = content.find(b"\0", place, place + _MAX_NAME_BYTES)
    if place >= len(content) or end < 0:
        raise ValueError("a name in it does not end")
    return content[place:end].decode()


def _system(needed: tuple[str, ...]) -> str:
    if "libc.so.6" in needed:
        return "linux"
    return "android" if "libc.so" in needed else "unknown"
