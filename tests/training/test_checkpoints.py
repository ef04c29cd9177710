"""Weights as training programs save them: found in every wrapping, read alike from every kind of file, or refused."""

from __future__ import annotations

import argparse
import datetime
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from syncnas_deploy.errors import WeightsError
from syncnas_deploy.networks.weights import Float32Array, parameter_shapes, random_weights
from syncnas_deploy.training.checkpoints import load_weights
from tests.support.picture_cases import small_branched, small_config

CONFIG = small_branched()
WEIGHTS = random_weights(parameter_shapes(CONFIG), 0)
CLASSIFIER = "classifier.1.weight"
Tensors = dict[str, torch.Tensor]


def tensors(prefix: str = "", kind: torch.dtype = torch.float32) -> Tensors:
    """The network's weights as a torch program has them."""
    return {prefix + name: torch.from_numpy(value).to(kind) for name, value in WEIGHTS.items()}


def averages(prefix: str = "") -> Tensors:
    """Other numbers, as a moving average has them."""
    return {name: value + 1 for name, value in tensors(prefix).items()}


def write(path: Path, value: Any) -> Path:
    """A checkpoint as the kind of file that its name says."""
    if path.suffix == ".npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in value.items()})
    elif path.suffix == ".safetensors":
        safetensors.torch.save_file(value, path)
    else:
        torch.save(value, path)
    return path


def equal(found: dict[str, Float32Array], wanted: Tensors) -> bool:
    """Whether these are the network's weights, in the order of `wanted`."""
    assert found.keys() == WEIGHTS.keys()
    return all(np.array_equal(found[name], value.float()) for name, value in zip(WEIGHTS, wanted.values(), strict=True))


WRAPPED = {
    "plain": tensors(),
    "DataParallel": tensors("module."),
    "compiled": tensors("_orig_mod."),
    "compiled inside": tensors("module._orig_mod."),
    "compiled outside": tensors("_orig_mod.module."),
    "Lightning": tensors("model."),
    "Lightning, compiled": tensors("model._orig_mod."),
    "another attribute": tensors("backbone.module."),
    "one stage compiled": {
        name.replace("stage1.", "stage1._orig_mod.").replace("stem_conv.", "module.stem_conv."): value
        for name, value in tensors().items()
    },
    "averaged by torch": {"n_averaged": torch.tensor(7), **tensors("module.")},
    "counted": {**tensors("module."), "module.stem_conv.1.num_batches_tracked": torch.tensor(7)},
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
@pytest.mark.parametrize("name", WRAPPED)
def test_wrapped_weights_are_found_in_every_kind_of_file(name: str, suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"w{suffix}", WRAPPED[name])
    assert equal(load_weights(path, CONFIG), tensors())


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_each_kind_of_float_is_read_alike(kind: torch.dtype, suffix: str, tmp_path: Path) -> None:
    wanted = tensors(kind=kind)
    assert equal(load_weights(write(tmp_path / f"w{suffix}", wanted), CONFIG), wanted)


OPTIMIZER = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.zeros(4)}}, "param_groups": [{"lr": 0.1}]}


@pytest.mark.parametrize(
    "value",
    [
        {"epoch": 3, "state_dict": tensors(), "best_acc1": 71.5, "optimizer": OPTIMIZER},
        {"model_state_dict": tensors("module."), "optimizer_state_dict": OPTIMIZER},
        {"optimizer": OPTIMIZER, "model": {"net": tensors()}},
        {"state_dict": tensors("model."), "hyper_parameters": {"lr": 0.1}, "callbacks": {}},
        {"state_dict": {**tensors(), "note": "not a tensor"}},
    ],
)
def test_the_state_dict_of_a_checkpoint_is_found(value: Any, tmp_path: Path) -> None:
    said: list[str] = []
    assert equal(load_weights(write(tmp_path / "w.pth", value), CONFIG, said.append), tensors())
    assert said == []


