"""Evaluators: what a candidate network is worth, larger being better.

`zen` needs no training, `capacity` no time, and `table:FILE` reads rewards that someone else has determined.
None of them is a trained accuracy; how well they agree with one has not been measured for this project.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import importlib.metadata
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from syncnas_deploy.errors import MissingDependency, RewardTableError, StrategyError, UnknownEvaluator
from syncnas_deploy.models.config import ModelConfig, StageSpec, check_strategy

if TYPE_CHECKING:
    import torch

    from syncnas_deploy.models.torch_model import SyncNet

MAX_TABLE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation gave.

    Attributes:
        reward: larger is better; None says that the candidate is infeasible.
        seconds: how long it took.
        details: numbers behind the reward, by name.
    """

    reward: float | None
    seconds: float
    details: Mapping[str, float] = field(default_factory=dict)


class Evaluator(Protocol):
    """Anything that can say what a network is worth."""

    @property
    def name(self) -> str:
        """What the user calls it."""
        ...

    @property
    def key(self) -> dict[str, object]:
        """What decides its rewards, as plain JSON: a journal of another key is not gone on with."""
        ...

    @property
    def cost(self) -> str:
        """What one evaluation takes, for people."""
        ...

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        """The reward of a network; the same again for the same network and seed."""
        ...


def make_evaluator(text: str) -> Evaluator:
    """The evaluator that `text` names: zen, zen:PIXELS, capacity or table:FILE.

    Raises:
        UnknownEvaluator: none of these.
        MissingDependency: zen without torch.
        RewardTableError: the file is no table of rewards.
    """
    name, _, rest = text.partition(":")
    if text == "capacity":
        return Capacity()
    if name == "table" and rest:
        return RewardTable(Path(rest))
    if text == "zen":
        return Zen()
    if name == "zen" and rest.isdecimal() and len(rest) < 5 and 32 <= int(rest) <= 1024:
        return Zen(input_size=int(rest))
    raise UnknownEvaluator(
        f"{text[:80]!r} is not an evaluator; use zen, zen:PIXELS (32 to 1024), capacity or table:FILE."
    )


@dataclass(frozen=True)
class Capacity:
    """The logarithm of a network's multiply-accumulates: more work in the same time is better."""

    name: str = "capacity"
    cost: str = "instant"

    @property
    def key(self) -> dict[str, object]:
        """Nothing but the name decides."""
        return {"name": self.name}

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        """ln(MACs of one image, both branches, stem and head); the seed does not matter."""
        return Evaluation(math.log(config.macs()), 0.0, {"macs": float(config.macs())})


class RewardTable:
    """Rewards by strategy from a CSV file with the columns strategy and reward; others are ignored.

    An empty reward or 0 says that the strategy is infeasible.

    Args:
        path: the file.

    Raises:
        RewardTableError: naming file, line, column and value.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        content = _read(path)
        self._digest = hashlib.sha256(content).hexdigest()
        self._rewards = _rewards(path, content)
        self.name = f"table:{path}"
        self.cost = "instant"

    @property
    def key(self) -> dict[str, object]:
        """The table's content decides, not where it is."""
        return {"name": "table", "sha256": self._digest}

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        """The reward of the network's strategy; the seed does not matter.

        Raises:
            RewardTableError: the table lacks the strategy.
        """
        if config.strategy not in self._rewards:
            raise RewardTableError(f"{self._path}: no row for strategy {config.strategy}; add one.")
        return Evaluation(self._rewards[config.strategy], 0.0)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > MAX_TABLE_BYTES:
            raise RewardTableError(f"{path}: more than {MAX_TABLE_BYTES} bytes; this is no table of rewards.")
        return path.read_bytes()
    except OSError as e:
        raise RewardTableError(f"{path}: cannot be read ({e.strerror}); check the path.") from None


def _rewards(path: Path, content: bytes) -> dict[str, float | None]:
    try:
        reader = csv.reader(content.decode("utf-8-sig").splitlines(), strict=True)
        rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except UnicodeDecodeError:
        raise RewardTableError(f"{path}: not UTF-8 text; give a CSV file.") from None
    except csv.Error as e:
        raise RewardTableError(f"{path}: not CSV ({e}); correct the quotes.") from None
    if len(rows) < 2:
        raise RewardTableError(f"{path}: has no rows; give a header strategy,reward and a row a strategy.")
    header = rows[0][1]
    for column in ("strategy", "reward"):
        if header.count(column) != 1:
            raise RewardTableError(
                f"{path}: line {rows[0][0]} must name the column {column!r} once; the columns are "
                f"{', '.join(header)[:80]}."
            )
    at_strategy, at_reward = header.index("strategy"), header.index("reward")
    rewards: dict[str, float | None] = {}
    for line, row in rows[1:]:
        if len(row) != len(header):
            raise RewardTableError(f"{path}: line {line} has {len(row)} columns, the header {len(header)}.")
        strategy = row[at_strategy]
        try:
            check_strategy(strategy, len(next(iter(rewards), strategy)) or 1)
        except StrategyError as e:
            raise RewardTableError(f"{path}: line {line}, column 'strategy': {e}") from None
        if strategy in rewards:
            raise RewardTableError(f"{path}: line {line} repeats strategy {strategy}; keep one of the rows.")
        rewards[strategy] = _reward(row[at_reward], f"{path}: line {line}, column 'reward'")
    return rewards


def _reward(text: str, where: str) -> float | None:
    try:
        reward = float(text or "0")
    except ValueError:
        reward = math.nan
    if not math.isfinite(reward):
        raise RewardTableError(
            f"{where}: {text[:40]!r} is not a finite number; correct it, or leave it empty for infeasible."
        )
    return reward or None


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
        batch: images a draw.
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

    @property
    def name(self) -> str:
        """zen:PIXELS."""
        return f"zen:{self.input_size}"

    @property
    def cost(self) -> str:
        """For MobileNetV2."""
        return f"about {0.5 * (self.input_size / 64) ** 2:.1f} s a candidate on two idle cores, no training"

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
        return Evaluation(mean, time.perf_counter() - started, {"score_sd": math.sqrt(variance)})

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

    from syncnas_deploy.models.torch_model import build

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
            "The zen evaluator needs torch; install syncnas-deploy[torch] or use --evaluator capacity."
        ) from None
