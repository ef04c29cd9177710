"""The machine this runs on, as a device: CPU cores, its Vulkan GPU, and a software GPU when asked for."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import importlib.util
import platform
import shutil
import tempfile
from pathlib import Path

from syncnas_bench import doctor
from syncnas_bench.conditions import Condition, allowed_cores
from syncnas_bench.device import DeviceFacts, DeviceIdentity, OnRun, UnitInfo, runner_program, with_conditions
from syncnas_bench.environment import LITERT_VARIABLE, SOFTWARE_ICD_VARIABLE, Environment
from syncnas_bench.errors import RuntimeMissing, UnitUnavailable
from syncnas_bench.files import is_file
from syncnas_bench.litert.abis import RUNTIME_LIBRARY
from syncnas_bench.local import vulkan
from syncnas_bench.local.runner import run_plan
from syncnas_bench.plan import BenchPlan
from syncnas_bench.power import PowerMeter, read_meter
from syncnas_bench.session import Launch
from syncnas_bench.systems import here
from syncnas_bench.units import Unit

_LITERT_DISTRIBUTION = "ai-edge-litert"

_SOFTWARE_NOTE = "software GPU: it proves the GPU code path; its times say nothing about a GPU"
_SOFTWARE_REMEDY = (
    "install a software Vulkan driver (Debian: `apt install chromium-common`, or Mesa 25's "
    f"mesa-vulkan-drivers), or set {SOFTWARE_ICD_VARIABLE} to its icd json"
)


def find_litert(named: Path | None = None) -> Path:
    """The LiteRT library of this machine.

    Args:
        named: the one to take, see `Environment.litert`; by default the one in the ai-edge-litert package.

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
        if (Path(folder) / RUNTIME_LIBRARY).is_file():
            return Path(folder) / RUNTIME_LIBRARY
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


def split_cores(cores: tuple[int, ...]) -> tuple[Unit, Unit]:
    """Two CPU units, each on one half of the cores; on a single core both are left unpinned."""
    if len(cores) < 2:
        return Unit("cpu", threads=1), Unit("cpu", threads=1)
    half = len(cores) // 2
    return _cpu(cores[:half]), _cpu(cores[half : 2 * half])


def _cpu(cores: tuple[int, ...]) -> Unit:
    return Unit("cpu", threads=len(cores), cores=cores)


class HostDevice:
    """This machine.

    Args:
        litert: the LiteRT library; by default what `find_litert` finds, when it is needed.
        environment: what to find things by, and what runs get; by default this process's.
        runner: the native runner; by default the one in the package.
        root: where sensors are looked for.
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
    ) -> None:
        self._root = root
        self._environment = environment or Environment.of_process()
        self._litert = litert
        self._runner = runner
        self._adapters: tuple[vulkan.Adapter, ...] | None = None

    def __enter__(self) -> HostDevice:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is held."""

    def _litert_library(self) -> Path:
        return self._litert or find_litert(self._environment.litert)

    def _hardware_gpu(self) -> vulkan.Adapter | None:
        if self._adapters is None:
            self._adapters = vulkan.list_adapters(self._environment.variables)
        return next((adapter for adapter in self._adapters if adapter.is_hardware), None)

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
        """CPU halves, all cores, the hardware GPU and the software GPU."""
        cores = allowed_cores()
        note = "one core only: both CPU units share it" if len(cores) < 2 else ""
        units = dict.fromkeys([*split_cores(cores), _cpu(cores[:64])])
        found = [UnitInfo(unit, f"CPU, {unit.threads} threads", note, True, "") for unit in units]
        adapter = self._hardware_gpu()
        reason = "" if adapter else "the Vulkan loader finds no hardware GPU; install its driver"
        for precision in ("fp32", "fp16"):
            unit = Unit.parse(f"gpu:{precision}")
            found.append(UnitInfo(unit, adapter.name if adapter else "GPU", "", adapter is not None, reason))
        icd = vulkan.software_icd(self._environment.software_icd)
        description = f"software GPU by {icd.name}" if icd else "software GPU"
        reason = "" if icd else _SOFTWARE_REMEDY
        software = Unit("gpu", software=True)
        found.append(UnitInfo(software, description, _SOFTWARE_NOTE, icd is not None, reason))
        return tuple(found)

    def default_units(self) -> tuple[Unit, Unit]:
        """Half of the allowed cores, and the hardware GPU; without one, the other half of the cores."""
        first, second = split_cores(allowed_cores())
        return (first, Unit("gpu")) if self._hardware_gpu() else (first, second)

    def condition(self) -> Condition:
        """Read this machine's condition."""
        return Condition.read()

    def power_meter(self) -> tuple[PowerMeter | None, str]:
        """This machine's battery gauge or supply sensor. See `Device.power_meter`."""
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
        env = self._environment_for(plan)
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

    def _environment_for(self, plan: BenchPlan) -> dict[str, str]:
        cores = {core for unit in plan.units for core in unit.cores}
        if not cores <= set(allowed_cores()):
            raise UnitUnavailable(
                f"cores {sorted(cores - set(allowed_cores()))} may not be used by this process; "
                f"choose among {list(allowed_cores())}."
            )
        gpus = {unit.software for unit in plan.units if unit.kind == "gpu"}
        if gpus == {True, False}:
            raise UnitUnavailable("a hardware and a software GPU cannot share one plan; make two plans.")
        if False in gpus and self._hardware_gpu() is None:
            raise UnitUnavailable(
                "there is no hardware GPU here; install its Vulkan driver, "
                "or ask for gpu:software, which proves that the code works but not how fast."
            )
        if True not in gpus:
            return dict(self._environment.variables)
        icd = vulkan.software_icd(self._environment.software_icd)
        if icd is None:
            raise UnitUnavailable(f"there is no software Vulkan driver here; {_SOFTWARE_REMEDY}.")
        return {**self._environment.variables, "VK_DRIVER_FILES": str(icd), "VK_ICD_FILENAMES": str(icd)}