@pytest.mark.parametrize(
    ("value", "says", "wanted"),
    [
        ({"state_dict": tensors(), "state_dict_ema": averages()}, "not their moving average 'state_dict_ema'", False),
        ({"model": tensors(), "model_ema": {"module": averages()}}, "not their moving average 'model_ema'", False),
        ({**tensors("model."), **averages("ema_model.module.")}, "not their moving average 'ema_model'", False),
        ({"state_dict": tensors(), "average": averages()}, "not their moving average 'average'", False),
        ({"state_dict_ema": averages(), "arch": "x"}, "the moving average 'state_dict_ema' is taken", True),
        (averages("ema."), "the moving average 'ema' is taken; there are no other weights", True),
    ],
)
def test_it_is_said_whether_a_moving_average_is_taken(value: Any, says: str, wanted: bool, tmp_path: Path) -> None:
    said: list[str] = []
    found = load_weights(write(tmp_path / "w.pth", value), CONFIG, said.append)
    assert equal(found, averages() if wanted else tensors())
    assert len(said) == 1 and says in said[0]


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda x: x.to_sparse(), r"kind sparse \(sparse_coo\), .*\.to_dense\(\)"),
        (lambda x: x.to_sparse_csr(), r"kind sparse \(sparse_csr\)"),
        (lambda x: torch.quantize_per_tensor(x, 0.01, 0, torch.qint8), r"kind quantized \(qint8\), .*before the quant"),
        (lambda x: torch.quantize_per_tensor(x, 0.01, 3, torch.quint8), r"kind quantized \(quint8\)"),
        (lambda x: x.to(torch.complex64), r"kind complex64, .*real numbers"),
        (lambda x: (x * 100).to(torch.int8), r"kind int8, .*as float32"),
        (lambda x: (x * 100).to(torch.int64), r"kind int64"),
        (lambda x: x > 0, r"kind bool"),
        (lambda x: x.to(torch.float8_e4m3fn), r"kind float8_e4m3fn"),
    ],
)
def test_tensors_of_other_kinds_are_refused_by_name(made: Any, says: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of making such tensors
        path = write(tmp_path / "w.pth", {"state_dict": {**tensors(), CLASSIFIER: made(tensors()[CLASSIFIER])}})
    with pytest.raises(WeightsError, match=rf"w\.pth: {CLASSIFIER} is a tensor of {says}"):
        load_weights(path, CONFIG)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
@pytest.mark.parametrize("kind", [torch.int8, torch.uint8, torch.int32])
def test_integers_are_refused_in_every_kind_of_file(kind: torch.dtype, suffix: str, tmp_path: Path) -> None:
    path = write(tmp_path / f"w{suffix}", {**tensors(), CLASSIFIER: tensors()[CLASSIFIER].to(kind)})
    with pytest.raises(WeightsError, match=rf"kind {str(kind)[6:]}, not of plain float numbers; save the weights as"):
        load_weights(path, CONFIG)


TORCHS_WORDS = ("weights_only", "Weights only", "torch.load", "unpickl", "add_safe_globals", "Re-running", "options")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:aa\nsize 3\n", "is a git-lfs pointer"),
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "is a web page"),
        (b"\n <HTML><head></head>", "is a web page"),
        (b"<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", "is a web page"),
        ({"state_dict": tensors(), "best_acc1": np.float64(71.5)}, r"holds a NumPy number \(numpy.*scalar\)"),
        ({"state_dict": tensors(), "args": argparse.Namespace(lr=0.1)}, r"holds an object \(argparse\.Namespace\)"),
        ({"state_dict": tensors(), "at": datetime.date(2026, 1, 2)}, r"holds an object \(datetime\.date\)"),
        (torch.nn.Linear(2, 2), r"holds an object \(torch\.nn\.modules\.linear\.Linear\)"),
        (b"PK\3\4 and no more", "not a checkpoint of tensors only"),
        (b"\x80\x02no pickle", "not a checkpoint of tensors only"),
        ({"epoch": 3, "losses": [0.1, 0.2]}, "holds no state dict"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_named_without_torchs_words(content: Any, says: str, tmp_path: Path) -> None:
    path = tmp_path / "w.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(WeightsError, match=rf"w\.pth: .*{says}") as caught:
        load_weights(path, CONFIG)
    assert not any(words in str(caught.value) for words in TORCHS_WORDS)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pt"])
def test_pointers_and_pages_are_named_whatever_they_are_called(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"w{suffix}"
    for text, says in (("version https://git-lfs.github.com/spec/v1\n", "git lfs pull"), ("<html>", "is a web page")):
        path.write_text(text)
        with pytest.raises(WeightsError, match=says):
            load_weights(path, CONFIG)


@pytest.mark.parametrize("suffix", [".safetensors", ".npz", ".pth"])
def test_a_file_that_may_not_be_read_is_not_called_missing(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / f"w{suffix}", tensors())

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(WeightsError, match="Permission denied"):
        load_weights(path, CONFIG)
    (tmp_path / f"folder{suffix}").mkdir()
    with pytest.raises(WeightsError, match="not a regular file"):
        load_weights(tmp_path / f"folder{suffix}", CONFIG)


def test_two_networks_in_one_file_are_refused(tmp_path: Path) -> None:
    for value in ({**tensors("student."), **averages("teacher.")}, {"a": tensors(), "b": averages()}):
        with pytest.raises(WeightsError, match=r"has stem_conv\.0\.weight twice, as .* save one network alone"):
            load_weights(write(tmp_path / "w.pth", value), CONFIG)


def test_what_is_not_of_the_network_is_named(tmp_path: Path) -> None:
    extra = {**tensors("model."), "criterion.weight": torch.zeros(4)}
    with pytest.raises(WeightsError, match=r"criterion\.weight is not part of small_nca"):
        load_weights(write(tmp_path / "w.pth", {"state_dict": extra}), CONFIG)
    with pytest.raises(WeightsError, match=r"does not fit small_nca: .* is missing"):
        load_weights(write(tmp_path / "w.pth", {"conv1.weight": torch.zeros(4)}), CONFIG)
    base = small_config()
    with pytest.raises(WeightsError, match="is missing"):
        load_weights(write(tmp_path / "w.pth", tensors()), base)


def test_a_checkpoint_that_holds_itself_ends(tmp_path: Path) -> None:
    value: dict[str, Any] = {f"key{i}": 0 for i in range(200)}
    value |= dict.fromkeys(value, value)
    with pytest.raises(WeightsError, match="holds no state dict"):
        load_weights(write(tmp_path / "w.pth", value), CONFIG)
