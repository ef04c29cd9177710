"""From runs to a profile. The same runs always give the same tables."""

from __future__ import annotations

import datetime
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec
import numpy as np

import syncnas_deploy
from syncnas_bench import Device, JobRun
from syncnas_deploy.arrays import Float64Array
from syncnas_deploy.errors import MeasurementError
from syncnas_deploy.measuring.jobs import CHANGE
from syncnas_deploy.measuring.usable import Runs, launches_of
from syncnas_deploy.networks.config import ModelConfig, SyncOp
from syncnas_deploy.networks.segments import cut
from syncnas_deploy.prediction.curve_model import CurveModel
from syncnas_deploy.prediction.curves import curves_of
from syncnas_deploy.prediction.predict import predict
from syncnas_deploy.prediction.profile import DeviceProfile, flat_text
from syncnas_deploy.prediction.rows import (
    ContentionRow,
    HeldOutRow,
    LaunchSample,
    LearningRow,
    NetworkRow,
    Place,
    Point,
    PointRow,
    PowerRow,
    SyncPlace,
    SyncRow,
    differing_text,
)
from syncnas_deploy.prediction.table import curve_model
from syncnas_deploy.profiling.experiment import (
    CHAIN_OPS,
    HELD_OUT,
    NETWORKS,
    Experiment,
    ProfileSettings,
    branch_job,
    chain_job,
    pair_step,
    whole_job,
)

MOST_SLOWED = 10.0
"""The largest factor of contention: beside the other unit one does a tenth of its work. 1 over it is the least."""
SHORT_OVERLAP = 0.03
"""Relative measurement error.

If two units overlapped for less than this share of the time, the contention factor is pulled towards 1.
"""


def settings_text(settings: ProfileSettings) -> dict[str, str]:
    """Settings as text, for journal and profile."""
    return {
        "points": str(settings.points),
        "error": f"{settings.error:g}",
        "launches": str(settings.launches),
        "rounds": str(settings.rounds),
        "discard": str(settings.discard),
        "repeats": str(settings.repeats),
        "networks": str(settings.networks),
        "seed": str(settings.seed),
    }


def point_rows(experiment: Experiment, runs: Runs) -> tuple[PointRow, ...]:
    """Solo latency of every point on both units.

    Raises:
        MeasurementError: a latency is not above 0.
    """
    points: dict[tuple[int, Point], dict[int, list[Float64Array]]] = defaultdict(lambda: defaultdict(list))
    for (launch, step), run in runs.items():
        for number in range(len(experiment.pairs)):
            if step == pair_step(number):
                for op in CHAIN_OPS:
                    for unit in (0, 1):
                        times = _calls_us(run.job(chain_job(op, unit)))
                        for part, us in zip(experiment.chains[number, op], times, strict=True):
                            points[unit, part.point][launch].append(us)
    rows = tuple(
        PointRow(unit, point, LaunchSample.of(np.concatenate(by_launch[launch]) for launch in sorted(by_launch)))
        for (unit, point), by_launch in points.items()
    )
    if any(row.sample.median_us <= 0 for row in rows):
        raise MeasurementError("A measured latency is not above 0 us; the device's clock cannot be trusted.")
    return rows


def fitted(base: ModelConfig, rows: Iterable[PointRow]) -> tuple[CurveModel, CurveModel]:
    """The curves of both units, each with its likeliest shape."""
    kept = tuple(rows)
    models = [curve_model(base, curves_of(base), kept, unit) for unit in (0, 1)]
    tuned = [model.with_shape(model.tuned()) for model in models]
    return tuned[0], tuned[1]


def assemble(
    experiment: Experiment,
    device: Device,
    runs: Runs,
    *,
    learning: Sequence[LearningRow],
    warnings: Sequence[str],
    power: Sequence[PowerRow] = (),
) -> DeviceProfile:
    """The profile that usable runs give.

    Args:
        experiment: what was measured.
        device: the device that was measured.
        runs: of the usable launches.
        learning: how the error went down with more points.
        warnings: sentences on how it was measured, for a reader.
        power: what the device drew; empty without a power meter.

    Raises:
        MeasurementError: the measured times cannot be right.
    """
    base, facts, names = experiment.base, device.facts(), tuple(map(str, experiment.units))
    rows = point_rows(experiment, runs)
    shapes = [model.shape for model in fitted(base, rows)]
    networks, contention = _networks(experiment, runs), _contention(experiment, runs)
    profile = DeviceProfile(
        kind="simulated" if facts.simulated else "measured",
        base=base,
        units=(names[0], names[1]),
        other_units=names[2:],
        device=flat_text(facts.to_dict()),
        versions={"syncnas-deploy": syncnas_deploy.__version__, "runtime": facts.runtime},
        condition=flat_text(device.condition().to_dict()),
        created=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        settings=settings_text(experiment.settings),
        warnings=(*warnings, *_warnings(names, rows, networks, contention), *_changes(names, runs)),
        curves=curves_of(base),
        shapes=(shapes[0], shapes[1]),
        points=rows,
        networks=networks,
        contention=contention,
        syncs=_syncs(base, experiment, runs),
        jitter=_jitter(experiment, runs),
        learning=tuple(learning),
        power=tuple(power),
    )
    return msgspec.structs.replace(profile, held_out=_held_out(experiment, runs, profile))


