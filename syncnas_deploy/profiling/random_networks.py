"""Two-branch networks to measure: random networks that no table was made from, and files and jobs of any network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from syncnas_bench import Job
from syncnas_deploy.bundle_network import network_job
from syncnas_deploy.measuring.jobs import solo_job
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.lowering import lower
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.resizing import allowed_widths, width_at
from syncnas_deploy.networks.segments import Segment, cut
from syncnas_deploy.networks.strategy import random_strategy
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.networks.widths import BlockKey, Widths
from syncnas_deploy.precision import FileFormat
from syncnas_deploy.prediction.curves import curves_of
from syncnas_deploy.profiling.timing_files import AddFile, timing_file
from syncnas_deploy.profiling.width_design import RANGE


def random_networks(base: ModelConfig, count: int, seed: int) -> tuple[ModelConfig, ...]:
    """Networks of different strategies, each block at a random width within the measured range.

    The trunk is branch 0 and branch 1 in turns. Of every four networks the last two compute the stem on both branches.
    """
    rng = np.random.default_rng([seed, count])
    networks: dict[str, ModelConfig] = {}
    while len(networks) < min(count, 2 * 3 ** (len(base.stages) - 1)):
        strategy = random_strategy(rng, len(base.stages))
        if strategy not in networks:
            widths, number = random_widths(base, strategy, rng), len(networks)
            placement = Placement(number % 2, number % 4 >= 2)
            networks[strategy] = branched(base, strategy, widths, name=f"random{number}", placement=placement)
    return tuple(networks.values())


def random_widths(base: ModelConfig, strategy: str, rng: np.random.Generator) -> Widths:
    """A random width for every block of both branches, within the range that a profile covers."""
    choices = {}
    for curve in curves_of(base):
        block = base.stages[curve.stage].branches[0][curve.block]
        low, high = (width_at(block, ratio) for ratio in RANGE)
        for branch in (0, 1):
            choices[branch, curve.key] = allowed_widths(base, curve.key, low, high, branch)
    return Widths.of(
        [
            [rng.choice(choices[branch, BlockKey(s, i, letter == "c")]) for i in range(depth)]
            for s, (depth, letter) in enumerate(zip(base.widths.depths, strategy, strict=True))
        ]
        for branch in (0, 1)
    )


@dataclass(frozen=True)
class NetworkFiles:
    """A two-branch network and its files.

    Attributes:
        files: by branch, the index of its .tflite file in a plan.
    """

    config: ModelConfig
    segments: tuple[Segment, ...]
    files: tuple[int, int]

    def job(self, name: str) -> Job:
        """Both branches at once, branch b on unit b."""
        return network_job(name, self.segments, files=self.files, units=(0, 1))

    def solo(self, name: str, branch: int) -> Job:
        """One branch alone, the other unit idle."""
        return solo_job(name, self.segments, branch, file=self.files[branch], unit=branch)


def write_network(
    config: ModelConfig, seed: int, add_file: AddFile, formats: Sequence[FileFormat] = (FileFormat(), FileFormat())
) -> NetworkFiles:
    """Write a two-branch network's files.

    Args:
        config: the network.
        seed: of its weights.
        add_file: see `timing_files`.
        formats: of branch 0 and of branch 1.
    """
    weights = random_weights(parameter_shapes(config), seed)
    segments = cut(config)
    graphs = {segment.name: lower(segment, config, weights) for segment in segments}
    files = []
    for branch, form in enumerate(formats):
        own = [graphs[segment.name] for segment in segments if segment.branch == branch]
        files.append(add_file(f"{config.name}_branch{branch}.tflite", timing_file(own, form)))
    return NetworkFiles(config, segments, (files[0], files[1]))
