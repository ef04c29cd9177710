"""Short trainings for a search; they write no files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from torch import nn

from syncnas_deploy.arrays import Float32Array
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.weights import Weights
from syncnas_deploy.training.batch_norms import fit_batch_norms
from syncnas_deploy.training.evaluation import torch_device
from syncnas_deploy.training.image_folders import ImageSet
from syncnas_deploy.training.learner import Learner
from syncnas_deploy.training.module import build, state_arrays
from syncnas_deploy.training.processes import group_of
from syncnas_deploy.training.recipe import Recipe
from syncnas_deploy.training.run_folder import EpochRow


def train_briefly(
    config: ModelConfig,
    recipe: Recipe,
    training: ImageSet,
    validation: ImageSet,
    *,
    weights: Weights | None = None,
    device: str = "cpu",
    readers: int = 0,
    goes_on: Callable[[EpochRow], bool] = lambda _: True,
) -> tuple[tuple[EpochRow, ...], dict[str, Float32Array]]:
    """Train a network and write nothing; before each validation its batch norms are fitted to training pictures.

    Args:
        config: the network, with the input size of the recipe and the classes of the pictures.
        recipe: all numbers.
        training, validation: the pictures.
        weights: to start from; seeded random ones where None.
        device: cpu, cuda or mps.
        readers: processes that decode pictures; 0 for none but this one.
        goes_on: asked after each epoch whether there is to be another.

    Returns:
        One row per epoch, and the weights at the end.

    Raises:
        DatasetError: too few pictures for one step, or none readable.
        TrainingDiverged: the loss is NaN or infinite.
        TorchDeviceUnavailable: no such device here.
    """
    with group_of(device) as group:

        def fit(model: nn.Module) -> None:
            size, batch = config.input_size, recipe.batch
            fit_batch_norms(model, training, size, batch=batch, device=group.device, readers=readers)

        run = Learner(config, recipe, training, validation, group, readers, before_validation=fit)
        nowhere = Path()
        run.start(None, weights, nowhere)
        for row in run.epochs(nowhere, lambda _: None):
            if not goes_on(row):
                break
        return tuple(run.history), run.weights()


def recalibrated(
    config: ModelConfig, weights: Weights, images: ImageSet, *, batch: int, device: str = "cpu", readers: int = 0
) -> dict[str, Float32Array]:
    """Weights whose batch norms have the statistics of some pictures, see `fit_batch_norms`.

    Args:
        config: the network, with the input size of the pictures.
        weights: its named arrays.
        images: to choose from.
        batch: pictures at once.
        device: cpu, cuda or mps.
        readers: processes that decode pictures; 0 for none but this one.
    """
    place = torch_device(device)
    model = build(config, weights).to(place)
    fit_batch_norms(model, images, config.input_size, batch=batch, device=place, readers=readers)
    return state_arrays(model)
