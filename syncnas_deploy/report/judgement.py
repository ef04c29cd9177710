"""What a bench or a search comes to, in words: verdict, trust, drift, and where the time goes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.benchmarking.trust import foretold, trust, verdict_of
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.prediction.breakdown import (
    FAST_CROSSING_US,
    Breakdown,
    SegmentTime,
    breakdown,
    of_prediction,
    outlook,
)
from syncnas_deploy.prediction.drift import MOST_DRIFT, Drift
from syncnas_deploy.prediction.predict import Prediction
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.verdict import SIGMAS, Verdict, crossings_text

Row = tuple[str, float | None, float | None]
"""What the time goes to, and its share of the makespan, predicted and measured, in percent."""


def verdict_lines(verdict: Verdict) -> Iterator[str]:
    """A verdict's sentence, and its doubts."""
    yield verdict.sentence
    for doubt in verdict.doubts:
        yield f"  but: {doubt}"


def bench_lines(result: BenchResult) -> Iterator[str]:
    """Trust and verdict of a result; the verdict is the last word, and says itself why to doubt it."""
    judged, found = trust(result), verdict_of(result)
    if found is None or judged.level == "trustworthy":
        yield f"This measurement is {judged.level}{':' if judged.reasons else '.'}"
        yield from (f"  {reason}" for reason in judged.reasons)
    if found is not None:
        yield from verdict_lines(found)


def how_much(found: Verdict) -> tuple[str, str] | None:
    """The gain in words, and between what it is in 95 of 100 cases; None where there is no number."""
    if found.gain is None or found.gain_error is None:
        return None
    low, high = (found.gain + sign * SIGMAS * found.gain_error for sign in (-1, 1))
    if found.criterion == "reward":
        return f"reward {found.gain:+.3g} in the same time", f"{low:+.3g} to {high:+.3g}"
    ratio, least, most = (math.exp(min(max(log, -50.0), 50.0)) for log in (found.gain, low, high))
    return f"{_factor(ratio)} times the work in the same time", f"{_factor(least)} to {_factor(most)} times"


def _factor(ratio: float) -> str:
    return f"{ratio:.2f}" if 0.1 <= ratio < 1000 else f"{ratio:.3g}"


def foretold_text(result: BenchResult, prediction: Prediction, profile: DeviceProfile) -> str:
    """What predictions alone said, and whether the measurement agrees; "" where one of both says nothing."""
    said, found = foretold(result, prediction, profile), verdict_of(result)
    if said is None or found is None:
        return ""
    by = how_much(said)
    numbers = f", {by[0]} ({by[1]})" if by else ""
    if said.answer == found.answer:
        then = "the measurement agrees" + (", but not in how much" if _are_apart(said, found) else "")
    elif found.answer == "cannot tell":
        then = "the measurement cannot tell"
    else:
        then = "the measurement says otherwise, and counts" if said.answer != "cannot tell" else "the measurement can"
    return f"by prediction alone: {said.in_short}{numbers}; {then}"


def _are_apart(one: Verdict, other: Verdict) -> bool:
    """Whether two gains differ by more than both errors explain."""
    if None in (one.gain, one.gain_error, other.gain, other.gain_error):
        return False
    error = math.hypot(one.gain_error or 0.0, other.gain_error or 0.0)
    return abs((one.gain or 0.0) - (other.gain or 0.0)) > SIGMAS * error


def drift_text(drift: Drift, units: Sequence[str], measured_us: float) -> str:
    """How much the device has changed since its profile, and how good the prediction is at today's speed."""
    changes = " and ".join(f"{unit} is {_slower(slow - 1)}" for unit, slow in zip(units, drift.slowness, strict=True))
    made, today = (100 * (p.makespan_us / measured_us - 1) for p in (drift.made, drift.today))
    text = (
        f"{changes} than when it was profiled; at that speed the prediction is off by {today:+.1f} % "
        f"(as made {made:+.1f} %)"
    )
    if abs(drift.largest) > MOST_DRIFT:
        text += "; profile the device again"
    return text


def _slower(change: float) -> str:
    return f"{abs(change):.1%} {'slower' if change > 0 else 'faster'}"


def of_result(result: BenchResult) -> Breakdown:
    """The parts of a measured makespan. Waits of the later branch are part of its work there."""
    segments = [
        SegmentTime(result.stretch(s), s.branch, s.solo.median_us, s.concurrent.median_us) for s in result.segments
    ]
    return breakdown(segments, result.crossings_us, result.makespan.median_us)


def breakdown_rows(predicted: Prediction | None, measured: BenchResult | None) -> list[Row]:
    """Where the time goes, in percent of the makespan."""
    said = {} if predicted is None else _shares(of_prediction(predicted), predicted.makespan_us)
    found = {} if measured is None else _shares(of_result(measured), measured.makespan.median_us)
    return [(name, said.get(name), found.get(name)) for name in said or found]


def _shares(parts: Breakdown, makespan_us: float) -> dict[str, float]:
    named = {
        "one unit alone (stem, head)": parts.alone_us,
        "both units at work": parts.work_us,
        "slowed by each other": parts.contention_us,
        "crossings": parts.crossings_us,
        "waiting for the later": parts.waiting_us,
        "(branch 0 idle)": parts.idle_us[0],
        "(branch 1 idle)": parts.idle_us[1],
    }
    return {name: 100 * us / makespan_us for name, us in named.items()}


def outlook_text(config: ModelConfig, profile: DeviceProfile, prediction: Prediction) -> str:
    """What it would be worth if crossings were fast, or if the units did not slow each other."""
    fast_us, free_us = outlook(config, profile)
    saved = [max(0.0, 100 * (1 - us / prediction.makespan_us)) for us in (fast_us, free_us)]
    return (
        f"if a crossing took {FAST_CROSSING_US:.0f} us it would take {saved[0]:.1f} % less; "
        f"if the units did not slow each other, {saved[1]:.1f} % less"
    )


def crossing_line(costs_us: Sequence[float], makespan_us: float) -> str:
    """What crossings cost, beside what two units bring."""
    if not costs_us:
        return "nothing crosses between the units"
    share = sum(costs_us) / makespan_us
    return f"{crossings_text(costs_us)}: {sum(costs_us):,.0f} us in all, {share:.1%} of its latency"
