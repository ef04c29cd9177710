"""Step `crossings`: what it takes until features of one unit are visible on the other, by bytes and direction.

A call adds a tensor to itself. `up` is CPU to GPU, `down` GPU to CPU, `both` exchanges. A crossing begins where the
later call ends and is over where the next one may begin: download, barrier, upload. A GPU call ends when its work is
done, and its read-back is the download; only of a network's last call (`gpu`, the call alone) it is part of the call.
"""

from __future__ import annotations

from pathlib import Path

from benchmarks.hardware_gpu.budget import Size, Speed
from benchmarks.hardware_gpu.session import Session
from syncnas_bench import BenchPlan, Call, InputSource, Job, Lane, Step
from syncnas_deploy.measuring.jobs import DISCARD, REPEATS, SPIN_US
from syncnas_deploy.profiling.timing_files import write_to
from syncnas_exporters import Graph, GraphBuilder, write_tflite

SIZES_BYTES = tuple(1 << n for n in (10, 13, 16, 18, 20, 22))
CPU, GPU = 0, 1


def doubling(bytes_: int) -> Graph:
    """A graph that adds a tensor of so many bytes to itself."""
    cells = bytes_ // 4 // 64
    height = 1 << (cells.bit_length() - 1) // 2
    builder = GraphBuilder(f"bytes{bytes_}")
    x = builder.input("x", (1, height, cells // height, 64))
    return builder.build([builder.add(x, x)])


def sizes(speed: Speed) -> list[Size]:
    """Three launches of a few rounds."""
    round_s = (DISCARD + REPEATS) * 4 * sum(2 * speed.call_us + n / 500 for n in SIZES_BYTES) / 1e6
    return [Size(n * (speed.setup_s + rounds * round_s), n, rounds) for n, rounds in ((3, 8), (3, 3), (3, 1), (1, 1))]


def measure(session: Session, step: str, size: Size, folder: Path) -> None:
    """Measure the crossings."""
    files: list[Path] = []
    write_to(folder, files)("bytes.tflite", write_tflite([doubling(n) for n in SIZES_BYTES]))
    measured = Step("crossings", tuple(_jobs()), rounds=size.rounds, discard=DISCARD, repeats=REPEATS)
    for launch in range(size.launches):
        plan = BenchPlan(session.units("fp32"), tuple(files), (measured,), seed=launch, spin_us=SPIN_US)
        session.measure(step, plan, launch=launch)


def _jobs() -> list[Job]:
    jobs = []
    for bytes_ in SIZES_BYTES:
        name = f"bytes{bytes_}"

        def call(phase: int, source: InputSource, name: str = name) -> Call:
            return Call(phase, 0, name, (source,))

        make, take = call(0, "external"), call(1, "partner")
        jobs += [
            Job.solo(f"cpu_{bytes_}", CPU, make),
            Job.solo(f"gpu_{bytes_}", GPU, make),
            Job(f"up_{bytes_}", (Lane(CPU, (make,)), Lane(GPU, (take,)))),
            Job(f"down_{bytes_}", (Lane(CPU, (take,)), Lane(GPU, (make,)))),
            Job(f"both_{bytes_}", (Lane(CPU, (make, take)), Lane(GPU, (make, take)))),
        ]
    return jobs
