"""Accuracy of .tflite files, on the same pictures as torch's: of a bundle, or of a network as it would be exported."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from syncnas_deploy.bundle import Bundle, graphs
from syncnas_deploy.bundle_formats import tflite_name
from syncnas_deploy.bundle_numbers import FileNumbers
from syncnas_deploy.calibration import Calibration, network_digest
from syncnas_deploy.errors import BundleError
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.segments import cut, run_chain
from syncnas_deploy.networks.weights import Weights, check_weights
from syncnas_deploy.precision import Precision
from syncnas_deploy.progress import OnProgress
from syncnas_deploy.training.evaluation import DEFAULT_BATCH, Accuracy, Classify, evaluate
from syncnas_deploy.training.image_folders import ImageSet, evaluation_set
from syncnas_deploy.training.images import normalized
from syncnas_exporters import GraphError, TfliteRunner


def evaluate_bundle(
    bundle: Bundle,
    folder: Path,
    *,
    batch: int = DEFAULT_BATCH,
    workers: int | None = None,
    on_progress: OnProgress = lambda _: None,
) -> Accuracy:
    """Evaluate a bundle on an image folder, on this host's CPU.

    The networks in it take one picture at a time; `batch` is what is decoded and reported at once.
    Other arguments as for `training.evaluation.evaluate_model`; the input size is the one that was exported.

    Raises:
        BundleError: exported without TFLite or for timing alone, or its outputs are not the config's logits.
        DatasetError: unusable folder, or another number of classes.
    """
    if bundle.timing_only:
        raise BundleError(f"{bundle.folder}: is int8 without a calibration, for timing alone; export it with pictures.")
    config = bundle.config
    images = evaluation_set(folder, config.classes)
    runners = [TfliteRunner(bundle.tflite(branch)) for branch in range(config.branch_count)]
    classify = _chain(config, runners, str(bundle.folder))
    found = evaluate(classify, images, config.input_size, batch=batch, workers=workers, on_progress=on_progress)
    return dataclasses.replace(found, precisions=bundle.precisions)


def evaluate_exported(
    config: ModelConfig,
    weights: Weights,
    images: ImageSet,
    precisions: Sequence[Precision],
    calibration: Calibration | None = None,
    *,
    batch: int = DEFAULT_BATCH,
    workers: int | None = None,
    on_progress: OnProgress = lambda _: None,
) -> Accuracy:
    """Evaluate a network as its files compute it, rounded after training, on this host's CPU; no bundle is written.

    Args:
        precisions: of each branch.
        calibration: of this very network; int8 needs it.

    Raises:
        WeightsError: they do not fit.
        BundleError: the network cannot be written in these precisions.
        CalibrationError: int8 has no calibration, or one of another network.
        DatasetError: not one picture could be decoded.
    """
    check_weights(weights, config, "The weights")
    numbers = FileNumbers(network_digest(config, weights), tuple(precisions), calibration, None, ())
    numbers.check(Path(config.name), timing_only=False)
    try:
        files: Mapping[str, bytes] = numbers.tflite(cut(config), graphs(config, weights))
    except GraphError as e:
        raise BundleError(f"{config.name}: cannot be exported: {e}.") from None
    runners = [TfliteRunner(files[tflite_name(branch)]) for branch in range(config.branch_count)]
    classify = _chain(config, runners, config.name)
    found = evaluate(classify, images, config.input_size, batch=batch, workers=workers, on_progress=on_progress)
    return dataclasses.replace(found, precisions=tuple(precisions))


def _chain(config: ModelConfig, runners: Sequence[TfliteRunner], where: str) -> Classify:
    """The segments one after another, one picture at a time."""
    segments = cut(config)

    def classify(pixels: Tensor) -> Tensor:
        inputs = normalized(pixels.numpy())
        per_image = [
            run_chain(segments, lambda s, feeds: runners[s.branch].run(s.name, feeds), image[None]) for image in inputs
        ]
        logits = np.concatenate(per_image)
        if logits.shape != (len(inputs), config.classes):
            raise BundleError(f"{where}: gives {logits.shape[1:]} logits per picture; export the bundle again.")
        return torch.from_numpy(logits)

    return classify
