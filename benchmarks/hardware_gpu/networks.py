"""Steps `right` and `speed`: whole networks on the CPU, on the GPU, and on both at once."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.hardware_gpu.budget import Size, Speed
from benchmarks.hardware_gpu.session import Session, at_pixels
from benchmarks.prediction import base_jobs
from syncnas_bench import BenchPlan, Job, Lane, Step, Unit
from syncnas_bench.conditions import allowed_cores
from syncnas_deploy.measuring.jobs import DISCARD, REPEATS, SPIN_US
from syncnas_deploy.measuring.reference_outputs import expected_outputs
from syncnas_deploy.profiling.random_networks import write_network
from syncnas_deploy.profiling.timing_files import write_to
from syncnas_exporters import difference

SMALL_PIXELS = 64
"""Where the base takes longer than `SLOW_US` on the GPU, networks are measured for images of this size."""
SLOW_US = 40_000.0
PRECISIONS = ("fp32", "fp16")


def right_sizes(speed: Speed) -> list[Size]:
    """One launch a precision."""
    return [Size(2 * (speed.setup_s + 10 * speed.both_us / 1e6))]


def right(session: Session, step: str, size: Size, folder: Path) -> None:
    """The base network on CPU and GPU beside LiteRT's interpreter: largest relative error. Tells the speed, too."""
    _right(session, step, folder)
    if session.speed.gpu_us > SLOW_US:
        session.base, session.network = (at_pixels(c, SMALL_PIXELS) for c in (session.base, session.network))
        session.rows.add(step, "smaller", pixels=SMALL_PIXELS, gpu_us=session.speed.gpu_us)
        _right(session, step, folder)


def _right(session: Session, step: str, folder: Path) -> None:
    for precision in PRECISIONS:
        files: list[Path] = []
        jobs = [
            dataclasses.replace(job, output=folder / f"{job.name}.f32")
            for job in base_jobs(session.base, 0, write_to(folder, files))
        ]
        plan = BenchPlan(
            session.units(precision),
            tuple(files),
            (Step("right", tuple(jobs), rounds=1, discard=1, repeats=3),),
            spin_us=SPIN_US,
        )
        began = time.monotonic()
        _, (run,) = session.measure(step, plan)
        wall_s = time.monotonic() - began
        expected = expected_outputs(plan, plan.steps[0])
        us = [float(np.median(run.job(job.name).makespan_us)) for job in jobs]
        for job, unit, time_us in zip(jobs, plan.units, us, strict=True):
            assert job.output is not None
            found = difference(np.fromfile(job.output, "<f4"), expected[job.name][0])
            session.rows.add(
                step,
                "right",
                unit=str(unit),
                pixels=session.base.input_size,
                max_relative_error=found.max_rel if found.finite else None,
                finite=found.finite,
                us=round(time_us, 3),
            )
        if precision == "fp32":
            setup_s = max(0.2, wall_s - 4 * sum(us) / 1e6)
            session.speed = Speed(us[0], us[1], call_us=us[1] / 40, setup_s=setup_s, network_s=0.1 + setup_s)


def speed_sizes(speed: Speed) -> list[Size]:
    """Five launches for the spread between them, as long as there is time for them."""
    launch_s = speed.setup_s + 3 * speed.network_s
    round_s = (DISCARD + REPEATS) * 7 * speed.both_us / 1e6
    shapes = ((5, 8), (5, 4), (5, 2), (5, 1), (3, 1), (2, 1))
    return [Size(n * (launch_s + rounds * round_s), n, rounds) for n, rounds in shapes]


def speed_step(precision: str) -> Callable[[Session, str, Size, Path], None]:
    """A step that measures both networks in a precision; see `_speed_jobs`."""

    def run(session: Session, step: str, size: Size, folder: Path) -> None:
        files: list[Path] = []
        units = list(session.units(precision))
        jobs = _speed_jobs(session, write_to(folder, files), units)
        measured = Step("speed", tuple(jobs), rounds=size.rounds, discard=DISCARD, repeats=REPEATS)
        for launch in range(size.launches):
            plan = BenchPlan(tuple(units), tuple(files), (measured,), seed=launch, spin_us=SPIN_US)
            began = time.monotonic()
            _, (run,) = session.measure(step, plan, launch=launch)
            ran_s = sum(float(job.makespan_ns.sum()) for job in run.jobs) / 1e9 * (DISCARD + REPEATS) / REPEATS
            # Two bases and a network were compiled.
            session.learn(network_s=0.1 + max(0.0, time.monotonic() - began - ran_s) / 3)

    return run


def _speed_jobs(session: Session, add_file: Callable[[str, bytes], int], units: list[Unit]) -> list[Job]:
    """The base alone on each unit, twice (A/A), and on both at once; the network's branches alone, and at once, twice.

    The base runs on one core and on all cores, too; those units are added.
    """
    once, again = ([*base_jobs(session.base, number, add_file)] for number in (0, 1))
    names = ("base_cpu", "base_gpu", "base_cpu_again", "base_gpu_again")
    jobs = [dataclasses.replace(job, name=name) for name, job in zip(names, [*once, *again], strict=True)]
    jobs.append(Job("base_both", (jobs[0].lanes[0], jobs[1].lanes[0])))
    network = write_network(session.network, 0, add_file)
    jobs += [network.job("network"), network.job("network_again")]
    jobs += [network.solo(f"network_{name}", branch) for branch, name in enumerate(("cpu", "gpu"))]
    cores = allowed_cores()[:64]
    for name, used in (("base_one_core", cores[:1]), ("base_all_cores", cores)):
        unit = Unit("cpu", threads=len(used), cores=used)
        if unit not in units:
            units.append(unit)
            jobs.append(Job(name, (Lane(len(units) - 1, jobs[0].lanes[0].calls),)))
    return jobs
