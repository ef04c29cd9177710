"""What environment variables tell. They are read once, where a program begins, and handed on by what they mean."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from syncnas_bench.errors import DeviceUnavailable
from syncnas_bench.systems import HOME_VARIABLE

SERIAL_VARIABLE = "ANDROID_SERIAL"
KEYS_VARIABLE = "ADB_VENDOR_KEYS"
LITERT_VARIABLE = "SYNCNAS_LITERT"
DEVICE_LITERT_VARIABLE = "SYNCNAS_DEVICE_LITERT"
STORE_VARIABLE = "SYNCNAS_RUNTIMES"
SOFTWARE_ICD_VARIABLE = "SYNCNAS_SOFTWARE_VULKAN_ICD"
DEFAULT_PORT = 5037

Address = tuple[str, int]
"""Host and port."""


@dataclass(frozen=True)
class KeyPlaces:
    """Where this computer's keys for ADB are: its own, and those of ADB_VENDOR_KEYS, files or folders."""

    own: Path
    vendor: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Environment:
    """Environment variables, by what they mean. `variables` is what a child process gets."""

    variables: Mapping[str, str]

    @classmethod
    def of_process(cls) -> Environment:
        """This process's, as they are now."""
        return cls(dict(os.environ))

    def _path(self, variable: str) -> Path | None:
        text = self.variables.get(variable)
        return Path(text) if text else None

    @property
    def serial(self) -> str:
        """ANDROID_SERIAL: the device that is meant where none is named; "" for none."""
        return self.variables.get(SERIAL_VARIABLE, "")

    @property
    def litert(self) -> Path | None:
        """SYNCNAS_LITERT: the LiteRT library of this machine."""
        return self._path(LITERT_VARIABLE)

    @property
    def device_litert(self) -> Path | None:
        """SYNCNAS_DEVICE_LITERT: a folder with LiteRT's libraries for the device."""
        return self._path(DEVICE_LITERT_VARIABLE)

    @property
    def software_icd(self) -> Path | None:
        """SYNCNAS_SOFTWARE_VULKAN_ICD: the manifest of a software Vulkan driver."""
        return self._path(SOFTWARE_ICD_VARIABLE)

    @property
    def store(self) -> Path:
        """The store of runtimes: the folder that SYNCNAS_RUNTIMES names, else one in the user's cache."""
        cache = self._path("XDG_CACHE_HOME") or Path.home() / ".cache"
        return self._path(STORE_VARIABLE) or cache / "syncnas-deploy" / "runtimes"

    @property
    def adb_keys(self) -> KeyPlaces:
        """~/.android/adbkey, and what ADB_VENDOR_KEYS names."""
        user = self._path(HOME_VARIABLE) or Path.home()
        home = self._path("ANDROID_USER_HOME") or user / ".android"
        vendor = filter(None, self.variables.get(KEYS_VARIABLE, "").split(os.pathsep))
        return KeyPlaces(home / "adbkey", tuple(map(Path, vendor)))

    @property
    def adb_server(self) -> Address:
        """The adb server: ADB_SERVER_SOCKET (tcp:HOST:PORT), ANDROID_ADB_SERVER_PORT, else 5037.

        Raises:
            DeviceUnavailable: a variable is set to something else.
        """
        spec = self.variables.get("ADB_SERVER_SOCKET", "")
        if spec:
            match = re.fullmatch(r"tcp:(?:(.+):)?([0-9]{1,5})", spec)
            if match is None:
                raise DeviceUnavailable(
                    f"ADB_SERVER_SOCKET is {spec!r}; write it as tcp:HOST:PORT or unset it.", "server"
                )
            return (match[1] or "127.0.0.1").strip("[]"), int(match[2])
        port = self.variables.get("ANDROID_ADB_SERVER_PORT", str(DEFAULT_PORT))
        if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
            raise DeviceUnavailable(f"ANDROID_ADB_SERVER_PORT is {port!r}; set it to a port or unset it.", "server")
        return self.variables.get("ANDROID_ADB_SERVER_ADDRESS", "127.0.0.1"), int(port)
