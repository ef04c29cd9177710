"""A phone or board over ADB, as a device that runs plans."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from syncnas_bench.adb.examination import examine
from syncnas_bench.adb.link import Link
from syncnas_bench.adb.probe import POWER_SCRIPT, PhoneCondition, Probe, ask, parse_power
from syncnas_bench.adb.run import Connection, DeviceRun, Load, Patience, read_condition
from syncnas_bench.adb.target import DeviceRuntime, check_fits, runner_for
from syncnas_bench.device import DeviceFacts, DeviceIdentity, OnRun, UnitInfo
from syncnas_bench.doctor import Check
from syncnas_bench.errors import (
    CommandFailed,
    LinkLost,
    RuntimeMismatch,
    RuntimeMissing,
    RuntimeRejected,
    UnitUnavailable,
)
from syncnas_bench.plan import BenchPlan
from syncnas_bench.power import PowerMeter
from syncnas_bench.session import Launch
from syncnas_bench.units import MAX_THREADS, Unit

FindRuntime = Callable[[Probe], DeviceRuntime]
_NO_RUNTIME = (RuntimeMissing, RuntimeMismatch, RuntimeRejected)


class AdbDevice:
    """A device over ADB.

    Args:
        serial: its name, as `find_device` takes it.
        connect: makes a link to it; called again whenever the link is lost.
        runtime: finds LiteRT's libraries for it.
        runner: the native runner; by default the package's for such a device.
        patience: see `Patience`.
    """

    def __init__(
        self,
        serial: str,
        connect: Callable[[], Link],
        *,
        runtime: FindRuntime,
        runner: Path | None = None,
        patience: Patience | None = None,
    ) -> None:
        self._connection = Connection(serial, connect)
        self._find_runtime, self._runner = runtime, runner
        self._patience = patience or Patience()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def name(self) -> str:
        """Its serial."""
        return self._connection.serial

    @property
    def link(self) -> Link:
        """The link to it; made when there is none. Raises DeviceUnavailable, LinkLost, DeviceLost."""
        return self._connection.link

    def __enter__(self) -> AdbDevice:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the link. See `Device.close`."""
        self._connection.drop()

    def probe(self, *, again: bool = False) -> Probe:
        """What the device says about itself. See `Connection.probe`."""
        return self._connection.probe(again=again)

    def identity(self) -> DeviceIdentity:
        """Which device it is. See `Device.identity`."""
        return self.probe().identity

    def runtime(self) -> DeviceRuntime:
        """LiteRT's libraries for it. Raises RuntimeMissing."""
        return self._find_runtime(self.probe())

    def facts(self) -> DeviceFacts:
        """Read the device's facts. That there is no LiteRT for it is a fact too."""
        probe = self.probe(again=True)
        try:
            runtime = self.runtime().version
        except _NO_RUNTIME:
            runtime = "unknown"
        return DeviceFacts(
            name=self.name,
            simulated=False,
            model=probe.model,
            cpu_model=probe.cpu_model,
            cores=len(probe.cores),
            memory_bytes=probe.memory_bytes,
            os=probe.os,
            kernel=probe.kernel,
            arch=probe.arch,
            boot_id=probe.boot_id,
            runtime=runtime,
        )

    def units(self) -> tuple[UnitInfo, ...]:
        """Each CPU cluster, all cores, and the GPU in both precisions."""
        probe = self.probe()
        found = [
            UnitInfo(_cpu(cluster.cores), f"CPU cluster, capacity {cluster.capacity or 'unknown'}", "", True, "")
            for cluster in probe.clusters
        ]
        if len(probe.clusters) > 1:
            note = "clusters differ in speed: the slowest core sets the pace"
            found.append(UnitInfo(_cpu(probe.cores), "CPU, all cores", note, True, ""))
        reason = self._why_no_gpu()
        for precision in ("fp32", "fp16"):
            found.append(UnitInfo(Unit.parse(f"gpu:{precision}"), probe.gpu or "GPU", "", not reason, reason))
        return tuple(found)

    def _why_no_gpu(self) -> str:
        if not self.probe().bionic:
            return "on Linux boards only the CPU is supported"
        try:
            accelerators = self.runtime().accelerators
        except _NO_RUNTIME as error:
            return str(error)
        return "" if accelerators else "LiteRT's GPU accelerator library is missing; add it with libLiteRt.so"

    def default_units(self) -> tuple[Unit, Unit]:
        """The CPU cluster with the most compute, and the GPU; without one, the next cluster or half of the only one."""
        clusters = self.probe().clusters
        if not clusters:
            raise UnitUnavailable(f"{self.name} does not tell which cores it has; name the units.")
        first = clusters[0].cores
        if not self._why_no_gpu():
            return _cpu(first), Unit("gpu")
        if len(clusters) > 1:
            return _cpu(first), _cpu(clusters[1].cores)
        if len(first) < 2:
            return Unit("cpu"), Unit("cpu")
        half = len(first) // 2
        return _cpu(first[:half]), _cpu(first[half:])

    def condition(self) -> PhoneCondition:
        """Read the device's present condition. Raises DeviceUnavailable, LinkLost."""
        return read_condition(self.link)

    def power_meter(self) -> tuple[PowerMeter | None, str]:
        """Its battery gauge or supply sensor. See `Device.power_meter`. Raises DeviceUnavailable, LinkLost."""
        return parse_power(ask(self.link, POWER_SCRIPT))

    def examine(self) -> tuple[Check, ...]:
        """The device, its battery and heat included. See `Device.examine`."""
        return tuple(examine(self))

    def run(self, plan: BenchPlan, *, on_run: OnRun, deadline_s: float = 3600.0, stall_s: float = 600.0) -> Launch:
        """Run a plan on the device. See `Device.run`.

        A row whose device was hot, low on battery or changed around each of three tries has an `unusable_reason`.

        Raises:
            BenchError: see `runner.run_plan`; besides,
            DeviceUnavailable: the device cannot be reached, or its folders are not ours.
            DeviceLost: it did not come back, or another one did.
            DeviceLeased: another host is measuring on it.
            RuntimeMissing, RuntimeMismatch, UnitUnavailable: found out before anything is pushed.
            StorageFull, TransferFailed: a file could not be brought to it or back.
        """
        try:
            facts = self.facts()
        except LinkLost:  # lost since it was last used
            self._connection.reconnect(self._patience)
            facts = self.facts()
        load = self._load(plan)
        launch = DeviceRun(self._connection, plan, load, facts, on_run, self._patience)
        return launch.run(deadline_s, stall_s)

    def _load(self, plan: BenchPlan) -> Load:
        probe = self.probe()
        if not probe.scratch:
            raise CommandFailed(f"the shell of {self.name} may write to no folder; make /data/local/tmp writable.")
        wanted = {core for unit in plan.units for core in unit.cores}
        off = sorted(wanted & set(probe.off))
        if off:
            raise UnitUnavailable(
                f"cores {off} of {self.name} are switched off; switch them on, or choose among {list(probe.cores)}."
            )
        if not wanted <= set(probe.cores):
            raise UnitUnavailable(
                f"cores {sorted(wanted - set(probe.cores))} may not be used on {self.name}; "
                f"choose among {list(probe.cores)}."
            )
        has_gpu = any(unit.kind == "gpu" for unit in plan.units)
        reason = self._why_no_gpu() if has_gpu else ""
        if reason:
            raise UnitUnavailable(f"the GPU of {self.name} cannot be used: {reason}.")
        runner = self._runner or runner_for(probe)
        libraries: tuple[Path, ...] = ()
        if any(unit.kind != "sim" for unit in plan.units):
            runtime = self.runtime()
            libraries = (runtime.library, *(runtime.accelerators if has_gpu else ()))
        for file in (runner, *libraries):
            check_fits(probe, file)
        return Load(runner, libraries, probe.scratch)


def _cpu(cores: tuple[int, ...]) -> Unit:
    chosen = cores[:MAX_THREADS]
    return Unit("cpu", threads=len(chosen), cores=chosen)
