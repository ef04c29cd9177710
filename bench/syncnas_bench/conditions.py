"""The state of the host around a measurement. What cannot be read is recorded as such, never an error."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ABSENT = "absent"
DENIED = "denied"


def read_text(path: Path) -> str:
    """The stripped text of a system file, or "absent", or "denied"."""
    try:
        return path.read_text(errors="replace").strip()
    except PermissionError:
        return DENIED
    except OSError:
        return ABSENT


def _number(text: str, factor: float = 1.0) -> float | str:
    """The number times `factor`; "absent" and "denied" stay what they are."""
    try:
        return float(text) * factor
    except ValueError:
        return text if text == DENIED else ABSENT


@dataclass(frozen=True)
class Condition:
    """One reading. A value that is text instead of a number says why: "absent" or "denied".

    Attributes:
        monotonic_ns: CLOCK_MONOTONIC, the clock of the runner's stamps.
        wall_time_s: seconds since 1970, UTC.
        boot_id: changes with every boot.
        load_1min: runnable tasks, averaged over a minute.
        cpu_mhz: current frequency by core, e.g. {"cpu0": 2400.0}.
        governors: frequency governor by core.
        temperature_c: by thermal zone, e.g. {"0:x86_pkg_temp": 45.0}.
    """

    monotonic_ns: int
    wall_time_s: float
    boot_id: str
    load_1min: float | str
    cpu_mhz: Mapping[str, float | str]
    governors: Mapping[str, str]
    temperature_c: Mapping[str, float | str]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def read(cls, root: Path = Path("/")) -> Condition:
        """Read the host's condition below `root`."""
        cpus = sorted(root.glob("sys/devices/system/cpu/cpu[0-9]*"), key=lambda p: int(p.name[3:]))
        zones = sorted(root.glob("sys/class/thermal/thermal_zone[0-9]*"))
        load = read_text(root / "proc/loadavg").split()
        return cls(
            monotonic_ns=time.monotonic_ns(),
            wall_time_s=time.time(),
            boot_id=read_text(root / "proc/sys/kernel/random/boot_id"),
            load_1min=_number(load[0] if load else ABSENT),
            cpu_mhz={p.name: _number(read_text(p / "cpufreq/scaling_cur_freq"), 1e-3) for p in cpus},
            governors={p.name: read_text(p / "cpufreq/scaling_governor") for p in cpus},
            temperature_c={
                f"{zone.name[12:]}:{read_text(zone / 'type')}": _number(read_text(zone / "temp"), 1e-3)
                for zone in zones
            },
        )


def allowed_cores() -> tuple[int, ...]:
    """The cores this process may run on, ascending."""
    return tuple(sorted(os.sched_getaffinity(0)))