def _calls_us(job: JobRun) -> list[Float64Array]:
    return [phase.busy_us for phase in job.lanes[0].phases]


def _networks(experiment: Experiment, runs: Runs) -> tuple[NetworkRow, ...]:
    return tuple(
        NetworkRow(
            unit,
            number,
            LaunchSample.of(
                runs[launch, pair_step(number)].job(whole_job(unit)).makespan_us
                for launch in launches_of(runs, pair_step(number))
            ),
            pair.full.flat()[0],
        )
        for number, pair in enumerate(experiment.pairs)
        for unit in range(len(experiment.units))
    )


def _contention(experiment: Experiment, runs: Runs) -> tuple[ContentionRow, ...]:
    """How much slower a segment is in a network of two branches than its branch alone, by unit and place.

    In the same rounds each branch runs alone. A segment that takes longer than its partner is slowed only until the
    partner has ended (see `slowed`); stem and head are slowed by a partner that waits. Times are medians of the runs.
    The factor is the median over launches and networks.
    """
    factors: dict[tuple[int, int, Place], list[float]] = defaultdict(list)
    for name, config in experiment.wide.items():
        segments = cut(config)
        for launch in launches_of(runs, NETWORKS):
            run = runs[launch, NETWORKS]
            alone_us = {
                segment.name: float(np.median(us))
                for branch in (0, 1)
                for segment, us in zip(
                    (s for s in segments if s.branch == branch),
                    _calls_us(run.job(branch_job(name, branch))),
                    strict=True,
                )
            }
            together = {s.name: float(np.median(run.job(name).call(s.branch, s.phase).busy_us)) for s in segments}
            for phase in range(segments[-1].phase + 1):
                members = [segment for segment in segments if segment.phase == phase]
                shared_us = min(together[segment.name] for segment in members)
                for s in members:
                    place: Place = "stem" if s.stem else "head" if s.head else "stage"
                    stage = s.blocks[-1].stage if s.blocks else -1
                    factors[s.branch, stage, place].append(slowed(alone_us[s.name], together[s.name], shared_us))
    return tuple(
        ContentionRow(unit, stage, round(statistics.median(found), 4), place)
        for (unit, stage, place), found in sorted(factors.items())
    )


def slowed(alone_us: float, loaded_us: float, shared_us: float) -> float:
    """The factor by which work is slower while its partner works.

    Args:
        alone_us: its duration without a partner.
        loaded_us: its duration beside a partner.
        shared_us: how much of `loaded_us` the partner worked, too. Where this is short, the factor is uncertain and
            is pulled towards 1.
    """
    slack_us = SHORT_OVERLAP * loaded_us
    progress_us = alone_us - (loaded_us - shared_us)
    factor = (shared_us + slack_us) / max(progress_us + slack_us, (shared_us + slack_us) / MOST_SLOWED)
    return float(max(factor, 1 / MOST_SLOWED))  # less is an interruption while it ran alone


def _jitter(experiment: Experiment, runs: Runs) -> tuple[float, float]:
    """How much a segment's time varies from run to run, by unit.

    It is the standard deviation (interquartile range / 1.349) over the median, for each segment of the networks that
    measure syncs; of all these the median.
    """
    spreads: dict[int, list[float]] = {0: [], 1: []}
    for launch in launches_of(runs, NETWORKS):
        for name in experiment.narrow:
            for lane in runs[launch, NETWORKS].job(name).lanes:
                for us in (phase.busy_us for phase in lane.phases):
                    low, middle, high = np.percentile(us, [25, 50, 75])
                    spreads[lane.unit_index].append(float((high - low) / 1.349 / middle))
    medians = [round(statistics.median(spreads[unit]), 4) for unit in (0, 1)]
    return medians[0], medians[1]


def _syncs(base: ModelConfig, experiment: Experiment, runs: Runs) -> tuple[SyncRow, ...]:
    rows = []
    for name, config in experiment.narrow.items():
        op = config.sync_ops[-1]
        segments = cut(config)
        jobs = [runs[launch, NETWORKS].job(name) for launch in launches_of(runs, NETWORKS)]
        for phase in range(segments[-1].phase):
            place: SyncPlace = "fork" if phase == 0 else "join" if phase == len(base.stages) else "sync"
            if place == "fork" and op is not SyncOp.ADD:
                continue
            downloads, barrier, uploads = crossing_us(jobs, phase)
            rows.append(
                SyncRow(
                    trunk=config.trunk,
                    place=place,
                    stage=phase - 1,
                    op=SyncOp.NONE if place == "fork" else op,
                    bytes=max(segment.output_bytes for segment in segments if segment.phase == phase),
                    downloads_us=downloads,
                    barrier_us=barrier,
                    uploads_us=uploads,
                    sample=LaunchSample.of(job.sync_overhead_us(phase) for job in jobs),
                    slept=slept_share(jobs, phase),
                )
            )
    return tuple(rows)


