"""Two-branch networks as things to measure: random ones that no table has seen, and their files and jobs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from syncnas_bench import Job
from syncnas_deploy.errors import ProfileMismatch
from syncnas_deploy.measuring.jobs import network_job, solo_job
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.lowering import lower
from syncnas_deploy.networks.segments import Segment, cut
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.networks.widths import width_at
from syncnas_deploy.profiling.width_design import RANGE, allowed_widths, curves_of
from syncnas_exporters import write_tflite
from syncnas_exporters.graph import Graph


def random_networks(base: ModelConfig, count: int, seed: int) -> tuple[ModelConfig, ...]:
    """Networks of different strategies, each block at a random width within the measured range.

    Trunks take turns, and of every four networks the last two compute the stem on both branches.
    """
    rng = np.random.default_rng([seed, count])
    found: dict[str, ModelConfig] = {}
    while len(found) < min(count, 2 * 3 ** (len(base.stages) - 1)):
        letters = [*rng.integers(3, size=len(base.stages) - 1), rng.integers(2)]
        strategy = "".join("acn"[i] for i in letters)
        if strategy not in found:
            expanded = random_widths(base, strategy, rng)
            number = len(found)
            trunk, twin_stem = number % 2, number % 4 >= 2
            name = f"random{number}"
            found[strategy] = branched(base, strategy, expanded, name=name, trunk=trunk, twin_stem=twin_stem)
    return tuple(found.values())


def random_widths(
    base: ModelConfig, strategy: str, rng: np.random.Generator
) -> tuple[tuple[tuple[int, ...], ...], ...]:
    """A width for every block, by [branch][stage][block], each within what a profile covers."""
    choices = {}
    for curve in curves_of(base):
        block = base.stages[curve.stage].branches[0][curve.block]
        low, high = (width_at(block, ratio) for ratio in RANGE)
        for branch in (0, 1):
            choices[branch, curve.stage, curve.block, curve.halved] = allowed_widths(base, curve, low, high, branch)
    return tuple(
        tuple(
            tuple(int(rng.choice(choices[branch, s, i, letter == "c"])) for i in range(len(stage.branches[0])))
            for s, (stage, letter) in enumerate(zip(base.stages, strategy, strict=True))
        )
        for branch in (0, 1)
    )


def nested_widths(base: ModelConfig, flat: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    """A branch's widths by [stage][block] from those of its blocks in order.

    Raises:
        ProfileMismatch: not as many as the base has blocks.
    """
    rows, at = [], 0
    for stage in base.stages:
        depth = len(stage.branches[0])
        rows.append(tuple(flat[at : at + depth]))
        at += depth
    if at != len(flat):
        raise ProfileMismatch(f"{len(flat)} widths are given, {base.name} has {at} blocks; measure the device again.")
    return tuple(rows)


@dataclass(frozen=True)
class NetworkFiles:
    """A two-branch network, its segments, and the .tflite of each branch by its number in a plan."""

    config: ModelConfig
    segments: tuple[Segment, ...]
    files: tuple[int, int]

    def job(self, name: str) -> Job:
        """Both branches at once, branch b on unit b."""
        return network_job(name, self.segments, files=self.files, units=(0, 1))

    def solo(self, name: str, branch: int) -> Job:
        """One branch, the other unit idle."""
        return solo_job(name, self.segments, branch, file=self.files[branch], unit=branch)


def write_network(config: ModelConfig, seed: int, add_file: Callable[[str, bytes], int]) -> NetworkFiles:
    """Write a two-branch network's files.

    Args:
        config: the network.
        seed: of its weights.
        add_file: writes a file of a name with a content, and returns its number in the plan.
    """
    weights = random_weights(parameter_shapes(config), seed)
    segments = cut(config)
    graphs = {segment.name: lower(segment, config, weights) for segment in segments}
    first, second = (
        add_file(f"{config.name}_branch{branch}.tflite", write_tflite(_of_branch(graphs, segments, branch)))
        for branch in (0, 1)
    )
    return NetworkFiles(config, segments, (first, second))


def _of_branch(graphs: dict[str, Graph], segments: Sequence[Segment], branch: int) -> list[Graph]:
    return [graphs[segment.name] for segment in segments if segment.branch == branch]


def write_to(folder: Path, files: list[Path]) -> Callable[[str, bytes], int]:
    """An `add_file` that writes into a folder and appends to a plan's list of files."""

    def add_file(name: str, data: bytes) -> int:
        path = folder / name
        path.write_bytes(data)
        files.append(path)
        return len(files) - 1

    return add_file
