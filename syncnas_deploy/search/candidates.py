"""The candidates of a search, as networks: every strategy within each of several latency budgets."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from syncnas_deploy.errors import InfeasibleBudget
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.networks.widths import BlockKey
from syncnas_deploy.search.algorithms.searcher import Candidate
from syncnas_deploy.search.widths.solver import CostTable, SolvedWidths, WidthSolver

Forecast = Callable[[ModelConfig], tuple[float, float | None]]
"""What is predicted of a network: its latency, microseconds, and the energy of one inference, millijoules, or None."""


@dataclass(frozen=True)
class Infeasibility:
    """Why a candidate is left out.

    Attributes:
        predicted_us: the smallest latency that it could have; where that fits, that of its widths.
        energy_mj: where that is the reason, what it would take.
    """

    predicted_us: float
    energy_mj: float | None = None


class CandidateSpace:
    """The candidates of one base model and table.

    Args:
        base: a model of one branch.
        table: latencies of its parts.
        budgets_us: latency budgets, ascending.
        forecast: of networks; None: the table's sum, which keeps the budget, is their latency.
        max_energy_mj: candidates that take more are infeasible.

    Attributes:
        infeasible: candidates that no widths bring within their budget, or that take too much energy.
        count: of the others.

    Raises:
        InfeasibleBudget: no strategy meets the smallest budget, or the energy; the message gives one that would be met.
        ValueError: budgets that do not ascend.
    """

    def __init__(
        self,
        base: ModelConfig,
        table: CostTable,
        budgets_us: Sequence[float],
        *,
        forecast: Forecast | None = None,
        max_energy_mj: float | None = None,
    ) -> None:
        if not budgets_us or any(a >= b for a, b in itertools.pairwise(budgets_us)):
            raise ValueError(f"a search needs latency budgets in ascending order, found {list(budgets_us)}")
        self.base = base
        self.budgets_us = tuple(budgets_us)
        self._table = table
        self._forecast = forecast
        self._solvers = [WidthSolver(base, table, budget_us) for budget_us in budgets_us]
        self._widths: dict[Candidate, SolvedWidths] = {}
        self._predicted: dict[Candidate, tuple[float, float | None]] = {}
        smallest_us = {s: self._solvers[0].minimum_us(s) for s in all_strategies(len(base.stages))}
        self.infeasible: dict[Candidate, Infeasibility] = {
            Candidate(s, b): Infeasibility(latency_us)
            for b, budget_us in enumerate(budgets_us)
            for s, latency_us in smallest_us.items()
            if latency_us > budget_us
        }
        if min(smallest_us.values()) > budgets_us[0]:
            raise _impossible(base.name, budgets_us[0], smallest_us)
        everything = [Candidate(s, b) for b in range(len(budgets_us)) for s in smallest_us]
        if max_energy_mj is not None:
            self._leave_out(everything, max_energy_mj)
        self.count = len(everything) - len(self.infeasible)

    def _leave_out(self, everything: Sequence[Candidate], max_energy_mj: float) -> None:
        """Those that take too much energy."""
        least: dict[int, float] = {}
        for candidate in everything:
            if candidate in self.infeasible:
                continue
            energy_mj = self.energy_mj(candidate)
            assert energy_mj is not None
            least[candidate.budget] = min(energy_mj, least.get(candidate.budget, math.inf))
            if energy_mj > max_energy_mj:
                self.infeasible[candidate] = Infeasibility(self.predicted_us(candidate), energy_mj)
        if least[0] > max_energy_mj:
            raise InfeasibleBudget(
                f"No strategy of {self.base.name} takes {max_energy_mj:g} mJ or less within "
                f"{self.budgets_us[0]:.0f} us; the least is {least[0]:.3f} mJ, so raise --max-energy, or lower "
                "--budget for narrower networks."
            )

    @property
    def placement(self) -> Placement:
        """Where stem and head of every candidate run."""
        return self._table.placement

    @property
    def stages(self) -> int:
        """Letters of a strategy."""
        return len(self.base.stages)

    def widths(self, candidate: Candidate) -> SolvedWidths:
        if candidate not in self._widths:
            self._widths[candidate] = self._solvers[candidate.budget].solve(candidate.strategy)
        return self._widths[candidate]

    def config(self, candidate: Candidate) -> ModelConfig:
        """A feasible candidate's network."""
        return branched(self.base, candidate.strategy, self.widths(candidate).widths, placement=self._table.placement)

    def predicted_us(self, candidate: Candidate) -> float:
        """Latency of a feasible candidate's network, as `predict` says it, microseconds."""
        return self._of(candidate)[0]

    def energy_mj(self, candidate: Candidate) -> float | None:
        """What an inference of a feasible candidate takes, millijoules; None where that is not known."""
        return self._of(candidate)[1]

    def _of(self, candidate: Candidate) -> tuple[float, float | None]:
        if self._forecast is None:
            return self.widths(candidate).latency_us, None
        if candidate not in self._predicted:
            self._predicted[candidate] = self._forecast(self.config(candidate))
        return self._predicted[candidate]

    def twins(self, candidate: Candidate) -> tuple[Candidate, ...]:
        """All candidates of the same network, itself included, the smallest budget first.

        A budget may allow no wider network than a smaller one does; such a network is evaluated once.
        """
        others = (Candidate(candidate.strategy, b) for b in range(len(self.budgets_us)))
        widths = self.widths(candidate).widths
        return tuple(c for c in others if c not in self.infeasible and self.widths(c).widths == widths)

    def table_digest(self) -> str:
        """Of every latency that the search may read."""
        table = self._table
        values: list[object] = [table.stem_us(), table.fork_us(), table.late_us(0), table.late_us(1)]
        for branch in (0, 1):
            values.append(table.invocation_us(branch))
            for _, s, i, _ in self.base.blocks():
                for halved in (False, True):
                    widths, time_us = table.block_us(branch, BlockKey(s, i, halved))
                    values.append([widths.tolist(), time_us.tolist()])
        for op in ("a", "c"):
            values += [table.head_us(op), table.join_us(op)]
            for s in range(self.stages - 1):
                values += [table.sync_us(s, op), table.sync_op_us(0, s, op), table.sync_op_us(1, s, op)]
        return digest(values)


def digest(value: object) -> str:
    """64 bits that stand for a JSON-plain value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]


def _impossible(name: str, budget_us: float, smallest_us: Mapping[str, float]) -> InfeasibleBudget:
    strategy = min(smallest_us, key=lambda s: smallest_us[s])
    error = InfeasibleBudget(
        f"No strategy of {name} meets a budget of {budget_us:.0f} us; the smallest latency "
        f"is {smallest_us[strategy]:.0f} us (strategy {strategy}), so raise --budget to at least "
        f"{math.ceil(smallest_us[strategy] / 10) / 100:.2f}ms."
    )
    error.least_us = smallest_us[strategy]
    return error
