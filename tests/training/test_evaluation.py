"""Evaluation counts right, survives damaged pictures, and says where torch and an exported bundle differ."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from syncnas_deploy.bundle import write_bundle
from syncnas_deploy.errors import ConfigError, DatasetError, OutputExists, TorchDeviceUnavailable, WeightsError
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.weights import Float32Array, parameter_shapes, random_weights
from syncnas_deploy.progress import Progress
from syncnas_deploy.training.bundle_accuracy import evaluate_bundle
from syncnas_deploy.training.evaluation import (
    Tally,
    accuracy_to_json,
    evaluate,
    evaluate_model,
    torch_device,
    write_guesses,
)
from syncnas_deploy.training.image_folders import read_image_set
from tests.support.picture_cases import SHAPES, draw_set, small_branched, small_config


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of each shape."""
    return draw_set(tmp_path_factory.mktemp("pictures") / "val", 12, 3)


def weights_of(config: ModelConfig) -> dict[str, Float32Array]:
    """Random ones, of a classifier that takes sides."""
    return random_weights(parameter_shapes(config), 7)


def test_sums_are_those_of_the_definitions() -> None:
    logits = torch.tensor([[3.0, 2, 1, 0, -1, -2], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5]])
    tally = Tally()
    tally.add(logits, torch.tensor([0, 4, 0]))
    losses = [float(torch.logsumexp(row, 0) - row[label]) for row, label in zip(logits, (0, 4, 0), strict=True)]
    assert (tally.images, tally.top1, tally.top5) == (3, 1, 2)
    assert tally.loss == pytest.approx(sum(losses), rel=1e-5)


def test_every_picture_gets_its_own_guess_in_any_batch(pictures: Path) -> None:
    images = read_image_set(pictures)

    def classify(pixels: torch.Tensor) -> torch.Tensor:
        # A class from the pixels alone, so that a guess that went to another picture would show.
        return torch.nn.functional.one_hot(pixels.long().sum((1, 2, 3)) % 4, 4).float()

    first, second = (evaluate(classify, images, 32, batch=batch, workers=0) for batch in (1, 7))
    assert first.guesses == second.guesses
    assert [guess.path for guess in first.guesses] == list(images.names)
    assert [guess.label for guess in first.guesses] == [name for name in SHAPES for _ in range(12)]
    assert first.top1 == sum(guess.correct for guess in first.guesses) / 48
    assert first.top5 == 1.0
    assert first.loss == pytest.approx(second.loss, rel=1e-6)


def test_torch_and_the_bundle_agree_on_every_picture(pictures: Path, tmp_path: Path) -> None:
    for config in (small_config(8), small_branched(8)):
        weights = weights_of(config)
        bundle = write_bundle(tmp_path / config.name, config, weights, source="a test")
        by_torch = evaluate_model(config, weights, pictures, batch=10, workers=0)
        by_bundle = evaluate_bundle(bundle, pictures, batch=10, workers=0)
        assert by_torch.guesses == by_bundle.guesses
        assert len({guess.top1 for guess in by_torch.guesses}) > 1
        assert by_torch.loss == pytest.approx(by_bundle.loss, rel=1e-4)


def test_worker_processes_change_nothing(pictures: Path) -> None:
    config = small_config(8)
    alone = evaluate_model(config, weights_of(config), pictures, batch=8, workers=0)
    shared = evaluate_model(config, weights_of(config), pictures, batch=8, workers=2)
    assert (alone.guesses, alone.loss) == (shared.guesses, shared.loss)


def test_damaged_pictures_are_counted_named_and_left_out(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "set", 3, 4)
    whole = (folder / "cross" / "0000.png").read_bytes()
    (folder / "cross" / "0000.png").write_bytes(whole[: len(whole) // 2])
    (folder / "circle" / "text.jpg").write_text("no picture")
    (folder / "square" / "zero.jpg").write_bytes(b"")
    steps: list[Progress] = []
    config = small_config(8)
    found = evaluate_model(config, weights_of(config), folder, batch=2, workers=0, on_progress=steps.append)
    assert found.images == 11
    assert len(found.guesses) == 11
    assert [path for path, _ in found.unreadable] == ["circle/text.jpg", "cross/0000.png", "square/zero.jpg"]
    assert all(reason for _, reason in found.unreadable)
    assert steps[-1].done == steps[-1].total == 14
    assert json.loads(json.dumps(accuracy_to_json(found)))["unreadable"][0]["path"] == "circle/text.jpg"
    for path in folder.rglob("*.*"):
        path.write_bytes(b"")
    with pytest.raises(DatasetError, match="no picture could be read"):
        evaluate_model(config, weights_of(config), folder, workers=0)


def test_what_does_not_fit_is_refused(pictures: Path) -> None:
    config = small_config(8)
    weights = weights_of(config)
    with pytest.raises(ConfigError, match="input size 4 is not within 8 to 4096 pixels"):
        evaluate_model(config, weights, pictures, input_size=4)
    with pytest.raises(WeightsError, match=r"stem_conv\.0\.weight is missing"):
        evaluate_model(config, {k: v for k, v in weights.items() if k != "stem_conv.0.weight"}, pictures)
    with pytest.raises(DatasetError, match="no such folder"):
        evaluate_model(config, weights, pictures / "absent")
    for name in ("tpu", "cuda:99", "cuda:-1", "cuda:x"):
        with pytest.raises(TorchDeviceUnavailable, match="torch finds none here"):
            torch_device(name)


def test_another_input_size_is_another_crop(pictures: Path) -> None:
    config = small_config(8)
    weights = weights_of(config)
    found = evaluate_model(config, weights, pictures, input_size=40, workers=0)
    assert found.input_size == 40
    assert found.loss != evaluate_model(config, weights, pictures, workers=0).loss


def test_guesses_are_written_as_csv(pictures: Path, tmp_path: Path) -> None:
    config = small_config(8)
    found = evaluate_model(config, weights_of(config), pictures, workers=0)
    write_guesses(tmp_path / "guesses.csv", found)
    lines = (tmp_path / "guesses.csv").read_text().splitlines()
    assert lines[0] == "path,label,top1,correct"
    assert lines[1].startswith("circle/0000.png,circle,")
    assert sum(int(line.rsplit(",", 1)[1]) for line in lines[1:]) == round(found.top1 * 48)
    with pytest.raises(OutputExists):
        write_guesses(tmp_path / "guesses.csv", found)


def test_logits_that_overflow_give_no_loss_in_json(pictures: Path) -> None:
    images = read_image_set(pictures)
    found = evaluate(lambda pixels: torch.full((len(pixels), 4), np.inf), images, 32, workers=0)
    assert accuracy_to_json(found)["loss"] is None
