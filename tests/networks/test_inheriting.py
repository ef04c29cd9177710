"""Inherited weights: where nothing is lost the branched model computes what the base computes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from syncnas_deploy.errors import WeightsError
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.formats import load_config
from syncnas_deploy.networks.inheriting import inherit
from syncnas_deploy.networks.weights import check_weights, parameter_shapes, random_weights
from syncnas_deploy.networks.widths import Widths
from syncnas_deploy.training.module import build


def logits(config: ModelConfig, weights: dict[str, np.ndarray]) -> np.ndarray:
    image = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (2, 3, 224, 224)).astype(np.float32))
    with torch.no_grad():
        return build(config, weights)(image).numpy()


@pytest.mark.parametrize("name", ["mobilenet_v2", "mnasnet_a1", "fbnet_c", "efficientnet_b0", "rexnet_100", "mixnet_m"])
@pytest.mark.parametrize("strategy", ["nnnnnna", "anannna", "aaaaaaa"])
def test_full_width_branches_that_add_compute_the_base(name: str, strategy: str) -> None:
    base = load_config(name)
    if strategy == "aaaaaaa" and any(stage.branches[0][0].adds_input for stage in base.stages[1:]):
        # A residual around a stage's first block carries the doubled features on: there only the rest is halved.
        strategy = "anannna"
    weights = random_weights(parameter_shapes(base), 1)
    config = branched(base, strategy)
    found, wanted = logits(config, inherit(config, base, weights)), logits(base, weights)
    assert np.abs(found - wanted).max() <= 1e-3 * np.abs(wanted).max()


def test_a_single_block_stage_that_concatenates_computes_the_base(mobilenet: ModelConfig) -> None:
    weights = random_weights(parameter_shapes(mobilenet), 2)
    config = branched(mobilenet, "cnnnnna")
    found, wanted = logits(config, inherit(config, mobilenet, weights)), logits(mobilenet, weights)
    assert np.abs(found - wanted).max() <= 1e-3 * np.abs(wanted).max()


def test_wider_branches_compute_the_base_too(mobilenet: ModelConfig) -> None:
    weights = random_weights(parameter_shapes(mobilenet), 3)
    wider = [[width + 8 for width in stage] for stage in mobilenet.widths.nested[0]]
    widths = Widths.of([wider, wider])
    config = branched(mobilenet, "nannnna", widths)
    found, wanted = logits(config, inherit(config, mobilenet, weights)), logits(mobilenet, weights)
    assert np.abs(found - wanted).max() <= 1e-3 * np.abs(wanted).max()


def test_narrower_branches_keep_the_channels_that_weigh_most(mobilenet: ModelConfig) -> None:
    weights = random_weights(parameter_shapes(mobilenet), 4)
    prefix = "stages.3.blocks.1."
    dead = np.arange(0, 384, 2)
    weights[f"{prefix}pw2.0.weight"][:, dead] *= 1e-6
    widths = [[[b.expanded_channels for b in stage.branches[0]] for stage in mobilenet.stages] for _ in (0, 1)]
    widths[0][3][1] = widths[1][3][1] = 192
    config = branched(mobilenet, "nnnnnna", Widths.of(widths))
    made = inherit(config, mobilenet, weights)
    kept = weights[f"{prefix}dw.0.weight"][1::2]
    assert np.array_equal(made["stage4.branch1.1.dw.0.weight"], kept)
    found, wanted = logits(config, made), logits(mobilenet, weights)
    assert np.abs(found - wanted).max() <= 1e-3 * np.abs(wanted).max()


@pytest.mark.parametrize("name", ["syncnas_mobilenet_v2_100", "syncnas_mnasnet_b1_100", "syncnas_fbnet_c_100"])
def test_searched_models_inherit_whole_state_dicts(name: str) -> None:
    config = load_config(name)
    base = load_config(config.base or "")
    made = inherit(config, base, random_weights(parameter_shapes(base), 5))
    check_weights(made, config, name)
    assert np.isfinite(logits(config, made)).all()


def test_another_base_is_refused(mobilenet: ModelConfig) -> None:
    other = load_config("mnasnet_b1")
    weights = random_weights(parameter_shapes(other), 6)
    with pytest.raises(WeightsError, match="differs from mnasnet_b1"):
        inherit(branched(mobilenet, "nnnnnna"), other, weights)
    with pytest.raises(WeightsError, match="not two branches"):
        inherit(mobilenet, other, weights)
    with pytest.raises(WeightsError, match="does not fit"):
        inherit(branched(mobilenet, "nnnnnna"), mobilenet, weights)
