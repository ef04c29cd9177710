"""What is read back from a GPU, and what is written to it: no more than somebody needs. Counted by a LiteRT of ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from syncnas_bench import Call, HostDevice, Job, Lane, Step, run_plan
from syncnas_bench.device import runner_program
from tests.support.bench_cases import Collector, plan_of, write_branches
from tests.support.litert_stub import lying_litert

pytestmark = pytest.mark.needs("host units")

CPU, GPU = 0, 1
RUNS = 3


def chain(unit: int, *calls: tuple[str, tuple[str, ...]], phase: int = 0) -> Lane:
    """Calls of signatures, one in each phase."""
    return Lane(unit, tuple(Call(phase + i, 0, name, inputs) for i, (name, inputs) in enumerate(calls)))  # type: ignore[arg-type]


BOTH = ("own", "partner")
NETWORKS = {
    # Name: lanes, and in each run reads and writes of GPU buffers.
    "parts of a chain": ((chain(GPU, ("left0", ("external",)), ("right0", ("own",)), ("left0", ("own",))),), 1, 0),
    "one segment": ((chain(GPU, ("left0", ("external",))),), 1, 0),
    "a branch alone, without the head": ((chain(GPU, ("left0", ("external",)), ("right0", ("own",))),), 0, 0),
    "a stem on each": (
        (
            chain(CPU, ("left0", ("external",)), ("right0", ("own",)), ("left1", BOTH)),
            chain(GPU, ("left0", ("external",)), ("right0", ("own",))),
        ),
        1,  # the head's partner, of which the CPU is the trunk
        0,
    ),
    "the GPU has stem and head": (
        (
            chain(CPU, ("left0", ("partner",)), ("left1", BOTH), phase=1),
            chain(GPU, ("right0", ("external",)), ("left0", ("own",)), ("right1", BOTH), ("left1", BOTH)),
        ),
        3,  # the stem, the sync and the logits; not what goes into its own head
        2,  # at the sync and at the head
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", list(NETWORKS))
def test_a_gpu_gives_and_takes_what_the_other_unit_needs(name: str, tmp_path: Path) -> None:
    lanes, reads, writes = NETWORKS[name]
    model, library = write_branches(tmp_path / "m.tflite"), lying_litert("COUNTS")
    locks = library.with_name("libLiteRt.so.locks")
    locks.write_text("")
    externals = sum(call.inputs.count("external") for lane in lanes if lane.unit_index == GPU for call in lane.calls)
    outputs = [tmp_path / "gpu", tmp_path / "cpus"]
    step = Step("s", (Job("j", lanes, output=outputs[0], unread=reads == 0),), rounds=RUNS)
    plan = plan_of("cpu:1 gpu", step, files=(model,), runtime=library, accelerators=library.parent)
    run_plan(plan, command=[str(runner_program())], on_run=Collector(), deadline_s=120)
    found = locks.read_text()
    on_gpu = sum(lane.unit_index == GPU and lane.calls[-1].phase + 1 == step.jobs[0].phases for lane in lanes)
    # Once in all: inputs are filled, and the logits are taken for the row.
    assert (found.count("r"), found.count("w")) == (RUNS * reads + on_gpu, RUNS * writes + externals)
    step = Step("s", (Job("j", lanes, output=outputs[1]),), rounds=1)
    HostDevice().run(plan_of("cpu:1 cpu:1", step, files=(model,)), on_run=Collector())
    np.testing.assert_array_equal(*(np.fromfile(path, "<f4") for path in outputs))
