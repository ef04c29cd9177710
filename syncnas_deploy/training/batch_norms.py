"""The running statistics of batch norms: fitted to some pictures, or too near to those that a run begins with."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from syncnas_deploy.training.batches import evaluation_loader, network_input
from syncnas_deploy.training.image_folders import ImageSet

SEEN = 512
"""Pictures, of all classes, that batch norms see when they are fitted; whole batches, so a few less or one batch."""
STALE = 0.05
"""Share of the initial statistics in those of a whole run, from which they are too near to them."""


def fit_batch_norms(
    model: nn.Module, images: ImageSet, size: int, *, batch: int, device: torch.device, readers: int
) -> None:
    """Give the batch norms of a network the statistics of some pictures; all else stays, and it is in eval mode.

    After few steps, or with weights that were made from another network's, the running ones are of other features.

    Args:
        model: on `device`.
        images: to choose `SEEN` of, at least a batch.
        size: height and width, pixels.
        batch: pictures at once.
        readers: processes that decode pictures; 0 for none but this one.

    Source: Yu and Huang, "Universally Slimmable Networks and Improved Training Techniques", ICCV 2019, section 3.3.
    """
    # Batches count alike, whatever their size, and a single picture may have a single value.
    count = max(batch, min(len(images), SEEN) // batch * batch)
    seen = images.subset(np.linspace(0, len(images) - 1, count).astype(np.int64))
    norms = [module for module in model.eval().modules() if isinstance(module, nn.BatchNorm2d)]
    momentums = [norm.momentum for norm in norms]
    for norm in norms:
        norm.train().reset_running_stats()
        norm.momentum = None  # the mean over all batches
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        for pictures in evaluation_loader(seen, size, batch, readers):
            if len(pictures.labels) >= min(2, batch):
                model(network_input(pictures.pixels, device))
    for norm, momentum in zip(norms, momentums, strict=True):
        norm.eval().momentum = momentum


def stale_statistics(momentum: float, updates: int) -> str:
    """A sentence where validation will see too much of the initial running statistics, "" where not.

    Args:
        momentum: share of a batch's statistics that goes into the running ones, as torch has it.
        updates: batches of the whole run, in each process.
    """
    left = (1 - momentum) ** updates
    if left <= STALE:
        return ""
    return (
        f"After all {updates} batches of this run {left:.0%} of the batch norms' statistics are still those it began "
        'with, so validation says little; give more --epochs or a smaller --batch, or a larger "bn_momentum" in the '
        f"config (now {momentum:g})."
    )
