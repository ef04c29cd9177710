"""Rivals: what one would run instead of two branches, within the same latency.

A rival is the base on one unit, made wider or narrower by the same width solver: on each unit of the profile, and on
all cores of the CPU as one unit where the profile measured that. ``BASE_x1.07`` has 1.07 times the base's MACs.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass

from syncnas_deploy.errors import InfeasibleBudget
from syncnas_deploy.networks.config import ModelConfig, name_after
from syncnas_deploy.networks.resizing import at_widths, ratio_widths
from syncnas_deploy.networks.widths import Widths
from syncnas_deploy.prediction.one_branch import OneBranchLatency
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.search.widths.solver import WidthSolver
from syncnas_deploy.verdict import USUAL_SLOPE

STEP = 0.1
"""Relative difference of latencies from which a slope is taken."""
FILLED = 0.97
"""Share of a latency that a network takes at least unless it is as wide as any that was profiled."""
SLOPES = (0.7, 2.0)
"""Slopes between which those of real networks are; beyond, a latency curve was not measured well."""
MOST_RATIO = 16.0
"""The widest that a rival's blocks are, times the base's widths."""


@dataclass(frozen=True)
class Rival:
    """A network of one branch, and the unit that it would run on.

    Attributes:
        unit: its text.
        config: the base at other widths.
        predicted_us: its latency there, microseconds.
        slope: d ln(MACs) / d ln(latency) of such networks.
        beyond: it is wider than anything that was profiled, so its latency is a guess: as much more as its MACs are.
    """

    unit: str
    config: ModelConfig
    predicted_us: float
    slope: float
    beyond: bool


class RivalSolver:
    """The rivals on one unit, for any latency.

    Args:
        profile: of a base model.
        unit: index in `profile.whole_units`.

    Raises:
        ProfileMismatch: the profile measured no whole network on it.
    """

    def __init__(self, profile: DeviceProfile, unit: int) -> None:
        self._base = profile.base
        self._latency = OneBranchLatency(profile, unit)

    @property
    def unit(self) -> str:
        """The unit's text."""
        return self._latency.unit

    def within(self, latency_us: float) -> Rival:
        """The best widths within a latency, microseconds.

        Where there is time for more than the widest blocks that were profiled, all blocks are wider by one ratio.

        Raises:
            InfeasibleBudget: even the narrowest network takes longer on this unit.
        """
        network = self._solve(latency_us)
        predicted_us = self._latency.makespan_us(network)
        if predicted_us < FILLED * latency_us:
            wider = _with_macs(self._base, network.macs() * latency_us / predicted_us)
            predicted_us *= wider.macs() / network.macs()
            return Rival(self.unit, wider, predicted_us, USUAL_SLOPE, True)
        return Rival(self.unit, network, predicted_us, self._slope(network, predicted_us), False)

    def _solve(self, latency_us: float) -> ModelConfig:
        letters = "n" * (len(self._base.stages) - 1) + "a"
        solver = WidthSolver(self._base, self._latency.costs(), self._latency.budget_us(latency_us))
        widths = Widths((solver.solve(letters).widths.nested[0],))
        return _named(self._base, at_widths(self._base, widths))

    def _slope(self, config: ModelConfig, latency_us: float) -> float:
        """By a network that takes a tenth less."""
        try:
            less = self._solve((1 - STEP) * latency_us)
        except InfeasibleBudget:
            return USUAL_SLOPE
        time = math.log(latency_us / self._latency.makespan_us(less))
        slope = math.log(config.macs() / less.macs()) / time if time > STEP / 4 else USUAL_SLOPE
        return min(max(slope, SLOPES[0]), SLOPES[1])


def _named(base: ModelConfig, network: ModelConfig) -> ModelConfig:
    return dataclasses.replace(network, name=name_after(base.name, f"x{network.macs() / base.macs():.2f}"))


def _with_macs(base: ModelConfig, macs: float) -> ModelConfig:
    """The base with all its widths times one ratio, so that it has so many multiply-accumulates."""
    low, high = 1.0, MOST_RATIO
    for _ in range(20):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if at_widths(base, ratio_widths(base, middle)).macs() < macs else (low, middle)
    return _named(base, at_widths(base, ratio_widths(base, low)))


def rivals(profile: DeviceProfile, latency_us: float) -> Iterator[Rival]:
    """The rivals on all units that can have one within a latency, microseconds.

    Raises:
        ProfileMismatch: the profile measured no whole network on a unit.
    """
    for unit in range(len(profile.whole_units)):
        try:
            yield RivalSolver(profile, unit).within(latency_us)
        except InfeasibleBudget:
            continue
