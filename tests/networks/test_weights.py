"""Weights that do not fit, or are no weights, are refused with the tensor's name; code is never run."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

from syncnas_deploy.errors import WeightsError
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.weights import check_weights, parameter_shapes, random_weights
from syncnas_deploy.training.checkpoints import load_other_classes, load_weights
from tests.support.picture_cases import small_branched


class Exploit:
    """A pickle that would make a folder."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("exploited",)


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


def write_weights(path: Path, kind: str, weights: dict[str, np.ndarray[Any, Any]]) -> Path:
    """A file as one of the programs writes it that people have weights from."""
    counted = {**weights, "stem_conv.1.num_batches_tracked": np.int64(7)}
    tensors = {name: torch.from_numpy(np.asarray(value)) for name, value in counted.items()}
    made = path / f"weights.{kind.partition(' ')[0]}"
    if kind.startswith("npz"):
        (np.savez_compressed if "deflated" in kind else np.savez)(made, **counted)  # type: ignore[operator]
    elif kind.startswith("safetensors"):
        safetensors.numpy.save_file({name: np.asarray(value) for name, value in counted.items()}, made)
    else:
        value: Any = {f"module.{name}": tensor for name, tensor in tensors.items()} if "module" in kind else tensors
        if "training" in kind:
            moments = [torch.zeros_like(tensor, dtype=torch.float32) for tensor in tensors.values()]
            value = {"state_dict": OrderedDict(value), "epoch": 3, "optimizer": {"state": dict(enumerate(moments))}}
        torch.save(value, made, _use_new_zipfile_serialization="old" not in kind)
    return made


@pytest.mark.parametrize("kind", ["npz", "npz deflated", "safetensors", "pth", "pth old", "pth training", "pt module"])
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64])
def test_each_kind_of_file_is_read_as_float32(kind: str, dtype: type[np.floating[Any]], tmp_path: Path) -> None:
    config = small_branched()
    weights = random_weights(parameter_shapes(config), 0)
    path = write_weights(tmp_path, kind, {name: value.astype(dtype) for name, value in weights.items()})
    found = load_weights(path, config)
    path.write_bytes(b"")  # what was read is not in the file any more
    assert found.keys() == weights.keys()
    for name, value in weights.items():
        assert found[name].dtype == np.float32
        assert np.array_equal(found[name], value.astype(dtype).astype(np.float32)), name


@pytest.mark.parametrize("kind", ["npz", "safetensors", "pth"])
def test_weights_for_other_classes_are_not_far_more_than_the_network(kind: str, tmp_path: Path) -> None:
    config = small_branched()
    weights = random_weights(parameter_shapes(config), 0)
    weights["classifier.1.bias"] = np.zeros(2000, np.float32)
    path = write_weights(tmp_path, kind, weights)
    assert load_other_classes(path, config)["classifier.1.bias"].shape == (2000,)
    weights["classifier.1.bias"] = np.zeros((80_000_000,), np.int8)
    with pytest.raises(
        WeightsError, match=r"has 8[0-9]{7} weights, small_nca has [0-9]+; give weights of this network"
    ):
        load_other_classes(write_weights(tmp_path, kind, weights), config)
