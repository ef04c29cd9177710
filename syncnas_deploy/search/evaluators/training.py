"""Proxy training: a candidate's reward is its top-1 after a few epochs on small pictures."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from syncnas_deploy.errors import DatasetError, MissingDependency, TrainingDiverged, UnknownEvaluator
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.scaling import scaled
from syncnas_deploy.precision import Precision
from syncnas_deploy.search.evaluators.evaluation import Evaluation
from syncnas_deploy.search.evaluators.exported import precision_of, rated_as_exported
from syncnas_deploy.search.evaluators.halving import Halving, Rungs
from syncnas_deploy.search.evaluators.options import Options
from syncnas_deploy.search.evaluators.pictures import Pictures
from syncnas_deploy.training.recipe import DEVICES, PUBLISHED_STEP, Recipe

if TYPE_CHECKING:
    from syncnas_deploy.training.run_folder import EpochRow

_SEEDS = 2**31


@dataclass(frozen=True)
class Train:
    """Top-1 after a short training from random weights, with early stopping of hopeless candidates.

    Attributes:
        pictures: to train and to validate on.
        recipe: of a candidate that is trained to its end; the seed in it is replaced by the evaluation's.
        width: factor on all channels of the network that is trained.
        halving: when a candidate is given up.
        device: where torch computes.
        readers: processes that decode pictures; 0 for none but the evaluating one.
        spread: standard deviation of the top-1 between seeds, where it is declared.
        rungs: values of earlier candidates, see `Halving`.
        gains: what candidates gain from a rung to the end.
        precisions: that candidates are rated in, for all branches or for each; None for fp32, and for what
            `in_precisions` says.
    """

    pictures: Pictures
    recipe: Recipe
    width: float = 1.0
    halving: Halving = field(default_factory=lambda: Halving(9))
    device: str = "cpu"
    readers: int = 0
    spread: float | None = None
    rungs: Rungs = field(default_factory=dict)
    gains: Mapping[int, float] = field(default_factory=dict)
    precisions: tuple[Precision, ...] | None = None

    OPTIONS = (
        *("epochs", "size", "width", "halving", "batch", "rate", "crop"),
        *("precision", "device", "readers", "spread"),
    )

    @classmethod
    def parse(cls, text: str) -> Train:
        """From ``FOLDER[,epochs=9][,size=96][,width=1][,halving=3]...``.

        Raises:
            UnknownEvaluator: an option that is unknown or out of range.
            DatasetError: the folder cannot be used, or has fewer pictures than a batch.
        """
        options = Options("train", text, cls.OPTIONS)
        if not options.rest:
            raise UnknownEvaluator("train: names no folder; write train:FOLDER,epochs=9,size=96.")
        recipe = proxy_recipe(options, epochs=options.integer("epochs", 9, 1, 10_000))
        width = options.number("width", 1.0, 0.05, 4.0)
        assert width is not None
        # The folder, which may be large, is listed when all else is known to be good.
        return cls(
            recipe=recipe,
            width=width,
            halving=Halving(recipe.epochs, options.integer("halving", 3, 1, 100)),
            device=device_of(options),
            readers=options.integer("readers", 0, 0, 64),
            spread=options.number("spread", None, 0.0, 1.0),
            precisions=precision_of(options),
            pictures=opened(options.rest, recipe),
        )

    @property
    def name(self) -> str:
        """train:FOLDER,epochs=N,size=PIXELS,width=FACTOR, and in which precision it rates where that is not fp32."""
        facts = f"epochs={self.recipe.epochs},size={self.recipe.input_size},width={self.width:g}"
        return f"train:{self.pictures.folder},{facts}{self.rounding}"

    @property
    def validation_pictures(self) -> int:
        return self.pictures.validating

    @property
    def rounded(self) -> tuple[Precision, ...]:
        """The precisions that candidates are rated in; empty where that is fp32, by torch."""
        precisions = self.precisions or ()
        return () if set(precisions) <= {"fp32"} else precisions

    @property
    def rounding(self) -> str:
        """The end of the name: in which precisions candidates are rated, "" for fp32."""
        return f",precision={'|'.join(dict.fromkeys(self.rounded))}" if self.rounded else ""

    @property
    def cost(self) -> str:
        """How many pictures go through the network per candidate, and how large they are."""
        most = self.recipe.epochs * self.pictures.count
        rungs = self.halving.rungs
        least = f"{rungs[0] * self.pictures.count:,} to " if rungs else ""
        size = self.recipe.input_size
        rated = ", and its files over the validation pictures, one by one" if self.rounded else ""
        return f"forward and backward passes over {least}{most:,} pictures of {size} x {size} per candidate{rated}"

    @property
    def key(self) -> dict[str, object]:
        """Pictures, recipe, width, halving and precisions; neither where they are nor what computes."""
        recipe = {**dataclasses.asdict(self.recipe), "seed": None}
        rounded = {"precisions": list(self.rounded)} if self.rounded else {}
        return {
            "name": "train",
            "pictures": self.pictures.key,
            "recipe": recipe,
            "width": self.width,
            "halving": self.halving.factor,
            "batch_norms": "fitted",  # rewards of before are others
            **rounded,
        }

    def in_precisions(self, precisions: Sequence[Precision]) -> Train:
        return self if self.precisions is not None else dataclasses.replace(self, precisions=tuple(precisions))

    def informed(self, finished: Sequence[Evaluation]) -> Train:
        """With the values and gains of finished candidates, to compare the next one with."""
        return dataclasses.replace(self, rungs=self.halving.known(finished), gains=self.halving.gains(finished))

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        """Top-1 on the validation pictures after the last epoch; infeasible where the training diverges.

        In int8 or fp16 it is that of the files that would be exported; `details` has that of torch as `top1_fp32`.
        A candidate that is given up at a rung gets its value there, plus what others gained from there to the end.

        Raises:
            DatasetError: pictures that cannot be used.
            ConfigError: the network cannot have that input size.
            TorchDeviceUnavailable: no such device here.
        """
        network = scaled(self.recipe.resized(config, self.pictures.classes), self.width)
        return trained(self, network, seed, None)


def trained(how: Train, network: ModelConfig, seed: int, weights: dict[str, Any] | None) -> Evaluation:
    """Train a network with the pictures, recipe and rungs of `how`, from `weights` or from random ones."""
    # Threads of OpenMP that spin while they wait slow each other down; torch reads this when it is imported.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from syncnas_deploy.training.proxy import train_briefly

    started = time.perf_counter()
    details: dict[str, float] = {}
    training, validation = how.pictures.sets()

    def goes_on(row: EpochRow) -> bool:
        if row.epoch not in how.halving.rungs:
            return True
        details[how.halving.detail(row.epoch)] = row.top1
        return not how.halving.is_hopeless(row.top1, how.rungs.get(row.epoch, ()))

    try:
        rows, ended = train_briefly(
            network,
            dataclasses.replace(how.recipe, seed=seed % _SEEDS),
            training,
            validation,
            weights=weights,
            device=how.device,
            readers=how.readers,
            goes_on=goes_on,
        )
    except TrainingDiverged as e:
        return Evaluation(None, time.perf_counter() - started, details, note=str(e).partition(";")[0])
    last = rows[-1]
    details |= {"epochs": float(last.epoch), "val_loss": last.val_loss, "train_loss": last.train_loss}
    seconds = time.perf_counter() - started
    if last.epoch == how.recipe.epochs and how.rounded:
        return rated_as_exported(how, network, ended, started, {**details, "top1_fp32": last.top1})
    if last.epoch == how.recipe.epochs:
        return Evaluation(last.top1, seconds, details)
    reward = last.top1 + how.gains.get(last.epoch, 0.0)
    return Evaluation(reward, seconds, details, partial=True, note=f"given up after epoch {last.epoch}")


def proxy_recipe(options: Options, *, epochs: int) -> Recipe:
    """The recipe of a short training: the published one, with a short warm-up, without dropout."""
    return Recipe(
        rate=options.number("rate", None, 1e-6, 100.0),
        rate_batch=PUBLISHED_STEP,
        epochs=epochs,
        batch=options.integer("batch", 64, 1, 65_536),
        warmup_epochs=min(1, epochs - 1),
        dropout=0.0,
        input_size=options.integer("size", 96, 8, 4_096),
        smallest_crop=options.number("crop", 0.35, 1e-3, 1.0) or 1.0,
    )


def opened(folder: str, recipe: Recipe) -> Pictures:
    """The pictures of a folder, at least a batch of them.

    Raises:
        MissingDependency: torch is not installed.
        DatasetError: the folder cannot be used, or has fewer.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingDependency(
            "The evaluators train and inherit need torch; install it with: pip install 'syncnas-deploy[torch]'."
        )
    pictures = Pictures.open(Path(folder))
    if pictures.count < recipe.batch:
        raise DatasetError(
            f"{folder}: {pictures.count} pictures to train on are fewer than a batch of {recipe.batch}; "
            f"add batch={max(1, pictures.count // 4)} to the evaluator."
        )
    return pictures


def device_of(options: Options) -> str:
    """The option `device`.

    Raises:
        UnknownEvaluator: none that torch could have.
    """
    device = options.text("device", "cpu")
    if device.partition(":")[0] not in DEVICES:
        raise UnknownEvaluator(f"device must be one of {', '.join(DEVICES)}, found {device[:40]!r}.")
    return device
