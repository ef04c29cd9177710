"""Inherited weights: a candidate's reward is its top-1 with weights made from its base model's."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from syncnas_bench.files import is_file, sha256_of
from syncnas_deploy.errors import ABSENT, UnknownEvaluator, UnknownModel, WeightsError
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import load_config
from syncnas_deploy.networks.inheriting import inherit
from syncnas_deploy.precision import Precision
from syncnas_deploy.search.evaluators.evaluation import Evaluation
from syncnas_deploy.search.evaluators.exported import precision_of, rated_as_exported
from syncnas_deploy.search.evaluators.halving import Halving
from syncnas_deploy.search.evaluators.options import Options
from syncnas_deploy.search.evaluators.training import Train, device_of, opened, proxy_recipe, trained
from syncnas_deploy.training.checkpoints import TIMM, load_weights


@dataclass(frozen=True)
class Inherit:
    """Top-1 of a candidate with its base's weights, without or after a short fine-tuning.

    Before a validation the batch norms see a few hundred pictures, since the base's statistics are of other features.

    Attributes:
        weights: of the base model: a file or ``timm:NAME``.
        digest: of the file's content.
        base: the base model that they are of, a name or a file; the one that the candidate names where None.
        how: pictures, recipe (1 epoch where none is trained), device.
        epochs: of fine-tuning; 0 for none.
        spread: standard deviation of the top-1 between seeds; 0 without fine-tuning, which draws nothing.
    """

    weights: str
    digest: str
    base: str | None
    how: Train
    epochs: int = 0
    spread: float | None = 0.0

    OPTIONS = ("base", "epochs", "size", "batch", "rate", "crop", "precision", "device", "readers", "spread")

    compares_branches: ClassVar[bool] = False

    @classmethod
    def parse(cls, text: str) -> Inherit:
        """From ``WEIGHTS,FOLDER[,epochs=0][,size=96][,base=CONFIG]...``.

        Raises:
            UnknownEvaluator: an option that is unknown or out of range, or no weights or folder.
            WeightsError: no such file.
            DatasetError: the folder cannot be used.
        """
        options = Options("inherit", text, cls.OPTIONS)
        weights, _, folder = options.rest.partition(",")
        if not weights or not folder:
            raise UnknownEvaluator("inherit: needs weights and a folder; write inherit:WEIGHTS,FOLDER.")
        epochs = options.integer("epochs", 0, 0, 10_000)
        recipe = proxy_recipe(options, epochs=max(1, epochs))
        base, spread = options.optional("base"), options.number("spread", None if epochs else 0.0, 0.0, 1.0)
        how = Train(
            recipe=recipe,
            halving=Halving(recipe.epochs, 1),
            device=device_of(options),
            readers=options.integer("readers", 0, 0, 64),
            precisions=precision_of(options),
            pictures=opened(folder, recipe),
        )
        base_source = None if base is None else _absolute(base)
        return cls(_absolute(weights), _digest(weights), base_source, how, epochs, spread)

    @property
    def name(self) -> str:
        """inherit:WEIGHTS,FOLDER,epochs=N,size=PIXELS, and in which precision it rates where that is not fp32."""
        facts = f"epochs={self.epochs},size={self.how.recipe.input_size}{self.how.rounding}"
        return f"inherit:{self.weights},{self.how.pictures.folder},{facts}"

    @property
    def validation_pictures(self) -> int:
        return self.how.pictures.validating

    @property
    def cost(self) -> str:
        """How many pictures go through the network per candidate, and how large they are."""
        if self.epochs:
            return self.how.cost
        passed = "its files one by one" if self.how.rounded else "one pass"
        return f"{passed} over the validation pictures at {self.how.recipe.input_size} pixels"

    @property
    def key(self) -> dict[str, object]:
        """Weights, pictures, recipe; neither where they are nor what computes."""
        return {**self.how.key, "name": "inherit", "weights": self.digest, "epochs": self.epochs}

    def in_precisions(self, precisions: Sequence[Precision]) -> Inherit:
        return dataclasses.replace(self, how=self.how.in_precisions(precisions))

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        """Top-1 on the validation pictures; without fine-tuning the seed does not matter.

        Raises:
            WeightsError: the weights are not the base's.
            UnknownModel: the base is no shipped model and no file.
            DatasetError: pictures that cannot be used, or other classes than the weights without fine-tuning.
        """
        started = time.perf_counter()
        base = self._base_of(config)
        recipe, pictures = self.how.recipe, self.how.pictures
        twin = recipe.resized(config, base.classes)
        inherited = inherit(twin, base, _loaded(self.weights, self.digest, base), seed if self.epochs else 0)
        network = recipe.resized(config, pictures.classes)
        if self.epochs:
            from syncnas_deploy.training.run import starting_weights

            return trained(self.how, network, seed, starting_weights(network, inherited, new_classifier=True))
        return self._untrained(network, inherited, started)

    def _untrained(self, network: ModelConfig, weights: dict[str, Any], started: float) -> Evaluation:
        """Top-1 of the network without any training."""
        from syncnas_deploy.training.evaluation import evaluate_images
        from syncnas_deploy.training.proxy import recalibrated

        how = self.how
        training, validation = how.pictures.sets()
        batch, size = how.recipe.batch, network.input_size
        fitted = recalibrated(network, weights, training, batch=batch, device=how.device, readers=how.readers)
        if how.rounded:
            return rated_as_exported(how, network, fitted, started, {})
        accuracy = evaluate_images(
            network, fitted, validation, size, batch=batch, workers=how.readers, device=how.device
        )
        return Evaluation(accuracy.top1, time.perf_counter() - started, {"val_loss": accuracy.loss})

    def _base_of(self, config: ModelConfig) -> ModelConfig:
        if self.base is not None:
            return load_config(self.base)
        try:
            return load_config(config.base or config.name)
        except UnknownModel:
            raise UnknownModel(
                f"inherit: {config.base!r} is no shipped model; add base=FILE with the base model's config."
            ) from None


def _absolute(text: str) -> str:
    """A file's path from the root, so that workers elsewhere find it; what names no file as it is."""
    return str(Path(text).absolute()) if is_file(Path(text)) else text


def _digest(weights: str) -> str:
    """What stands for weights in a journal's key.

    Raises:
        WeightsError: no such file.
    """
    if weights.startswith(TIMM):
        return weights
    try:
        return sha256_of(Path(weights))[:16]
    except OSError as e:
        code = ABSENT if isinstance(e, FileNotFoundError) else None
        raise WeightsError(f"{weights}: cannot be read ({e.strerror}); check the path.", code=code) from None


@functools.lru_cache(maxsize=1)
def _loaded(weights: str, digest: str, base: ModelConfig) -> dict[str, Any]:
    """The base's weights, which must be those that the search began with.

    Raises:
        WeightsError: they are others, or not the base's.
    """
    if _digest(weights) != digest:
        raise WeightsError(f"{weights}: is another file here than where the search began; give every worker the same.")
    return load_weights(weights, base)
