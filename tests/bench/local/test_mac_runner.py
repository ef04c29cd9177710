"""The runner for Macs, looked at from outside: what macOS asks of a program, and what LiteRT's library there has."""

from __future__ import annotations

import importlib.util
import os
import re
import zipfile
from pathlib import Path

import pytest

from tests.support.documents import ROOT
from tests.support.macho_reader import (
    CPU_ARM64,
    CS_ADHOC,
    CS_LINKER_SIGNED,
    LC_RPATH,
    MH_DYLIB,
    MH_EXECUTE,
    MH_PIE,
    PLATFORM_MACOS,
    MachOFile,
)
from tests.support.native_sources import bound_functions

pytestmark = pytest.mark.needs("native code")

LITERT_VARIABLE = "SYNCNAS_TEST_DARWIN_LITERT"
"""Names the folder with LiteRT's wheel for macOS."""
EXPORTS = ROOT / "tests" / "data" / "litert_2.3.0_darwin.symbols"
RUNNER = ROOT / "bench" / "syncnas_bench" / "_native" / "arm64-darwin" / "syncnas-runner"


@pytest.fixture(scope="module")
def runner() -> MachOFile:
    return MachOFile.read(RUNNER)


@pytest.fixture(scope="module")
def wheel() -> zipfile.ZipFile:
    folder = Path(os.environ.get(LITERT_VARIABLE) or pytest.skip(f"{LITERT_VARIABLE} names no folder with a wheel"))
    (path,) = folder.glob("ai_edge_litert-*macosx*_arm64.whl")
    return zipfile.ZipFile(path)


def test_it_is_a_program_for_apple_silicon_from_macos_14_on(runner: MachOFile) -> None:
    assert (runner.cpu, runner.kind) == (CPU_ARM64, MH_EXECUTE)
    assert runner.flags & MH_PIE
    assert runner.least_system == (PLATFORM_MACOS, 14, 0)
    assert runner.needed == ["/usr/lib/libSystem.B.dylib"]
    assert runner.numbers(LC_RPATH, 1) == []


def test_its_signature_holds(runner: MachOFile) -> None:
    signature = runner.signature
    assert signature.identifier == "syncnas-runner", "a name that no build changes"
    assert signature.flags == CS_ADHOC | CS_LINKER_SIGNED, "no hardened runtime, which would refuse LiteRT's library"
    assert len(signature.hashes) > 1
    assert signature.hashes == runner.page_hashes()


@pytest.mark.parametrize("place", [100, 5000, -1])
def test_a_changed_byte_breaks_the_signature(runner: MachOFile, place: int) -> None:
    content = bytearray(runner.content)
    content[range(runner.signature.covered_bytes)[place]] ^= 1
    assert MachOFile(bytes(content)).page_hashes() != runner.signature.hashes


def test_what_it_wants_is_in_the_system(runner: MachOFile) -> None:
    spec = importlib.util.find_spec("ziglang")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("ziglang is not installed, which has the names of macOS's libraries")
    stubs = Path(spec.submodule_search_locations[0]) / "lib" / "libc" / "darwin" / "libSystem.tbd"
    known = {name.removeprefix("_") for name in re.findall(r"\w+", stubs.read_text(encoding="utf-8"))}
    wanted = runner.symbols(defined=False)
    assert {"pthread_set_qos_class_self_np", "dlsym", "clock_gettime"} <= wanted
    assert wanted - known == set()


def test_macs_own_means_are_in_it_and_files_of_linux_are_not(runner: MachOFile) -> None:
    names = (b"objc_autoreleasePoolPush", b"objc_autoreleasePoolPop", b"CoreGraphics.framework", b"pins no thread")
    assert [name for name in names if name not in runner.content] == []
    assert not runner.symbols(defined=False) & {"sched_getaffinity", "sched_setaffinity"}
    assert b"libandroid" not in runner.content


def test_what_it_binds_is_in_litert_for_macos() -> None:
    pin = re.search(r"^ai-edge-litert==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pin is not None
    assert pin[1] in EXPORTS.name, f"write {EXPORTS.name} anew, from the pinned wheel: see the test below"
    exported = set(EXPORTS.read_text(encoding="utf-8").split())
    assert len(bound_functions()) > 30
    assert bound_functions() - exported == set()


def test_the_list_of_litert_for_macos_is_that_of_its_wheel(wheel: zipfile.ZipFile) -> None:
    library = MachOFile(wheel.read("ai_edge_litert/libLiteRt.dylib"))
    assert (library.cpu, library.kind, library.least_system) == (CPU_ARM64, MH_DYLIB, (PLATFORM_MACOS, 14, 0))
    exported = {name for name in library.symbols(defined=True) if name.startswith("LiteRt")}
    assert exported == set(EXPORTS.read_text(encoding="utf-8").split())
    assert library.signature.hashes == library.page_hashes()


def test_the_wheel_has_the_gpus_library(wheel: zipfile.ZipFile) -> None:
    accelerator = MachOFile(wheel.read("ai_edge_litert/libLiteRtMetalAccelerator.dylib"))
    assert "LiteRtAcceleratorImpl" in accelerator.symbols(defined=True)
    assert accelerator.least_system == (PLATFORM_MACOS, 14, 0)
