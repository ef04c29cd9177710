"""Simulated devices: units whose times follow a law (see `simulated.law`).

They let every command run, and be tested, without a phone. No number of theirs is a measurement of
any hardware, and their facts say so. Their clock is virtual (see `simulated.virtual`), or the native runner spends the
times on the clock of this computer.
"""

from __future__ import annotations

import dataclasses
import platform
from types import MappingProxyType
from typing import TYPE_CHECKING

from syncnas_bench import doctor
from syncnas_bench.conditions import Condition, allowed_cores
from syncnas_bench.device import DeviceFacts, DeviceIdentity, OnRun, UnitInfo, runner_program, with_conditions
from syncnas_bench.errors import DeviceNotFound, PlanError, UnitUnavailable, nearest
from syncnas_bench.local.runner import run_plan
from syncnas_bench.plan import BenchPlan, Call, Job, Lane
from syncnas_bench.power import PowerMeter
from syncnas_bench.runs import Run
from syncnas_bench.session import Launch
from syncnas_bench.simulated.law import SimUnit, Vices
from syncnas_bench.simulated.phones import PHONES
from syncnas_bench.simulated.power import simulated_power
from syncnas_bench.simulated.spend import Spend
from syncnas_bench.simulated.virtual import Pace, VirtualLaunch, steady
from syncnas_bench.units import Unit

if TYPE_CHECKING:
    from syncnas_bench.simulated.work import Work

_CALM = Vices(noise=0.01)
_DUO = tuple(
    SimUnit(name, "one of two equal units in shared memory", 2.0, 1.0, 20_000.0, 20_000.0, vices=_CALM)
    for name in ("left", "right")
)

_CPU_VICES, _GPU_VICES = Vices(noise=0.02, slowdown=1.08), Vices(noise=0.02, slowdown=1.04)
_PHONE = (
    SimUnit("cpu", "CPU-like: short launch, host memory", 5.0, 2.0, 12_000.0, 8_000.0, vices=_CPU_VICES),
    SimUnit(
        "gpu",
        "GPU-like: long launch, high throughput, features are copied",
        60.0,
        4.0,
        40_000.0,
        20_000.0,
        transfer_us=15.0,
        transfer_bytes_per_us=4_000.0,
        vices=_GPU_VICES,
    ),
)

_CPU, _GPU = (
    dataclasses.replace(law, macs_per_us=4 * law.macs_per_us, bytes_per_us=4 * law.bytes_per_us) for law in _PHONE
)
_STEPS = (
    dataclasses.replace(_CPU, description="CPU-like: 16 channels at a time", tile=16),
    dataclasses.replace(_GPU, description="GPU-like: work groups of 32 channels", tile=32),
)
_MEMORY = tuple(
    dataclasses.replace(law, description=f"{kind}-like: slowed by what both read", steady=False, vices=vices)
    for kind, law, vices in (
        ("CPU", _CPU, dataclasses.replace(_CPU_VICES, slowdown=3.0)),
        ("GPU", _GPU, dataclasses.replace(_GPU_VICES, slowdown=2.0)),
    )
)
_RESTLESS = tuple(
    dataclasses.replace(
        law,
        description=f"{law.description}; noisy, drifts, stalls now and then",
        vices=dataclasses.replace(law.vices, noise=0.03, tail=0.03, drift=0.03, period_s=7.0),
    )
    for law in (_CPU, _GPU)
)

_HOT = tuple(
    dataclasses.replace(
        law,
        description=f"{law.description}; slower once it is hot",
        vices=dataclasses.replace(law.vices, throttle=1.25, heat_s=2.0),
    )
    for law in (_CPU, _GPU)
)
_BATTERY = tuple(
    dataclasses.replace(law, description=f"{law.description}; its power is told", watts=watts)
    for law, watts in zip((_CPU, _GPU), (2.0, 1.2), strict=True)
)

SIM_DEVICES = MappingProxyType(
    {
        "duo": _DUO,
        "phone": _PHONE,
        "steps": _STEPS,
        "memory": _MEMORY,
        "restless": _RESTLESS,
        "hot": _HOT,
        "battery": _BATTERY,
        **PHONES,
    }
)
BY_RUNNER = ":runner"
"""Ends the name of a simulated device whose times the native runner spends."""
_NOTE = "simulated: its times follow a law and measure no hardware"


