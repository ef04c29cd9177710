"""Accuracy of an exported bundle: its TFLite segments in a chain, through LiteRT, on the same pictures as torch's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from syncnas_deploy.bundle import Bundle
from syncnas_deploy.errors import BundleError
from syncnas_deploy.networks.segments import run_chain
from syncnas_deploy.progress import OnProgress
from syncnas_deploy.training.evaluation import DEFAULT_BATCH, Accuracy, evaluate
from syncnas_deploy.training.image_folders import evaluation_set
from syncnas_deploy.training.images import normalized
from syncnas_exporters import TfliteRunner


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
    config, segments = bundle.config, bundle.segments
    images = evaluation_set(folder, config.classes)
    runners = [TfliteRunner(bundle.tflite(branch)) for branch in range(config.branch_count)]

    def classify(pixels: Tensor) -> Tensor:
        inputs = normalized(pixels.numpy())
        per_image = [
            run_chain(segments, lambda s, feeds: runners[s.branch].run(s.name, feeds), image[None]) for image in inputs
        ]
        logits = np.concatenate(per_image)
        if logits.shape != (len(inputs), config.classes):
            raise BundleError(f"{bundle.folder}: gives {logits.shape[1:]} logits per picture; export the bundle again.")
        return torch.from_numpy(logits)

    return evaluate(classify, images, config.input_size, batch=batch, workers=workers, on_progress=on_progress)
