"""The widths solver against brute force, bounds, and tables that cannot be."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from syncnas_deploy.errors import InfeasibleBudget, ProfileMismatch, StrategyError
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.formats import load_config
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.networks.widths import BlockKey, Widths
from syncnas_deploy.search.widths.maxplus import convolve, delay, split
from syncnas_deploy.search.widths.solver import CostTable, SolvedWidths, WidthSolver
from tests.support.synthetic import SyntheticTable, single_branch_us, toy_base


class RandomTable:
    """Latencies without any order, whole microseconds when `whole`: wider may be faster."""

    def __init__(
        self, base: ModelConfig, rng: np.random.Generator, *, widths: int, whole: bool, trunk: int = 0
    ) -> None:
        self.placement = Placement(trunk)

        def draw(low: int, high: int, size: int | tuple[int, ...]) -> NDArray[np.float64]:
            times = rng.uniform(low, high, size)
            return np.round(times) if whole else times

        stages = len(base.stages)
        self._blocks = {
            (b, BlockKey(s, i, halved)): (
                4 * np.sort(rng.choice(np.arange(1, 12), widths, replace=False)),
                draw(1, 30, widths),
            )
            for b in (0, 1)
            for _, s, i, _ in base.blocks()
            for halved in (False, True)
        }
        self._invocation, self._ops = draw(0, 5, 2), draw(0, 9, (2, stages, 2))
        self._syncs, self._ends = draw(0, 20, (stages, 2)), draw(0, 20, 6)
        self._late = draw(0, 9, 2)

    def block_us(self, branch: int, key: BlockKey) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        return self._blocks[branch, key]

    def invocation_us(self, branch: int) -> float:
        return float(self._invocation[branch])

    def sync_op_us(self, branch: int, stage: int, op: str) -> float:
        return float(self._ops[branch, stage, "ac".index(op)])

    def sync_us(self, stage: int, op: str) -> float:
        return float(self._syncs[stage, "ac".index(op)])

    def fork_us(self) -> float:
        return float(self._ends[self.placement.trunk])

    def stem_us(self) -> float:
        return float(self._ends[2 + self.placement.trunk])

    def late_us(self, branch: int) -> float:
        return float(self._late[branch])

    def head_us(self, op: str) -> float:
        return float(self._ends[4 + self.placement.trunk]) + (op == "c")

    def join_us(self, op: str) -> float:
        return float(self._ends[5 - self.placement.trunk]) + 2 * (op == "a")


def network_us(base: ModelConfig, table: CostTable, strategy: str, widths: Widths) -> float:
    """The latency of given widths, written down straight from the definition."""
    total_us = table.stem_us() + table.fork_us()
    start, before = 0, ""
    for s, op in enumerate(strategy):
        if op == "n":
            continue
        branches_us = []
        for b in (0, 1):
            time_us = table.invocation_us(b) + (table.sync_op_us(b, start - 1, before) if start else table.late_us(b))
            for stage in range(start, s + 1):
                for i in range(len(base.stages[stage].branches[0])):
                    choices, choices_us = table.block_us(b, BlockKey(stage, i, strategy[stage] == "c"))
                    time_us += choices_us[choices.tolist().index(widths[b, stage, i])]
            branches_us.append(time_us)
        total_us += max(branches_us)
        if s < len(strategy) - 1:
            total_us += table.sync_us(s, op)
        start, before = s + 1, op
    return float(total_us + table.join_us(strategy[-1]) + table.head_us(strategy[-1]))


def utility_of(base: ModelConfig, widths: Widths) -> float:
    macs = {(s, i): block.macs() for _, s, i, block in base.blocks()}
    total = sum(macs.values())
    return sum(
        macs[s, i] / total * math.log(widths[b, s, i] / block.expanded_channels)
        for b in (0, 1)
        for _, s, i, block in base.blocks()
    )


def by_brute_force(base: ModelConfig, table: CostTable, strategy: str, budget_us: float) -> tuple[float, float]:
    """The largest utility within the budget (-inf where there is none) and the smallest latency."""
    places = [(b, s, i) for b in (0, 1) for _, s, i, _ in base.blocks()]
    choices = [table.block_us(b, BlockKey(s, i, strategy[s] == "c"))[0].tolist() for b, s, i in places]
    depths = [len(stage.branches[0]) for stage in base.stages]
    best, fastest_us = -math.inf, math.inf
    for choice in itertools.product(*choices):
        widths = Widths.from_flat([choice[: sum(depths)], choice[sum(depths) :]], depths)
        latency_us = network_us(base, table, strategy, widths)
        fastest_us = min(fastest_us, latency_us)
        if latency_us <= budget_us:
            best = max(best, utility_of(base, widths))
    return best, fastest_us


@pytest.mark.parametrize("case", range(40))
def test_equals_brute_force_where_times_are_whole_bins(case: int) -> None:
    rng = np.random.default_rng(case)
    depths = ((1,), (2,), (1, 1), (2, 1), (1, 1, 1))[case % 5]
    base = toy_base(depths)
    table = RandomTable(base, rng, widths=3 if sum(depths) > 2 else 5, whole=True, trunk=case % 2)
    strategy = str(rng.choice(all_strategies(len(depths))))
    budget_us = int(rng.integers(20, 60 + 60 * sum(depths)))
    best, fastest_us = by_brute_force(base, table, strategy, budget_us)
    solver = WidthSolver(base, table, budget_us, bins=budget_us)
    assert solver.minimum_us(strategy) == pytest.approx(fastest_us)
    if best == -math.inf:
        with pytest.raises(InfeasibleBudget, match=f"at least {fastest_us:.0f} us"):
            solver.solve(strategy)
        return
    solved = solver.solve(strategy)
    assert solved.utility == pytest.approx(best, abs=1e-12)
    assert solved.utility == pytest.approx(utility_of(base, solved.widths), abs=1e-12)
    assert solved.latency_us == pytest.approx(network_us(base, table, strategy, solved.widths))


@pytest.mark.parametrize("case", range(12))
def test_budget_holds_and_little_is_lost_on_any_table(case: int) -> None:
    rng = np.random.default_rng(1000 + case)
    base = toy_base((2, 3, 1, 2))
    table = RandomTable(base, rng, widths=9, whole=False)
    solver = WidthSolver(base, table, 300.0, bins=300)
    fine = WidthSolver(base, table, 300.0, bins=6000)
    for strategy in rng.choice(all_strategies(4), 8, replace=False).tolist():
        smallest_us = solver.minimum_us(strategy)
        if smallest_us > 300.0:
            with pytest.raises(InfeasibleBudget):
                solver.solve(strategy)
            continue
        solved = solver.solve(strategy)
        assert network_us(base, table, strategy, solved.widths) <= 300.0 * (1 + 1e-12)
        assert solved.latency_us <= 300.0
        assert solved.utility >= fine.solve(strategy).utility - 0.1


def test_tightest_budget_gives_the_fastest_widths() -> None:
    base = toy_base((2, 3))
    table = RandomTable(base, np.random.default_rng(5), widths=9, whole=False)
    smallest_us = WidthSolver(base, table, 1e6).minimum_us("ac")
    assert WidthSolver(base, table, smallest_us).solve("ac").latency_us == smallest_us
    with pytest.raises(InfeasibleBudget, match="raise the budget"):
        WidthSolver(base, table, math.nextafter(smallest_us, 0)).solve("ac")


@pytest.mark.parametrize("seed", range(3))
def test_mobilenet_v2_is_within_a_percent_of_an_upper_bound(seed: int) -> None:
    base = load_config("mobilenet_v2")
    table = SyntheticTable(base, seed)
    budget_us = single_branch_us(base, table)
    solver = WidthSolver(base, table, budget_us)
    # Rounding up costs less than a bin for each of 17 blocks and 7 segments in a row (and one at the end):
    # with so many bins more, rounded times cannot miss the true optimum.
    bound = WidthSolver(base, table, budget_us * (1 + 25 / 4000), bins=4025)
    for strategy in all_strategies(7)[seed::181]:
        solved = solver.solve(strategy)
        assert solved.latency_us <= budget_us
        mean_width = math.exp((bound.solve(strategy).utility - solved.utility) / 2)
        assert 1 - 1e-9 <= mean_width < 1.015
        config = branched(base, strategy, solved.widths)
        assert all(block.expanded_channels % 4 == 0 for *_, block in config.blocks())


@pytest.mark.parametrize("case", range(20))
def test_what_rounding_to_bins_leaves_over_is_spent(case: int) -> None:
    """With a single bin nothing fits but the fastest widths; a block per branch then gets the widest that fits."""
    rng = np.random.default_rng(2000 + case)
    base = toy_base((1,))
    table = RandomTable(base, rng, widths=7, whole=False)
    strategy = "ac"[case % 2]
    _, fastest_us = by_brute_force(base, table, strategy, math.inf)
    budget_us = fastest_us + float(rng.uniform(0, 25))
    best, _ = by_brute_force(base, table, strategy, budget_us)
    assert WidthSolver(base, table, budget_us, bins=1).solve(strategy).utility == pytest.approx(best, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_a_budget_too_tight_for_bins_is_used_all_the_same(seed: int) -> None:
    """A few bins above the smallest latency, rounding 34 blocks up leaves nothing that fits."""
    base, strategy = load_config("mobilenet_v2"), "ncacnaa"
    table = SyntheticTable(base, seed)
    smallest_us = WidthSolver(base, table, 1e6).minimum_us(strategy)
    budget_us = 1.002 * smallest_us
    solved = WidthSolver(base, table, budget_us).solve(strategy)
    assert smallest_us < solved.latency_us <= budget_us
    # See `test_mobilenet_v2_is_within_a_percent_of_an_upper_bound`. The fastest widths are 34 to 90 % below it.
    bound = WidthSolver(base, table, budget_us * (1 + 25 / 16_000), bins=16_025).solve(strategy)
    assert 1 - 1e-9 <= math.exp((bound.utility - solved.utility) / 2) < 1.06


def test_answers_do_not_depend_on_what_was_solved_before() -> None:
    base = load_config("mobilenet_v2")
    table = SyntheticTable(base, 1)
    budget_us = single_branch_us(base, table)
    shared = WidthSolver(base, table, budget_us)
    for strategy in ("nnnnnna", "acacaca", "ncnanca", "cccccca"):
        alone: SolvedWidths = WidthSolver(base, table, budget_us).solve(strategy)
        assert shared.solve(strategy) == alone


@pytest.mark.parametrize("budget_us", [0.0, -1.0, math.nan, math.inf])
def test_budgets_that_are_none(budget_us: float) -> None:
    base = toy_base((1,))
    table = RandomTable(base, np.random.default_rng(0), widths=3, whole=True)
    with pytest.raises(InfeasibleBudget, match="positive time"):
        WidthSolver(base, table, budget_us)


def test_wrong_strategy_is_named() -> None:
    base = toy_base((1, 1))
    table = RandomTable(base, np.random.default_rng(0), widths=3, whole=True)
    with pytest.raises(StrategyError):
        WidthSolver(base, table, 100.0).solve("a")


@pytest.mark.parametrize(
    ("widths", "times_us"),
    [
        ([], []),
        ([4, 8], [1.0]),
        ([8, 4], [1.0, 2.0]),
        ([0, 4], [1.0, 2.0]),
        ([4, 8], [1.0, math.nan]),
        ([4, 8], [1.0, -2.0]),
    ],
)
def test_tables_that_cannot_be(widths: list[int], times_us: list[float]) -> None:
    base = toy_base((1, 1))
    table = RandomTable(base, np.random.default_rng(0), widths=3, whole=True)
    table._blocks[1, BlockKey(0, 0)] = (np.array(widths, dtype=np.int64), np.array(times_us))
    with pytest.raises(ProfileMismatch, match="branch 1 stage 1 block 1"):
        WidthSolver(base, table, 100.0).solve("na")


def test_a_branched_model_is_no_base() -> None:
    base = toy_base((1, 1))
    table = RandomTable(base, np.random.default_rng(0), widths=3, whole=True)
    two = dataclasses.replace(branched(base, "aa"), name="two")
    with pytest.raises(ValueError, match="two branches already"):
        WidthSolver(two, table, 100.0)


def test_convolution_is_the_best_sum() -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        n = int(rng.integers(2, 120))
        f, g = (np.sort(np.where(rng.random(n) < 0.2, -np.inf, np.round(rng.normal(size=n), 1))) for _ in "fg")
        best = [max(f[i] + g[t - i] for i in range(t + 1)) for t in range(n)]
        np.testing.assert_array_equal(convolve(f, g), best)
        t = int(rng.integers(n))
        at = split(f, g, t)
        assert (at is None) == (best[t] == -np.inf)
        assert at is None or f[at] + g[t - at] == best[t]


def test_delay_beyond_the_end_leaves_nothing() -> None:
    f = np.array([1.0, 2.0, 3.0])
    assert delay(f, 0).tolist() == [1.0, 2.0, 3.0]
    assert delay(f, 2).tolist() == [-np.inf, -np.inf, 1.0]
    assert delay(f, 4).tolist() == [-np.inf] * 3
