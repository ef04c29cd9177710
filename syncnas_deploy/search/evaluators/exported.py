"""A candidate as it will run: rounded after training, calibrated with training pictures, rated through LiteRT."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from syncnas_deploy.errors import BundleError
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.weights import Weights
from syncnas_deploy.precision import PRECISIONS, Precision
from syncnas_deploy.search.evaluators.evaluation import Evaluation
from syncnas_deploy.search.evaluators.options import Options
from syncnas_deploy.training.calibration import calibrate, pictures_of
from syncnas_exporters import GraphError, RangesError

if TYPE_CHECKING:
    from syncnas_deploy.search.evaluators.training import Train


def precision_of(options: Options) -> tuple[Precision, ...] | None:
    """The option `precision`, of all branches; None where it is left out, and the units decide.

    Raises:
        UnknownEvaluator: it is none.
    """
    text = options.choice("precision", PRECISIONS)
    return None if text is None else tuple(precision for precision in PRECISIONS if precision == text)


def rated_as_exported(
    how: Train, network: ModelConfig, weights: Weights, started: float, details: Mapping[str, float]
) -> Evaluation:
    """Top-1 of the files that would be exported, on the validation pictures; infeasible where there can be none.

    Args:
        how: pictures and precisions.
        started: reading of `time.perf_counter` when the evaluation began.
        details: numbers of before.
    """
    from syncnas_deploy.training.bundle_accuracy import evaluate_exported

    training, validation = how.pictures.sets()
    precisions = (how.rounded * network.branch_count)[: network.branch_count]
    try:
        calibration = None
        if "int8" in precisions:
            calibration = calibrate(network, weights, pictures_of(training, network.input_size))
        found = evaluate_exported(
            network, weights, validation, precisions, calibration, batch=how.recipe.batch, workers=how.readers
        )
    except (BundleError, GraphError, RangesError) as e:
        return Evaluation(None, time.perf_counter() - started, details, note=str(e))
    told = {**details, "val_loss": found.loss}
    note = f"top-1 of files in {' | '.join(dict.fromkeys(precisions))}"
    return Evaluation(found.top1, time.perf_counter() - started, told, note=note)
