"""What is called predicted is one number, in every command, file and table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import msgspec
import pytest

from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.profile_files import write_profile
from syncnas_deploy.shown import ms_text
from tests.support.latency_cases import law_profile
from tests.support.program import Program


def biased(profile: DeviceProfile) -> DeviceProfile:
    """Predictions of its held-out networks are far too short."""
    rows = (msgspec.structs.replace(row, predicted_us=0.4 * row.sample.median_us) for row in profile.held_out)
    return msgspec.structs.replace(profile, held_out=tuple(rows))


PROFILES = {
    "steady": lambda law: msgspec.structs.replace(law, jitter=(0.0, 0.0)),
    "jittery": lambda law: msgspec.structs.replace(law, jitter=(0.2, 0.3)),
    "jittery on one unit": lambda law: msgspec.structs.replace(law, jitter=(0.0, 0.5)),
    "biased": biased,
}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["reward"]]


@pytest.mark.parametrize("name", list(PROFILES))
def test_predicted_is_one_number(name: str, mobilenet: ModelConfig, program: Program, tmp_path: Path) -> None:
    write_profile(tmp_path / "p.json", PROFILES[name](law_profile(mobilenet)))
    by = ("--profile", tmp_path / "p.json")
    out = tmp_path / "found"
    done = program("search", *by, "--evaluator", "capacity", "--trials", 4, "--budget", "2.0x", "--out", out)
    told = json.loads(program("predict", out / "best.json", *by, "--json").out)["makespan_us"]
    (leader,), history = rows(out / "front.csv"), rows(out / "history.csv")
    strategy = leader["strategy"]
    again = next(row for row in history if row["strategy"] == strategy)
    assert float(leader["predicted_us"]) == float(again["predicted_us"]) == pytest.approx(told, abs=0.06)
    for shown in (done.out, program("report", out).out):
        lines = [line.split() for line in shown.splitlines() if strategy in line.split()]
        assert len(lines) >= 2 and all(ms_text(told, 1) in line for line in lines), lines
    assert ms_text(told) in program("compare", out, out).out
    worthless = name == "biased"
    assert ("Cannot tell whether it pays: the profile is worthless (its predictions are " in done.out) == worthless
    assert ("next, since the profile is worthless, profile again" in done.err) == worthless
    assert ("next, write its files" in done.err) == (not worthless) == ("but: the profile is doubtful" in done.out)
