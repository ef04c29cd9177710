"""What the built runners ask of the system they start on."""

from __future__ import annotations

from pathlib import Path

import pytest

import syncnas_bench
from syncnas_bench.litert.abis import foreign
from syncnas_bench.litert.elf import read_elf
from syncnas_bench.litert.lock import Library, Runtime
from tests.support.elf_reader import (
    DF_1_NOW,
    DF_1_PIE,
    DF_BIND_NOW,
    DF_TEXTREL,
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
    PT_LOAD,
    PT_TLS,
    ElfFile,
)

NATIVE = Path(syncnas_bench.__file__).parent / "_native"
SYMBOL_LISTS = Path(__file__).parents[3] / "bench" / "native" / "android"
ALL = ("x86_64-linux", "aarch64-linux", "aarch64-android")
ET_DYN, EM_X86_64, EM_AARCH64 = 3, 62, 183
R_COPY = {EM_X86_64: 5, EM_AARCH64: 1024}
PAGE_BYTES = 16384

# What bionic exports at API level 24 and both may use: the C standard, POSIX, and bionic's own two.
BIONIC_TEXT = """
__errno __libc_init _exit calloc clock_gettime close dlerror dlopen dlsym dup dup2 fclose fgets fopen
fprintf fread free fstat fwrite isalnum isspace malloc memchr memcmp memcpy memmove memset mmap munmap
nanosleep open posix_memalign printf pthread_cond_broadcast pthread_cond_destroy pthread_cond_init
pthread_cond_signal pthread_cond_wait pthread_create pthread_detach pthread_join pthread_mutex_destroy
pthread_mutex_init pthread_mutex_lock pthread_mutex_unlock putchar puts read realloc sched_getaffinity
sched_setaffinity signal snprintf stderr strchr strcmp strdup strerror strlen strpbrk strrchr strtod strtok_r strtoll
vsnprintf write
"""
BIONIC = set(BIONIC_TEXT.split())
APP = {"AAssetManager_open", "AAsset_getBuffer", "AAsset_getLength64", "__android_log_print"}


def runner(folder: str) -> ElfFile:
    program = NATIVE / folder / "syncnas-runner"
    assert program.is_file(), f"there is no runner for {folder}: run python hatch_build.py"
    return ElfFile(program)


@pytest.fixture(params=ALL)
def any_runner(request: pytest.FixtureRequest) -> ElfFile:
    return runner(request.param)


@pytest.fixture(scope="module")
def android() -> ElfFile:
    return runner("aarch64-android")


def test_position_independent_stripped_and_small(any_runner: ElfFile) -> None:
    assert any_runner.kind == ET_DYN
    assert not {name for name in any_runner.sections if name in (".symtab", ".strtab") or "debug" in name}
    assert 10_000 < len(any_runner.content) < 120_000


def test_nothing_is_writable_that_need_not_be(any_runner: ElfFile) -> None:
    assert any_runner.value(DT_FLAGS) & DF_BIND_NOW or any_runner.value(DT_FLAGS_1) & DF_1_NOW
    assert any_runner.of_kind(PT_GNU_RELRO)
    assert not any_runner.value(DT_FLAGS) & DF_TEXTREL
    assert DT_TEXTREL not in any_runner.dynamic
    assert not [segment for segment in any_runner.of_kind(PT_LOAD) if segment.flags & PF_W and segment.flags & PF_X]
    assert all(not segment.flags & PF_X for segment in any_runner.of_kind(PT_GNU_STACK))


def test_no_path_of_the_machine_it_was_built_on(any_runner: ElfFile) -> None:
    assert not {DT_RPATH, DT_RUNPATH} & set(any_runner.dynamic)
    assert b"/native/" not in any_runner.content
    assert b"syncnas-build-" not in any_runner.content
    assert b"/home/" not in any_runner.content


