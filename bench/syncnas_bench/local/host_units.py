"""The units of this machine: CPU cores, its Vulkan GPU, and a software GPU when asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from syncnas_bench.conditions import allowed_cores
from syncnas_bench.device import UnitInfo
from syncnas_bench.environment import SOFTWARE_ICD_VARIABLE, Environment
from syncnas_bench.errors import UnitUnavailable
from syncnas_bench.local import vulkan
from syncnas_bench.units import MAX_THREADS, Unit

_SOFTWARE_NOTE = "software GPU: it proves the GPU code path; its times say nothing about a GPU"
_SOFTWARE_REMEDY = (
    "install a software Vulkan driver (Debian: `apt install chromium-common`, or Mesa 25's "
    f"mesa-vulkan-drivers), or set {SOFTWARE_ICD_VARIABLE} to its icd json"
)


class HostUnits(Protocol):
    """Which units a kind of system has, and what the runner's environment is for a plan of them."""

    def infos(self) -> tuple[UnitInfo, ...]:
        """See `Device.units`."""
        ...

    def default_units(self) -> tuple[Unit, Unit]:
        """See `Device.default_units`."""
        ...

    def environment_for(self, units: Sequence[Unit]) -> dict[str, str]:
        """The runner's environment.

        Raises:
            UnitUnavailable: one of the units is not here, or they cannot share a plan.
        """
        ...


def split_cores(cores: tuple[int, ...]) -> tuple[Unit, Unit]:
    """Two CPU units, each on one half of the cores; on a single core both are left unpinned."""
    if len(cores) < 2:
        return Unit("cpu", threads=1), Unit("cpu", threads=1)
    half = len(cores) // 2
    return _cpu(cores[:half]), _cpu(cores[half : 2 * half])


def _cpu(cores: tuple[int, ...]) -> Unit:
    return Unit("cpu", threads=len(cores), cores=cores)


class VulkanUnits:
    """Those of a system that pins threads to cores and has its GPU by Vulkan."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._adapters: tuple[vulkan.Adapter, ...] | None = None

    def _hardware_gpu(self) -> vulkan.Adapter | None:
        if self._adapters is None:
            self._adapters = vulkan.list_adapters(self._environment.variables)
        return next((adapter for adapter in self._adapters if adapter.is_hardware), None)

    def infos(self) -> tuple[UnitInfo, ...]:
        """CPU halves, all cores, the hardware GPU and the software GPU."""
        cores = allowed_cores()
        note = "one core only: both CPU units share it" if len(cores) < 2 else ""
        units = dict.fromkeys([*split_cores(cores), _cpu(cores[:MAX_THREADS])])
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

    def environment_for(self, units: Sequence[Unit]) -> dict[str, str]:
        """The runner's environment, with the software driver where it is meant. See `HostUnits.environment_for`."""
        cores = {core for unit in units for core in unit.cores}
        if not cores <= set(allowed_cores()):
            raise UnitUnavailable(
                f"cores {sorted(cores - set(allowed_cores()))} may not be used by this process; "
                f"choose among {list(allowed_cores())}."
            )
        gpus = {unit.software for unit in units if unit.kind == "gpu"}
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
