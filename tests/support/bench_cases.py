"""Small models and plans that the tests of the bench room share."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import numpy as np

from syncnas_bench import BenchPlan, Call, Job, Lane, Run, Spend, Step, Unit
from syncnas_bench.device import runner_program
from syncnas_exporters.graph import Graph, GraphBuilder
from syncnas_exporters.tflite import write_tflite

SHAPE = (1, 24, 24, 8)  # [N, H, W, C]
VALUES = int(np.prod(SHAPE))


def segment(name: str, seed: int, *, joins: bool) -> Graph:
    """Two convolutions and a ReLU on `SHAPE`; with `joins` it first adds its two inputs."""
    rng = np.random.default_rng(seed)
    builder = GraphBuilder(name)
    x = builder.input("x", SHAPE)
    if joins:
        x = builder.add(x, builder.input("y", SHAPE))
    for _ in range(2):
        weight = (rng.standard_normal((8, 3, 3, 8)) * 0.2).astype(np.float32)
        x = builder.conv2d(x, weight, rng.standard_normal(8).astype(np.float32), padding=1)
        x = builder.relu(x)
    return builder.build([x])


def write_branches(path: Path) -> Path:
    """Signatures left0, left1, right0, right1; the ones with 1 take own and partner features."""
    graphs = [
        segment(f"{side}{i}", seed + i, joins=i > 0) for side, seed in (("left", 1), ("right", 5)) for i in (0, 1)
    ]
    path.write_bytes(write_tflite(graphs))
    return path


def branches(file: int = 0) -> tuple[Lane, Lane]:
    """Two lanes of two phases with one synchronization between them."""
    left, right = (
        Lane(unit, (Call(0, file, f"{side}0"), Call(1, file, f"{side}1", ("own", "partner"))))
        for unit, side in enumerate(("left", "right"))
    )
    return left, right


def plan_of(units: str, *steps: Step, files: tuple[Path, ...] = (), **fields: object) -> BenchPlan:
    """A plan on units written as one string: "cpu:1 gpu"."""
    return BenchPlan(tuple(Unit.parse(text) for text in units.split()), files, steps, **fields)  # type: ignore[arg-type]


def sim_plan(*, rounds: int = 3, steps: int = 1, run_us: float = 50.0) -> BenchPlan:
    """One simulated unit running one call, `steps` times."""
    job = Job.solo("job", 0, Call(0, 0, "call", spend=Spend(run_us)))
    return plan_of("sim:a", *(Step(f"step{i}", (job,), rounds=rounds) for i in range(steps)))


def run_text(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    """Run the native runner on the text of a plan."""
    path = folder / "plan.txt"
    path.write_text(text)
    command = [str(runner_program()), str(path)]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)


def children_of(pid: int, name: str = "syncnas-runner") -> list[int]:
    """Processes called `name` whose parent is `pid`."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            comm, rest = stat.read_text().rpartition(")")[::2]
        except OSError:
            continue
        if int(rest.split()[1]) == pid and comm.partition("(")[2] == name[:15]:
            found.append(int(stat.parent.name))
    return found


def is_running(pid: int) -> bool:
    """Whether the process exists and is not a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def only_child() -> int:
    """The one runner that this process has started."""
    (pid,) = children_of(os.getpid())
    return pid


class Collector(list[Run]):
    """An `on_run` that keeps what it gets."""

    def __call__(self, run: Run) -> None:
        self.append(run)
