"""DeviceProfile as a file: written whole or not at all, one row per line, and checked field by field when read."""

from __future__ import annotations

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import msgspec

from syncnas_bench import Unit
from syncnas_bench.errors import nearest
from syncnas_deploy.errors import ABSENT, MeasurementError, ProfileError, SyncNasError
from syncnas_deploy.files.documents import Fields, decode_document, read_json
from syncnas_deploy.files.output import write_text
from syncnas_deploy.files.places import is_document, neighbours
from syncnas_deploy.networks.formats import config_from_fields, config_to_json
from syncnas_deploy.prediction.curves import curves_of
from syncnas_deploy.prediction.identity import false_claim
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.rows import LEAST_US
from syncnas_deploy.resources import shipped

SCHEMA = "syncnas-deploy/device-profile"
VERSION = 3
ROWS = ("curves", "shapes", "points", "networks", "contention", "syncs", "learning", "held_out", "power")
"""Fields that are written one row per line."""


def profile_to_json(profile: DeviceProfile) -> dict[str, Any]:
    """The profile as a JSON value; its base is written as a config file is."""
    value = msgspec.json.decode(msgspec.json.encode(profile))
    value["base"] = config_to_json(profile.base)
    facts_first = sorted(value, key=lambda name: (name in ROWS, name == "jitter"))
    return {"schema": f"{SCHEMA}/{VERSION}", **{name: value[name] for name in facts_first}}


def write_profile(path: Path, profile: DeviceProfile, *, force: bool = True) -> None:
    """Write a profile, one row per line, whole or not at all.

    Raises:
        OutputError: it cannot be written, or exists and `force` is false.
    """
    write_text(path, profile_text(profile), force=force)


def profile_text(profile: DeviceProfile) -> str:
    """What a profile's file holds."""
    lines = []
    for key, item in profile_to_json(profile).items():
        text = json.dumps(item, ensure_ascii=False, allow_nan=False)
        if key in ROWS:
            rows = ",\n".join("  " + json.dumps(row, allow_nan=False) for row in item)
            text = f"[\n{rows}\n ]" if rows else "[]"
        lines.append(f" {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def load_profile(source: str | Path) -> DeviceProfile:
    """A profile from a file or by the name of a shipped one.

    Raises:
        ProfileError: neither, or not a valid profile.
    """
    names = shipped("device_profiles")
    path = names.get(str(source), Path(source))
    if not is_document(path):
        raise ProfileError(
            f"{source}: no such profile; measure one with `profile`, or use {' or '.join(names)}."
            + nearest(source, [*names, *neighbours(path)]),
            code=ABSENT,
        )
    return read_profile(path)


def read_profile(path: Path) -> DeviceProfile:
    """Read a profile, checked field by field.

    Raises:
        ProfileError: naming file, field and remedy.
        ConfigError: its base is no valid config.
    """
    value = read_json(path, ProfileError)
    top = Fields(value, str(path), ProfileError)
    if top.schema(SCHEMA, VERSION) < VERSION:
        top.fail("schema", "is of an earlier version; measure the device again with `profile`")
    base = config_from_fields(top.fields("base"), f"{path}: base")
    profile = decode_document(DeviceProfile, {**top.rest("schema"), "base": base}, str(path), ProfileError)
    flaw = _flaw(profile)
    if flaw:
        raise ProfileError(f"{path}: {flaw}; measure the device again.")
    try:
        for row in profile.held_out:
            row.config(base, "held_out")
        for network in profile.networks:
            network.full_widths(base)
    except (SyncNasError, ValueError) as error:
        raise ProfileError(f"{path}: a network: {str(error).rstrip('.')}; measure the device again.") from error
    try:
        profile.power_model  # noqa: B018 - made when it is first asked for
    except MeasurementError as error:
        raise ProfileError(f"{path}: power: {error}") from error
    return profile


def _flaw(profile: DeviceProfile) -> str:
    """What no measurement of a base can hold; "" where there is nothing of the kind."""
    if profile.base.branch_count != 1:
        return "base: has two branches, and a base model has one"
    if claim := false_claim(profile.device, profile.whole_units, measured=profile.kind == "measured"):
        return claim
    units = [Unit.parse(text) for text in profile.units]
    if units[0] == units[1]:
        return f"units: are {units[0]} twice, and two branches need two units"
    if profile.curves != curves_of(profile.base):
        return "curves: are not those of the base"
    blocks = {curve.key for curve in profile.curves}
    for row in profile.points:
        point = row.point
        if point.part == "block" and (point.key not in blocks or (point.expands and point.width < 1)):
            return f"points: {point.key} of width {point.width} is no block of the base"
    if any(row.unit >= len(profile.whole_units) for row in profile.networks):
        return "networks: has a row of a unit that is not there"
    if len({row.unit for row in profile.contention}) < len(profile.units):
        return "contention: has no row of one of the units"
    keys: dict[str, list[Hashable]] = {
        "points": [(row.unit, row.point) for row in profile.points],
        "networks": [(row.unit, row.pair) for row in profile.networks],
        "contention": [(row.unit, row.part, row.stage) for row in profile.contention],
        "syncs": [(row.trunk, row.place, row.stage, row.op) for row in profile.syncs],
        "power": [row.state for row in profile.power],
    }
    for name, found in keys.items():
        if len(set(found)) < len(found):
            return f"{name}: has the same row twice"
    for name, rows in (("points", profile.points), ("networks", profile.networks), ("held_out", profile.held_out)):
        if any(row.sample.median_us < LEAST_US for row in rows):
            return f"{name}: has a latency that is not above {LEAST_US} us"
    return ""
