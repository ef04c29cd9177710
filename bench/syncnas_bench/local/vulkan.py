"""List the Vulkan adapters of this machine. `python -m syncnas_bench.local.vulkan` prints them as JSON.

The loader runs every installed driver in its own process, and drivers crash: `list_adapters` therefore
asks in a child process and takes a crash for "none".

Source: Vulkan 1.0 specification, vkCreateInstance, vkEnumeratePhysicalDevices,
vkGetPhysicalDeviceProperties and the layout of VkPhysicalDeviceProperties.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TIMEOUT_S = 20.0

_TYPES = {0: "other", 1: "integrated", 2: "discrete", 3: "virtual", 4: "cpu"}
_PROPERTIES_BYTES = 4096  # VkPhysicalDeviceProperties is 824 bytes; the rest is reserve
_NAME_OFFSET, _NAME_BYTES = 20, 256
_MAX_ADAPTERS = 16

_SOFTWARE_ICDS = (
    ("usr/lib/chromium", "vk_swiftshader_icd.json"),
    ("usr/share/vulkan/icd.d", "lvp_icd*.json"),
)


@dataclass(frozen=True)
class Adapter:
    """One physical device. `type` is integrated, discrete, virtual, cpu or other; `api` e.g. "1.3.274", or "Metal"."""

    name: str
    type: str
    api: str

    @property
    def is_hardware(self) -> bool:
        """Whether it is a GPU and not a driver that computes on the CPU."""
        return self.type in ("integrated", "discrete", "virtual")


def list_adapters(variables: Mapping[str, str] | None = None, program: Path = Path(__file__)) -> tuple[Adapter, ...]:
    """The adapters that the Vulkan loader finds; none if there is no loader or it fails.

    Args:
        variables: the loader's environment; by default this process's.
        program: prints them; by default this file.
    """
    command = [sys.executable, "-I", str(program.resolve())]
    try:
        done = subprocess.run(
            command,
            env=dict(os.environ if variables is None else variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
            check=True,
        )
        return tuple(Adapter(**record) for record in json.loads(done.stdout.splitlines()[-1]))
    except (OSError, subprocess.SubprocessError, ValueError, TypeError, IndexError):
        return ()


def software_icd(named: Path | None = None, root: Path = Path("/")) -> Path | None:
    """The manifest of a software Vulkan driver, or None.

    Args:
        named: the one to take; by default SwiftShader as Debian's chromium brings it, then Mesa's lavapipe.
        root: where they are looked for.
    """
    if named is not None:
        from syncnas_bench.files import is_file  # not above: this file is a program of its own, too

        return named if is_file(named) else None
    for folder, pattern in _SOFTWARE_ICDS:
        manifests = sorted((root / folder).glob(pattern))
        if manifests:
            return manifests[0]
    return None


def _enumerate() -> list[Adapter]:
    """Ask the loader. Runs in the child process."""
    vulkan = ctypes.CDLL("libvulkan.so.1")
    # VkInstanceCreateInfo with sType 1 and all else zero: no application, layers or extensions.
    create_info = (ctypes.c_uint64 * 8)(1)
    instance = ctypes.c_void_p()
    if vulkan.vkCreateInstance(create_info, None, ctypes.byref(instance)) != 0:
        return []
    count = ctypes.c_uint32(_MAX_ADAPTERS)
    handles = (ctypes.c_void_p * _MAX_ADAPTERS)()
    if vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles) < 0:
        return []
    adapters = [_describe(vulkan, handle) for handle in handles[: count.value]]
    vulkan.vkDestroyInstance(instance, None)
    return adapters


def _describe(vulkan: Any, handle: int | None) -> Adapter:
    raw = ctypes.create_string_buffer(_PROPERTIES_BYTES)
    vulkan.vkGetPhysicalDeviceProperties(ctypes.c_void_p(handle), raw)
    api, _driver, _vendor, _device, kind = (ctypes.c_uint32 * 5).from_buffer(raw)
    name = raw.raw[_NAME_OFFSET : _NAME_OFFSET + _NAME_BYTES].split(b"\0")[0].decode("utf-8", "replace")
    version = f"{api >> 22 & 0x7F}.{api >> 12 & 0x3FF}.{api & 0xFFF}"
    return Adapter(name, _TYPES.get(kind, "other"), version)


def main() -> None:
    """Print the adapters as one line of JSON; an empty list without a Vulkan loader."""
    try:
        found = _enumerate()
    except OSError:
        found = []
    print(json.dumps([asdict(adapter) for adapter in found]))


if __name__ == "__main__":
    main()
