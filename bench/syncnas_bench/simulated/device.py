"""Simulated devices: the real native runner on units whose times follow a law that is written here.

They let every command run, and be tested, without a phone. No number of theirs is a measurement of
any hardware, and their facts say so.

The law, for a call with `Work(macs, bytes, ops)` on one `SimUnit`:

    run_us      = launch_us + ops * op_us + macs / macs_per_us + bytes / bytes_per_us
    download_us = upload_us = transfer_us + moved bytes / transfer_bytes_per_us
    pressure    = bytes / bytes_per_us / run_us

A unit that computes channels in tiles takes for each kernel what it takes to fill its last tile. A download moves
the call's own output, an upload the outputs it reads from its partner. A unit whose memory is the host's moves
nothing. Noise, drift, throttling and slowdown under load are added by the runner (see bench/native/simulated.h).
"""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from syncnas_bench.conditions import Condition, allowed_cores
from syncnas_bench.device import DeviceFacts, OnRun, UnitInfo, runner_program, with_conditions
from syncnas_bench.errors import DeviceNotFound, UnitUnavailable
from syncnas_bench.local.runner import run_plan
from syncnas_bench.plan import BenchPlan, Call, Job, Lane, Step, Work
from syncnas_bench.power import PowerMeter
from syncnas_bench.runs import PowerTrace, Run
from syncnas_bench.session import Launch
from syncnas_bench.units import Unit


@dataclass(frozen=True)
class SimUnit:
    """The law of one simulated unit. See the module for the formulas.

    Attributes:
        transfer_us, transfer_bytes_per_us: cost of moving features; 0 bytes per us means that the
            unit works in the host's memory and moves nothing.
        noise, slowdown, tail, drift, period_s, throttle, heat_s: see `Unit`.
        tile: output channels that a kernel computes at a time.
        watts: drawn while it is in a call, besides what the device draws at rest.
        steady: whether every call has full pressure on memory, whatever it computes.
    """

    name: str
    description: str
    launch_us: float
    op_us: float
    macs_per_us: float
    bytes_per_us: float
    transfer_us: float = 0.0
    transfer_bytes_per_us: float = 0.0
    noise: float = 0.0
    slowdown: float = 1.0
    tail: float = 0.0
    drift: float = 0.0
    period_s: float = 60.0
    throttle: float = 1.0
    heat_s: float = 1e6
    tile: int = 1
    steady: bool = True
    watts: float = 0.0

    @property
    def unit(self) -> Unit:
        """As the plan writes it."""
        return Unit(
            "sim",
            name=self.name,
            noise=self.noise,
            slowdown=self.slowdown,
            tail=self.tail,
            drift=self.drift,
            period_s=self.period_s,
            throttle=self.throttle,
            heat_s=self.heat_s,
        )

    def run_us(self, work: Work) -> float:
        """Time of a call, in microseconds, before noise and slowdown."""
        macs = work.macs + sum(macs * (-channels % self.tile) / channels for macs, channels in work.kernels)
        computing = macs / self.macs_per_us + work.bytes / self.bytes_per_us
        return self.launch_us + work.ops * self.op_us + computing

    def pressure(self, work: Work) -> float:
        """How much a call needs the memory that both units share, 0 to 1."""
        return 1.0 if self.steady else work.bytes / self.bytes_per_us / self.run_us(work)

    def move_us(self, moved_bytes: int) -> float:
        """Time to move features between this unit and the host, in microseconds."""
        if self.transfer_bytes_per_us == 0:
            return 0.0
        return self.transfer_us + moved_bytes / self.transfer_bytes_per_us


_DUO = tuple(
    SimUnit(name, "one of two equal units in shared memory", 2.0, 1.0, 20_000.0, 20_000.0, noise=0.01)
    for name in ("left", "right")
)

_PHONE = (
    SimUnit("cpu", "CPU-like: short launch, host memory", 5.0, 2.0, 12_000.0, 8_000.0, noise=0.02, slowdown=1.08),
    SimUnit(
        "gpu",
        "GPU-like: long launch, high throughput, features are copied",
        60.0,
        4.0,
        40_000.0,
        20_000.0,
        transfer_us=15.0,
        transfer_bytes_per_us=4_000.0,
        noise=0.02,
        slowdown=1.04,
    ),
)

_CPU, _GPU = (
    dataclasses.replace(law, macs_per_us=4 * law.macs_per_us, bytes_per_us=4 * law.bytes_per_us) for law in _PHONE
)
_STEPS = (
    dataclasses.replace(_CPU, description="CPU-like: 16 channels at a time", tile=16),
    dataclasses.replace(_GPU, description="GPU-like: work groups of 32 channels", tile=32),
)
_MEMORY = (
    dataclasses.replace(_CPU, description="CPU-like: slowed by what both read", slowdown=3.0, steady=False),
    dataclasses.replace(_GPU, description="GPU-like: slowed by what both read", slowdown=2.0, steady=False),
)
_RESTLESS = tuple(
    dataclasses.replace(
        law,
        description=f"{law.description}; noisy, drifts, stalls now and then",
        noise=0.03,
        tail=0.03,
        drift=0.03,
        period_s=7.0,
    )
    for law in (_CPU, _GPU)
)

_HOT = tuple(
    dataclasses.replace(law, description=f"{law.description}; slower once it is hot", throttle=1.25, heat_s=2.0)
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
    }
)
IDLE_W = 0.8
"""What a simulated device draws at rest, if its power is told."""
_GAUGE_NS = 100_000_000
"""A simulated gauge tells the mean of so long, as often."""
_NOTE = "simulated: its times follow a law and measure no hardware"


