"""How a network is trained: the published recipe, each number of which is an option.

Published for SyncNAS (Lee et al., LCTES 2023): SGD, cosine annealing with warm restarts, 10 warm-up epochs, weight
decay 1e-5, initial learning rate 0.256 for MobileNetV2 and 0.512 for FBNet and MnasNet. Not published, and therefore
ours: momentum 0.9 without Nesterov, 300 epochs of batches of 256, one period that ends with the run (so no restart
unless `period_epochs` asks for some), dropout 0.2, 0.256 for the other bases, no label smoothing, no EMA.

The published numbers are for long runs of large steps. `scaled` makes them fit a shorter run and smaller steps.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math
from dataclasses import dataclass
from typing import Any

from syncnas_deploy.errors import ConfigError, RecipeError
from syncnas_deploy.files.documents import Fields
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import config_from_fields, config_text, config_to_json

_RATES = {"mobilenet_v2": 0.256, "fbnet": 0.512, "mnasnet": 0.512}
_OTHER_RATE = 0.256
PUBLISHED_STEP = 256
"""Pictures per step that the published rates are taken to be for."""
WARMUP_SHARE = 0.1
"""Of a scaled run, its warm-up at most."""
PRECISIONS = ("fp32", "bf16", "fp16")
DEVICES = ("cpu", "cuda", "mps")
"""Where torch computes."""


def published_rate(config: ModelConfig) -> float:
    """The initial learning rate for a model, by the base it is or came from."""
    name = config.base or config.name
    return next((rate for base, rate in _RATES.items() if name.startswith(base)), _OTHER_RATE)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the curve of a run, besides the pictures and the network.

    Attributes:
        rate: initial learning rate, of SGD; the published one for the base where None.
        rate_batch: if given, `rate` is for steps of that many pictures, and is scaled linearly to the run's.
        epochs: passes over the training pictures, warm-up included.
        batch: pictures per batch, in each process.
        accumulate: batches per step; their gradients are averaged.
        warmup_epochs: the learning rate rises linearly to `rate`.
        period_epochs: of the first period of the cosine; what is left of the run where None.
        period_factor: length of a period over the one before.
        smallest_rate: learning rate at the end of a period.
        momentum, weight_decay: of SGD; the decay concerns all parameters.
        label_smoothing: share of the target that is spread over all classes.
        dropout: before the classifier.
        ema_decay: of the moving average of the weights, which is then validated and kept; 0 for none.
        precision: fp32, or the type of autocast: bf16 on CPU and CUDA, fp16 on CUDA.
        input_size: pixels; the config's own where None.
        smallest_crop: of the random crop, share of the picture's area.
        held_out: share of each class for validation, where the folder has no ``val``.
        seed: of initial weights, order, crops and dropout.
    """

    rate: float | None = None
    rate_batch: int | None = None
    epochs: int = 300
    batch: int = 256
    accumulate: int = 1
    warmup_epochs: float = 10
    period_epochs: int | None = None
    period_factor: int = 1
    smallest_rate: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 1e-5
    label_smoothing: float = 0.0
    dropout: float = 0.2
    ema_decay: float = 0.0
    precision: str = "fp32"
    input_size: int | None = None
    smallest_crop: float = 0.08
    held_out: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        for names, low, high in _RANGES:
            for name in names:
                value = getattr(self, name)
                if value is not None and not (math.isfinite(value) and low <= value <= high):
                    raise RecipeError(f"{name} must be between {low:g} and {high:g}, found {value:g}.")
        if self.precision not in PRECISIONS:
            raise RecipeError(f"precision must be one of {', '.join(PRECISIONS)}, found {self.precision[:40]!r}.")

    def schedule(self, config: ModelConfig, processes: int) -> Schedule:
        """The learning rate over the run, for a network and that many processes."""
        rate = published_rate(config) if self.rate is None else self.rate
        if self.rate_batch is not None:
            rate *= self.batch * self.accumulate * processes / self.rate_batch
        left = self.epochs - self.warmup_epochs
        period = self.period_epochs or (left if left > 0 else 1)
        return Schedule(rate, self.warmup_epochs, period, self.period_factor, min(self.smallest_rate, rate))

    def resized(self, config: ModelConfig, classes: int) -> ModelConfig:
        """The network for this run: with its input size and that many classes.

        Raises:
            ConfigError: the network cannot have that input size.
        """
        value = config_to_json(config) | {"classes": classes}
        if self.input_size is not None:
            value["input_size"] = self.input_size
        return config_from_fields(Fields(value, config.name, ConfigError), config.name)


