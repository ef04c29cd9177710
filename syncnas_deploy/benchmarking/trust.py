"""How far a bench can be trusted: what is equal must read equal, and the device must be at rest."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from syncnas_deploy.benchmarking.result import Baseline, BenchResult, RunSamples
from syncnas_deploy.prediction.predict import Prediction
from syncnas_deploy.prediction.profile import DeviceProfile, Level
from syncnas_deploy.verdict import SIGMAS, Contender, Verdict, judge, no_hardware

LIMITS = {"A/A": (0.03, 0.10), "launches": (0.05, 0.20), "spread": (0.25, 1.0), "change": (0.05, 0.25)}
"""By what is looked at: relative difference from which a result is doubtful, and from which it is worthless."""

MOST_CORES = 4096
LEAST_ERROR = 0.005
"""Relative standard error of the ratio of two networks' latencies that no measurement here is better than: a graph runs
a little faster or slower by where its memory falls, and that is drawn anew by each launch."""
STUDENT = {2: 12.7, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 7: 2.45, 8: 2.36, 9: 2.31, 10: 2.26}
"""By number of launches, the 97.5 % quantile of Student's t; beyond it is about `SIGMAS`."""


@dataclass(frozen=True)
class Trust:
    """A judgement on a result.

    Attributes:
        level: in one word.
        reasons: why it is not trustworthy, and what to do; empty where it is.
    """

    level: Level
    reasons: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """One line for people."""
        return f"{self.level}: {'; '.join(self.reasons)}" if self.reasons else self.level


def trust(result: BenchResult) -> Trust:
    """Judge a result by itself: A/A, launches, spread, change within a launch, and other work on the device."""
    seen = {
        "A/A": abs(result.aa_ratio - 1),
        "launches": _disagreement(result),
        "spread": result.makespan.p90_us / result.makespan.p10_us - 1,
        "change": abs(result.change),
    }
    reasons = []
    worst: Level = "trustworthy"
    for name, value in seen.items():
        doubtful, worthless = LIMITS[name]
        if value > doubtful:
            reasons.append(_SENTENCES[name].format(result.change if name == "change" else value))
            worst = "worthless" if value > worthless or worst == "worthless" else "doubtful"
    others = [*_load(result), *(text for text in result.warnings if "left out" in text)]
    if others and worst == "trustworthy":
        worst = "doubtful"
    return Trust(worst, (*reasons, *others))


_SENTENCES = {
    "A/A": "the same network twice differs by {:.1%}; measure longer (--samples) on a quiet device",
    "launches": "launches differ by {:.1%}; close other programs and take more of them (--launches)",
    "spread": "p90 is {:.0%} above p10; other work runs on these cores, or a clock changes",
    "change": "within a launch its time changed by {:+.1%}: it heats up or a clock changes; cool it, or hold the clock",
}


def _disagreement(result: BenchResult) -> float:
    """Range of the launches' medians relative to the median of all."""
    medians = _launch_medians(result, result.makespan)
    return (max(medians) - min(medians)) / result.makespan.median_us


def _launch_medians(result: BenchResult, samples: RunSamples) -> list[float]:
    """The median of each launch; each job has as many samples in a launch as the network."""
    ends = np.cumsum(result.launch_samples)[:-1]
    return [float(np.median(part)) for part in np.split(np.array(samples.samples_us), ends)]


def ratio_error(result: BenchResult, other: RunSamples) -> float:
    """Relative standard error of the ratio of another network's latency to that of the network.

    Both ran in the same rounds, so the ratio is taken in each launch; `SIGMAS` of these errors hold it in 95 of 100
    cases, whatever the number of launches. It is no less than what A/A shows.
    """
    pairs = zip(_launch_medians(result, other), _launch_medians(result, result.makespan), strict=True)
    logs = [math.log(theirs / ours) for theirs, ours in pairs]
    apart = abs(math.log(result.aa_ratio))
    if len(logs) < 2:
        return max(LEAST_ERROR, apart)
    return max(LEAST_ERROR, apart, _of_launches(logs))


def own_error(result: BenchResult) -> float:
    """Relative standard error of the network's latency, by its launches; it is no less than what A/A shows.

    `SIGMAS` of these errors hold it in 95 of 100 cases.
    """
    logs = [math.log(us) for us in _launch_medians(result, result.makespan)]
    apart = abs(math.log(result.aa_ratio))
    if len(logs) < 2:
        return max(LEAST_ERROR, apart)
    return max(LEAST_ERROR, apart, _of_launches(logs))


def _of_launches(logs: Sequence[float]) -> float:
    student = STUDENT.get(len(logs), SIGMAS)
    return student / SIGMAS * statistics.stdev(logs) / math.sqrt(len(logs))


def _load(result: BenchResult) -> Iterator[str]:
    """Whether other programs were at work before the first launch. A phone's load counts sleeping drivers, too.

    Where the runner spends a simulated device's times, that is this computer's load.
    """
    if result.facts.get("os", "").startswith("Android"):
        return
    try:
        load, cores = float(result.before["load_1min"]), int(result.facts["cores"])
    except (KeyError, ValueError):
        return
    cores = min(cores, MOST_CORES)
    if load > 1 + cores / 2:
        yield f"the load was {load:.1f} on {cores} cores before it began; end other programs"


def verdict_of(result: BenchResult) -> Verdict | None:
    """Whether two branches pay, by what was measured; None where no rival was."""
    rivals = [
        _contender(b, b.makespan.median_us, ratio_error(result, b.makespan))
        for b in result.baselines
        if b.role == "rival"
    ]
    if not rivals or result.config.branch_count == 1:
        return None
    judged = trust(result)
    ours = _ours(result, result.makespan.median_us, result.crossings_us)
    odd = {judged.level: f"the measurement is {judged.sentence}"}
    doubts = [*no_hardware(result.simulated, result.software_gpu)]
    return judge(ours, rivals, doubts=doubts, doubtful=odd.get("doubtful", ""), worthless=odd.get("worthless", ""))


def foretold(result: BenchResult, prediction: Prediction, profile: DeviceProfile) -> Verdict | None:
    """Whether two branches pay, by predictions of the networks that were measured; None where no rival has one."""
    rivals = [
        _contender(b, b.predicted_us, profile.ratio_error)
        for b in result.baselines
        if b.role == "rival" and b.predicted_us is not None
    ]
    if not rivals or result.config.branch_count == 1:
        return None
    ours = _ours(result, prediction.makespan_us, prediction.crossings_us)
    odd = {profile.level: profile.doubt}
    doubtful, worthless = odd.get("doubtful", ""), odd.get("worthless", "")
    return judge(ours, rivals, doubtful=doubtful, worthless=worthless, how="predicted")


def _ours(result: BenchResult, latency_us: float, crossings_us: Sequence[float]) -> Contender:
    config = result.config
    return Contender(
        config.name,
        " and ".join(result.units),
        latency_us,
        config.macs(),
        result.reward,
        result.standard_error,
        crossings_us=crossings_us,
    )


def _contender(b: Baseline, latency_us: float, latency_error: float) -> Contender:
    return Contender(b.name, b.unit, latency_us, b.macs, b.reward, b.standard_error, b.slope, latency_error)
