"""A stem on both branches: the same network, computed so that the stem's output need not cross."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from unittest import mock

import msgspec
import numpy as np
import pytest
import torch

from syncnas_bench import HostDevice
from syncnas_deploy import pipeline
from syncnas_deploy.bundle import read_bundle
from syncnas_deploy.errors import ConfigError
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.formats import config_text
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.segments import Feed, cut, run_chain
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.prediction.breakdown import of_prediction
from syncnas_deploy.prediction.predict import ProfileCosts, fastest_placement, predict
from syncnas_deploy.report.drawing import architecture
from syncnas_deploy.report.timeline import timeline_of_prediction
from syncnas_deploy.search.widths.solver import WidthSolver
from syncnas_deploy.training.checkpoints import write_safetensors
from syncnas_deploy.training.module import build
from syncnas_exporters import TfliteRunner
from tests.support.configs import parse_config
from tests.support.latency_cases import STEM_US, law_profile

SMALL = 64


@pytest.fixture(scope="module")
def twin(mobilenet: ModelConfig) -> ModelConfig:
    return branched(mobilenet, "nnanncc", placement=Placement(twin_stem=True))


def test_each_branch_has_its_stem_and_nothing_crosses_to_the_first_stage(
    mobilenet: ModelConfig, twin: ModelConfig
) -> None:
    first, second, *rest = cut(twin)
    assert [first.branch, second.branch] == [0, 1] and first.stem and second.stem
    assert first.feeds == second.feeds == (Feed.IMAGE,)
    assert [segment.feeds for segment in rest[:2]] == [(Feed.OWN,), (Feed.OWN,)]
    plain = branched(mobilenet, "nnanncc")
    assert twin.macs() == plain.macs() + mobilenet.stem_macs()
    assert parameter_shapes(twin) == parameter_shapes(plain)


def test_it_is_kept_in_a_file_and_refused_in_a_base(mobilenet: ModelConfig, twin: ModelConfig) -> None:
    assert parse_config(config_text(twin), "twin") == twin
    assert "twin_stem" not in config_text(branched(mobilenet, "nnanncc"))
    with pytest.raises(ConfigError, match="twin_stem needs two branches"):
        dataclasses.replace(mobilenet, placement=Placement(twin_stem=True))


@pytest.mark.needs("host units")
def test_it_computes_what_the_network_computes(mobilenet: ModelConfig, tmp_path: Path) -> None:
    small = parse_config(config_text(mobilenet).replace('"input_size": 224', f'"input_size": {SMALL}'), "small")
    config = branched(small, "nnanncc", placement=Placement(twin_stem=True))
    weights = random_weights(parameter_shapes(config), 3)
    write_safetensors(tmp_path / "w.safetensors", weights)
    bundle = pipeline.export(config, tmp_path / "bundle", weights=tmp_path / "w.safetensors")
    runners = [TfliteRunner(bundle.tflite(branch)) for branch in (0, 1)]
    image = np.random.default_rng(0).uniform(-1, 1, (1, SMALL, SMALL, 3)).astype(np.float32)
    found = run_chain(bundle.segments, lambda s, inputs: runners[s.branch].run(s.name, inputs), image)
    model = build(config, weights).eval()
    with torch.no_grad():
        wanted = model(torch.from_numpy(image).permute(0, 3, 1, 2)).numpy()
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()
    # The native runner is fed the picture once for each branch.
    result = pipeline.bench(read_bundle(tmp_path / "bundle"), HostDevice(), units=("cpu:1", "cpu:2"), samples=5)
    assert result.difference is not None and result.difference <= 1e-3
    assert [segment.name for segment in result.segments][:2] == ["stem_branch0", "stem_branch1"]


def test_the_table_decides(mobilenet: ModelConfig) -> None:
    profile = law_profile(mobilenet)
    # By this law a fork takes 3 us and unit 1's stem 101 us, slowed by contention: the stem is better on one unit.
    assert fastest_placement(profile) == Placement()
    dear = tuple(
        msgspec.structs.replace(row, uploads_us=(900.0, 900.0)) if row.place == "fork" else row for row in profile.syncs
    )
    slow = msgspec.structs.replace(profile, syncs=dear)
    assert fastest_placement(slow) == Placement(0, True)
    limit = pipeline.budget_us("1.0x", slow)
    costs = ProfileCosts(slow, Placement(twin_stem=True))
    solved = WidthSolver(mobilenet, costs, limit).solve("nnannna")
    config = branched(mobilenet, "nnannna", solved.widths, placement=Placement(twin_stem=True))
    found = predict(config, slow)
    assert 0.97 * limit <= found.makespan_us <= limit + 1e-6
    assert [segment.solo_us for segment in found.phases[0].segments] == list(STEM_US)
    without = predict(dataclasses.replace(config, placement=Placement()), slow)
    assert without.makespan_us > found.makespan_us + 700


@pytest.mark.parametrize("strategy", ["nnannna", "cnnnnnc", "nnnnnnc"])
def test_each_branch_goes_on_after_its_own_stem(mobilenet: ModelConfig, strategy: str) -> None:
    profile = law_profile(mobilenet)
    config = branched(mobilenet, strategy, placement=Placement(twin_stem=True))
    found = predict(config, profile)
    stems, firsts = found.phases[0], found.phases[1]
    stems_us = [segment.concurrent_us for segment in stems.segments]
    assert abs(stems_us[0] - stems_us[1]) > 1, "one unit is faster"
    assert not stems.meet and [segment.begin_us for segment in firsts.segments] == stems_us
    ends_us = [segment.begin_us + segment.concurrent_us for segment in firsts.segments]
    assert [segment.arrive_us for segment in firsts.segments] >= ends_us
    # Syncs and the join cross; the fork does not.
    assert len(found.crossings_us) == len(strategy) - strategy.count("n") == len(found.phases) - 2
    parts = of_prediction(found)
    total_us = parts.alone_us + parts.work_us + parts.contention_us + parts.crossings_us + parts.waiting_us
    assert total_us == pytest.approx(found.makespan_us) and parts.work_us > 0
    laid = timeline_of_prediction(found)
    for unit in (0, 1):
        assert sum(piece.duration_us for piece in laid.of_unit(unit)) == pytest.approx(found.makespan_us)
        first = next(piece for piece in laid.of_unit(unit) if piece.kind == "work" and piece.phase == 1)
        assert first.begin_us == pytest.approx(stems_us[unit]), "no wait after the stem"


def test_the_solver_gives_the_branch_with_the_faster_stem_more_time(mobilenet: ModelConfig) -> None:
    profile = law_profile(mobilenet)
    costs = ProfileCosts(profile, Placement(twin_stem=True))
    late_us = [costs.late_us(branch) for branch in (0, 1)]
    assert min(late_us) == 0 < max(late_us) and costs.fork_us() == 0
    assert ProfileCosts(profile, Placement()).late_us(0) == 0
    limit = pipeline.budget_us("1.0x", profile)
    solved = WidthSolver(mobilenet, costs, limit).solve("nnannna")
    with mock.patch.object(ProfileCosts, "late_us", lambda *_: max(late_us)):
        together = WidthSolver(mobilenet, costs, limit).solve("nnannna")
    assert solved.utility > together.utility


def test_its_drawing_says_that_nothing_crosses(twin: ModelConfig) -> None:
    svg = architecture.draw(twin)
    assert "no wait after phase 0: nothing crosses" in svg
    assert "fork after" not in svg
