"""Rivals beside a search's best and beside a bundle on a device: made, rated, and brought to the same latency."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from syncnas_bench import Device, Unit
from syncnas_deploy.benchmarking.run import Asked, run_bench
from syncnas_deploy.bundle import Bundle, write_bundle
from syncnas_deploy.errors import InfeasibleBudget
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.precision import FileFormat
from syncnas_deploy.prediction.predict import Prediction
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.progress import Pace
from syncnas_deploy.search.evaluators import Evaluator, as_it_runs, compares_branches, rate
from syncnas_deploy.search.rivals import Rival, RivalSolver, rivals
from syncnas_deploy.shown import ms_text
from syncnas_deploy.verdict import Contender, Verdict, judge, no_hardware

PILOT_SAMPLES, PILOTS, REMEMBERED = 60, 5, 3
"""Runs of a pilot, the most pilots that bring the rivals to the network's latency, and how many of them count."""
NEAR_ENOUGH = 0.01
"""Largest relative difference of latencies after which there is no further pilot."""


def verdict_on_search(
    config: ModelConfig,
    prediction: Prediction,
    profile: DeviceProfile,
    evaluator: Evaluator,
    reward: float,
    standard_error: float | None,
) -> tuple[Verdict, tuple[Rival, ...]]:
    """Whether a network that was found pays, by predictions and by the search's own evaluator.

    Args:
        config: the network, of two branches.
        prediction: of its latency.
        profile: its device's.
        evaluator: rates the rivals, where it can compare them with two branches.
        reward, standard_error: of the network.
    """
    found = tuple(rivals(profile, prediction.makespan_us))
    rated = compares_branches(evaluator)
    contenders = []
    for rival in found:
        reward_of, error, slope = _rated(evaluator, rival, profile) if rated else (None, 0.0, rival.slope)
        contenders.append(
            Contender(
                rival.config.name, rival.unit, rival.predicted_us, rival.config.macs(), reward_of, error, slope,
                profile.ratio_error, rival.beyond,
            )
        )  # fmt: skip
    units = " and ".join(profile.units)
    error = (standard_error or 0.0) if rated else 0.0
    ours = Contender(
        config.name,
        units,
        prediction.makespan_us,
        config.macs(),
        reward if rated else None,
        error,
        crossings_us=prediction.crossings_us,
    )
    odd = {profile.level: f"{profile.doubt:.1000}"}
    doubts = [*no_hardware(profile.kind == "simulated", profile.software_gpu)]
    verdict = judge(
        ours,
        contenders,
        doubts=doubts,
        doubtful=odd.get("doubtful", ""),
        worthless=odd.get("worthless", ""),
        how="predicted",
    )
    return verdict, found


def _rated(evaluator: Evaluator, rival: Rival, profile: DeviceProfile) -> tuple[float | None, float, float]:
    """A rival's reward, its standard error, and d reward / d ln(latency), by a network that takes a tenth less."""
    evaluator = as_it_runs(evaluator, [FileFormat.exported(Unit.parse(rival.unit)).precision])
    reward, error = rate(evaluator, rival.config)
    if reward is None:
        return None, 0.0, rival.slope
    try:
        less = RivalSolver(profile, profile.whole_units.index(rival.unit)).within(0.9 * rival.predicted_us)
    except InfeasibleBudget:
        return reward, error, 0.0
    value, _ = rate(evaluator, less.config)
    gain = 0.0 if value is None else max(0.0, reward - value)
    return reward, error, gain / math.log(rival.predicted_us / less.predicted_us)


def asked_beside(
    bundle: Bundle,
    on: Device,
    units: Sequence[Unit],
    profile: DeviceProfile,
    folder: Path,
    *,
    with_rivals: bool,
    evaluator: Evaluator | None,
    pace: Pace,
    on_notice: Callable[[str], None],
) -> list[Asked]:
    """What a bench measures beside a bundle: the profile's base on each of its units, and rivals of its latency.

    The rivals are solved for the latency that the network has today, by pilots: short benches of one launch.

    Args:
        bundle: of two branches.
        folder: where bundles of the base and of the rivals are written.
        evaluator: rates the rivals, where it can compare them with two branches.
        pace: is told after each pilot.
        on_notice: called with sentences for the user.
    """
    bases = {
        form: _bundle(folder / f"base{at}", profile.base, form)
        for at, form in enumerate(dict.fromkeys(FileFormat.of(unit) for unit in units[:2]))
    }
    today = [
        Asked(bases[FileFormat.of(unit)], unit, "today", profile.table.network_us(at))
        for at, unit in enumerate(units[:2])
    ]
    if not with_rivals:
        return today
    solvers = [RivalSolver(profile, unit) for unit in range(len(profile.whole_units))]
    # Measured over predicted, by unit. The base says it first, then the rivals do.
    ratios: dict[str, list[float]] = {solver.unit: [] for solver in solvers}
    asked_rivals: list[Asked] = []
    made: list[Rival] = []
    pace.begin("looking for rivals of its latency")
    for pilot in range(PILOTS):
        result = run_bench(
            bundle, on, units, samples=PILOT_SAMPLES, launches=1, baselines=[*today, *asked_rivals], energy=False
        )
        found = {b.unit: b for b in result.baselines if b.role == "rival"}
        latency_us = result.makespan.median_us
        off = max((abs(b.makespan.median_us / latency_us - 1) for b in found.values()), default=1.0)
        near = f", latencies within {off:.1%}" if found else ""
        pace.step(f"looking for rivals of its latency, try {pilot + 1}{near}")
        if found and off <= NEAR_ENOUGH:
            break
        for baseline in found.values() or result.baselines:
            if baseline.predicted_us is not None:
                ratios[baseline.unit].append(baseline.makespan.median_us / baseline.predicted_us)
        asked_rivals, made = [], []
        for solver in solvers:
            try:
                rival = solver.within(latency_us / _typical(ratios[solver.unit]))
            except InfeasibleBudget:
                on_notice(f"no network of one branch takes {ms_text(latency_us, 2)} ms or less on {solver.unit}")
                continue
            made.append(rival)
            asked_rivals.append(_asked(rival, folder / f"{pilot}-{len(asked_rivals)}", _unit_of(on, solver.unit)))
        if not asked_rivals:
            break
    if evaluator is not None and compares_branches(evaluator):
        for at, (asked, rival) in enumerate(zip(asked_rivals, made, strict=True)):
            reward, error, slope = _rated(evaluator, rival, profile)
            asked_rivals[at] = dataclasses.replace(asked, reward=reward, standard_error=error, slope=slope)
    return [*today, *asked_rivals]


def _typical(ratios: Sequence[float]) -> float:
    """The geometric mean of the last ratios: one pilot alone is as noisy as the machine is; 1 without any."""
    return statistics.geometric_mean(ratios[-REMEMBERED:]) if ratios else 1.0


def _asked(rival: Rival, folder: Path, unit: Unit) -> Asked:
    return Asked(
        _bundle(folder, rival.config, FileFormat.of(unit)),
        unit,
        "rival",
        predicted_us=rival.predicted_us,
        slope=rival.slope,
    )


def _bundle(folder: Path, config: ModelConfig, form: FileFormat) -> Bundle:
    return write_bundle(
        folder,
        config,
        random_weights(parameter_shapes(config), 0),
        source="random, seed 0",
        precisions=(form.precision,),
        split_kernels=(0,) if form.split_kernels else (),
        timing_only=True,
    )


def _unit_of(device: Device, text: str) -> Unit:
    return next((info.unit for info in device.units() if str(info.unit) == text), None) or Unit.parse(text)