_RANGES = (
    (("rate",), 1e-9, 1e3),
    (("epochs", "batch", "accumulate", "rate_batch", "period_epochs", "period_factor"), 1, 1_000_000),
    (("warmup_epochs", "seed"), 0, 2**31 - 1),
    (("smallest_rate", "weight_decay"), 0.0, 1e3),
    (("momentum", "label_smoothing", "dropout", "ema_decay"), 0.0, 0.999_999),
    (("smallest_crop",), 1e-3, 1.0),
    (("held_out",), 1e-6, 0.9),
    (("input_size",), 8, 4_096),
)


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then cosine annealing with warm restarts; a function of the epoch alone, without state.

    Source: Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017, eq. 5.
    """

    rate: float
    warmup_epochs: float
    period_epochs: float
    period_factor: int
    smallest_rate: float

    def at(self, epoch: float) -> float:
        """The learning rate after `epoch` epochs; a fraction is a place within one."""
        if epoch < self.warmup_epochs:
            return self.rate * epoch / self.warmup_epochs
        since, period = epoch - self.warmup_epochs, self.period_epochs
        while since >= period:
            since -= period
            period *= self.period_factor
        return self.smallest_rate + (self.rate - self.smallest_rate) * (1 + math.cos(math.pi * since / period)) / 2


def scaled(processes: int = 1, **given: Any) -> tuple[Recipe, str]:
    """The published recipe, fitted to a run's length and step: warm-up and learning rate follow where none is given.

    A step of fewer pictures than `PUBLISHED_STEP` has a rate as much lower. The warm-up is at most `WARMUP_SHARE` of
    the run. A run of the published length and step is the published one.

    Args:
        processes: that take part in each step.
        given: fields of `Recipe`; None for one that is not given.

    Returns:
        The recipe, and a sentence that says what was scaled, empty where nothing was.
    """
    recipe = Recipe(**{name: value for name, value in given.items() if value is not None})
    said = []
    step = recipe.batch * recipe.accumulate * processes
    if recipe.rate is None and recipe.rate_batch is None and step < PUBLISHED_STEP:
        recipe = dataclasses.replace(recipe, rate_batch=PUBLISHED_STEP)
        said.append(f"the learning rate is {step}/{PUBLISHED_STEP} of the published one, for steps of {step} pictures")
    warmup = min(recipe.warmup_epochs, round(WARMUP_SHARE * recipe.epochs, 2))
    if given.get("warmup_epochs") is None and warmup < recipe.warmup_epochs:
        said.append(f"the warm-up takes {warmup:g} of {recipe.epochs} epochs, not {recipe.warmup_epochs:g}")
        recipe = dataclasses.replace(recipe, warmup_epochs=warmup)
    text = f"Scaled to this run: {' and '.join(said)}; --recipe published keeps the published numbers."
    return recipe, text if said else ""


def facts_of_run(recipe: Recipe, config: ModelConfig, **others: Any) -> dict[str, Any]:
    """What must be equal for a run to be resumed, by name: the recipe, the network, and `others`."""
    network = hashlib.sha256(config_text(config).encode()).hexdigest()
    return {**dataclasses.asdict(recipe), "network": f"{config.name} {network[:16]}", **others}
