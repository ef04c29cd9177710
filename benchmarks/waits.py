"""How long do units wait for each other in a network, and what is read back from a GPU? Counted in the runner's rows.

    python -m benchmarks.waits [--unit cpu:1@0 --unit gpu:software] [--runner OLD]
    python -m benchmarks.waits --device sim:flagship --size 224

Runs networks of both trunks, and with the stem on both branches, and prints medians a run: waits that took longer than
5 us, how long a unit waited in all, how many runs had a wait in which it slept, how long each unit's output was on its
way to the host, the makespan, and the digest of the logits. With --runner the same by another build of the runner on
this host. Simulated devices are on a virtual clock. A SOFTWARE GPU's times say nothing about a GPU; that waits and
read-backs are fewer, and that the logits are the same, can be seen there.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from syncnas_bench import BenchPlan, Device, HostDevice, JobRun, Run, SimDevice, Step, Unit
from syncnas_deploy import pipeline
from syncnas_deploy.measuring.jobs import DISCARD, SPIN_US
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.scaling import variant
from syncnas_deploy.profiling.random_networks import write_network
from syncnas_deploy.profiling.timing_files import write_to

STRATEGY = "nanancc"
PLACEMENTS = (Placement(0), Placement(1), Placement(0, twin_stem=True), Placement(1, twin_stem=True))
LONG_US = 5.0


def measured(config: ModelConfig, device: Device, units: tuple[Unit, ...], runs: int, spin_us: int) -> JobRun:
    """Both branches of a network at once."""
    with tempfile.TemporaryDirectory(prefix="syncnas-waits-") as folder:
        files: list[Path] = []
        network = write_network(config, 0, write_to(Path(folder), files))
        step = Step("waits", (network.job("network"),), rounds=runs, discard=DISCARD)
        rows: list[Run] = []
        device.run(BenchPlan(units, tuple(files), (step,), spin_us=spin_us), on_run=rows.append)
        return rows[0].jobs[0]


def told(job: JobRun) -> str:
    """The numbers of one network."""
    calls = [phase for lane in job.lanes for phase in lane.phases]
    waits_us = np.array([phase.wait_ns for phase in calls]) / 1e3
    moved_us = [float(np.median(sum((p.arrive_ns - p.end_ns) / 1e3 for p in lane.phases))) for lane in job.lanes]
    slept = max(phase.sleeps for phase in calls) / len(job.t0_ns)
    return (
        f"{np.median((waits_us > LONG_US).sum(axis=0)):5.1f} waits, {np.median(waits_us.sum(axis=0)):9.1f} us; "
        f"asleep in {slept:4.0%}; read back {moved_us[0]:8.1f} and {moved_us[1]:8.1f} us; "
        f"makespan {np.median(job.makespan_us) / 1e3:8.3f} ms; {job.output.sha256[:12]}"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="host", help="host or sim:NAME")
    parser.add_argument("--unit", action="append", default=[])
    parser.add_argument("--base", default="mobilenet_v2")
    parser.add_argument("--size", type=int, default=64, help="of the picture, pixels; default: %(default)s")
    parser.add_argument("--runs", type=int, default=40)
    parser.add_argument("--spin", type=int, default=SPIN_US, help="how long a waiting unit polls, us")
    parser.add_argument("--runner", type=Path)
    args = parser.parse_args()
    virtual = args.device.startswith("sim:")
    device = SimDevice(args.device[4:]) if virtual else HostDevice(runner=args.runner)
    units = tuple(map(Unit.parse, args.unit)) or device.default_units()
    base = variant(pipeline.base_model(args.base), input_size=args.size)
    for placement in PLACEMENTS:
        config = branched(base, STRATEGY, placement=placement)
        stems = "both" if placement.twin_stem else str(units[placement.trunk])
        print(f"head on {units[placement.trunk]}, stem on {stems}:".ljust(48), end=" ", flush=True)
        print(told(measured(config, device, units, args.runs, args.spin)), flush=True)


if __name__ == "__main__":
    main()