def slept_share(jobs: Sequence[JobRun], phase: int) -> float:
    """Share of the runs in which a unit slept after a phase."""
    calls = [[call for lane in job.lanes if (call := lane.at(phase)) is not None] for job in jobs]
    most = sum(max(call.sleeps for call in both) for both in calls)
    return round(most / sum(len(both[0].end_ns) for both in calls), 4)


def crossing_us(jobs: Sequence[JobRun], phase: int) -> tuple[tuple[float, float], float, tuple[float, float]]:
    """The parts of the crossing after a phase, in microseconds: medians of the launches' medians.

    A unit that has no call before the crossing has no download. One that has no call after it has no upload.

    Args:
        jobs: the same job in each launch.
        phase: the phase before the crossing.

    Returns:
        Downloads by unit, the barrier, and uploads by unit.
    """
    parts: dict[str, list[float]] = defaultdict(list)
    for job in jobs:
        before = {lane: call for lane in (0, 1) if (call := job.lanes[lane].at(phase)) is not None}
        after = {lane: call for lane in (0, 1) if (call := job.lanes[lane].at(phase + 1)) is not None}
        arrived = np.maximum.reduce([call.arrive_ns for call in before.values()])
        released = np.maximum.reduce([call.arrive_ns + call.wait_ns for call in before.values()])
        parts["barrier"].append(float(np.median(released - arrived)))
        for lane in (0, 1):
            down = before[lane].arrive_ns - before[lane].end_ns if lane in before else np.zeros(1)
            up = after[lane].begin_ns - released if lane in after else np.zeros(1)
            parts[f"down{lane}"].append(float(np.median(down)))
            parts[f"up{lane}"].append(float(np.median(up)))
    us = {name: round(max(0.0, statistics.median(values)) / 1e3, 3) for name, values in parts.items()}
    return (us["down0"], us["down1"]), us["barrier"], (us["up0"], us["up1"])


def _held_out(experiment: Experiment, runs: Runs, profile: DeviceProfile) -> tuple[HeldOutRow, ...]:
    rows = []
    for config in experiment.held_out:
        jobs = [runs[launch, HELD_OUT].job(config.name) for launch in launches_of(runs, HELD_OUT)]
        assert config.strategy is not None
        flat = config.widths.flat()
        rows.append(
            HeldOutRow(
                strategy=config.strategy,
                placement=config.placement,
                widths=(flat[0], flat[1]),
                predicted_us=round(predict(config, profile).makespan_us, 3),
                sample=LaunchSample.of(job.makespan_us for job in jobs),
            )
        )
    return tuple(rows)


def _warnings(
    units: Sequence[str],
    rows: Sequence[PointRow],
    networks: Sequence[NetworkRow],
    contention: Sequence[ContentionRow],
) -> tuple[str, ...]:
    """Sentences on what a reader of the numbers should know."""
    texts = [
        f"{units[row.unit]}: {f'set {row.pair} of channel widths' if row.pair else 'the base'} as a whole network "
        f"differed by {row.sample.disagreement:.0%} between launches"
        for row in networks
        if row.sample.differs
    ]
    texts += filter(None, [differing_text(rows)])
    for unit in (0, 1):
        if any(row.factor >= MOST_SLOWED for row in contention if row.unit == unit):
            texts.append(
                f"{units[unit]}: it is slowed tenfold while {units[1 - unit]} works, or works so much longer than "
                "that one that its contention cannot be measured"
            )
    return tuple(texts)


def _changes(units: Sequence[str], runs: Runs) -> tuple[str, ...]:
    """Sentences on units that changed within launches, such as units that heat up.

    The launches of such a unit agree with each other, and each of them is a mixture.
    """
    texts = []
    for unit in (0, 1):
        name = whole_job(unit)
        ratios = [
            float(np.median(runs[launch, NETWORKS].job(name).makespan_us))
            / float(np.median(runs[launch, pair_step(0)].job(name).makespan_us))
            for launch in launches_of(runs, NETWORKS)
            if (launch, pair_step(0)) in runs
        ]
        change = statistics.median(ratios) - 1 if ratios else 0.0
        if abs(change) > CHANGE:
            texts.append(
                f"{units[unit]}: at the end of a launch the base network's time had changed by {change:+.0%}, so the "
                "table mixes two states; other programs, heat or a changing clock do that: end them, cool it, hold its "
                "clock, or take --rounds 1"
            )
    return tuple(texts)
