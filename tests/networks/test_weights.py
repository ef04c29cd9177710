"""Weights that do not fit, or are no weights, are refused with the tensor's name; code is never run."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from syncnas_deploy.errors import WeightsError
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.weights import check_weights, parameter_shapes, random_weights
from syncnas_deploy.training.checkpoints import load_weights


class Exploit:
    """A pickle that would make a file."""

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("exploited", "w")


def test_code_in_a_checkpoint_is_refused_and_not_run(mobilenet: ModelConfig, tmp_path: Path) -> None:
    (tmp_path / "raw.pth").write_bytes(pickle.dumps(Exploit()))
    torch.save({"model": Exploit()}, tmp_path / "torch.pth")
    for name in ("raw.pth", "torch.pth"):
        with pytest.raises(WeightsError, match="code in a checkpoint is never run"):
            load_weights(tmp_path / name, mobilenet)
    assert not (tmp_path / "exploited").exists()


def test_truncated_and_foreign_files_are_refused(mobilenet: ModelConfig, tmp_path: Path) -> None:
    weights = random_weights(parameter_shapes(mobilenet), 0)
    np.savez(tmp_path / "whole.npz", **weights)
    whole = (tmp_path / "whole.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    torch.save({k: torch.from_numpy(v) for k, v in weights.items()}, tmp_path / "whole.pth")
    whole = (tmp_path / "whole.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.pth").write_bytes(b"")
    torch.save([1, 2], tmp_path / "list.pth")
    for name in ("cut.npz", "cut.pth", "empty.pth", "list.pth", "missing.pth"):
        with pytest.raises(WeightsError, match=name):
            load_weights(tmp_path / name, mobilenet)


def test_the_first_differing_tensors_are_named(mobilenet: ModelConfig) -> None:
    weights = random_weights(parameter_shapes(mobilenet), 0)
    weights["extra"] = np.zeros(3, np.float32)
    del weights["head_conv.0.weight"]
    weights["stem_conv.0.weight"] = np.zeros((16, 3, 3, 3), np.float32)
    with pytest.raises(WeightsError) as caught:
        check_weights(weights, mobilenet, "model.pth")
    text = str(caught.value)
    assert "head_conv.0.weight is missing" in text
    assert "extra is not part of mobilenet_v2" in text
    assert "stem_conv.0.weight is [16, 3, 3, 3], mobilenet_v2 has [32, 3, 3, 3]" in text


def test_weights_that_are_not_finite_are_refused(mobilenet: ModelConfig) -> None:
    weights = random_weights(parameter_shapes(mobilenet), 0)
    weights["classifier.1.bias"][3] = np.nan
    with pytest.raises(WeightsError, match=r"classifier\.1\.bias contains NaN"):
        check_weights(weights, mobilenet, "model.pth")


def test_random_weights_are_seeded(mobilenet: ModelConfig) -> None:
    shapes = parameter_shapes(mobilenet)
    first, same, other = (random_weights(shapes, seed) for seed in (1, 1, 2))
    assert all(np.array_equal(first[key], same[key]) for key in first)
    assert any(not np.array_equal(first[key], other[key]) for key in first)
