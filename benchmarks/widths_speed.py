"""How fast widths are determined for all 1,458 strategies of MobileNetV2, and how good they are.

    python -m benchmarks.widths_speed [--seeds 3] [--budget 1.0]

Beside the solver runs a plain greedy baseline: from the fastest widths, always the step with most utility for
its network latency; it is run on every 27th strategy only. Quality is by how much the (geometric) mean width
is below an upper bound, on these strategies: the solver on finer bins, with the budget enlarged by what
rounding can cost at most. The solver is timed twice (A/A). Latencies are made up (tests/support/synthetic.py);
it needs no device. Run it from the top of the checkout, alone on the machine.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable

from syncnas_deploy.errors import InfeasibleBudget
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import load_config
from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.search.widths.solver import SolvedWidths, WidthSolver
from tests.support.synthetic import SyntheticTable, single_branch_us

FINE_BINS = 8000
# Each of 17 blocks and 7 segments in a row is rounded up by less than a bin, and so is the end.
ROUNDINGS = 25


class Greedy:
    """The baseline: steps of most utility for their time, from the fastest widths on."""

    def __init__(self, base: ModelConfig, table: SyntheticTable, budget_us: float) -> None:
        # Without bins the solver is its own last pass alone.
        self._solver = WidthSolver(base, table, budget_us, bins=1)

    def solve(self, strategy: str) -> SolvedWidths:
        """Widths of one strategy."""
        return self._solver.solve(strategy)


def timed(solve: Callable[[str], SolvedWidths], strategies: tuple[str, ...]) -> tuple[float, dict[str, float]]:
    """Seconds for the strategies, and the utilities of the feasible ones."""
    utilities = {}
    started = time.perf_counter()
    for strategy in strategies:
        try:
            utilities[strategy] = solve(strategy).utility
        except InfeasibleBudget:
            continue
    return time.perf_counter() - started, utilities


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=float, default=1.0, help="times the base model's latency")
    options = parser.parse_args()
    base = load_config("mobilenet_v2")
    everything = all_strategies(7)
    sample = everything[::27]
    print("seed  who     strategies  feasible  seconds  ms per strategy  below the bound (%): median  worst")
    for seed in range(options.seeds):
        table = SyntheticTable(base, seed)
        budget_us = options.budget * single_branch_us(base, table)
        enlarged_us = budget_us * (1 + ROUNDINGS / FINE_BINS)
        bound = WidthSolver(base, table, enlarged_us, bins=FINE_BINS + ROUNDINGS)
        contenders: list[tuple[str, Callable[[str], SolvedWidths], tuple[str, ...]]] = [
            ("solver", WidthSolver(base, table, budget_us).solve, everything),
            ("again", WidthSolver(base, table, budget_us).solve, everything),
            ("greedy", Greedy(base, table, budget_us).solve, sample),
        ]
        for who, solve, strategies in contenders:
            seconds, utilities = timed(solve, strategies)
            common = [s for s in sample if s in utilities]
            gaps = [100 * math.expm1((bound.solve(s).utility - utilities[s]) / 2) for s in common]
            quality = f"{statistics.median(gaps):28.2f}  {max(gaps):5.2f}" if gaps else "  nothing feasible"
            counts = f"{len(strategies):10}  {len(utilities):8}"
            each_ms = 1000 * seconds / len(strategies)
            print(f"{seed:4}  {who:6}  {counts}  {seconds:7.2f}  {each_ms:15.2f}{quality}", flush=True)


if __name__ == "__main__":
    main()