class SimDevice:
    """A simulated device of two units.

    Args:
        name: of a shipped one.
        laws: of its units, where it is not a shipped one.
        by_runner: whether the native runner spends its times, which takes as long and is disturbed by what else runs
            on this computer. Otherwise they are computed.
        pace: of computed times, see `simulated.virtual.Pace`.
        seed: of the noise of computed times.

    Raises:
        DeviceNotFound: there is none of that name; the message lists those there are.
    """

    def __init__(
        self,
        name: str,
        laws: tuple[SimUnit, SimUnit] | None = None,
        *,
        by_runner: bool = False,
        pace: Pace = steady,
        seed: int = 0,
    ) -> None:
        if laws is None and name not in SIM_DEVICES:
            known = [f"sim:{known}" for known in SIM_DEVICES]
            near = nearest(f"sim:{name}", [*known, *(spec + BY_RUNNER for spec in known)]) if name else ""
            raise DeviceNotFound(f"there is no simulated device {name!r}; there are {', '.join(known)}.{near}")
        self._units = {law.name: law for law in laws or SIM_DEVICES[name]}
        self._name, self._by_runner = f"sim:{name}{BY_RUNNER if by_runner else ''}", by_runner
        self._pace, self._seed, self._launches = pace, seed, 0

    def __enter__(self) -> SimDevice:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is held."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def name(self) -> str:
        """ "sim:NAME", or "sim:NAME:runner"."""
        return self._name

    def facts(self) -> DeviceFacts:
        """Facts that say at every turn that this is no hardware."""
        return DeviceFacts(
            name=self.name,
            simulated=True,
            model=f"simulated device {self.name}",
            cpu_model="simulated",
            cores=len(allowed_cores()),
            memory_bytes=0,
            os="simulated",
            kernel=platform.release(),
            arch=platform.machine(),
            boot_id=self.condition().boot_id,
            runtime="simulated",
        )

    def identity(self) -> DeviceIdentity:
        """Its name: the law is the same on every machine. See `Device.identity`."""
        return DeviceIdentity(f"simulated device {self.name}")

    def units(self) -> tuple[UnitInfo, ...]:
        return tuple(UnitInfo(law.unit, law.description, _NOTE, True, "") for law in self._units.values())

    def default_units(self) -> tuple[Unit, Unit]:
        first, second = self._units.values()
        return first.unit, second.unit

    def condition(self) -> Condition:
        """The condition of this computer, whose load does not count where times are computed."""
        found = Condition.read()
        return found if self._by_runner else dataclasses.replace(found, load_1min=0.0)

    def power_meter(self) -> tuple[PowerMeter | None, str]:
        """By the law: what its units draw while they are in a call. See `Device.power_meter`."""
        if any(law.watts for law in self._units.values()):
            return PowerMeter("simulated gauge", (), 1.0), ""
        return None, f"{self.name} has no gauge"

    def examine(self) -> tuple[doctor.Check, ...]:
        """Its facts, and the load of this computer, where it keeps time. See `Device.examine`."""
        connection = doctor.Check("connection", "ok", "this machine")
        load = (doctor.load_check(self.condition()),) if self._by_runner else ()
        return (connection, *doctor.facts_checks(self), *load)

    def run(self, plan: BenchPlan, *, on_run: OnRun, deadline_s: float = 3600.0, stall_s: float = 600.0) -> Launch:
        """Run a plan with times by the law. See `Device.run`.

        Raises:
            UnitUnavailable: the plan names a unit that this device does not have.
        """
        watts = [self._law(unit).watts for unit in plan.units]

        def gauged(run: Run) -> None:
            keep(dataclasses.replace(run, power=simulated_power(run, watts)) if plan.power is not None else run)

        keep = with_conditions(on_run, self.facts(), self.condition)
        timed = self.timed(plan)
        if self._by_runner:
            command = [str(runner_program())]
            return run_plan(timed, command=command, on_run=gauged, deadline_s=deadline_s, stall_s=stall_s)
        vices = [self._law(unit).vices for unit in plan.units]
        launch, self._launches = self._launches, self._launches + 1
        for run in VirtualLaunch(timed, vices, pace=self._pace, launch=launch, seed=self._seed).runs():
            gauged(run)
        return Launch(str(launch), None, (), "0")

    def timed(self, plan: BenchPlan) -> BenchPlan:
        """The plan with what each call spends by the law; a call that says what it spends keeps that.

        Raises:
            UnitUnavailable: the plan names a unit that this device does not have.
            PlanError: a call neither says what it spends nor has a file.
            ModelRejected: a file cannot be read, or lacks a signature that is called.
        """
        laws = tuple(self._law(unit) for unit in plan.units)
        steps = tuple(
            dataclasses.replace(step, jobs=tuple(_timed_job(job, laws, plan) for job in step.jobs))
            for step in plan.steps
        )
        return dataclasses.replace(
            plan,
            units=tuple(law.unit for law in laws),
            simulation=tuple(law.vices.words for law in laws),
            steps=steps,
            runtime=None,
            power=None,
        )

    def _law(self, unit: Unit) -> SimUnit:
        if unit.kind != "sim" or unit.name not in self._units:
            known = ", ".join(f"sim:{name}" for name in self._units)
            raise UnitUnavailable(f"device {self.name} has no unit {unit}; it has {known}.")
        return self._units[unit.name]


def _timed_job(job: Job, laws: tuple[SimUnit, ...], plan: BenchPlan) -> Job:
    lanes = []
    for index, lane in enumerate(job.lanes):
        partner = job.lanes[1 - index] if len(job.lanes) == 2 else None
        calls = tuple(_timed_call(call, partner, laws[lane.unit_index], plan) for call in lane.calls)
        lanes.append(Lane(lane.unit_index, calls))
    return dataclasses.replace(job, lanes=tuple(lanes))


def _timed_call(call: Call, partner: Lane | None, law: SimUnit, plan: BenchPlan) -> Call:
    if call.spend is not None:
        return call
    work = _work(call, plan)
    source = partner.latest_before(call.phase) if partner is not None and "partner" in call.inputs else None
    uploads = source is not None and law.transfer_bytes_per_us > 0
    spend = Spend(
        run_us=law.run_us(work),
        download_us=law.move_us(work.output_bytes),
        upload_us=law.move_us(_work(source, plan).output_bytes, back=True) if source is not None and uploads else 0.0,
        shared=law.shared(work),
    )
    return dataclasses.replace(call, spend=spend)


def _work(call: Call, plan: BenchPlan) -> Work:
    from syncnas_bench.simulated.work import work_of

    if call.file_index >= len(plan.files):
        raise PlanError(
            f"call {call.signature!r} has no file that tells what it computes; give it one, or what it spends."
        )
    return work_of(plan.files[call.file_index], call.signature)
