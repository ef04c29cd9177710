"""The units of a Mac: its performance cores, and its GPU by Metal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from syncnas_bench.conditions import allowed_cores
from syncnas_bench.device import UnitInfo
from syncnas_bench.environment import Environment
from syncnas_bench.errors import UnitUnavailable
from syncnas_bench.local import vulkan
from syncnas_bench.units import MAX_THREADS, Unit

_CPU_NOTE = "macOS pins no thread: the performance cores are preferred, not promised"


def _cpu() -> Unit:
    """All performance cores."""
    return Unit("cpu", threads=min(len(allowed_cores()), MAX_THREADS))


class MacUnits:
    """Those of a Mac with Apple silicon. See `HostUnits`."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._adapters: tuple[vulkan.Adapter, ...] | None = None

    def _gpu(self) -> tuple[str, str]:
        """The GPU's name, and why it cannot be used, "" if it can."""
        if self._adapters is None:
            program = Path(__file__).with_name("metal.py")
            self._adapters = vulkan.list_adapters(self._environment.variables, program)
        if not self._adapters:
            return "GPU", "Metal finds no GPU; start this from a terminal of the desktop, not over SSH"
        adapter = self._adapters[0]
        if adapter.type == "virtual":
            return adapter.name, f"{adapter.name!r} is a virtual GPU, and such ones computed nonsense; use a real Mac"
        return adapter.name, ""

    def infos(self) -> tuple[UnitInfo, ...]:
        """The performance cores as one unit, without a GPU half of them, too; and the GPU in both precisions."""
        name, reason = self._gpu()
        cpus = dict.fromkeys(unit for unit in (*self.default_units(), _cpu()) if unit.kind == "cpu")
        gpus = (Unit("gpu"), Unit("gpu", precision="fp16"))
        return (
            *(UnitInfo(unit, f"CPU, {unit.threads} threads", _CPU_NOTE, True, "") for unit in cpus),
            *(UnitInfo(unit, name, "", not reason, reason) for unit in gpus),
        )

    def default_units(self) -> tuple[Unit, Unit]:
        """As many threads as there are performance cores, and the GPU; without one, two halves of the threads."""
        if not self._gpu()[1]:
            return _cpu(), Unit("gpu")
        half = Unit("cpu", threads=max(_cpu().threads // 2, 1))
        return half, half

    def environment_for(self, units: Sequence[Unit]) -> dict[str, str]:
        """The runner's environment. See `HostUnits.environment_for`."""
        pinned = next((unit for unit in units if unit.cores), None)
        if pinned is not None:
            raise UnitUnavailable(f"macOS pins no thread to a core; write {pinned} as cpu:{pinned.threads}.")
        gpus = {unit.software for unit in units if unit.kind == "gpu"}
        if True in gpus:
            raise UnitUnavailable("there is no software GPU on macOS; use gpu or gpu:fp16.")
        reason = self._gpu()[1] if gpus else ""
        if reason:
            raise UnitUnavailable(f"{reason}.")
        return dict(self._environment.variables)