class SimDevice:
    """A simulated device of two units.

    Args:
        name: of a shipped one.
        laws: of its units, where it is not a shipped one.

    Raises:
        DeviceNotFound: there is none of that name; the message lists those there are.
    """

    def __init__(self, name: str, laws: tuple[SimUnit, SimUnit] | None = None) -> None:
        if laws is None and name not in SIM_DEVICES:
            known = ", ".join(f"sim:{known}" for known in SIM_DEVICES)
            raise DeviceNotFound(f"there is no simulated device {name!r}; there are {known}.")
        self._units = {law.name: law for law in laws or SIM_DEVICES[name]}
        self._name = f"sim:{name}"

    @property
    def name(self) -> str:
        """ "sim:NAME"."""
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

    def units(self) -> tuple[UnitInfo, ...]:
        """Its two units."""
        return tuple(UnitInfo(law.unit, law.description, _NOTE, True, "") for law in self._units.values())

    def default_units(self) -> tuple[Unit, Unit]:
        """Its two units."""
        first, second = self._units.values()
        return first.unit, second.unit

    def condition(self) -> Condition:
        """The condition of the machine that simulates."""
        return Condition.read()

    def power_meter(self) -> tuple[PowerMeter | None, str]:
        """By the law: what its units draw while they are in a call. See `Device.power_meter`."""
        if any(law.watts for law in self._units.values()):
            return PowerMeter("simulated gauge", (), 1.0), ""
        return None, f"{self.name} has no gauge"

    def run(self, plan: BenchPlan, *, on_run: OnRun, deadline_s: float = 3600.0, stall_s: float = 600.0) -> Launch:
        """Run a plan with times by the law. See `Device.run`.

        Raises:
            UnitUnavailable: the plan names a unit that this device does not have.
        """
        watts = [self._law(unit).watts for unit in plan.units]

        def gauged(run: Run) -> None:
            keep(dataclasses.replace(run, power=simulated_power(run, watts)) if plan.power is not None else run)

        keep = with_conditions(on_run, self.facts(), self.condition)
        return run_plan(
            self.timed(plan),
            command=[str(runner_program())],
            on_run=gauged,
            deadline_s=deadline_s,
            stall_s=stall_s,
        )

    def timed(self, plan: BenchPlan) -> BenchPlan:
        """The plan with each call's times by the law; a call without `work` keeps its own times."""
        laws = tuple(self._law(unit) for unit in plan.units)
        steps = tuple(_timed_step(step, laws) for step in plan.steps)
        return dataclasses.replace(plan, units=tuple(law.unit for law in laws), steps=steps, runtime=None, power=None)

    def _law(self, unit: Unit) -> SimUnit:
        if unit.kind != "sim" or unit.name not in self._units:
            known = ", ".join(f"sim:{name}" for name in self._units)
            raise UnitUnavailable(f"device {self.name} has no unit {unit}; it has {known}.")
        return self._units[unit.name]


def simulated_power(run: Run, watts: Sequence[float]) -> PowerTrace:
    """What a gauge would have told while a step ran, from its recorded runs.

    Args:
        run: the step; its unrecorded runs draw nothing here.
        watts: of each unit while it is in a call.
    """
    calls = [
        (job.t0_ns + phase.begin_ns, job.t0_ns + phase.end_ns, watts[lane.unit_index])
        for job in run.jobs
        for lane in job.lanes
        for phase in lane.phases
    ]
    first, last = min(int(job.t0_ns[0]) for job in run.jobs), max(int(end.max()) for _, end, _ in calls)
    ticks = np.arange(first, last + _GAUGE_NS, _GAUGE_NS, dtype=np.int64)
    joules = np.zeros(len(ticks))  # times 1e9, up to each tick
    for begin, end, power in calls:
        order = np.argsort(begin)
        spent = np.concatenate([[0], np.cumsum((end - begin)[order])])
        at = np.searchsorted(begin[order], ticks)
        over = np.where(at > 0, np.maximum(end[order][np.maximum(at, 1) - 1] - ticks, 0), 0)
        joules += power * (spent[at] - over)
    microwatts = 1e6 * (IDLE_W + np.diff(joules) / _GAUGE_NS)
    return PowerTrace(ticks[1:], microwatts.astype(np.int64))


def _timed_step(step: Step, laws: tuple[SimUnit, ...]) -> Step:
    return dataclasses.replace(step, jobs=tuple(_timed_job(job, laws) for job in step.jobs))


def _timed_job(job: Job, laws: tuple[SimUnit, ...]) -> Job:
    lanes = []
    for index, lane in enumerate(job.lanes):
        partner = job.lanes[1 - index] if len(job.lanes) == 2 else None
        law = laws[lane.unit_index]
        calls = tuple(_timed_call(call, partner, law) for call in lane.calls)
        lanes.append(Lane(lane.unit_index, calls))
    return dataclasses.replace(job, lanes=tuple(lanes))


def _timed_call(call: Call, partner: Lane | None, law: SimUnit) -> Call:
    if call.work is None:
        return call
    source = partner.latest_before(call.phase) if partner is not None and "partner" in call.inputs else None
    return dataclasses.replace(
        call,
        run_us=law.run_us(call.work),
        pressure=law.pressure(call.work),
        download_us=law.move_us(call.output_bytes),
        upload_us=law.move_us(source.output_bytes) if source is not None else 0.0,
    )
