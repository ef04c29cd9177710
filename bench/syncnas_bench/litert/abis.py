"""The kinds of system that a runtime is made for, what others call them, and what LiteRT's libraries are called."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from syncnas_bench.errors import AbiError, nearest

RUNTIME_LIBRARY = "libLiteRt.so"
LIBRARY = re.compile(r"libLiteRt[A-Za-z0-9_]{0,48}\.so", re.ASCII)
"""What any library of LiteRT's is called."""


@dataclass(frozen=True)
class Abi:
    """One kind of system.

    Attributes:
        name: machine and system, as the folders of the native runners are called.
        android: Android's name of it, which is the folder in an AAR; "" on Linux.
        platform: the folder of LiteRT's published binaries. Source: litert/rust/build/build.rs in LiteRT.
        accelerators: the GPU libraries that LiteRT looks for there, in its order.
    """

    name: str
    android: str
    platform: str
    accelerators: tuple[str, ...]

    @property
    def machine(self) -> str:
        """The first half of the name."""
        return self.name.partition("-")[0]


_MOBILE = tuple(f"libLiteRt{kind}Accelerator.so" for kind in ("Gpu", "ClGl", "OpenCl", "WebGpu"))
_DESKTOP = ("libLiteRtWebGpuAccelerator.so",)

ABIS = (
    Abi("aarch64-android", "arm64-v8a", "android_arm64", _MOBILE),
    Abi("x86_64-android", "x86_64", "android_x86_64", _MOBILE),
    Abi("aarch64-linux", "", "linux_arm64", _DESKTOP),
    Abi("x86_64-linux", "", "linux_x86_64", _DESKTOP),
)


_SYSTEM = {
    "android": "c|m|dl|log|z|android|EGL|GLESv[123](_CM)?|vulkan|OpenCL|nativewindow|neuralnetworks|sync|mediandk",
    "linux": r"c|m|dl|rt|pthread|util|resolv|gcc_s|stdc\+\+|z|vulkan|OpenCL",
}
"""What a system, or a GPU's driver, brings. Sources: the NDK's stable libraries; the manylinux policy."""


def foreign(abi: str, needed: Iterable[str], here: Iterable[str]) -> tuple[str, ...]:
    """The libraries that neither a system of an ABI has nor stand beside, by name, in their order.

    Args:
        abi: its name, such as "aarch64-android".
        needed: names of what a library is linked to.
        here: names of the libraries beside it.
    """
    beside = set(here)
    system = re.compile(rf"lib({_SYSTEM[abi.rpartition('-')[2]]})\.so(\.\d+)?|ld-linux[-_a-z0-9]*\.so\.\d+")
    return tuple(name for name in dict.fromkeys(needed) if name not in beside and system.fullmatch(name) is None)


def known_abi(text: str) -> Abi | None:
    """The ABI that any of its names means, or None."""
    return next((abi for abi in ABIS if text and text in (abi.name, abi.android, abi.platform)), None)


def parse_abi(text: str) -> Abi:
    """The ABI that any of its names means.

    Raises:
        RuntimeRejected: no ABI is called so.
    """
    abi = known_abi(text)
    if abi is None:
        names = [abi.name for abi in ABIS]
        raise AbiError(f"there is no ABI {text[:40]!r}; choose among {', '.join(names)}.{nearest(text, names)}")
    return abi
