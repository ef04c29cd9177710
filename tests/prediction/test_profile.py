"""Profiles: the table, reading back, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from syncnas_deploy.errors import ConfigError, ProfileError, ProfileMismatch
from syncnas_deploy.networks.config import ModelConfig, SyncOp
from syncnas_deploy.networks.formats import load_config
from syncnas_deploy.networks.widths import BlockKey
from syncnas_deploy.prediction.profile_files import profile_to_json, read_profile, write_profile
from syncnas_deploy.prediction.rows import LaunchSample, Point, PointRow
from tests.support.latency_cases import INVOCATION_US, exactly, law_profile, law_us


def test_a_written_profile_reads_back_equal(mobilenet: ModelConfig, tmp_path: Path) -> None:
    profile = law_profile(mobilenet)
    write_profile(tmp_path / "p.json", profile)
    assert read_profile(tmp_path / "p.json") == profile


def apart(row: PointRow) -> PointRow:
    """The row with launches that differ by half."""
    us = row.sample.median_us
    return msgspec.structs.replace(row, sample=LaunchSample((0.8 * us, us, 1.3 * us), 0.8 * us, 1.3 * us, 30))


DIFFERED = "3 of 444 points differed by more than 25% between launches"


@pytest.mark.parametrize(
    ("share", "warnings", "level"),
    [
        (0.0, (), "trustworthy"),
        (0.01, (DIFFERED,), "trustworthy"),
        (0.05, (DIFFERED,), "trustworthy"),
        (0.06, (DIFFERED,), "doubtful"),
        (0.1, (DIFFERED,), "doubtful"),
        (0.01, (DIFFERED, "the load was 14.0 on 2 cores while it was measured"), "doubtful"),
        (0.0, ("no energy: the runner missed its deadline",), "trustworthy"),
        (0.0, ("cpu:1: the base as a whole network differed by 40% between launches",), "doubtful"),
        (0.0, ("1 of 3 launches were left out",), "doubtful"),
        (1.0, (), "doubtful"),
        (0.06, ("1 of 444 points differed by more than 25% between launches",), "doubtful"),
        (0.0, ("the CPU melted and 3 points differed from reality",), "doubtful"),
    ],
)
def test_a_few_points_that_differed_are_no_doubt(
    share: float, warnings: tuple[str, ...], level: str, mobilenet: ModelConfig
) -> None:
    law = msgspec.structs.replace(law_profile(mobilenet), warnings=warnings)
    noisy = int(share * len(law.points))
    points = (*map(apart, law.points[:noisy]), *law.points[noisy:])
    assert msgspec.structs.replace(law, points=points).level == level


def test_shipped_profiles_are_trustworthy() -> None:
    house = Path(__file__).parents[2]
    shipped = [*house.glob("device_profiles/*.json"), house / "docs/demo/profile.json"]
    assert {path.stem: read_profile(path).level for path in shipped} == {p.stem: "trustworthy" for p in shipped}


def test_look_ups_follow_the_measurements(mobilenet: ModelConfig) -> None:
    table = law_profile(mobilenet).table
    for unit in (0, 1):
        assert table.invocation_us(unit) == pytest.approx(INVOCATION_US[unit])
        for halved in (False, True):
            point = Point("block", 3, 1, halved=halved, width=300, expands=True)
            # A straight law is found to a fraction of a percent by curves that could also have steps.
            assert table.block_us(unit, BlockKey(3, 1, halved), 300) == pytest.approx(law_us(unit, point), rel=3e-3)
    # A block whose width equals its input has no expansion; only the base's own is measured so.
    assert table.block_us(0, BlockKey(0, 0), 32, expands=False) == law_us(0, Point("block", 0, 0, width=32))
    assert table.fixed_us(1, "sync", 6, SyncOp.CONCAT) == 18.0
    assert table.fixed_us(0, "sync", 6, SyncOp.ADD) == 13.0


@pytest.mark.parametrize(
    "look",
    [
        lambda t: t.block_us(0, BlockKey(3, 1), 4000),
        lambda t: t.block_us(0, BlockKey(3, 1), 8),
        lambda t: t.block_us(0, BlockKey(3, 1), 64, expands=False),
        lambda t: t.block_us(0, BlockKey(9, 0), 64),
        lambda t: t.fixed_us(0, "sync", 6, SyncOp.NONE),
        lambda t: t.contention(0, 7),
        lambda t: t.crossing(0, "sync", 6, SyncOp.ADD),
        lambda t: t.network_us(2),
        lambda t: t.invocation_us(2),
    ],
)
def test_a_missing_entry_raises(mobilenet: ModelConfig, look: Any) -> None:
    with pytest.raises(ProfileMismatch, match="no entry"):
        look(law_profile(mobilenet).table)


def test_one_launch_that_reads_wrong_does_not_move_the_median() -> None:
    launches = [np.full(20, us) for us in (100.0, 101.0, 170.0, 99.0, 100.5)]
    sample = LaunchSample.of(launches)
    assert sample.median_us == 100.5
    assert sample.count == 100
    assert sample.disagreement == pytest.approx(71 / 100.5)


def test_a_profile_of_another_base_is_refused(mobilenet: ModelConfig) -> None:
    with pytest.raises(ProfileMismatch, match="syncnas-deploy profile --base"):
        law_profile(mobilenet).check_base(load_config("syncnas_mobilenet_v2_100"))


def changed(base: ModelConfig, path: str, value: Any) -> str:
    """A profile's JSON with one place changed; `...` deletes it."""
    top = json.loads(json.dumps(profile_to_json(law_profile(base))))
    at: Any = top
    *folders, last = path.split("/")
    for key in folders:
        at = at[int(key) if key.isdecimal() else key]
    if callable(value):
        value = value(at[int(last) if last.isdecimal() else last])
    if value is ...:
        del at[last]
    else:
        at[int(last) if last.isdecimal() else last] = value
    return json.dumps(top)


