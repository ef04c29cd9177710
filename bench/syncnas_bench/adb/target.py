"""What is pushed to a device: the runner and the LiteRT libraries that fit it, refused here if they do not."""

from __future__ import annotations

import platform
import sys
from dataclasses import dataclass
from pathlib import Path

from syncnas_bench.adb.probe import Probe
from syncnas_bench.device import runner_program
from syncnas_bench.environment import Environment
from syncnas_bench.errors import RuntimeMismatch, RuntimeMissing, RuntimeRejected
from syncnas_bench.files import is_file
from syncnas_bench.litert.abis import RUNTIME_LIBRARY
from syncnas_bench.litert.elf import read_elf
from syncnas_bench.litert.store import RuntimeStore
from syncnas_bench.local.host import find_litert, litert_version

ANDROID_ABI = "arm64-v8a"
_BUILT_FOR = ("x86_64-linux", "aarch64-linux")


@dataclass(frozen=True)
class DeviceRuntime:
    """LiteRT's libraries for a device.

    Attributes:
        library: libLiteRt.so.
        accelerators: GPU accelerator libraries of the same version.
        version: name and version, as it is recorded with each measurement.
    """

    library: Path
    accelerators: tuple[Path, ...]
    version: str


def target_of(probe: Probe) -> str:
    """Which of the package's runners a device takes: "aarch64-android", "aarch64-linux" or "x86_64-linux".

    Raises:
        RuntimeMismatch: there is none for such a device.
    """
    if probe.bionic:
        if ANDROID_ABI not in probe.abis:
            raise RuntimeMismatch(
                f"the device runs {', '.join(probe.abis) or probe.arch} programs; "
                f"only {ANDROID_ABI} is supported, use an ARM device with a 64-bit Android."
            )
        return "aarch64-android"
    if f"{probe.arch}-linux" not in _BUILT_FOR:
        raise RuntimeMismatch(
            f"there is no runner for {probe.arch or 'unknown'} Linux; use a device of {' or '.join(_BUILT_FOR)}."
        )
    return f"{probe.arch}-linux"


def runner_for(probe: Probe) -> Path:
    """The runner for a device.

    Raises:
        RuntimeMismatch: there is none for such a device.
        RuntimeMissing: it was not built.
    """
    return runner_program(target_of(probe))


def runtime_in(folder: Path, version: str) -> DeviceRuntime:
    """The runtime in a folder.

    Raises:
        RuntimeMissing: there is no libLiteRt.so in it.
    """
    library = folder / RUNTIME_LIBRARY
    if not is_file(library):
        raise RuntimeMissing(
            f"there is no {RUNTIME_LIBRARY} in {str(folder)!r}; name a folder with LiteRT's libraries."
        )
    return DeviceRuntime(library, tuple(sorted(folder.glob("libLiteRt*Accelerator.so"))), version)


def find_runtime(probe: Probe, environment: Environment) -> DeviceRuntime:
    """The runtime for a device: SYNCNAS_DEVICE_LITERT, this machine's own if the device is alike, or the store's.

    The store's is checked against its lock file.

    Raises:
        RuntimeMissing: there is none; the message says how to get it.
        RuntimeRejected: the store's libraries are no longer what they were.
    """
    named = environment.device_litert
    if named is not None:
        return runtime_in(named, f"LiteRT from {named}")
    if not probe.bionic and (probe.arch, "linux") == (platform.machine(), sys.platform):
        library = find_litert(environment.litert)
        return runtime_in(library.parent, litert_version(library))
    store = RuntimeStore(environment.store)
    entry = store.choose(target_of(probe))
    return runtime_in(store.path / entry.folder, f"LiteRT {entry.version}")


def check_fits(probe: Probe, file: Path) -> None:
    """Whether a program or library can be loaded on the device, by its machine and the glibc it asks for.

    Raises:
        RuntimeMismatch: it cannot.
    """
    try:
        facts = read_elf(file)
    except RuntimeRejected as error:
        raise RuntimeMismatch(str(error)) from error
    arch = "aarch64" if probe.bionic else probe.arch
    if facts.machine != arch:
        raise RuntimeMismatch(f"{file.name} is for another processor than the device's {arch}; get the right one.")
    if facts.glibc is None:
        return
    if probe.bionic:
        raise RuntimeMismatch(f"{file.name} is for Linux with glibc, and the device runs Android; get Android's.")
    if probe.glibc is not None and facts.glibc > probe.glibc:
        need, has = (".".join(map(str, version)) for version in (facts.glibc, probe.glibc))
        raise RuntimeMismatch(f"{file.name} needs glibc {need} and the device has {has}; update the device's system.")
