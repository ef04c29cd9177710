"""The search algorithms, by name."""

from __future__ import annotations

from collections.abc import Collection

from syncnas_deploy.search.algorithms.searcher import Candidate, Searcher

DEFAULT_ALGORITHM = "surrogate"
ALGORITHMS = ("surrogate", "uct", "uct-published", "evolution", "random")


def make_searcher(
    algorithm: str,
    stages: int,
    *,
    seed: int,
    infeasible: Collection[Candidate] = (),
    budgets: int = 1,
) -> Searcher:
    """A searcher over all strategies of a base, for each of several latency budgets.

    Args:
        algorithm: one of `ALGORITHMS`.
        stages: of the base model.
        seed: decides ties and random choices.
        infeasible: candidates that are never handed out.
        budgets: how many latency budgets; `Candidate.budget` is below it.

    Raises:
        ValueError: no such algorithm, or an argument that is out of range.
    """
    # The algorithms import numpy, which `syncnas-deploy --help` does not need.
    from syncnas_deploy.search.algorithms.baselines import Evolution, RandomOrder
    from syncnas_deploy.search.algorithms.ledger import Ledger
    from syncnas_deploy.search.algorithms.per_budget import PerBudget
    from syncnas_deploy.search.algorithms.surrogate import SurrogateSearcher
    from syncnas_deploy.search.algorithms.tree import UctSettings
    from syncnas_deploy.search.algorithms.uct import UctSearcher

    if seed < 0:
        raise ValueError(f"the seed must be 0 or more, found {seed}")

    def one(ledger: Ledger) -> Searcher:
        if algorithm == "uct":
            return UctSearcher(ledger, seed=seed, settings=UctSettings())
        if algorithm == "uct-published":
            return UctSearcher(ledger, seed=seed, settings=UctSettings.published())
        if algorithm == "evolution":
            return Evolution(ledger, seed=seed)
        if algorithm == "random":
            return RandomOrder(ledger, seed=seed)
        raise ValueError(f"no search algorithm {algorithm!r}; use one of {', '.join(ALGORITHMS)}")

    if algorithm == "surrogate":
        return SurrogateSearcher(Ledger(stages, budgets=budgets, infeasible=infeasible), seed=seed)
    if budgets == 1:
        return one(Ledger(stages, infeasible=infeasible))
    return PerBudget(stages, budgets, infeasible, one)
