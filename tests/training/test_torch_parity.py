"""Exports against torch, strategy by strategy; and state dicts in and out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.strategy import random_strategy
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.networks.widths import Widths
from syncnas_deploy.training.checkpoints import load_weights
from syncnas_deploy.training.module import build
from tests.support.parity_cases import check


def strategies(count: int) -> list[str]:
    """Random strategies, always the same ones."""
    rng = np.random.default_rng(60)
    drawn: dict[str, None] = {}
    while len(drawn) < count:
        drawn[random_strategy(rng, 7)] = None
    return list(drawn)


@pytest.mark.parametrize("strategy", strategies(60))
def test_segments_and_chain_equal_torch(mobilenet: ModelConfig, strategy: str) -> None:
    rng = np.random.default_rng(sum(map(ord, strategy)))
    expanded = [
        [[4 * int(rng.integers(1, 1 + b.expanded_channels // 3)) for b in st.branches[0]] for st in mobilenet.stages]
        for _ in (0, 1)
    ]
    placement = Placement(len(strategy.strip("n")) % 2)
    check(branched(mobilenet, strategy, Widths.of(expanded), placement=placement), seed=1)


def test_a_saved_state_dict_loads(mobilenet: ModelConfig, tmp_path: Path) -> None:
    weights = random_weights(parameter_shapes(mobilenet), 4)
    model = build(mobilenet, weights)
    torch.save(model.state_dict(), tmp_path / "model.pth")
    torch.save({"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}}, tmp_path / "wrapped.pth")
    np.savez(tmp_path / "model.npz", **weights)
    for name in ("model.pth", "wrapped.pth", "model.npz"):
        found = load_weights(tmp_path / name, mobilenet)
        assert found.keys() == weights.keys()
        assert all(np.array_equal(found[key], weights[key]) for key in weights)
