"""The learning curve as a picture."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from syncnas_deploy.cli import cli
from syncnas_deploy.errors import ProfileMismatch
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.prediction.profile import LearningRow
from syncnas_deploy.prediction.profile_files import write_profile
from syncnas_deploy.report.drawing.plots import learning_plot
from tests.support.latency_cases import law_profile


def test_every_point_and_both_units_are_on_it(mobilenet: ModelConfig) -> None:
    rows = tuple(LearningRow(u, n, e, e / 2) for n, e in ((120, 0.09), (154, 0.03), (188, 0.01)) for u in (0, 1))
    svg = learning_plot(msgspec.structs.replace(law_profile(mobilenet), learning=rows))
    texts = ["".join(node.itertext()) for node in ET.fromstring(svg).iter() if node.tag.endswith("text")]
    assert {"120", "154", "188", "10 %"} <= set(texts)
    assert "sim:left: 1.0%" in texts and "sim:right: 1.0%" in texts
    assert any("SIMULATED" in text for text in texts)
    assert svg.count("<circle") == 6


def test_without_one_it_is_said(mobilenet: ModelConfig) -> None:
    with pytest.raises(ProfileMismatch, match="no learning curve"):
        learning_plot(msgspec.structs.replace(law_profile(mobilenet), learning=()))


def test_the_command_draws_one_profile(mobilenet: ModelConfig, tmp_path: Path) -> None:
    write_profile(tmp_path / "p.json", law_profile(mobilenet))
    command = ["report", str(tmp_path / "p.json"), "--learning", str(tmp_path / "l.svg")]
    assert CliRunner().invoke(cli, command).exit_code == 0
    ET.parse(tmp_path / "l.svg")
    twice = CliRunner().invoke(cli, [*command[:2], *command[1:]])
    assert twice.exit_code == 2 and "draws one profile" in twice.output
