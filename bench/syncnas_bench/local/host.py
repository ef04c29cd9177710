"""The machine this runs on, as a device."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import platform
import shutil
import sys
import tempfile
from pathlib import Path

from syncnas_bench import doctor
from syncnas_bench.conditions import Condition, allowed_cores
from syncnas_bench.device import DeviceFacts, DeviceIdentity, OnRun, UnitInfo, runner_program, with_conditions
from syncnas_bench.environment import LITERT_VARIABLE, Environment
from syncnas_bench.errors import RuntimeMissing
from syncnas_bench.files import is_file
from syncnas_bench.litert.abis import RUNTIME_LIBRARY
from syncnas_bench.local.host_units import HostUnits, VulkanUnits
from syncnas_bench.local.mac_units import MacUnits
from syncnas_bench.local.runner import run_plan
from syncnas_bench.plan import BenchPlan
from syncnas_bench.power import PowerMeter, read_meter
from syncnas_bench.session import Launch
from syncnas_bench.systems import here
from syncnas_bench.units import Unit

_LITERT_DISTRIBUTION = "ai-edge-litert"

_LIBRARIES = {"darwin": "libLiteRt.dylib", "win32": "libLiteRt.dll"}
"""What LiteRT's library is called, by system, where it is not as on phones."""


def find_litert(named: Path | None = None, system: str = "") -> Path:
    """The LiteRT library of this machine.

    Args:
        named: the one to take, see `Environment.litert`; by default the one in the ai-edge-litert package.
        system: as `sys.platform`, which is the default.

    Raises:
        RuntimeMissing: it is not there.
    """
    if named is not None:
        if not is_file(named):
            raise RuntimeMissing(f"{LITERT_VARIABLE} names {str(named)!r}, which is not a file; correct or unset it.")
        return named.resolve()
    # Looked up without importing it: the import alone would load the library into this process.
    spec = importlib.util.find_spec("ai_edge_litert")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        library = Path(folder) / _LIBRARIES.get(system or sys.platform, RUNTIME_LIBRARY)
        if library.is_file():
            return library
    raise RuntimeMissing(
        f"the LiteRT library is missing; run `pip install {_LITERT_DISTRIBUTION}` or set {LITERT_VARIABLE}."
    )


def litert_version(library: Path) -> str:
    """Name and version of a LiteRT library, by the package it comes from, else by its path."""
    try:
        version = importlib.metadata.version(_LITERT_DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        version = ""
    return f"{_LITERT_DISTRIBUTION} {version}" if version and "ai_edge_litert" in library.parts else str(library)


class HostDevice:
    """This machine.

    Args:
        litert: the LiteRT library; by default what `find_litert` finds, when it is needed.
        environment: what to find things by, and what runs get; by default this process's.
        runner: the native runner; by default the one in the package.
        root: where sensors are looked for.
        system: as `sys.platform`, which is the default.
    """

    name = "host"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    def __init__(
        self,
        *,
        litert: Path | None = None,
        environment: Environment | None = None,
        runner: Path | None = None,
        root: Path = Path("/"),
        system: str = "",
    ) -> None:
        self._root = root
        self._system = system or sys.platform
        self._environment = environment or Environment.of_process()
        self._litert = litert
        self._runner = runner
        self._units: HostUnits = (MacUnits if self._system == "darwin" else VulkanUnits)(self._environment)

    def __enter__(self) -> HostDevice:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is held."""

    def _litert_library(self) -> Path:
        return self._litert or find_litert(self._environment.litert, self._system)

    def facts(self) -> DeviceFacts:
        """Facts of this machine. A missing LiteRT is a fact too."""
        system = here()
        known = system.facts()
        try:
            runtime = litert_version(self._litert_library())
        except RuntimeMissing:
            runtime = "unknown"
        return DeviceFacts(
            name=self.name,
            simulated=False,
            model=known.model,
            cpu_model=known.cpu_model,
            cores=len(allowed_cores()),
            memory_bytes=known.memory_bytes,
            os=known.os,
            kernel=platform.release(),
            arch=platform.machine(),
            boot_id=system.boot_id(),
            runtime=runtime,
        )

    def identity(self) -> DeviceIdentity:
        """Which machine it is, by model, processor and memory. See `Device.identity`."""
        facts = self.facts()
        return DeviceIdentity.told(facts.model, facts.cpu_model, facts.memory_bytes)

    def units(self) -> tuple[UnitInfo, ...]:
        """See `VulkanUnits` and `MacUnits`; where no runner is for this system, none is available."""
        found = self._units.infos()
        try:
            self._runner or runner_program()
        except RuntimeMissing as error:
            return tuple(dataclasses.replace(info, available=False, reason=str(error).rstrip(".")) for info in found)
        return found

    def default_units(self) -> tuple[Unit, Unit]:
        """Cores and the hardware GPU; without one, two units of cores."""
        return self._units.default_units()

    def condition(self) -> Condition:
        """Read this machine's condition."""
        return Condition.read()

    def power_meter(self) -> tuple[PowerMeter | None, str]:
        """This machine's battery gauge or supply sensor. See `Device.power_meter`."""
        if self._system == "darwin":
            return None, "macOS tells what it draws to root alone"
        return read_meter(self._root)

    def examine(self) -> tuple[doctor.Check, ...]:
        """Facts, what tells power, free space, clocks and load. See `Device.examine`."""
        condition, free = self.condition(), shutil.disk_usage(tempfile.gettempdir()).free
        return (
            doctor.Check("connection", "ok", "this machine"),
            *doctor.facts_checks(self),
            doctor.power_check(self),
            doctor.space_check(free),
            doctor.clocks_check(condition),
            *doctor.computer_checks(condition),
            doctor.load_check(condition),
        )

    def run(self, plan: BenchPlan, *, on_run: OnRun, deadline_s: float = 3600.0, stall_s: float = 600.0) -> Launch:
        """Run a plan on this machine. See `Device.run`.

        Raises:
            UnitUnavailable: a core, a GPU or a software driver that the plan needs is not here.
            RuntimeMissing: the runner or LiteRT is not here.
        """
        env = self._units.environment_for(plan.units)
        if plan.runtime is None and any(unit.kind != "sim" for unit in plan.units):
            plan = dataclasses.replace(plan, runtime=self._litert_library())
        return run_plan(
            plan,
            command=[str(self._runner or runner_program())],
            on_run=with_conditions(on_run, self.facts(), self.condition),
            deadline_s=deadline_s,
            stall_s=stall_s,
            env=env,
        )
