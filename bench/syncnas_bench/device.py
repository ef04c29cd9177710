"""What a device is to everyone above: facts, units, a condition, and the ability to run a plan."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from syncnas_bench.conditions import Condition
from syncnas_bench.errors import RuntimeMissing
from syncnas_bench.plan import BenchPlan
from syncnas_bench.power import PowerMeter
from syncnas_bench.runs import Run
from syncnas_bench.session import Launch
from syncnas_bench.units import Unit

if TYPE_CHECKING:
    from syncnas_bench.doctor import Check

OnRun = Callable[[Run], None]

RUNNERS = ("x86_64-linux", "aarch64-linux", "aarch64-android", "arm64-darwin")
"""What the native runner is built for."""

_PROGRAM = "syncnas-runner"


@dataclass(frozen=True)
class DeviceFacts:
    """What does not change while a device is up; "unknown" for text that cannot be read.

    Attributes:
        name: what `find_device` takes.
        simulated: its times come from a law and not from hardware. Show it wherever a number is shown.
        cores: cores that may be used.
        memory_bytes: 0 if not known.
        runtime: name and version of what runs the models.
    """

    name: str
    simulated: bool
    model: str
    cpu_model: str
    cores: int
    memory_bytes: int
    os: str
    kernel: str
    arch: str
    boot_id: str
    runtime: str

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class DeviceIdentity:
    """Which device it is: equal before and after a restart, and for no two devices that tell themselves apart.

    Attributes:
        kind: maker, model and processor; its memory, too, if it tells neither `serial` nor `system`.
        serial: its maker's number, "" if it does not tell.
        system: the fingerprint of the system on it, "" if it does not tell.
    """

    kind: str
    serial: str = ""
    system: str = ""

    @classmethod
    def told(
        cls, model: str, cpu_model: str, memory_bytes: int, *, serial: str = "", system: str = ""
    ) -> DeviceIdentity:
        """Out of what a device tells; "unknown" is a model like any other."""
        memory = "" if serial or system else f", {memory_bytes / 2**30:.1f} GiB"
        return cls(f"{model}, {cpu_model}{memory}", serial, system)

    def __str__(self) -> str:
        more = (f"{name} {text}" for name, text in (("serial", self.serial), ("system", self.system)) if text)
        return ", ".join((self.kind, *more))

    def to_key(self) -> dict[str, str]:
        """What makes it a part of a run's key."""
        return {f"device_{name}": text for name, text in asdict(self).items()}


@dataclass(frozen=True)
class UnitInfo:
    """A unit that a device has, or would have: `reason` says why it is not available.

    Attributes:
        note: what to know about its numbers, e.g. "software GPU: its times say nothing about a GPU".
    """

    unit: Unit
    description: str
    note: str
    available: bool
    reason: str


class Device(Protocol):
    """Something that runs benchmark plans. A `with` closes it."""

    def __enter__(self) -> Device: ...

    def __exit__(self, *exc_info: object) -> None: ...

    def close(self) -> None:
        """Give up what it holds, such as a connection; it may be used again, which opens it again."""
        ...

    @property
    def name(self) -> str:
        """What `find_device` takes: "host", "sim:NAME"."""
        ...

    def facts(self) -> DeviceFacts:
        """Read the device's facts."""
        ...

    def identity(self) -> DeviceIdentity:
        """Which device it is; never another one while this object lives."""
        ...

    def units(self) -> tuple[UnitInfo, ...]:
        """The units it has, and those it would have if something were installed."""
        ...

    def default_units(self) -> tuple[Unit, Unit]:
        """The two units to run branches on when the user names none."""
        ...

    def condition(self) -> Condition:
        """Read the device's present condition."""
        ...

    def power_meter(self) -> tuple[PowerMeter | None, str]:
        """What tells how much power it draws, for a plan's `power`; where nothing does, None and why."""
        ...

    def examine(self) -> tuple[Check, ...]:
        """Look at it from all sides: what it has and is doing now, and what that does to measurements.

        What cannot be read is said, and nothing is changed on it.

        Raises:
            DeviceUnavailable, LinkLost: it is lost while being examined.
        """
        ...

    def run(self, plan: BenchPlan, *, on_run: OnRun, deadline_s: float = 3600.0, stall_s: float = 600.0) -> Launch:
        """Run a plan; each step's `Run` is handed to `on_run` before the next step starts.

        Its metadata hold `launch_id`, `device`, `condition_before` and `condition_after`.

        Raises:
            BenchError: see `runner.run_plan`.
        """
        ...


def runner_program(target: str = "") -> Path:
    """The native runner of the package.

    Args:
        target: one of `RUNNERS`; by default what this machine is.

    Raises:
        RuntimeMissing: none is built for this target; the message says how to get one.
    """
    folder = target or f"{platform.machine()}-{sys.platform}"
    program = Path(__file__).parent / "_native" / folder / _PROGRAM
    if program.is_file():
        return program
    if folder not in RUNNERS:
        raise RuntimeMissing(
            f"there is no native runner for {folder}, which this host and simulated devices need; "
            "measure a phone, as with --device SERIAL."
        )
    raise RuntimeMissing(
        f"there is no native runner for {folder}; reinstall the package, "
        "or run `python hatch_build.py` in a checkout (needs `pip install ziglang`)."
    )


def with_conditions(on_run: OnRun, facts: DeviceFacts, read: Callable[[], Condition]) -> OnRun:
    """Wrap `on_run` so that each `Run` carries the device's facts and the conditions around it."""
    before = read()

    def annotate(run: Run) -> None:
        nonlocal before
        after = read()
        on_run(
            run.with_metadata(
                {
                    "device": facts.to_dict(),
                    "condition_before": before.to_dict(),
                    "condition_after": after.to_dict(),
                }
            )
        )
        before = read()

    return annotate
