"""One search over several latency budgets beside a search of each: evaluations until the best of every budget.

    python -m benchmarks.search_budgets [--seeds 0-39] [--families phys,mid,smooth]

Both ask for the budgets in turn, so that only what is shared differs. Prints a line per family: the medians of the
evaluations, of all budgets together, until the best strategy of each is found, and the saving with a 90 % interval
(bootstrap of the paired seeds). A best that was not found within 300 evaluations per budget counts as that many.
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from benchmarks.search_runs import INDEX
from syncnas_deploy.search.algorithms import make_searcher
from syncnas_deploy.search.algorithms.per_budget import PerBudget
from syncnas_deploy.search.algorithms.searcher import Candidate, Searcher
from syncnas_deploy.search.algorithms.surrogate import SurrogateSearcher
from tests.support.search_spaces import STAGES, STRATEGIES, Float64Array, budget_spaces

BUDGETS = (0.8, 1.0, 1.2)
LIMIT = 300 * len(BUDGETS)


def evaluations(searcher: Searcher, rewards: Float64Array) -> int:
    """Evaluations until the best of every budget."""
    missing = {b: float(np.nanmax(rewards[b])) for b in range(len(BUDGETS))}
    done = 0
    while missing and done < LIMIT:
        candidate = searcher.ask()
        assert candidate is not None, "fewer evaluations than candidates"
        reward = float(rewards[candidate.budget, INDEX[candidate.strategy]])
        searcher.tell(candidate, reward)
        done += 1
        if reward == missing.get(candidate.budget):
            del missing[candidate.budget]
    return done


def compare(family: str, seed: int) -> tuple[int, int]:
    """Evaluations of one search, and of one search per budget."""
    rewards = budget_spaces(family, seed, BUDGETS)
    known = [Candidate(STRATEGIES[i], int(b)) for b, i in zip(*np.nonzero(np.isnan(rewards)), strict=True)]
    shared = make_searcher("surrogate", STAGES, seed=seed, infeasible=known, budgets=len(BUDGETS))
    apart = PerBudget(STAGES, len(BUDGETS), known, lambda ledger: SurrogateSearcher(ledger, seed=seed))
    return evaluations(shared, rewards), evaluations(apart, rewards)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--families", default="phys,mid,smooth")
    parser.add_argument("--seeds", default="0-39")
    options = parser.parse_args()
    first, last = (int(part) for part in options.seeds.split("-"))
    rng = np.random.default_rng(0)
    for family in options.families.split(","):
        pairs = np.array([compare(family, seed) for seed in range(first, last + 1)])
        shared, apart = np.median(pairs, axis=0)
        draws = np.median(pairs[rng.integers(len(pairs), size=(2000, len(pairs)))], axis=1)
        low, high = np.quantile(1 - draws[:, 0] / draws[:, 1], (0.05, 0.95))
        print(
            f"{family}: one search {shared:g}, one per budget {apart:g}, saving {1 - shared / apart:.0%} "
            f"(90 % interval {low:.0%} to {high:.0%}), {len(pairs)} seeds",
            flush=True,
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
