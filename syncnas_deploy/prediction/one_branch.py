"""Networks of one branch on one unit: the base, wider or narrower, as one graph.

The table has the latency of every part. A whole graph takes less or more than its parts together, since a runtime plans
it as one. How much is known from the whole networks that the profile measured, one for each width pair:

    whole_us = exp(offset) * parts_us ** exponent

A unit that has no curves of its own, such as all cores of the CPU, is told by the curves of one of the profile's units
and its own whole networks.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from syncnas_deploy.errors import ProfileMismatch
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.resizing import at_widths, keeps_expansion
from syncnas_deploy.networks.widths import WIDTH_STEP, BlockKey
from syncnas_deploy.prediction.predict import SHORTEST_US
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.table import LatencyTable
from syncnas_deploy.prediction.width_steps import on_step

EXPONENTS = (0.2, 3.0)
"""Exponents between which a unit is told apart from noise."""
LEAST_SPAN = 1.5
"""Ratio of the slowest to the fastest network from which the exponent can be told. It is 1 below."""


class OneBranchLatency:
    """The latency of networks of one branch on one unit.

    Args:
        profile: of their base model.
        unit: index in `profile.whole_units`.

    Raises:
        ProfileMismatch: the profile measured no whole network on it.
    """

    def __init__(self, profile: DeviceProfile, unit: int) -> None:
        self._base, self._table = profile.base, profile.table
        self.unit = profile.whole_units[unit]
        self._parts_unit = unit if unit < 2 else 0
        self._step = profile.width_steps[self._parts_unit]
        known = [
            (self.parts_us(at_widths(self._base, row.full_widths(self._base))), row.sample.median_us)
            for row in profile.networks
            if row.unit == unit and (row.widths is not None or row.pair == 0)
        ]
        if not known:
            raise ProfileMismatch(f"The profile has no whole network on {self.unit}; measure it again with `profile`.")
        parts, wholes = np.log(known).T
        spans = len(known) > 1 and float(np.ptp(parts)) > math.log(LEAST_SPAN)
        slope = float(np.polyfit(parts, wholes, 1)[0]) if spans else 1.0
        self._exponent = min(max(slope, EXPONENTS[0]), EXPONENTS[1])
        self._offset = float(np.mean(wholes - self._exponent * parts))

    def makespan_us(self, network: ModelConfig) -> float:
        """The latency of a network, the base at any widths, microseconds."""
        return self.whole_us(self.parts_us(network))

    def parts_us(self, network: ModelConfig) -> float:
        """The sum of a network's parts, with one invocation, microseconds."""
        costs, once_us = self.costs(), self._table.invocation_us(self._parts_unit)
        blocks_us = 0.0
        for _, s, i, block in network.blocks():
            key = BlockKey(s, i, False)
            us = self._table.block_us(self._parts_unit, key, block.expanded_channels, expands=block.expands)
            blocks_us += max(SHORTEST_US, us - once_us)
        return costs.stem_us() + once_us + blocks_us + costs.head_us("a")

    def whole_us(self, parts_us: float) -> float:
        """The latency of a network whose parts take so long together, microseconds."""
        return float(math.exp(self._offset + self._exponent * math.log(parts_us)))

    def budget_us(self, whole_us: float) -> float:
        """How long a network's parts may take together, microseconds, for this latency."""
        return float(math.exp((math.log(whole_us) - self._offset) / self._exponent))

    def costs(self) -> OneBranchCosts:
        """The parts as a table of costs for the width solver."""
        return OneBranchCosts(self._base, self._table, self._parts_unit, self._step)


class OneBranchCosts:
    """A table of costs for the width solver whose second branch is free: what it solves is a network of one branch.

    Satisfies `search.widths.solver.CostTable`. The whole network is one segment, so the strategy is all ``n`` but for
    the last letter, and neither syncs nor crossings cost anything.
    """

    placement = Placement(0)

    def __init__(self, base: ModelConfig, table: LatencyTable, unit: int, step: int = WIDTH_STEP) -> None:
        self._base, self._table, self._unit, self._step = base, table, unit, step

    def block_us(self, branch: int, key: BlockKey) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Widths that a block may take, ascending, [n], and what each adds, microseconds, [n]."""
        if branch:
            own = self._base.stages[key.stage].branches[0][key.block].expanded_channels
            return np.array([own]), np.zeros(1)
        widths, latencies_us = self._table.curve(self._unit, key)
        kept = keeps_expansion(self._base, key, widths) & on_step(widths, self._step)
        return widths[kept], np.maximum(latencies_us[kept] - self._table.invocation_us(self._unit), SHORTEST_US)

    def invocation_us(self, branch: int) -> float:
        """The network's one invocation."""
        return 0.0 if branch else self._table.invocation_us(self._unit)

    def sync_op_us(self, branch: int, stage: int, op: str) -> float:
        return 0.0

    def sync_us(self, stage: int, op: str) -> float:
        return 0.0

    def fork_us(self) -> float:
        return 0.0

    def join_us(self, op: str) -> float:
        return 0.0

    def stem_us(self) -> float:
        """The stem, less its invocation."""
        return max(SHORTEST_US, self._table.fixed_us(self._unit, "stem") - self._table.invocation_us(self._unit))

    def late_us(self, branch: int) -> float:
        return 0.0

    def head_us(self, op: str) -> float:
        """The head, less its invocation."""
        return max(SHORTEST_US, self._table.fixed_us(self._unit, "head") - self._table.invocation_us(self._unit))
