"""Zen-score: a reward without training."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from syncnas_deploy.errors import MissingDependency
from syncnas_deploy.networks.config import ModelConfig, StageSpec
from syncnas_deploy.search.evaluators.evaluation import Evaluation

if TYPE_CHECKING:
    import torch

    from syncnas_deploy.training.module import SyncNet


@dataclass(frozen=True)
class Zen:
    """Zen-score: how strongly a network with random weights reacts to its input, without training.

    For weights drawn from N(0, 1), images x and noise e from N(0, 1), the network f up to the global pool,
    without residual links:

        score = ln E ||f(x) - f(x + perturbation * e)||
              + sum over batch norms of ln sqrt(mean over channels of var)

    The second term gives back the scale that batch normalization takes away; var is the variance of what
    enters it, over the batch. It is computed at a reduced resolution, with the mean over `repeats` draws.
    Scores compare networks of one base and two branches with each other; against a network of one branch
    they do not, since two branches have twice the batch norms.

    Attributes:
        input_size: height and width of the images, pixels.
        batch: images per draw.
        repeats: draws.
        perturbation: size of the noise.

    Source: Lin et al., "Zen-NAS: A Zero-Shot NAS for High-Performance Image Recognition", ICCV 2021, Alg. 1.
    """

    input_size: int = 64
    batch: int = 16
    repeats: int = 4
    perturbation: float = 0.01

    def __post_init__(self) -> None:
        if min(self.input_size, self.batch - 1, self.repeats) < 1 or not self.perturbation > 0:
            raise ValueError("zen needs pixels, at least 2 images, a repeat and a perturbation above 0")
        _torch_version()

    compares_branches: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """zen:PIXELS."""
        return f"zen:{self.input_size}"

    @property
    def cost(self) -> str:
        """Seconds per candidate of MobileNetV2's size; they grow with the square of the input size."""
        return f"about {0.5 * (self.input_size / 64) ** 2:.1f} s per candidate on two idle cores, no training"

    @property
    def spread(self) -> None:
        """None: each evaluation has its own, from its draws."""
        return None

    @property
    def key(self) -> dict[str, object]:
        """All parameters, and the torch that draws the weights."""
        return {"name": "zen", **dataclasses.asdict(self), "torch": _torch_version()}

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        """The Zen-score, mean over the repeats; the details hold its standard deviation."""
        # Threads of OpenMP that spin while they wait make torch many times slower where another process
        # has a core; it reads this when it is imported.
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        import torch

        started = time.perf_counter()
        generator = torch.Generator().manual_seed(seed)
        net, norms = _plain_network(config)
        with torch.no_grad():
            scores = [self._score(net, norms, generator) for _ in range(self.repeats)]
        mean = math.fsum(scores) / len(scores)
        variance = math.fsum((s - mean) ** 2 for s in scores) / max(len(scores) - 1, 1)
        # One draw says nothing of the others.
        spread = math.sqrt(variance / len(scores)) if len(scores) > 1 else None
        return Evaluation(mean, time.perf_counter() - started, {"score_sd": math.sqrt(variance)}, spread)

    def _score(self, net: SyncNet, norms: list[torch.nn.BatchNorm2d], generator: torch.Generator) -> float:
        """The Zen-score of one draw of weights and images."""
        import torch

        for parameter in net.parameters():
            # Vectors are biases and the scales and shifts of batch norms: they stay at 0 and 1.
            if parameter.dim() > 1:
                parameter.normal_(generator=generator)
        shape = (self.batch, 3, self.input_size, self.input_size)
        images = torch.randn(shape, generator=generator)
        noise = torch.randn(shape, generator=generator)
        features = net.features(images)
        # With momentum 1 a batch norm's running variance is the variance of the batch it saw last.
        variances = [norm.running_var for norm in norms]
        scale = math.fsum(0.5 * math.log(float(v.mean()) + 1e-20) for v in variances if v is not None)
        moved = net.features(images + self.perturbation * noise)
        distance = float((moved - features).flatten(1).norm(dim=1).mean())
        return math.log(distance + 1e-20) + scale


def _plain_network(config: ModelConfig) -> tuple[SyncNet, list[torch.nn.BatchNorm2d]]:
    """The network without residual links, in training mode, and its batch norms."""
    import torch

    from syncnas_deploy.training.module import build

    stages = tuple(
        StageSpec(tuple(tuple(dataclasses.replace(b, residual=False) for b in br) for br in stage.branches))
        for stage in config.stages
    )
    # torch's own stream of random numbers belongs to the caller.
    with torch.random.fork_rng(devices=[]):
        net = build(dataclasses.replace(config, stages=stages)).train()
    norms = [module for module in net.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    for name, parameter in net.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.zeros_(parameter)
    for norm in norms:
        norm.momentum = 1.0
    return net, norms


def _torch_version() -> str:
    """torch's version, without importing it."""
    try:
        return importlib.metadata.version("torch")
    except importlib.metadata.PackageNotFoundError:
        raise MissingDependency(
            "The zen evaluator needs torch; run: pip install 'syncnas-deploy[torch]', or use --evaluator capacity."
        ) from None
