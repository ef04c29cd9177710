"""A width probe: what a person with a phone sends us to settle by which rule its GPU selects work groups."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from syncnas_bench import SimDevice, UnitError
from syncnas_bench.work_groups import WorkGroupRule
from syncnas_deploy import pipeline
from syncnas_deploy.cli import cli
from syncnas_deploy.errors import DocumentError, OutputExists, ProfileMismatch
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.prediction.profile_files import write_profile
from syncnas_deploy.prediction.width_probe import WidthProbe, explained, read_probe
from syncnas_deploy.report.comparison import read_all
from tests.support.latency_cases import law_profile


def probed(name: str, out: Path, place: str = "7.1@704", **more: object) -> WidthProbe:
    return pipeline.probe_widths("mobilenet_v2", SimDevice(name), place, out=out, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def midrange(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("probe") / "probe.json"
    probed("midrange", path)
    return path


def test_every_width_is_there_and_the_rule_is_told(midrange: Path) -> None:
    probe = read_probe(midrange)
    assert [row.width for row in probe.rows] == list(range(664, 745, 4))
    assert (probe.unit, probe.kind, str(probe.key)) == ("sim:gpu", "simulated", "stage 7 block 1")
    rules = explained(probe)
    # One block of 7 x 7 pixels hardly tells one compute unit from two.
    assert rules[0][0] is not None and (rules[0][0].family, rules[0][0].wave) == ("adreno", 64)
    left = dict(rules)
    assert left[WorkGroupRule("adreno", 64, 2)] < 0.01 and left[None] > 0.2
    assert len(explained(msgspec.structs.replace(probe, rows=probe.rows[:5]))) == 0


def test_a_cpu_has_no_work_groups(tmp_path: Path) -> None:
    probe = probed("midrange", tmp_path / "p.json", "6.2@576", units=("sim:cpu",))
    best = dict(explained(probe))
    assert probe.unit == "sim:cpu" and best[None] < 0.02


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ("7.1", "no place to probe"),
        ("7.1@", "no place to probe"),
        ("9.1@704", "has no stage 9 block 1"),
        ("0.1@704", "has no stage 0 block 1"),
        ("7.1@0", "no widths around 0"),
    ],
)
def test_what_is_no_place_is_refused(tmp_path: Path, place: str, says: str) -> None:
    with pytest.raises(ProfileMismatch, match=says):
        probed("midrange", tmp_path / "p.json", place)
    assert list(tmp_path.iterdir()) == []


def test_one_unit_is_probed_and_nothing_is_replaced(tmp_path: Path) -> None:
    with pytest.raises(UnitError, match="give --unit once"):
        probed("midrange", tmp_path / "p.json", units=("sim:cpu", "sim:gpu"))
    (tmp_path / "p.json").write_text("mine")
    with pytest.raises(OutputExists):
        probed("midrange", tmp_path / "p.json")


def test_the_report_draws_it_over_the_curve_of_its_profile(
    midrange: Path, mobilenet: ModelConfig, tmp_path: Path
) -> None:
    profile = msgspec.structs.replace(
        law_profile(mobilenet), units=("sim:cpu", "sim:gpu"), device=read_probe(midrange).device
    )
    write_profile(tmp_path / "profile.json", profile)
    command = ["report", str(midrange), str(tmp_path / "profile.json"), "--probe", str(tmp_path / "probe.svg")]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    assert "adreno, waves of 64, 2 compute units: all but" in done.output
    said = read_all([midrange, tmp_path / "profile.json"])
    assert said.curve_us(read_probe(midrange))[704] == pytest.approx(
        profile.table.block_us(1, read_probe(midrange).key, 704)
    )
    svg = (tmp_path / "probe.svg").read_text()
    ET.fromstring(svg)
    assert svg.count("<circle") == 21 and "SIMULATED" in svg
    alone = CliRunner().invoke(cli, ["report", str(tmp_path / "profile.json"), "--probe", str(tmp_path / "q.svg")])
    assert alone.exit_code == 2 and "draws one width probe" in alone.output


def row(**changed: object) -> Callable[[Any], object]:
    """Change the second row, or its sample."""
    return lambda p: (p["rows"][1] if "width" in changed else p["rows"][1]["sample"]).update(changed)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda p: p.update(rows=[]), "'rows' must be a list of 1 to 1000 items"),
        (lambda p: p.update(stage=-7), "'stage' must be"),
        (lambda p: p.update(base_width=0), "'base_width' must be"),
        (lambda p: p.update(expansion=2.0), "'expansion' must be"),
        (lambda p: p.update(expansion=0.9, depthwise=0.2), "the block's sizes or shares are those of no block"),
        (lambda p: p.update(output_size=112), "the block's sizes or shares are those of no block; measure it again"),
        (lambda p: p.update(schema="syncnas-deploy/width-probe/9"), "upgrade syncnas-deploy"),
        (lambda p: p.update(kind="measured"), "said to be measured, and the device is a simulated one; measure it"),
        (lambda p: p.update(kind="measured", device={}), "the device is a simulated one"),
        (lambda p: p.update(unit="sim"), "units: unit 'sim' is not valid"),
        (lambda p: p.update(unit="cpu:0"), "units: a unit has 1 to 64 threads, not 0"),
        (lambda p: p["rows"].append(p["rows"][-1]), "rows: the widths do not rise from row to row"),
        (lambda p: p["rows"].reverse(), "rows: the widths do not rise"),
        (row(width=664), "rows: the widths do not rise"),
        (row(p10_us=1e6), r"'rows\[1\].sample' has a p10, medians and a p90 that do not rise in this order"),
        (row(p90_us=1e-3), r"'rows\[1\].sample' has a p10, medians"),
        (row(launches_us=[7.0, 7.0]), r"'rows\[1\].sample' has a p10, medians"),
        (row(launches_us=[1.0, 300.0], p10_us=200.0, p90_us=310.0), "the median at width 668 is not between p10"),
        (row(launches_us=[0.0, 0.0], p10_us=0.0), "has a latency that is not above"),
        (row(count=1), r"'rows\[1\].sample' has fewer samples than launches"),
    ],
)
def test_a_probe_that_cannot_be_is_refused(
    midrange: Path, tmp_path: Path, spoil: Callable[[Any], object], says: str
) -> None:
    probe = json.loads(midrange.read_text())
    spoil(probe)
    (tmp_path / "p.json").write_text(json.dumps(probe))
    with pytest.raises(DocumentError, match=says) as caught:
        read_probe(tmp_path / "p.json")
    assert str(caught.value).startswith(f"{tmp_path / 'p.json'}: ")


def test_a_block_that_the_profile_does_not_have_gets_no_curve(
    midrange: Path, mobilenet: ModelConfig, tmp_path: Path
) -> None:
    profile = msgspec.structs.replace(
        law_profile(mobilenet), units=("sim:cpu", "sim:gpu"), device=read_probe(midrange).device
    )
    write_profile(tmp_path / "profile.json", profile)
    for place in ({"block": 3}, {"stage": -1}, {"stage": 12, "block": -1}):
        (tmp_path / "p.json").write_text(json.dumps(json.loads(midrange.read_text()) | place))
        said = read_all([tmp_path / "p.json", tmp_path / "profile.json"])
        assert said.curve_us(said.probes[0]) == {} and said.probed(said.probes[0]) is None
