"""Short trainings and evaluations that leave no files: what a search asks of a candidate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from syncnas_deploy.models.config import ModelConfig
from syncnas_deploy.models.images import ImageSet
from syncnas_deploy.models.learner import Learner
from syncnas_deploy.models.processes import group_of
from syncnas_deploy.models.recipe import Recipe
from syncnas_deploy.models.run_folder import EpochRow


def train_briefly(
    config: ModelConfig,
    recipe: Recipe,
    training: ImageSet,
    validation: ImageSet,
    *,
    weights: dict[str, np.ndarray[Any, Any]] | None = None,
    device: str = "cpu",
    readers: int = 0,
    goes_on: Callable[[EpochRow], bool] = lambda _: True,
) -> tuple[EpochRow, ...]:
    """Train a network and keep nothing but its curve.

    Args:
        config: the network, with the input size of the recipe and the classes of the pictures.
        recipe: all numbers.
        training, validation: the pictures.
        weights: to start from; seeded random ones where None.
        device: cpu, cuda or mps.
        readers: processes that decode pictures; 0 for none but this one.
        goes_on: asked after each epoch whether there is to be another.

    Returns:
        One row an epoch.

    Raises:
        DatasetError: too few pictures for one step, or none readable.
        TrainingDiverged: the loss is NaN or infinite.
        DeviceUnavailable: no such device here.
    """
    with group_of(device) as group:
        run = Learner(config, recipe, training, validation, group, readers)
        nowhere = Path()
        run.start(None, weights, nowhere)
        for row in run.epochs(nowhere, lambda _: None):
            if not goes_on(row):
                break
        return tuple(run.history)
