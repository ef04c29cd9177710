"""One run on one machine: its device and units, its rows, and the time that is left."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.hardware_gpu.budget import Size, Speed, choose
from benchmarks.hardware_gpu.rows import Rows
from syncnas_bench import BenchError, BenchPlan, Device, Launch, Run, Unit
from syncnas_deploy.errors import SyncNasError
from syncnas_deploy.networks.config import ModelConfig, StageSpec
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_exporters import ExportError

GRACE_S = 45.0
"""A launch that is under way when the time is up may take so much longer before it is killed."""
CONFIG = "syncnas_mobilenet_v2_100"
BASE = "mobilenet_v2"
LABEL = "SOFTWARE GPU"


class NoGpu(Exception):
    """There is no GPU that may be measured; nothing more is run."""


class OutOfTime(Exception):
    """A step takes much longer than it was expected to."""


@dataclass
class Session:
    """What steps share.

    Attributes:
        device: this machine.
        cpu: the CPU unit.
        software: whether the GPU is a software one.
        rows: where everything goes.
        folder: of the results.
        limit_s: seconds for the whole run.
        speed: as far as it is known.
        base, network: what is measured; at fewer pixels where the GPU is slow.
        profiles: by GPU unit, once they are measured.
    """

    device: Device
    cpu: Unit
    software: bool
    rows: Rows
    folder: Path
    limit_s: float
    base: ModelConfig
    network: ModelConfig
    speed: Speed = dataclasses.field(default_factory=Speed)
    profiles: dict[str, DeviceProfile] = dataclasses.field(default_factory=dict)

    @property
    def left_s(self) -> float:
        """Seconds until the run must end."""
        return self.limit_s - self.rows.elapsed_s

    @property
    def deadline_s(self) -> float:
        """Seconds after which whatever runs now is killed."""
        return max(self.left_s, 0.0) + GRACE_S

    def learn(self, **known: float) -> None:
        """Something that was measured decides what fits from now on."""
        self.speed = dataclasses.replace(self.speed, **known)

    def gpu(self, precision: str) -> Unit:
        """The GPU in a precision, fp32 or fp16."""
        return dataclasses.replace(Unit.parse(f"gpu:{precision}"), software=self.software)

    def units(self, precision: str) -> tuple[Unit, Unit]:
        """CPU and GPU."""
        return self.cpu, self.gpu(precision)

    def keep(self, step: str, run: Run, launch: int) -> None:
        """Make a row of a finished step of a plan, with all its stamps."""
        self.rows.add(step, "run", launch=launch, run=run.to_record())

    def measure(self, step: str, plan: BenchPlan, *, launch: int = 0) -> tuple[Launch, tuple[Run, ...]]:
        """Run a plan; each finished step of it is a row."""
        runs: list[Run] = []
        began = time.monotonic()

        def keep(run: Run) -> None:
            runs.append(run)
            self.keep(step, run, launch)

        done = self.device.run(plan, on_run=keep, deadline_s=self.deadline_s, stall_s=self.deadline_s)
        units = [dataclasses.asdict(unit) for unit in done.units]
        seconds = round(time.monotonic() - began, 3)
        self.rows.add(step, "launch", launch=launch, seconds=seconds, units=units, exit=done.exit)
        return done, tuple(runs)


@dataclass(frozen=True)
class Step:
    """Something to measure.

    Attributes:
        name: in the rows.
        title: what a reader calls it.
        share: of the whole run's time.
        sizes: with a speed, the sizes that it may have, largest first.
        run: measures it.
    """

    name: str
    title: str
    share: float
    sizes: Callable[[Speed], list[Size]]
    run: Callable[[Session, str, Size, Path], None]


def perform(step: Step, session: Session, tell: Callable[[str], None]) -> None:
    """Run a step if it fits; a failure becomes a row and ends nothing but this step."""
    sizes = step.sizes(session.speed)
    size = choose(sizes, session.left_s, step.share * session.limit_s)
    if size is None:
        needed, left = sizes[-1].cost_s, max(session.left_s, 0.0)
        session.rows.add(step.name, "skipped", needed_s=round(needed, 1), left_s=round(left, 1))
        tell(f"{step.title}: skipped, it needs {needed:.1f} s and {left:.1f} s are left")
        return
    tell(f"{step.title}: about {size.cost_s:.0f} s of {session.left_s:.0f} s left")
    session.rows.add(step.name, "begin", **dataclasses.asdict(size), pixels=session.base.input_size)
    began = session.rows.elapsed_s
    try:
        with tempfile.TemporaryDirectory(prefix="syncnas-gpu-") as folder:
            step.run(session, step.name, size, Path(folder))
    except Exception as error:
        # Whatever a driver makes go wrong: the minutes belong to the other steps, too.
        known = isinstance(error, (BenchError, SyncNasError, ExportError, NoGpu, OutOfTime))
        text = str(error) if known else f"{type(error).__name__}: {error}"
        log = getattr(error, "log", "")
        session.rows.add(step.name, "error", error=text, log=str(log)[-2000:])
        if isinstance(error, NoGpu):
            raise
        tell(f"{step.title}: failed: {text.splitlines()[0] if text else type(error).__name__}")
    else:
        session.rows.add(step.name, "end", seconds=round(session.rows.elapsed_s - began, 3))


def at_pixels(config: ModelConfig, pixels: int) -> ModelConfig:
    """The same network for smaller or larger images."""
    size = (pixels - 1) // config.stem.stride + 1
    stages = []
    for stage in config.stages:
        branches = []
        for blocks in stage.branches:
            at, sized = size, []
            for block in blocks:
                sized.append(dataclasses.replace(block, input_size=at))
                at = sized[-1].output_size
            branches.append(tuple(sized))
        size = at
        stages.append(StageSpec(tuple(branches)))
    return dataclasses.replace(config, stages=tuple(stages), input_size=pixels)
