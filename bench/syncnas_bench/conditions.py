"""The state of the host around a measurement. What cannot be read is recorded as such, never an error."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from syncnas_bench.systems import here


@dataclass(frozen=True)
class Condition:
    """One reading. A value that is text instead of a number says why: "absent" or "denied".

    Attributes:
        monotonic_ns: the clock of the runner's stamps; CLOCK_MONOTONIC on Linux.
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
        """Read this computer's condition.

        Args:
            root: where Linux's files are looked for.
        """
        system = here(root)
        found = system.readings()
        common = (
            time.monotonic_ns(),
            time.time(),
            system.boot_id(),
            found.load_1min,
            found.cpu_mhz,
            found.governors,
            found.temperature_c,
        )
        more = found.power_and_heat
        if more is None:
            return Condition(*common)
        return ComputerCondition(*common, more.powered, more.power_saving, more.thermal_pressure)


@dataclass(frozen=True)
class ComputerCondition(Condition):
    """A `Condition` of macOS or Windows, with what those tell instead of clocks and temperatures.

    Attributes:
        powered: "mains" or "battery".
        power_saving: "true" or "false".
        thermal_pressure: "nominal", "moderate", "heavy", "trapping" or "sleeping".
    """

    powered: str
    power_saving: str
    thermal_pressure: str


def allowed_cores() -> tuple[int, ...]:
    """The cores this process may run on, ascending."""
    return here().cores()