@pytest.mark.parametrize(
    ("folder", "machine", "interpreter"),
    [
        ("x86_64-linux", EM_X86_64, "/lib64/ld-linux-x86-64.so.2"),
        ("aarch64-linux", EM_AARCH64, "/lib/ld-linux-aarch64.so.1"),
    ],
)
def test_linux_runner_starts_on_glibc_2_17(folder: str, machine: int, interpreter: str) -> None:
    program = runner(folder)
    assert program.machine == machine
    assert program.interpreter == interpreter
    assert program.value(DT_FLAGS_1) & DF_1_PIE
    assert set(program.needed) <= {"libc.so.6", "libpthread.so.0", "libdl.so.2", "libm.so.6"}
    versions = {name for names in program.versions().values() for name in names}
    assert versions, "a program for glibc has symbol versions"
    numbers = [tuple(map(int, version.removeprefix("GLIBC_").split("."))) for version in versions]
    assert max(numbers) <= (2, 17)
    assert read_elf(NATIVE / folder / "syncnas-runner").glibc == max(numbers)


def test_android_runner_is_loaded_by_androids_loader(android: ElfFile) -> None:
    assert android.machine == EM_AARCH64
    assert android.interpreter == "/system/bin/linker64"
    assert sorted(android.needed) == ["libc.so", "libdl.so"]
    assert android.value(DT_FLAGS_1) & DF_1_PIE
    assert android.value(DT_FLAGS_1) & ~(DF_1_PIE | DF_1_NOW) == 0, "bionic warns of flags it does not know"
    assert android.notes()["Android", 1][:4] == (28).to_bytes(4, "little")


def test_android_runner_fits_pages_of_16_kilobytes(android: ElfFile) -> None:
    for segment in android.of_kind(PT_LOAD):
        assert segment.alignment == PAGE_BYTES
        assert segment.offset % PAGE_BYTES == segment.address % PAGE_BYTES
    (relro,) = android.of_kind(PT_GNU_RELRO)
    assert (relro.address + relro.memory_bytes) % PAGE_BYTES == 0, "the loader would leave a part writable"
    pages = [
        set(range(s.address // PAGE_BYTES, (s.address + s.memory_bytes - 1) // PAGE_BYTES + 1))
        for s in android.of_kind(PT_LOAD)
    ]
    assert sum(map(len, pages)) == len(set().union(*pages)), "two segments share a page"


def test_android_runner_uses_only_what_bionic_has(android: ElfFile) -> None:
    wanted = android.symbols(defined=False)
    assert "dlopen" in wanted
    assert wanted <= BIONIC
    assert android.versions() == {}, "bionic's functions are bound without versions"
    # Names that a compiler for GNU systems likes to put in: fortified functions, its start-up, its helpers.
    assert not {name for name in wanted if name.endswith("_chk") or name.startswith(("__aarch64_", "__libc_start"))}


def test_android_runner_has_nothing_that_bionic_refuses(android: ElfFile) -> None:
    assert R_COPY[EM_AARCH64] not in android.relocation_types(), "bionic refuses copy relocations"
    assert android.of_kind(PT_TLS) == [], "thread-local storage in the file needs API level 29"
    assert android.symbols(defined=True) == set()
    assert {DT_HASH, DT_GNU_HASH} <= set(android.dynamic)


def test_link_stubs_name_only_what_bionic_has() -> None:
    listed = [line.split()[0] for path in SYMBOL_LISTS.glob("*.symbols") for line in path.read_text().splitlines()]
    assert len(listed) == len(set(listed))
    assert set(listed) <= BIONIC | APP


@pytest.mark.parametrize(
    ("abi", "needed", "missing"),
    [
        ("aarch64-android", ("libc.so", "libm.so", "libdl.so", "liblog.so", "libEGL.so", "libGLESv3.so"), ()),
        ("aarch64-android", ("libandroid.so", "libLiteRt.so", "libQnnHtp.so"), ("libQnnHtp.so",)),
        ("x86_64-linux", ("libc.so.6", "libstdc++.so.6", "ld-linux-x86-64.so.2", "libvulkan.so.1"), ()),
        ("aarch64-linux", ("libc.so.6", "libtbb.so.12", "libtbb.so.12", "libLiteRt.so"), ("libtbb.so.12",)),
    ],
)
def test_libraries_that_no_system_brings_are_named(abi: str, needed: tuple[str, ...], missing: tuple[str, ...]) -> None:
    assert foreign(abi, needed, ["libLiteRt.so"]) == missing
    library = Library("libLiteRtGpuAccelerator.so", "0" * 64, 1, needed)
    sentences = Runtime("2.3.0", abi, "here", (Library("libLiteRt.so", "0" * 64, 1, ()), library)).missing
    assert len(sentences) == bool(missing)
    assert all(name in sentence for sentence in sentences for name in (library.name, abi, *missing))
