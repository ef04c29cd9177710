"""A made-up latency table: what the search and its benchmarks run on where no device is measured.

Latencies are plausible and seeded, not measured: multiply-accumulates over a unit's speed, a start-up time
per block, steps where a work group fills, and a little noise.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from syncnas_deploy.networks.config import BlockSpec, HeadSpec, ModelConfig, StageSpec, StemSpec


class SyntheticTable:
    """Latencies of two made-up units; satisfies `syncnas_deploy.search.widths.solver.CostTable`.

    Args:
        base: a model of one branch.
        seed: decides speeds, overheads and noise.
        width_count: how many widths each block may take, at most; multiples of 4 up to 1.5 times the base.
    """

    def __init__(self, base: ModelConfig, seed: int, *, width_count: int = 40) -> None:
        self._rng = np.random.default_rng(seed)
        self._blocks = {(s, i): block for _, s, i, block in base.blocks()}
        self._outputs = [stage.branches[0][-1] for stage in base.stages]
        self._base = base
        self._width_count = width_count
        self._macs_per_us = self._rng.uniform(8_000, 30_000, size=2)
        self._block_start_us = self._rng.uniform(5, 30, size=2)
        self._group = (1, int(self._rng.choice([1, 4, 8, 16])))
        self._sync_us = float(self._rng.uniform(20, 200))
        self._bytes_per_us = float(self._rng.uniform(1_000, 10_000))
        self._entries: dict[tuple[int, int, int, bool], tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
        for branch in (0, 1):
            for s, i in self._blocks:
                for halved in (False, True):
                    self._entries[branch, s, i, halved] = self._measure(branch, s, i, halved)

    def _measure(
        self, branch: int, stage: int, index: int, halved: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        block = self._blocks[stage, index]
        top = max(4, int(1.5 * block.expanded_channels) // 4 * 4)
        widths = np.unique(np.linspace(4, top, self._width_count).astype(np.int64) // 4 * 4)
        macs = np.array([self._resized(block, int(w), index, halved).macs() for w in widths])
        steps = -(-widths // self._group[branch]) * self._group[branch] / widths
        time_us = self._block_start_us[branch] + macs * steps / self._macs_per_us[branch]
        return widths, time_us * self._rng.uniform(0.97, 1.03, size=len(widths))

    @staticmethod
    def _resized(block: BlockSpec, width: int, index: int, halved: bool) -> BlockSpec:
        share = 2 if halved else 1
        entering = block.in_channels // share if index else block.in_channels
        return block.resized(expanded=width, in_channels=entering, out_channels=block.out_channels // share)

    def _output_bytes(self, stage: int) -> int:
        last = self._outputs[stage]
        return 4 * last.output_size**2 * last.out_channels

    def block_us(
        self, branch: int, stage: int, block: int, halved: bool
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        return self._entries[branch, stage, block, halved]

    def invocation_us(self, branch: int) -> float:
        return float(self._block_start_us[branch])

    def sync_op_us(self, branch: int, stage: int, op: str) -> float:
        return (2 if op == "a" else 1) * self._output_bytes(stage) / 8_000

    def sync_us(self, stage: int, op: str) -> float:
        return self._sync_us + (2 if op == "a" else 1) * self._output_bytes(stage) / self._bytes_per_us

    def fork_us(self, trunk: int) -> float:
        return self._sync_us + self._base.stem_size**2 * self._base.stem.out_channels * 4 / self._bytes_per_us

    def stem_us(self, trunk: int) -> float:
        return self._base.stem_macs() / float(self._macs_per_us[trunk])

    def head_us(self, trunk: int, op: str) -> float:
        return self._base.head_macs() / float(self._macs_per_us[trunk])

    def join_us(self, trunk: int, op: str) -> float:
        return self.sync_us(len(self._outputs) - 1, op) / 2


def single_branch_us(base: ModelConfig, table: SyntheticTable) -> float:
    """Latency of the base model alone on the faster of the two units: what a budget of 1.0x means, us."""
    totals = []
    for branch in (0, 1):
        total = table.stem_us(branch) + table.head_us(branch, "a")
        for _, s, i, block in base.blocks():
            widths, time_us = table.block_us(branch, s, i, False)
            total += float(np.interp(block.expanded_channels, widths, time_us))
        totals.append(total)
    return min(totals)


def toy_base(depths: tuple[int, ...], *, width: int = 16) -> ModelConfig:
    """A base model of so many blocks a stage, all small and alike: for tests by brute force."""
    block = BlockSpec(
        kernels=(3,),
        stride=1,
        in_channels=8,
        expanded_channels=width,
        out_channels=8,
        input_size=16,
        activation="relu6",
    )
    return ModelConfig(
        name="toy",
        stem=StemSpec(out_channels=8, activation="relu6"),
        stages=tuple(StageSpec(((block,) * depth,)) for depth in depths),
        head=HeadSpec(in_channels=8, out_channels=16, activation="relu6"),
        input_size=32,
        classes=10,
    )


def resized_input(base: ModelConfig, pixels: int) -> ModelConfig:
    """A toy base (all strides 1) for another input size, pixels."""
    blocks_size = (pixels - 1) // base.stem.stride + 1
    stages = tuple(
        StageSpec(tuple(tuple(dataclasses.replace(b, input_size=blocks_size) for b in br) for br in st.branches))
        for st in base.stages
    )
    return dataclasses.replace(base, stages=stages, input_size=pixels)
