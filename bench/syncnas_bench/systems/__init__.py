"""What Linux, macOS and Windows differ in: the one room that asks which system this is.

`here` is this machine's. Whatever a system does not tell is "absent", never an error.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

ABSENT = "absent"
DENIED = "denied"
HOME_VARIABLE = "USERPROFILE" if sys.platform == "win32" else "HOME"
"""Names the user's folder, where adb has its key; a shell on Windows may have another HOME."""


@dataclass(frozen=True)
class MachineFacts:
    """What a computer is; "unknown" for text that cannot be read, and 0 bytes of memory."""

    model: str = "unknown"
    cpu_model: str = "unknown"
    memory_bytes: int = 0
    os: str = "unknown"


@dataclass(frozen=True)
class PowerAndHeat:
    """What macOS and Windows tell instead of clocks and temperatures. See `ComputerCondition`."""

    powered: str = ABSENT
    power_saving: str = ABSENT
    thermal_pressure: str = ABSENT


@dataclass(frozen=True)
class Readings:
    """What a computer does now. See `Condition`."""

    load_1min: float | str = ABSENT
    cpu_mhz: Mapping[str, float | str] = field(default_factory=dict)
    governors: Mapping[str, str] = field(default_factory=dict)
    temperature_c: Mapping[str, float | str] = field(default_factory=dict)
    power_and_heat: PowerAndHeat | None = None


class System(Protocol):
    """One operating system."""

    @property
    def usb_remedy(self) -> str:
        """What to do where a phone's USB port may not be opened."""
        ...

    @property
    def usb_without_server(self) -> bool:
        """Whether this program can reach a phone on USB where no adb server runs."""
        ...

    def cores(self) -> tuple[int, ...]:
        """The cores that this process may compute on, ascending."""
        ...

    def boot_id(self) -> str:
        """Changes with every boot, and stays until then."""
        ...

    def facts(self) -> MachineFacts:
        """What this computer is."""
        ...

    def readings(self) -> Readings:
        """What it does now."""
        ...

    def process_space(self) -> str:
        """Where a process number means one process: this boot, and what else tells it apart; "" if nothing does."""
        ...

    def process_started(self, pid: int) -> str:
        """When a process was started, in digits; "" if it is gone, or dead and not yet buried."""
        ...


def here(root: Path = Path("/")) -> System:
    """This machine's system.

    Args:
        root: where Linux's files are looked for.
    """
    if sys.platform == "darwin":
        from syncnas_bench.systems.macos import MacOS

        return MacOS()
    if sys.platform == "win32":
        from syncnas_bench.systems.windows import Windows

        return Windows()
    from syncnas_bench.systems.linux import Linux

    return Linux(root)


def read_text(path: Path) -> str:
    """The stripped text of a system file, or "absent", or "denied"."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except PermissionError:
        return DENIED
    except OSError:
        return ABSENT
