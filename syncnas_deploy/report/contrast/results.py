"""Bench results beside each other: latencies against A/A, and how much of it is the device itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.benchmarking.trust import own_error, trust, verdict_of
from syncnas_deploy.errors import Incomparable
from syncnas_deploy.prediction.identity import other_name
from syncnas_deploy.report.contrast.sheets import Sheet, change_text, kinds_of, networks_alike, only_one
from syncnas_deploy.shown import ms_text
from syncnas_deploy.verdict import SIGMAS, no_hardware


def compare_results(named: Sequence[tuple[str, BenchResult]]) -> list[Sheet]:
    """One row for each result, and each beside the first.

    Raises:
        Incomparable: other inputs, units or precisions, or simulated beside measured.
    """
    networks_alike([(name, result.config) for name, result in named])
    only_one("what was measured", [(name, _hardware(result)) for name, result in named])
    only_one("the kind of units", [(name, kinds_of(result.units)) for name, result in named])
    (first, reference), *_ = named
    for name, result in named:
        if same_device(reference, result) and result.units != reference.units:
            units = " and ".join(result.units)
            raise Incomparable(
                f"{name} cannot be compared with {first}: the same device ran it on {units}; `report` shows both."
            )
    rows = tuple(_row(name, result, reference) for name, result in named)
    head = ("file", "network", "device", "MACs (M)", "median (ms)", "p10-p90 (ms)", "A/A", "beside the first", "trust")
    notes = ["beside the first: ± two standard errors, by launches and A/A; a smaller difference may be chance"]
    notes += [f"note: {text}" for text in no_hardware(reference.simulated, reference.software_gpu)]
    notes += [text for name, result in named[1:] for text in [_device_change(name, result, reference)] if text]
    sheets = [Sheet("latency", head, rows, tuple(notes)), _segments(named)]
    verdicts = tuple((name, found.sentence) for name, result in named for found in [verdict_of(result)] if found)
    return [*sheets, Sheet("verdicts", ("file", "verdict"), verdicts)] if verdicts else sheets


def same_device(one: BenchResult, other: BenchResult) -> bool:
    """Whether two results are of one device, as far as their facts tell."""
    if other_name(one.facts, other.facts):
        return False
    return all(one.facts.get(fact) == other.facts.get(fact) for fact in ("model", "cpu_model"))


def _hardware(result: BenchResult) -> str:
    return "a simulated device" if result.simulated else "a software GPU" if result.software_gpu else "hardware"


def _row(name: str, result: BenchResult, reference: BenchResult) -> tuple[str, ...]:
    times = result.makespan
    beside = "-"
    if result is not reference:
        ratio = times.median_us / reference.makespan.median_us
        error = SIGMAS * math.hypot(own_error(result), own_error(reference))
        told = "" if abs(math.log(ratio)) > error else ", may be chance"
        beside = f"{change_text(ratio)} ± {100 * error:.1f}{told}"
    spread = f"{ms_text(times.p10_us)}-{ms_text(times.p90_us)}"
    macs = f"{result.config.macs() / 1e6:.1f}"
    numbers = (macs, ms_text(times.median_us), spread, f"{result.aa_ratio:.3f}")
    return (name, result.config.name, result.device, *numbers, beside, trust(result).level)


def _device_change(name: str, result: BenchResult, reference: BenchResult) -> str:
    """How much faster or slower the profile's base itself became; "" where it did not run in both."""
    if not same_device(reference, result) or len(result.today_us) != 2 or len(reference.today_us) != 2:
        return ""
    pairs = zip(result.units, result.today_us, reference.today_us, strict=True)
    changes = " and ".join(f"{unit} {change_text(now / then)}" for unit, now, then in pairs)
    return f"{name}: of this the device itself: the same base network took {changes}"


def _segments(named: Sequence[tuple[str, BenchResult]]) -> Sheet:
    """The medians of segments, where all networks have the same ones; of crossings else."""
    (_, reference), *_ = named
    names = [segment.name for segment in reference.segments]
    head = ("segment", *(f"{name} (us)" for name, _ in named))
    if any([segment.name for segment in result.segments] != names for _, result in named):
        sums = (f"{sum(sync.median_us for sync in result.syncs):.1f}" for _, result in named)
        return Sheet("crossings", head, (("all crossings", *sums),), ("the networks have other segments",))
    rows = [
        (name, *(f"{result.segments[i].concurrent.median_us:,.1f}" for _, result in named))
        for i, name in enumerate(names)
    ]
    rows.append(("all crossings", *(f"{sum(s.median_us for s in result.syncs):,.1f}" for _, result in named)))
    return Sheet("segments, both units at work", head, tuple(rows))
