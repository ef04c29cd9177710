"""Every algorithm keeps the promises of the seam."""

from __future__ import annotations

import math

import numpy as np
import pytest

from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.search.algorithms import ALGORITHMS, DEFAULT_ALGORITHM, make_searcher
from syncnas_deploy.search.algorithms.searcher import Candidate, Searcher


def reward(candidate: Candidate) -> float:
    """Made-up: some letters are better than others, and more so within a larger budget."""
    return math.sin(sum(ord(op) * (i + 3) for i, op in enumerate(candidate.strategy))) + 0.1 * candidate.budget


def asked(searcher: Searcher) -> Candidate:
    candidate = searcher.ask()
    assert candidate is not None
    return candidate


def all_candidates(stages: int, budgets: int) -> list[Candidate]:
    return [Candidate(s, b) for b in range(budgets) for s in all_strategies(stages)]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize(("in_flight", "budgets"), [(1, 1), (5, 1), (3, 2)])
def test_every_feasible_candidate_is_handed_out_once(algorithm: str, in_flight: int, budgets: int) -> None:
    everything = all_candidates(3, budgets)
    known = set(everything[::4])
    searcher = make_searcher(algorithm, 3, seed=1, infeasible=known, budgets=budgets)
    flying: list[Candidate] = []
    seen: list[Candidate] = []
    while True:
        while len(flying) < in_flight and (candidate := searcher.ask()) is not None:
            flying.append(candidate)
            seen.append(candidate)
        if not flying:
            break
        done = flying.pop(len(seen) % len(flying))
        if len(seen) % 5:
            searcher.tell(done, reward(done))
        else:
            searcher.tell_infeasible(done)
    assert sorted(seen) == sorted(set(everything) - known)
    assert searcher.ask() is None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("budgets", [1, 2])
def test_told_again_from_a_journal_it_goes_on_as_if_never_interrupted(algorithm: str, budgets: int) -> None:
    known = [c for c in all_candidates(5, budgets) if c.strategy.startswith("aa")]
    whole, resumed = (make_searcher(algorithm, 5, seed=3, infeasible=known, budgets=budgets) for _ in range(2))
    journal: list[tuple[Candidate, float | None]] = []
    for number in range(30):
        candidate = asked(whole)
        journal.append((candidate, None if number % 7 == 3 else reward(candidate)))
        tell(whole, *journal[-1])
    for row in journal:
        tell(resumed, *row)
    for _ in range(10):
        candidate = asked(whole)
        assert candidate == asked(resumed)
        tell(whole, candidate, reward(candidate))
        tell(resumed, candidate, reward(candidate))
    other = make_searcher(algorithm, 5, seed=4, infeasible=known, budgets=budgets)
    assert [asked(other) for _ in range(6)] != [c for c, _ in journal[:6]]


def tell(searcher: Searcher, candidate: Candidate, value: float | None) -> None:
    if value is None:
        searcher.tell_infeasible(candidate)
    else:
        searcher.tell(candidate, value)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_second_value_replaces_the_first(algorithm: str) -> None:
    corrected, straight = (make_searcher(algorithm, 4, seed=5) for _ in range(2))
    rng = np.random.default_rng(0)
    candidates = [Candidate(all_strategies(4)[i]) for i in rng.permutation(54)[:25]]
    for candidate in candidates:
        # Exact in binary, so that sums do not depend on how they came about.
        straight.tell(candidate, round(reward(candidate), 1) // 0.125 / 8, noise_variance=0.01)
        corrected.tell(candidate, 99.0 if candidate == candidates[3] else round(reward(candidate), 1) // 0.125 / 8)
    for candidate in candidates:
        corrected.tell(candidate, round(reward(candidate), 1) // 0.125 / 8, noise_variance=0.01)
    assert [asked(corrected) for _ in range(5)] == [asked(straight) for _ in range(5)]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_infeasible_after_all_and_then_not(algorithm: str) -> None:
    searcher = make_searcher(algorithm, 3, seed=0, infeasible=[Candidate("nna")])
    for candidate in (Candidate("nnc"), Candidate("nna")):
        searcher.tell(candidate, 1.0)
        searcher.tell_infeasible(candidate)
        searcher.tell(candidate, 2.0)
    rest = [asked(searcher) for _ in range(16)]
    assert searcher.ask() is None
    assert len({*rest, Candidate("nnc"), Candidate("nna")}) == 18


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_cannot_be_is_refused(algorithm: str) -> None:
    searcher = make_searcher(algorithm, 3, seed=0)
    for stranger in (Candidate("aa"), Candidate("aan"), Candidate("aac", 1), Candidate("aac", -1)):
        with pytest.raises(ValueError, match="stages"):
            searcher.tell(stranger, 1.0)
        with pytest.raises(ValueError, match="stages"):
            searcher.tell_infeasible(stranger)
    with pytest.raises(ValueError, match="finite"):
        searcher.tell(Candidate("aac"), math.nan)
    with pytest.raises(ValueError, match="variance"):
        searcher.tell(Candidate("aac"), 1.0, noise_variance=-1.0)
    with pytest.raises(ValueError, match="not one of"):
        make_searcher(algorithm, 3, seed=0, infeasible=[Candidate("aann")])


def test_algorithms_are_named() -> None:
    assert DEFAULT_ALGORITHM in ALGORITHMS
    with pytest.raises(ValueError, match="random"):
        make_searcher("none", 3, seed=0)
    with pytest.raises(ValueError, match="seed"):
        make_searcher("random", 3, seed=-1)
    with pytest.raises(ValueError, match="budget"):
        make_searcher("random", 3, seed=0, budgets=2, infeasible=[Candidate("aac", 2)])
    keys = [str(make_searcher(a, 3, seed=0, budgets=b).key) for a in ALGORITHMS for b in (1, 2)]
    assert len(set(keys)) == len(keys)
