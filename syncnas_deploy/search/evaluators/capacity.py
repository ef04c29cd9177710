"""Capacity: a network's worth is the logarithm of its work."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.search.evaluators.evaluation import Evaluation


@dataclass(frozen=True)
class Capacity:
    """The logarithm of a network's multiply-accumulates: more work in the same time is better."""

    name: str = "capacity"
    cost: str = "instant"
    spread: float = 0.0
    compares_branches: ClassVar[bool] = False
    """A verdict compares MACs as such."""

    @property
    def key(self) -> dict[str, object]:
        """Nothing but the name decides."""
        return {"name": self.name}

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        """ln(MACs of one image, both branches, stem and head); the seed does not matter."""
        return Evaluation(math.log(config.macs()), 0.0, {"macs": float(config.macs())})