def twice(rows: list[Any]) -> list[Any]:
    return [*rows, rows[-1]]


def without_width(rows: list[Any]) -> list[Any]:
    return [{**r, "point": {**r["point"], "width": 0}} if r["point"]["expands"] else r for r in rows]


def of_another_block(rows: list[Any]) -> list[Any]:
    return [{**r, "point": {**r["point"], "block": 11}} if r["point"]["part"] == "block" else r for r in rows]


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        ("schema", "syncnas-deploy/device-profile/9", "upgrade"),
        ("schema", "syncnas-deploy/device-profile/1", "measure the device again"),
        ("schema", "syncnas-deploy/device-profile/2", "earlier version; measure the device again"),
        ("shapes/0/noise", 0, r"'shapes\[0\].noise' must be a number from 1e-06 to 1"),
        ("shapes/0/steps", [0.1], "a list of 5 items"),
        ("curves/0/base_width", 0, r"'curves\[0\].base_width' must be an integer from 1"),
        ("held_out/0/placement/trunk", 2, "an integer from 0 to 1"),
        ("held_out/0/widths/0", [0], "an integer from 1"),
        ("held_out/0/widths/0", [16, 16], "expected 17 widths per branch"),
        ("held_out/0/strategy", "nnnnnnx", "contains 'x'"),
        ("learning/0/points", -1, "an integer from 0"),
        ("jitter", [0.1], "a list of 2 items"),
        ("schema", "syncnas-deploy/model-config/1", "'schema' must be"),
        ("kind", "guessed", "one of measured, simulated"),
        ("units", ["cpu:1"], "a list of 2 items"),
        ("units", [1, 2], "found 1"),
        ("units", ["banana", "cpu:1"], "units: unit 'banana' is not valid: a unit is written cpu:THREADS"),
        ("units", ["cpu:1", "cpu:99"], "units: a unit has 1 to 64 threads, not 99; measure the device again"),
        ("units", ["cpu:2@0-1", "cpu:2@0,1"], "units: are cpu:2@0,1 twice"),
        ("units", ["gpu", "gpu:fp32"], "units: are gpu twice, and two branches need two units; measure"),
        ("units", ["sim:a", "sim:a"], "units: are sim:a twice"),
        ("points", {}, "a list"),
        ("points/0/sample/launches_us", [], "a list of 1 to 1000 items"),
        ("points/0/sample/launches_us", [float("nan")], "NaN"),
        ("points/0/sample", msgspec.to_builtins(exactly(-5.0)), "not above 0"),
        ("points/0/sample/p10_us", 1e6, r"'points\[0\].sample' has a p10, medians and a p90 that do not rise"),
        ("points/0/sample/p90_us", 1e-3, r"'points\[0\].sample' has a p10, medians and a p90 that do not rise"),
        ("networks/1/sample/launches_us", [1.0, 2.0], r"'networks\[1\].sample' has a p10, medians and a p90"),
        ("held_out/0/sample/launches_us", [9e6], r"'held_out\[0\].sample' has a p10, medians and a p90"),
        ("syncs/0/sample/count", 2, r"'syncs\[0\].sample' has fewer samples than launches"),
        ("points/0/sample/launches_us", [1e300], r"'points\[0\].sample.launches_us\[0\]' must be a number from"),
        ("points/0/sample/launches_us", ["5"], "a number"),
        ("points/0/unit", 2, r"'points\[0\].unit' must be an integer from 0 to 1, found 2"),
        ("points/0/point/part", "tail", "one of block, head"),
        ("points/0/point/op", "x", "one of n, a, c"),
        ("points/0/point/halved", 1, "true or false"),
        ("points/0/sample", ..., "is missing"),
        ("points/0/extra", 1, "not a known field"),
        ("contention/0/factor", 0, "a number from 0.1"),
        ("contention/0/factor", 1e999, "Infinity"),
        ("syncs/0/place", "spoon", "one of"),
        ("syncs/0/uploads_us", [1.0, -1.0], "a number from 0"),
        ("syncs/0/barrier_us", -1.0, "a number from 0"),
        ("device", {"cores": 2}, r"'device\[...\]' must be a string"),
        ("base/stages", [], "stages"),
        ("extra", 1, "not a known field"),
        ("points", without_width, "points: .* of width 0 is no block of the base"),
        ("points", of_another_block, "points: .* is no block of the base"),
        ("points", twice, "points: has the same row twice"),
        ("syncs", twice, "syncs: has the same row twice"),
        ("networks", twice, "networks: has the same row twice"),
        ("contention", twice, "contention: has the same row twice"),
        ("contention", lambda rows: [row for row in rows if row["unit"] == 0], "contention: has no row of one of the"),
        ("curves", lambda rows: rows[:-1], "curves: are not those of the base"),
        ("curves/3/base_width", lambda width: 3 * width, "curves: are not those of the base"),
        ("base/input_size", 192, "curves: are not those of the base"),
        ("networks/0/sample", msgspec.to_builtins(exactly(0.0)), "networks: has a latency that is not above 0"),
        ("held_out/0/sample", msgspec.to_builtins(exactly(-9.0)), "held_out: has a latency that is not above 0"),
        ("learning/0/network_error", 1.7e308, "a number from 0 to 1000000"),
        ("units", ["cpu:1@0", ""], "printable text of 1 to 256 characters"),
        ("units", ["cpu:1@0", "\x1b[2J"], "printable text of 1 to 256 characters"),
        ("warnings", ["\ud800"], "half of a character"),
    ],
)
def test_bad_profiles_name_file_field_and_reason(
    mobilenet: ModelConfig, tmp_path: Path, path: str, value: Any, says: str
) -> None:
    file = tmp_path / "profile.json"
    file.write_text(changed(mobilenet, path, value))
    with pytest.raises((ProfileError, ConfigError), match=says) as caught:
        read_profile(file)
    assert "profile.json" in str(caught.value)


@pytest.mark.parametrize(
    ("device", "units"),
    [
        ({"simulated": "True"}, ("cpu:1", "gpu")),
        ({}, ("sim:left", "sim:right")),
        ({"name": "R58M"}, ("cpu:1", "sim:right")),
    ],
)
def test_a_simulated_device_is_never_said_to_be_measured(
    device: dict[str, str], units: tuple[str, str], mobilenet: ModelConfig, tmp_path: Path
) -> None:
    profile = msgspec.structs.replace(law_profile(mobilenet), kind="measured", device=device, units=units)
    write_profile(tmp_path / "p.json", profile)
    with pytest.raises(ProfileError, match=r"it is said to be measured, and the device is a simulated one; measure"):
        read_profile(tmp_path / "p.json")
