"""DeviceProfile as a file: one row a line, whole or not at all, and checked field by field when read."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

from syncnas_deploy.errors import ProfileError
from syncnas_deploy.files.documents import Fields, read_json, write_text
from syncnas_deploy.networks.config import MAX_BLOCKS, MAX_CHANNELS, MAX_SIZE, MAX_STAGES, SyncOp
from syncnas_deploy.prediction.curves import ALIGNMENT_PERIODS, STEP_PERIODS, Curve, CurveShape
from syncnas_deploy.prediction.energy import PowerRow, PowerState
from syncnas_deploy.prediction.profile import (
    ContentionRow,
    DeviceProfile,
    HeldOutRow,
    Kind,
    LearningRow,
    NetworkRow,
    Part,
    Point,
    PointRow,
    Sample,
    SyncPlace,
    SyncRow,
)
from syncnas_deploy.resources import shipped

R = TypeVar("R")
SCHEMA = "syncnas-deploy/device-profile"
VERSION = 2
MAX_US = 1e9
MAX_ROWS = 100_000


def profile_to_json(profile: DeviceProfile) -> dict[str, Any]:
    """The profile as a JSON value."""
    value: dict[str, Any] = {"schema": f"{SCHEMA}/{VERSION}"}
    for field in dataclasses.fields(profile):
        item = getattr(profile, field.name)
        if field.name in _ROWS:
            value[field.name] = [_row_json(row) for row in item]
        elif isinstance(item, tuple):
            value[field.name] = list(item)
        else:
            value[field.name] = dict(item) if isinstance(item, Mapping) else item
    return value


_ROWS = ("curves", "shapes", "points", "networks", "contention", "syncs", "learning", "held_out", "power")


def _row_json(row: Any) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for field in dataclasses.fields(row):
        item = getattr(row, field.name)
        if isinstance(item, Point):
            value |= {f.name: getattr(item, f.name) for f in dataclasses.fields(item)}
            value["op"] = item.op.value
        elif isinstance(item, Sample):
            value["median_us"] = round(item.us, 3)
            value |= {"launches_us": list(item.launches_us), "p10_us": item.p10_us, "p90_us": item.p90_us}
            value["count"] = item.count
        else:
            value[field.name] = item.value if isinstance(item, SyncOp) else item
    return value


def write_profile(path: Path, profile: DeviceProfile, *, force: bool = True) -> None:
    """Write a profile, one row a line, whole or not at all.

    Raises:
        OutputError: it cannot be written, or exists and `force` is false.
    """
    lines = []
    for key, item in profile_to_json(profile).items():
        text = json.dumps(item, ensure_ascii=False, allow_nan=False)
        if key in _ROWS:
            rows = ",\n".join("  " + json.dumps(row, allow_nan=False) for row in item)
            text = f"[\n{rows}\n ]" if rows else "[]"
        lines.append(f" {json.dumps(key)}: {text}")
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n", force=force)


def load_profile(source: str | Path) -> DeviceProfile:
    """A profile from a file or by the name of a shipped one.

    Raises:
        ProfileError: neither, or not a valid profile.
    """
    names = shipped("device_profiles")
    path = names.get(str(source), Path(source))
    if not path.is_file():
        raise ProfileError(f"{source}: no such profile; measure one with `profile`, or use {' or '.join(names)}.")
    return read_profile(path)


def read_profile(path: Path) -> DeviceProfile:
    """Read a profile, checked field by field.

    Raises:
        ProfileError: naming file, field and remedy.
    """
    top = Fields(read_json(path, ProfileError), str(path), ProfileError)
    if top.schema(SCHEMA, VERSION) < VERSION:
        top.fail(
            "schema", "is of an earlier version, which has too few widths; measure the device again with `profile`"
        )
    units = top.items("units", 2, 2)
    if not all(isinstance(unit, str) for unit in units):
        top.fail("units", 'must be two strings, such as "cpu:1@0"')
    kind: Kind = "measured" if top.choice("kind", get_args(Kind)) == "measured" else "simulated"
    profile = DeviceProfile(
        kind=kind,
        base=top.text("base", max_length=128),
        base_sha256=top.text("base_sha256", max_length=64),
        stages=top.integer("stages", 1, MAX_STAGES),
        units=(units[0], units[1]),
        device=top.mapping("device"),
        versions=top.mapping("versions"),
        condition=top.mapping("condition"),
        created=top.text("created", max_length=64),
        settings=top.mapping("settings"),
        warnings=tuple(str(text) for text in top.items("warnings", 0, 1000)),
        curves=tuple(_read(top, "curves", _curve)),
        shapes=tuple(_read(top, "shapes", _shape)),
        points=tuple(_read(top, "points", _point_row)),
        networks=tuple(_read(top, "networks", lambda f: NetworkRow(_unit(f), _chain(f), _sample(f)))),
        contention=tuple(_read(top, "contention", _contention_row)),
        syncs=tuple(_read(top, "syncs", _sync_row)),
        jitter=_jitter(top),
        learning=tuple(_read(top, "learning", _learning_row)),
        held_out=tuple(_read(top, "held_out", _held_out_row)),
        power=tuple(_read(top, "power", _power_row)) if top.has("power") else (),
    )
    top.done()
    return profile


def _read(top: Fields, key: str, row: Callable[[Fields], R]) -> Iterator[R]:
    for fields in top.each(key, 0, MAX_ROWS):
        yield row(fields)
        fields.done()


def _unit(fields: Fields) -> int:
    return fields.integer("unit", 0, 1)


def _chain(fields: Fields) -> int:
    return fields.integer("chain", 0, MAX_ROWS)


def _curve(fields: Fields) -> Curve:
    return Curve(
        stage=fields.integer("stage", 0, MAX_STAGES),
        block=fields.integer("block", 0, MAX_BLOCKS),
        halved=fields.flag("halved"),
        base_width=fields.integer("base_width", 1, MAX_CHANNELS),
        output_size=fields.integer("output_size", 1, MAX_SIZE),
    )


def _shape(fields: Fields) -> CurveShape:
    def amplitudes(key: str, count: int) -> tuple[float, ...]:
        return fields.numbers(key, (count, count), 0.0, 100.0)

    return CurveShape(
        smooth=fields.number("smooth", 0.0, 100.0),
        length=fields.number("length", 1e-3, 100.0),
        steps=amplitudes("steps", len(STEP_PERIODS)),
        alignment=amplitudes("alignment", len(ALIGNMENT_PERIODS)),
        kinship=fields.number("kinship", 1e-3, 1000.0),
        noise=fields.number("noise", 1e-6, 1.0),
    )


def _jitter(fields: Fields) -> tuple[float, float]:
    first, second = fields.numbers("jitter", (2, 2), 0.0, 100.0)
    return first, second


def _learning_row(fields: Fields) -> LearningRow:
    return LearningRow(
        unit=_unit(fields),
        points=fields.integer("points", 0, MAX_ROWS),
        network_error=fields.number("network_error", 0.0, MAX_US),
        point_error=fields.number("point_error", 0.0, MAX_US),
    )


def _held_out_row(fields: Fields) -> HeldOutRow:
    return HeldOutRow(
        strategy=fields.text("strategy", max_length=MAX_STAGES),
        trunk=fields.integer("trunk", 0, 1),
        twin_stem=fields.flag("twin_stem"),
        first_widths=fields.integers("first_widths", (1, MAX_STAGES * MAX_BLOCKS), 1, MAX_CHANNELS),
        second_widths=fields.integers("second_widths", (1, MAX_STAGES * MAX_BLOCKS), 1, MAX_CHANNELS),
        predicted_us=fields.number("predicted_us", 0.0, MAX_US),
        sample=_sample(fields),
    )


def _power_row(fields: Fields) -> PowerRow:
    state: PowerState = fields.choice("state", get_args(PowerState))  # type: ignore[assignment]
    first, second = fields.numbers("busy", (2, 2), 0.0, 1.0)
    return PowerRow(state, fields.number("watts", 0.0, 1e6), (first, second))


def _sample(fields: Fields) -> Sample:
    fields.number("median_us", -MAX_US, MAX_US)
    return Sample(
        launches_us=fields.numbers("launches_us", (1, 1000), -MAX_US, MAX_US),
        p10_us=fields.number("p10_us", -MAX_US, MAX_US),
        p90_us=fields.number("p90_us", -MAX_US, MAX_US),
        count=fields.integer("count", 1, 10**9),
    )


def _point_row(fields: Fields) -> PointRow:
    part: Part = fields.choice("part", get_args(Part))  # type: ignore[assignment]
    point = Point(
        part,
        stage=fields.integer("stage", -1, MAX_STAGES),
        block=fields.integer("block", -1, MAX_BLOCKS),
        op=SyncOp(fields.choice("op", [op.value for op in SyncOp])),
        halved=fields.flag("halved"),
        width=fields.integer("width", 0, MAX_CHANNELS),
        expands=fields.flag("expands"),
    )
    sample = _sample(fields)
    if sample.us <= 0:
        fields.fail("launches_us", "must be latencies above 0")
    return PointRow(_unit(fields), point, sample)


def _contention_row(fields: Fields) -> ContentionRow:
    return ContentionRow(_unit(fields), fields.integer("stage", 0, MAX_STAGES), fields.number("factor", 0.1, 1000.0))


def _pair(fields: Fields, key: str) -> tuple[float, float]:
    first, second = fields.numbers(key, (2, 2), 0.0, MAX_US)
    return first, second


def _sync_row(fields: Fields) -> SyncRow:
    place: SyncPlace = fields.choice("place", get_args(SyncPlace))  # type: ignore[assignment]
    return SyncRow(
        trunk=fields.integer("trunk", 0, 1),
        place=place,
        stage=fields.integer("stage", -1, MAX_STAGES),
        op=SyncOp(fields.choice("op", [op.value for op in SyncOp])),
        bytes=fields.integer("bytes", 0, 2**40),
        downloads_us=_pair(fields, "downloads_us"),
        barrier_us=fields.number("barrier_us", 0.0, MAX_US),
        uploads_us=_pair(fields, "uploads_us"),
        sample=_sample(fields),
    )
