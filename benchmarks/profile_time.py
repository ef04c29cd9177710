"""How long a profile takes, and which part of that is not inference.

    python -m benchmarks.profile_time [--device host] [--base mobilenet_v2]

Inference is the time from a step's first recorded run to the end of its last, in which the units do nothing but run,
recorded or not, and what its first job's unrecorded runs before that take. The rest is starting processes, compiling
models, writing and pushing files, reading conditions, comparing outputs, the journal and the fit.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from syncnas_bench import BenchPlan, Device, Launch, Run
from syncnas_deploy import pipeline


class Watched:
    """A device that adds up how long its steps ran."""

    def __init__(self, device: Device) -> None:
        self._device = device
        self.inference_s = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def run(self, plan: BenchPlan, *, on_run: Any, deadline_s: float = 3600.0, stall_s: float = 600.0) -> Launch:
        """As the device's own."""
        steps = {step.name: step for step in plan.steps}

        def keep(run: Run) -> None:
            before_us = steps[run.step].discard * float(np.median(run.jobs[0].makespan_us))
            begin_ns = min(int(job.t0_ns.min()) for job in run.jobs)
            end_us = max(float(job.t0_ns[-1] - begin_ns) / 1e3 + float(job.makespan_us[-1]) for job in run.jobs)
            self.inference_s += (before_us + end_us) / 1e6
            on_run(run)

        return self._device.run(plan, on_run=keep, deadline_s=deadline_s, stall_s=stall_s)


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="host")
    parser.add_argument("--base", default="mobilenet_v2")
    args = parser.parse_args()
    device = Watched(pipeline.device(args.device))
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        profile = pipeline.profile(args.base, device, out=Path(folder) / "p.json")
        total_s = time.monotonic() - start
    points = [sum(row.unit == unit for row in profile.points) for unit in (0, 1)]
    outside = 1 - device.inference_s / total_s
    print(f"{args.base} on {args.device}: {total_s:.1f} s, {outside:.1%} of it not inference; points a unit: {points}")


if __name__ == "__main__":
    main()
