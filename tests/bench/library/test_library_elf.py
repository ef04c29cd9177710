"""What the built libraries ask of the system that loads them."""

from __future__ import annotations

from pathlib import Path

import pytest

import syncnas_bench
from tests.bench.litert.test_elf import BIONIC, EM_AARCH64, EM_X86_64, PAGE_BYTES, R_COPY, SYMBOL_LISTS
from tests.support.elf_reader import (
    DF_1_NOW,
    DF_BIND_NOW,
    DT_FLAGS,
    DT_FLAGS_1,
    DT_GNU_HASH,
    DT_HASH,
    DT_RPATH,
    DT_RUNPATH,
    DT_TEXTREL,
    PF_W,
    PF_X,
    PT_GNU_RELRO,
    PT_GNU_STACK,
    PT_INTERP,
    PT_LOAD,
    PT_TLS,
    ElfFile,
)

NATIVE = Path(syncnas_bench.__file__).parent / "_native"
HEADER = SYMBOL_LISTS.parent / "library" / "syncnas.h"
MACHINES = {
    "x86_64-linux": EM_X86_64,
    "aarch64-linux": EM_AARCH64,
    "x86_64-android": EM_X86_64,
    "aarch64-android": EM_AARCH64,
}
MIN_SDK = 24


@pytest.fixture(params=MACHINES)
def folder(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def library(folder: str) -> ElfFile:
    return ElfFile(NATIVE / folder / "libsyncnas.so")


def public_names() -> set[str]:
    """What the header declares."""
    words = HEADER.read_text().split("SYNCNAS_API ")[2:]
    return {word.partition("(")[0].split()[-1].lstrip("*") for word in words}


def test_it_exports_what_its_header_declares_and_what_java_calls(library: ElfFile, folder: str) -> None:
    exported = library.symbols(defined=True)
    assert public_names() >= {"syncnas_open", "syncnas_run", "syncnas_close"}
    assert {name for name in exported if not name.startswith(("Java_", "_"))} == public_names()
    assert library.machine == MACHINES[folder]
    assert library.soname == "libsyncnas.so"
    assert len(library.content) < 100_000


def test_nothing_is_writable_that_need_not_be(library: ElfFile) -> None:
    assert library.value(DT_FLAGS) & DF_BIND_NOW or library.value(DT_FLAGS_1) & DF_1_NOW
    assert library.of_kind(PT_GNU_RELRO)
    assert not {DT_TEXTREL, DT_RPATH, DT_RUNPATH} & set(library.dynamic)
    assert not [s for s in library.of_kind(PT_LOAD) if s.flags & PF_W and s.flags & PF_X]
    assert all(not s.flags & PF_X for s in library.of_kind(PT_GNU_STACK))
    assert not library.of_kind(PT_INTERP)
    assert not {name for name in library.sections if name in (".symtab", ".strtab") or "debug" in name}
    assert b"/native/" not in library.content
    assert b"syncnas-build-" not in library.content


@pytest.mark.parametrize("folder", ["x86_64-linux", "aarch64-linux"])
def test_a_linux_library_loads_on_glibc_2_17(library: ElfFile) -> None:
    assert set(library.needed) <= {"libc.so.6", "libpthread.so.0", "libdl.so.2", "libm.so.6"}
    versions = {name for names in library.versions().values() for name in names}
    assert max(tuple(map(int, version.removeprefix("GLIBC_").split("."))) for version in versions) <= (2, 17)


@pytest.mark.parametrize("folder", ["x86_64-android", "aarch64-android"])
def test_an_android_library_asks_for_nothing_that_bionic_lacks(library: ElfFile) -> None:
    assert sorted(library.needed) == ["libc.so", "libdl.so"]
    wanted = library.symbols(defined=False)
    assert "dlopen" in wanted
    assert wanted <= BIONIC
    assert library.versions() == {}
    assert library.of_kind(PT_TLS) == [], "thread-local storage in the file needs API level 29"
    assert R_COPY[library.machine] not in library.relocation_types()
    assert {DT_HASH, DT_GNU_HASH} <= set(library.dynamic)
    assert library.notes()["Android", 1][:4] == MIN_SDK.to_bytes(4, "little")


@pytest.mark.parametrize("folder", ["x86_64-android", "aarch64-android"])
def test_an_android_library_fits_pages_of_16_kilobytes(library: ElfFile) -> None:
    for segment in library.of_kind(PT_LOAD):
        assert segment.alignment == PAGE_BYTES
        assert segment.offset % PAGE_BYTES == segment.address % PAGE_BYTES
    (relro,) = library.of_kind(PT_GNU_RELRO)
    assert (relro.address + relro.memory_bytes) % PAGE_BYTES == 0
