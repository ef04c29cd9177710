"""A made-up latency table: what the search and its benchmarks run on without a measured device.

Latencies are plausible and seeded, not measured: multiply-accumulates over a unit's speed, a start-up time
per block, steps where a work group fills, and a little noise.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from numpy.typing import NDArray

from syncnas_deploy.networks.config import BlockSpec, HeadSpec, ModelConfig, StageSpec, StemSpec
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.widths import BlockKey


class SyntheticTable:
    """Latencies of two made-up units; satisfies `syncnas_deploy.search.widths.solver.CostTable`.

    Args:
        base: a model of one branch.
        seed: decides speeds, overheads and noise.
        width_count: how many widths each block may take, at most; multiples of 4 up to 1.5 times the base.
        placement: where stem and head run.

    Attributes:
        macs_per_us: speed of each unit.
    """

    def __init__(
        self, base: ModelConfig, seed: int, *, width_count: int = 40, placement: Placement = Placement()
    ) -> None:
        self.placement = placement
        self._rng = np.random.default_rng(seed)
        self._blocks = {(s, i): block for _, s, i, block in base.blocks()}
        self._outputs = [stage.branches[0][-1] for stage in base.stages]
        self._base = base
        self._width_count = width_count
        self.macs_per_us = (float(self._rng.uniform(8_000, 30_000)), float(self._rng.uniform(8_000, 30_000)))
        self._block_start_us = self._rng.uniform(5, 30, size=2)
        self._group = (1, int(self._rng.choice([1, 4, 8, 16])))
        self._sync_us = float(self._rng.uniform(20, 200))
        self._bytes_per_us = float(self._rng.uniform(1_000, 10_000))
        self._entries: dict[tuple[int, BlockKey], tuple[NDArray[np.int64], NDArray[np.float64]]] = {}
        for branch in (0, 1):
            for s, i in self._blocks:
                for halved in (False, True):
                    key = BlockKey(s, i, halved)
                    self._entries[branch, key] = self._measure(branch, key)

    def _measure(self, branch: int, key: BlockKey) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        block = self._blocks[key.stage, key.block]
        top = max(4, int(1.5 * block.expanded_channels) // 4 * 4)
        widths = np.unique(np.linspace(4, top, self._width_count).astype(np.int64) // 4 * 4)
        macs = np.array([self._resized(block, int(w), key).macs() for w in widths])
        steps = -(-widths // self._group[branch]) * self._group[branch] / widths
        time_us = self._block_start_us[branch] + macs * steps / self.macs_per_us[branch]
        return widths, time_us * self._rng.uniform(0.97, 1.03, size=len(widths))

    @staticmethod
    def _resized(block: BlockSpec, width: int, key: BlockKey) -> BlockSpec:
        share = 2 if key.halved else 1
        entering = block.in_channels // share if key.block else block.in_channels
        return block.resized(expanded=width, in_channels=entering, out_channels=block.out_channels // share)

    def _output_bytes(self, stage: int) -> int:
        last = self._outputs[stage]
        return 4 * last.output_size**2 * last.out_channels

    def block_us(self, branch: int, key: BlockKey) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        return self._entries[branch, key]

    def invocation_us(self, branch: int) -> float:
        return float(self._block_start_us[branch])

    def sync_op_us(self, branch: int, stage: int, op: str) -> float:
        return (2 if op == "a" else 1) * self._output_bytes(stage) / 8_000

    def sync_us(self, stage: int, op: str) -> float:
        return self._sync_us + (2 if op == "a" else 1) * self._output_bytes(stage) / self._bytes_per_us

    def fork_us(self) -> float:
        if self.placement.twin_stem:
            return self._sync_us
        return self._sync_us + self._base.stem_size**2 * self._base.stem.out_channels * 4 / self._bytes_per_us

    def stem_us(self) -> float:
        units = (0, 1) if self.placement.twin_stem else (self.placement.trunk,)
        return max(self._base.stem_macs() / self.macs_per_us[unit] for unit in units)

    def late_us(self, branch: int) -> float:
        return 0.0

    def head_us(self, op: str) -> float:
        return self._base.head_macs() / self.macs_per_us[self.placement.trunk]

    def join_us(self, op: str) -> float:
        return self.sync_us(len(self._outputs) - 1, op) / 2


def single_branch_us(base: ModelConfig, table: SyntheticTable) -> float:
    """Latency of the base model alone on the faster of the two units: what a budget of 1.0x means, us."""
    totals_us = []
    for unit, macs_per_us in enumerate(table.macs_per_us):
        total_us = (base.stem_macs() + base.head_macs()) / macs_per_us
        for _, s, i, block in base.blocks():
            widths, time_us = table.block_us(unit, BlockKey(s, i))
            total_us += float(np.interp(block.expanded_channels, widths, time_us))
        totals_us.append(total_us)
    return min(totals_us)


def toy_base(depths: tuple[int, ...], *, width: int = 16) -> ModelConfig:
    """A base model with these numbers of blocks per stage, all small and alike: for tests by brute force."""
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
