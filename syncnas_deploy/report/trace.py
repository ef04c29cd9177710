"""A trace for viewers of timelines, such as Perfetto's: a process for each inference, a track for each unit.

It is JSON in the format of Chrome's tracing: times are microseconds and have fractions, since crossings may take less.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.files.output import write_json
from syncnas_deploy.prediction.predict import Prediction
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.report.timeline import Slice, Timeline, median_timeline, timeline_of_prediction

Event = dict[str, Any]

COUNTERS = {"cpu_mhz": "MHz", "temperature_c": "degrees C"}
"""Conditions that are shown beside the tracks, and their units: the beginning of their names in a result."""
WITHIN_NS = 1
"""A flow leaves a slice so long before its end; at the end itself it would belong to no slice."""


def trace_of(
    units: Sequence[str], prediction: Prediction | None, result: BenchResult | None, profile: DeviceProfile | None
) -> dict[str, Any]:
    """Predicted and measured inference as one trace, both from 0 on.

    Args:
        units: of branch 0 and of branch 1.
        prediction, result: at least one of them.
        profile: what the prediction was made from.
    """
    shown: list[tuple[str, Timeline, BenchResult | None]] = []
    if prediction is not None:
        shown.append(("predicted", timeline_of_prediction(prediction), None))
    if result is not None:
        median = median_timeline(result)
        which = "the median run" if median.run is None else f"run {median.run + 1}, the median one"
        shown.append((f"measured, {which}", median, result))
    flows = count(1)
    events: list[Event] = []
    for process, (name, timeline, measured) in enumerate(shown, start=1):
        events += _named(process, name, units)
        events += [_slice(process, piece) for piece in timeline.slices if _ns(piece.end_us) > _ns(piece.begin_us)]
        events += _flows(process, timeline, flows)
        events += _busy(process, timeline)
        events += _conditions(process, timeline, measured)
    facts: dict[str, Any] = {"units": list(units)}
    if result is not None:
        facts |= {"network": result.config.name, "device": result.device, "simulated": result.simulated}
        facts |= {"software_gpu": result.software_gpu}
    if prediction is not None and profile is not None:
        facts |= {"profile": f"{profile.kind}, of {profile.base.name}, {profile.created}"}
    return {"traceEvents": events, "displayTimeUnit": "ns", "otherData": facts}


def write_trace(path: Path, trace: Mapping[str, Any], *, force: bool = False) -> None:
    """Write a trace. Raises OutputExists and OutputError."""
    write_json(path, trace, force=force)


def _ns(us: float) -> int:
    """Whole nanoseconds: what ends when something else begins ends there exactly."""
    return round(us * 1e3)


def _at(process: int, unit: int, us: float) -> Event:
    return {"pid": process, "tid": unit + 1, "ts": _ns(us) / 1e3}


def _named(process: int, name: str, units: Sequence[str]) -> Iterator[Event]:
    yield {"ph": "M", "pid": process, "name": "process_name", "args": {"name": name}}
    yield {"ph": "M", "pid": process, "name": "process_sort_index", "args": {"sort_index": process}}
    for unit, text in enumerate(units):
        yield {"ph": "M", "pid": process, "tid": unit + 1, "name": "thread_name", "args": {"name": text}}


def _slice(process: int, piece: Slice) -> Event:
    length_ns = _ns(piece.end_us) - _ns(piece.begin_us)
    told = {"phase": piece.phase, "kind": piece.kind}
    return {
        "ph": "X",
        **_at(process, piece.unit, piece.begin_us),
        "dur": length_ns / 1e3,
        "name": piece.name,
        "cat": piece.kind,
        "args": told,
    }


def _flows(process: int, timeline: Timeline, numbers: Iterator[int]) -> Iterator[Event]:
    """An arrow for what crosses: from the end of a segment to the other unit's next one."""
    work = {(piece.unit, piece.phase): piece for piece in timeline.slices if piece.kind == "work"}
    for (unit, phase), sender in work.items():
        receiver = work.get((1 - unit, phase + 1))
        if receiver is None:
            continue
        shared = {"cat": "crossing", "name": "crossing", "id": next(numbers)}
        yield {"ph": "s", **_at(process, unit, sender.end_us - WITHIN_NS / 1e3), **shared}
        yield {"ph": "f", "bp": "e", **_at(process, 1 - unit, receiver.begin_us), **shared}


def _busy(process: int, timeline: Timeline) -> Iterator[Event]:
    """How many units work, whenever that changes."""
    work = [piece for piece in timeline.slices if piece.kind == "work"]
    changes = sorted({_ns(us) for piece in work for us in (piece.begin_us, piece.end_us)} | {0})
    for ns in changes:
        busy = sum(_ns(piece.begin_us) <= ns < _ns(piece.end_us) for piece in work)
        yield {"ph": "C", "pid": process, "ts": ns / 1e3, "name": "units at work", "args": {"units": busy}}


def _conditions(process: int, timeline: Timeline, result: BenchResult | None) -> Iterator[Event]:
    """Clocks and temperatures before the first launch and at the end, where they are known."""
    if result is None:
        return
    for at_us, condition in ((0.0, result.before), (timeline.makespan_us, result.condition)):
        for name, text in condition.items():
            kind = name.partition(".")[0]
            value = _number(text)
            if kind in COUNTERS and value is not None:
                label = f"{name.partition('.')[2]} ({COUNTERS[kind]})"
                yield {
                    "ph": "C",
                    "pid": process,
                    "ts": _ns(at_us) / 1e3,
                    "name": label,
                    "args": {COUNTERS[kind]: value},
                }


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if abs(value) < 1e9 else None
