"""Steps `profile`, `prediction` and `overlap`: the project's own road on CPU and GPU."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.hardware_gpu.budget import Size, Speed
from benchmarks.hardware_gpu.session import OutOfTime, Session
from benchmarks.overlap import launch_row
from benchmarks.prediction import BATCH, base_us, draw, measure, network_row
from syncnas_bench import Run, Unit
from syncnas_deploy import pipeline
from syncnas_deploy.benchmarking.result_files import result_to_json
from syncnas_deploy.errors import MeasurementError
from syncnas_deploy.measuring.jobs import DISCARD, REPEATS
from syncnas_deploy.prediction.drift import drift
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.progress import Progress

PATIENCE = 2.0
"""A profile is broken off when it takes so many times as long as was expected."""
PARTS, SEGMENTS = 34, 10
"""Parts of a chain and segments of a branch, about: each costs a call, besides what it computes."""
CHUNK = 5
"""Networks of one launch: a cut loses no more."""


def profile_sizes(speed: Speed) -> list[Size]:
    """Fewer rounds, launches and held-out networks where time is short. `count` is of held-out networks."""
    chain_us = speed.both_us + 2 * PARTS * speed.call_us

    def size(launches: int, rounds: int, networks: int) -> Size:
        # Four width pairs: two chains on either unit and at once, and a whole; networks as slow as their GPU branch.
        runs_us = 4 * (2.5 * chain_us + speed.both_us) + (4 + networks) * (speed.both_us + SEGMENTS * speed.call_us)
        launch_s = speed.setup_s + (12 + networks) * speed.network_s + rounds * (DISCARD + REPEATS) * runs_us / 1e6
        return Size(launches * launch_s, launches, rounds, networks)

    return [size(*shape) for shape in ((5, 3, 8), (4, 3, 8), (3, 3, 8), (3, 2, 4), (2, 2, 4), (2, 1, 2), (1, 1, 2))]


def profile_step(precision: str) -> Callable[[Session, str, Size, Path], None]:
    """A step that profiles CPU and GPU in a precision, into a profile file beside the rows."""

    def run(session: Session, step: str, size: Size, folder: Path) -> None:
        units = [str(unit) for unit in session.units(precision)]
        until = session.rows.elapsed_s + min(PATIENCE * size.cost_s + 10, session.deadline_s)
        out = session.folder / f"{session.base.name}-{precision}.profile.json"

        def progress(done: Progress) -> None:
            session.rows.add(step, "progress", done=done.done, total=done.total, name=done.doing)
            if session.rows.elapsed_s > until:
                raise OutOfTime(f"the profile took {PATIENCE:g} times as long as expected; its journal is kept.")

        settings = ProfileSettings(
            points=250, launches=size.launches, rounds=size.rounds, networks=size.count, deadline_s=session.deadline_s
        )
        profile = pipeline.profile(
            session.base, session.device, out=out, units=units, settings=settings, on_progress=progress
        )
        session.profiles[precision] = profile
        session.rows.add(
            step,
            "profile",
            file=out.name,
            units=units,
            points=len(profile.points),
            base_us=[round(profile.table.network_us(unit), 3) for unit in (0, 1)],
            contention=[{"unit": row.unit, "stage": row.stage, "factor": row.factor} for row in profile.contention],
            warnings=list(profile.warnings),
        )

    return run


def prediction_sizes(speed: Speed) -> list[Size]:
    """Twenty networks, fewer where they would not fit."""
    run_us = 5 * speed.both_us + 4 * SEGMENTS * speed.call_us

    def cost_s(count: int, rounds: int) -> float:
        launches = -(-count // CHUNK)
        return launches * speed.setup_s + count * (speed.network_s + rounds * (DISCARD + REPEATS) * run_us / 1e6)

    return [Size(cost_s(n, rounds), 1, rounds, n) for n, rounds in ((20, 2), (20, 1), (10, 1), (5, 1), (2, 1))]


def prediction(session: Session, step: str, size: Size, folder: Path) -> None:
    """Networks that the fp32 profile has not seen, predicted and measured: both branches at once, and each alone.

    Raises:
        MeasurementError: there is no profile.
    """
    profile = session.profiles.get("fp32")
    if profile is None:
        raise MeasurementError("there is no fp32 profile to predict from.")
    units = tuple(Unit.parse(text) for text in profile.units)
    configs = draw(session.base, profile, size.count, seed=1)
    for at in range(0, size.count, CHUNK):
        began, some = time.monotonic(), configs[at : at + CHUNK]
        found: dict[str, list[float]] = {}

        def keep(run: Run, found: dict[str, list[float]] = found, launch: int = at // CHUNK) -> None:
            session.keep(step, run, launch)
            for job in run.jobs:
                found.setdefault(job.name, []).append(float(np.median(job.makespan_us)))

        measure(
            some, session.base, session.device, units, size.rounds, seed=at, on_run=keep, deadline_s=session.deadline_s
        )
        today_us = base_us(found)
        for config in some:
            drifted = drift(config, profile, today_us)
            row = network_row(config, found, drifted)
            session.rows.add(step, "network", strategy=config.strategy, drift=list(drifted.slowness), **row)
        if session.left_s < time.monotonic() - began and at + CHUNK < size.count:
            session.rows.add(step, "shortened", measured=at + len(some), wanted=size.count)
            return


def overlap_sizes(speed: Speed) -> list[Size]:
    """Launches of `pipeline.bench`; `count` is of samples in each."""
    run_us = 3 * (speed.both_us + SEGMENTS * speed.call_us)

    def size(launches: int, samples: int) -> Size:
        return Size(
            2 + launches * (speed.setup_s + 2 * speed.network_s + 2 * samples * run_us / 1e6), launches, 1, samples
        )

    return [size(*shape) for shape in ((5, 60), (3, 60), (3, 12), (2, 6), (1, 6))]


def overlap(session: Session, step: str, size: Size, folder: Path) -> None:
    """Both branches' solo times over the makespan, launch by launch; see `benchmarks.overlap`."""
    bundle = pipeline.export(session.network, folder / "bundle")
    units = [str(unit) for unit in session.units("fp32")]
    for launch in range(size.launches):
        result = pipeline.bench(bundle, session.device, units=units, samples=size.count, launches=1)
        told = result_to_json(result)
        session.rows.add(
            step, "bench", launch=launch, row=launch_row(result), measured=told["measured"], units=told["units"]
        )


assert CHUNK <= BATCH, "a chunk is one launch"
