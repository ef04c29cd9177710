"""What fp16 and int8 cost in accuracy: networks trained on real pictures, exported in each precision.

    pip install scikit-learn
    python -m benchmarks.precision_accuracy [--folder FOLDER] [--epochs 15] [--models mobilenet_v2 ...]

The pictures are scikit-learn's handwritten digits, coloured, at 48 pixels; a fifth of them is not trained on. A network
is trained with AdamW in a loop of its own, with all pictures in memory, and exported in fp32, fp16 and int8 (calibrated
with 100 pictures of the training set). Its bundles are evaluated with `eval` on the rest. Wide networks are made
narrower, so that this takes minutes. What is finished in FOLDER is not done again. Prints top-1 of each bundle, and how
far its logits are from fp32.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

from syncnas_deploy import pipeline
from syncnas_deploy.bundle import is_bundle, read_bundle
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import load_config
from syncnas_deploy.networks.scaling import scaled
from syncnas_deploy.precision import PRECISIONS
from syncnas_deploy.training.bundle_accuracy import evaluate_bundle
from syncnas_deploy.training.image_folders import read_image_set
from syncnas_deploy.training.images import evaluation_pixels, normalized
from syncnas_deploy.training.learner import initialize
from syncnas_deploy.training.module import SyncNet, state_arrays
from syncnas_deploy.training.recipe import Recipe

WIDTHS = {
    "mobilenet_v2": 0.5,
    "mobilenet_v3_large": 0.5,
    "efficientnet_b0": 0.5,
    "syncnas_mobilenet_v2_100": 0.5,
    "mixnet_m": 0.35,
}
PIXELS, BATCH = 48, 32


def write_digits(folder: Path) -> None:
    """Two pictures of each digit, in colours of their own: class folders below ``train`` and ``val``."""
    from sklearn.datasets import load_digits

    rng, digits = np.random.default_rng(0), load_digits()
    for index, (grey, label) in enumerate(zip(digits.images / 16, digits.target, strict=True)):
        for copy in range(2):
            ground, ink = rng.uniform(0, 255, (2, 3))
            pixels = ground + grey[..., None] * (ink - ground)
            place = folder / ("val" if index % 5 == 0 else "train") / str(label)
            place.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(pixels.astype(np.uint8)).resize((PIXELS, PIXELS), Image.Resampling.BICUBIC)
            image.save(place / f"{index:04}-{copy}.png")


def config_of(name: str) -> ModelConfig:
    """A shipped model, narrower, for digits."""
    return Recipe(input_size=PIXELS).resized(scaled(load_config(name), WIDTHS.get(name, 1.0)), 10)


def train(config: ModelConfig, pictures: Path, epochs: int, out: Path) -> None:
    """Train a network and keep its weights as ``.npz``."""
    torch.manual_seed(0)
    images = read_image_set(pictures / "train")
    pixels = np.stack([evaluation_pixels(images.path(i), PIXELS) for i in range(len(images))])
    inputs, labels = torch.from_numpy(normalized(pixels).transpose(0, 3, 1, 2).copy()), torch.tensor(images.labels)
    model = SyncNet(config, dropout=0.0).train()
    initialize(model, 0)
    optimizer = torch.optim.AdamW(model.parameters(), 2e-3, weight_decay=1e-2)
    steps = epochs * (len(images) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(images))
        for places in order[: len(images) // BATCH * BATCH].reshape(-1, BATCH):
            loss = functional.cross_entropy(model(inputs[places]), labels[places])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    np.savez(out, **state_arrays(model))


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--models", nargs="*", default=list(WIDTHS))
    args = parser.parse_args()
    work = args.folder or Path(tempfile.mkdtemp(prefix="syncnas-precision-"))
    pictures = work / "digits"
    if not pictures.exists():
        write_digits(pictures)
    torch.set_num_threads(1)
    for name in args.models:
        config, weights = config_of(name), work / f"{name}.npz"
        if not weights.exists():
            train(config, pictures, args.epochs, weights)
        cells = []
        for precision in PRECISIONS:
            out = work / f"{name}-{precision}"
            if not is_bundle(out):
                calibrate = pictures if precision == "int8" else None
                pipeline.export(config, out, weights=weights, precisions=(precision,), calibrate=calibrate)
            bundle = read_bundle(out)
            top1 = 100 * evaluate_bundle(bundle, pictures, workers=0).top1
            far = "" if bundle.against_fp32 is None else f", logits {bundle.against_fp32.rms:.4f} rms from fp32"
            cells.append(f"{precision} top-1 {top1:.2f} %{far}")
        print(f"{name} (width {WIDTHS.get(name, 1.0):g}): {'; '.join(cells)}", flush=True)


if __name__ == "__main__":
    main()
