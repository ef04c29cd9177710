"""Linux: files below /proc and /sys. Other systems that have no class of their own are looked at in this way, too."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from syncnas_bench.systems import ABSENT, DENIED, MachineFacts, Readings, read_text


class Linux:
    """See `System`.

    Args:
        root: where its files are looked for.
    """

    usb_remedy = "install Android's udev rules (Debian: android-sdk-platform-tools-common) and replug it"
    usb_without_server = True

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def _read(self, path: str) -> str:
        return read_text(self._root / path)

    def cores(self) -> tuple[int, ...]:
        """By the process's affinity."""
        if hasattr(os, "sched_getaffinity"):
            return tuple(sorted(os.sched_getaffinity(0)))
        return tuple(range(os.cpu_count() or 1))

    def boot_id(self) -> str:
        """The kernel's."""
        return self._read("proc/sys/kernel/random/boot_id")

    def facts(self) -> MachineFacts:
        """The firmware's or the board's name, and what the kernel tells."""
        memory = re.search(r"^MemTotal:\s*(\d+) kB", self._read("proc/meminfo"), re.MULTILINE)
        cpu = re.search(r"^model name\s*:\s*(.+)$", self._read("proc/cpuinfo"), re.MULTILINE)
        names = self._read("sys/class/dmi/id/product_name"), self._read("proc/device-tree/model").strip("\0")
        try:
            name = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
        except OSError:
            name = platform.system()
        return MachineFacts(
            model=next((text for text in names if text not in (ABSENT, DENIED, "")), "unknown"),
            cpu_model=cpu[1].strip() if cpu else "unknown",
            memory_bytes=int(memory[1]) * 1024 if memory else 0,
            os=name,
        )

    def readings(self) -> Readings:
        """Load, and clocks and temperatures where the kernel tells them."""
        cpus = sorted(self._root.glob("sys/devices/system/cpu/cpu[0-9]*"), key=lambda p: int(p.name[3:]))
        zones = sorted(self._root.glob("sys/class/thermal/thermal_zone[0-9]*"))
        load = self._read("proc/loadavg").split()
        return Readings(
            load_1min=_number(load[0] if load else ABSENT),
            cpu_mhz={p.name: _number(read_text(p / "cpufreq/scaling_cur_freq"), 1e-3) for p in cpus},
            governors={p.name: read_text(p / "cpufreq/scaling_governor") for p in cpus},
            temperature_c={
                f"{zone.name[12:]}:{read_text(zone / 'type')}": _number(read_text(zone / "temp"), 1e-3)
                for zone in zones
            },
        )

    def process_space(self) -> str:
        """Boot and namespace."""
        try:
            return f"{self.boot_id()} {(self._root / 'proc/self/ns/pid').readlink()}"
        except OSError:
            return ""

    def process_started(self, pid: int) -> str:
        """In clock ticks."""
        try:
            state, *facts = (self._root / f"proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            return "" if state == b"Z" else facts[18].decode()
        except (OSError, IndexError, ValueError):
            return ""


def _number(text: str, factor: float = 1.0) -> float | str:
    """The number times `factor`; "absent" and "denied" stay what they are."""
    try:
        return float(text) * factor
    except ValueError:
        return text if text == DENIED else ABSENT
