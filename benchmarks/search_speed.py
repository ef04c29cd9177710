"""How long the default search thinks before each evaluation.

    OMP_NUM_THREADS=1 python -m benchmarks.search_speed

Processor time of one `ask` and one `tell`, medians of the last 20 evaluations before each mark, with all strategies
of 7 stages (1,458), of 8 (4,374) and of 7 within three budgets, and 1 or 8 evaluations in flight. Rewards are random:
no process of the mixture is then clearly the best, so this is rather the slow case.
"""

from __future__ import annotations

import sys
import time

import numpy as np

from syncnas_deploy.search.algorithms import make_searcher
from syncnas_deploy.search.algorithms.searcher import Candidate

MARKS = (50, 100, 200, 300)
WINDOW = 20


def times_ms(stages: int, budgets: int, in_flight: int) -> list[float]:
    """Milliseconds per decision until each of `MARKS`."""
    searcher = make_searcher("surrogate", stages, seed=0, budgets=budgets)
    rng = np.random.default_rng(0)
    flying: list[Candidate] = []
    spent: list[float] = []
    for _ in range(MARKS[-1]):
        while len(flying) < in_flight - 1:
            candidate = searcher.ask()
            assert candidate is not None
            flying.append(candidate)
        started = time.process_time()
        candidate = searcher.ask()
        assert candidate is not None
        flying.append(candidate)
        searcher.tell(flying.pop(0), float(rng.normal()))
        spent.append(1e3 * (time.process_time() - started))
    return [float(np.median(spent[mark - WINDOW : mark])) for mark in MARKS]


def main() -> int:
    """Print the table."""
    print("stages budgets in_flight  " + "  ".join(f"at {mark} [ms]" for mark in MARKS))
    for stages, budgets, in_flight in ((7, 1, 1), (7, 1, 8), (8, 1, 1), (7, 3, 1)):
        row = "  ".join(f"{value:10.1f}" for value in times_ms(stages, budgets, in_flight))
        print(f"{stages:6d} {budgets:7d} {in_flight:9d}  {row}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
