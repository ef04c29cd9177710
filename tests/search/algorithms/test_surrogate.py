"""The surrogate: kernels, posterior and acquisition against direct formulas, and that it searches well."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.search.algorithms import make_searcher
from syncnas_deploy.search.algorithms.gaussian import (
    LEAST_WEIGHT,
    NOISES,
    SCALE_RATE,
    SCALE_SHAPE,
    Mixture,
    Observation,
)
from syncnas_deploy.search.algorithms.kernels import HAMMING, Float64Array, Kernels
from syncnas_deploy.search.algorithms.ledger import RewardEstimate
from syncnas_deploy.search.algorithms.searcher import Candidate, Searcher
from syncnas_deploy.search.algorithms.surrogate import log_improvement, observations, standardised
from tests.support.search_spaces import STRATEGIES, space


def covariances(kernels: Kernels) -> Float64Array:
    """[K, N, N]"""
    return np.stack([kernels.row(i) for i in range(kernels.size)], axis=1)


@pytest.mark.parametrize(("stages", "budgets"), [(1, 1), (2, 1), (4, 1), (5, 1), (3, 3)])
def test_kernels_are_symmetric_and_positive(stages: int, budgets: int) -> None:
    kernels = Kernels(stages, budgets)
    everything = covariances(kernels)
    assert everything.shape == (kernels.count, kernels.size, kernels.size)
    for matrix, diagonal in zip(everything, kernels.diagonal, strict=True):
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
        np.testing.assert_allclose(np.diag(matrix), diagonal, atol=1e-12)
        assert np.linalg.eigvalsh(matrix).min() > -1e-9
        # Signals of about 1 beside the constant: the noise levels mean the same to all.
        assert np.mean(diagonal) == pytest.approx(2.0, abs=0.01)


def test_hamming_kernel_by_hand() -> None:
    kernels = Kernels(7)
    strategies = all_strategies(7)
    row = kernels.row(strategies.index("ancanaa"))[0]
    length, weight = HAMMING[0]
    # Trend and constant cancel, since all have the same number of syncs. The first differs in the kind of two stages,
    # the second in the kind of one, and two of its stages sync in one of the pair only.
    near, far = row[strategies.index("anaanac")], row[strategies.index("naccnaa")]
    own = row[strategies.index("ancanaa")]
    base = math.exp(-2 * weight / length)
    other = math.exp(-(2 + weight) / length)
    assert (own - near) / (own - far) == pytest.approx((1 - base) / (1 - other))


def test_segments_are_what_lies_between_syncs() -> None:
    kernels = Kernels(7)
    strategies = all_strategies(7)
    row = kernels.row(strategies.index("nnannna"))
    same, none = row[:, strategies.index("nnannna")], row[:, strategies.index("annnnna")]
    shares = row[:, strategies.index("nnannnc")]
    assert np.all(same[-2:] > shares[-2:])
    assert np.all(shares[-2:] > none[-2:])


def dense(
    kernels: Kernels, known: list[Observation], values: Float64Array, in_flight: list[int]
) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Log evidence (up to a constant) [M], mean and variance [M, N], without anything clever."""
    index = [observation.index for observation in known]
    ratios = np.array([observation.noise_ratio for observation in known])
    evidence, means, variances = [], [], []
    for matrix in covariances(kernels):
        for noise in NOISES:
            own = matrix[np.ix_(index, index)] + noise * np.diag(ratios)
            solved = np.linalg.solve(own, values)
            shape, rate = SCALE_SHAPE + len(values) / 2, SCALE_RATE + values @ solved / 2
            evidence.append(-0.5 * np.linalg.slogdet(own)[1] - shape * math.log(rate))
            means.append(matrix[:, index] @ solved)
            every = index + in_flight
            noises = np.concatenate([ratios, np.ones(len(in_flight))]) * noise
            own = matrix[np.ix_(every, every)] + np.diag(noises)
            reduction = np.einsum("ij,ij->j", matrix[every], np.linalg.solve(own, matrix[every]))
            variances.append((np.diag(matrix) - reduction) * rate / shape)
    return np.array(evidence), np.array(means), np.array(variances)


@pytest.mark.parametrize("budgets", [1, 2])
def test_posterior_equals_a_dense_solution(budgets: int) -> None:
    kernels = Kernels(4, budgets)
    rng = np.random.default_rng(0)
    index = rng.permutation(kernels.size)[:40]
    known = [Observation(int(i), float(ratio)) for i, ratio in zip(index, rng.uniform(0.5, 2, 40), strict=True)]
    known, flying = known[:36], [int(i) for i in index[36:]]
    values = rng.normal(size=36)
    evidence, means, variances = dense(kernels, known, values, flying)
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    mixture = Mixture(kernels)
    mixture.set_observations(known)
    posterior = mixture.posterior(values, flying)
    weighty = weights > LEAST_WEIGHT
    np.testing.assert_allclose(posterior.weights, weights[weighty] / weights[weighty].sum(), rtol=1e-6)
    np.testing.assert_allclose(posterior.mean, means[weighty], atol=1e-8)
    np.testing.assert_allclose(posterior.variance, variances[weighty], atol=1e-8)


def test_points_one_by_one_or_revised_give_the_same_bits() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=90)
    known = [Observation(int(i)) for i in rng.permutation(162)[:90]]
    at_once, one_by_one = Mixture(Kernels(5)), Mixture(Kernels(5))
    at_once.set_observations(known)
    one_by_one.set_observations([*known[:10], Observation(161, 3.0)])
    for n in range(1, 91):
        one_by_one.set_observations(known[:n])
        one_by_one.posterior(values[:n], [161] if n % 2 else [])
    first, second = at_once.posterior(values), one_by_one.posterior(values)
    for field in ("weights", "mean", "variance", "noise"):
        assert np.array_equal(getattr(first, field), getattr(second, field)), field
    with pytest.raises(ValueError, match="values"):
        at_once.posterior(values[:5])


def test_in_flight_narrows_the_variance_and_leaves_the_mean() -> None:
    mixture = Mixture(Kernels(5))
    mixture.set_observations([Observation(3), Observation(40), Observation(99)])
    values = np.array([1.0, -0.5, 0.2])
    before, after = mixture.posterior(values), mixture.posterior(values, [120])
    assert np.array_equal(before.mean, after.mean)
    assert np.all(after.variance <= before.variance + 1e-12)
    assert np.all(after.variance[:, 120] < 0.2 * before.variance[:, 120])


@pytest.mark.parametrize("scale", [1e300, -1e300, 1e101, 1.7e308])
def test_rewards_whose_squares_are_infinite_are_ranked(scale: float) -> None:
    rewards = np.array([0.1, 0.9, 0.4, -0.2]) * scale
    values = standardised(rewards, np.zeros(4, dtype=np.int64))
    assert np.isfinite(values).all() and np.array_equal(np.argsort(values), np.argsort(rewards))


def test_standardised_rewards() -> None:
    one = np.zeros(6, dtype=np.int64)
    rewards = np.array([0.70, 0.71, 0.72, 0.73, 0.74, -50.0])
    values = standardised(rewards, one)
    assert values.mean() == pytest.approx(0)
    assert values.std() == pytest.approx(1)
    assert list(np.argsort(values)) == list(np.argsort(rewards))
    # However bad the worst, it tells no more.
    assert np.array_equal(values, standardised(np.where(rewards < 0, -9000.0, rewards), one))
    np.testing.assert_allclose(values, standardised(1e3 * rewards - 7, one))
    two = np.array([0, 0, 0, 1, 1, 1])
    shifted = np.array([0.0, 1.0, 2.0, 10.0, 11.0, 12.0])
    np.testing.assert_allclose(standardised(shifted, two)[:3], standardised(shifted, two)[3:])
    assert np.array_equal(standardised(np.array([0.7]), one[:1]), [0.0])
    assert np.array_equal(standardised(np.array([0.7, 0.7]), one[:2]), [0.0, 0.0])


def test_noise_variances_are_relative() -> None:
    index = {Candidate("a"): 0, Candidate("c"): 1}
    plain = observations({Candidate("a"): RewardEstimate(0.1), Candidate("c"): RewardEstimate(0.2)}, index)
    assert plain == [Observation(0), Observation(1)]
    rewards = {Candidate("c"): RewardEstimate(0.1, 4e-6), Candidate("a"): RewardEstimate(0.2, 1e-6)}
    assert observations(rewards, index) == [Observation(1, 1.0), Observation(0, pytest.approx(0.25))]


def test_log_improvement_against_integrals() -> None:
    grid = np.linspace(0, 40, 2_000_001)
    z = np.array([-12.0, -7.0, -5.01, -4.99, -3.0, -0.5, 0.0, 0.7, 3.0, 9.0])
    step = grid[1] - grid[0]
    exact = [math.log(np.sum(grid * np.exp(-0.5 * (grid - one) ** 2)) * step / math.sqrt(2 * math.pi)) for one in z]
    np.testing.assert_allclose(log_improvement(z), exact, atol=1e-4)
    assert np.all(np.diff(log_improvement(np.linspace(-80, 12, 5000))) > 0)
    # Of the tail at -100: -z^2 / 2 - ln(z^2 sqrt(2 pi)).
    tail = -5000 - math.log(100**2 * math.sqrt(2 * math.pi))
    assert log_improvement(np.array([-100.0]))[0] == pytest.approx(tail, rel=1e-3)


def evaluations(searcher: Searcher, rewards: Float64Array, in_flight: int = 1) -> int:
    """Evaluations until the best."""
    values = dict(zip(STRATEGIES, rewards.tolist(), strict=True))
    best = np.nanmax(rewards)
    flying: list[Candidate] = []
    done = 0
    while True:
        while len(flying) < in_flight:
            candidate = searcher.ask()
            assert candidate is not None
            flying.append(candidate)
        done += 1
        reward = values[flying[0].strategy]
        if reward == best:
            return done
        searcher.tell(flying.pop(0), reward)


@pytest.mark.parametrize(("family", "most"), [("smooth", 60), ("rugged", 90), ("forest", 110)])
def test_far_better_than_chance_and_than_uct(family: str, most: int) -> None:
    needed_by: dict[str, list[int]] = {"surrogate": [], "uct": []}
    for seed in range(2000, 2006):
        rewards = space(family, seed)
        known = [Candidate(s) for s, reward in zip(STRATEGIES, rewards, strict=True) if math.isnan(reward)]
        for algorithm, needed in needed_by.items():
            needed.append(evaluations(make_searcher(algorithm, 7, seed=seed, infeasible=known), rewards))
    # Chance takes half of the feasible strategies in the median: 500 to 700.
    assert statistics.median(needed_by["surrogate"]) < most
    assert statistics.median(needed_by["surrogate"]) < 0.6 * statistics.median(needed_by["uct"])


def test_eight_in_flight_are_still_far_better_than_chance() -> None:
    needed = [evaluations(make_searcher("surrogate", 7, seed=s), space("smooth", s), 8) for s in range(2000, 2006)]
    assert statistics.median(needed) < 80


def test_budgets_share_what_is_learnt() -> None:
    rewards = dict(zip(STRATEGIES, space("smooth", 2000).tolist(), strict=True))
    best = max(rewards.values())
    searcher = make_searcher("surrogate", 7, seed=0, budgets=2)
    asked: list[Candidate] = []
    # Everything is learnt within budget 0; the best of budget 1 follows within a few.
    for strategy in sorted(rewards, key=shuffled)[::12]:
        searcher.tell(Candidate(strategy, 0), rewards[strategy])
    while True:
        candidate = searcher.ask()
        assert candidate is not None
        assert candidate.budget == 1
        asked.append(candidate)
        if rewards[candidate.strategy] == best:
            break
        searcher.tell(candidate, rewards[candidate.strategy] + 0.05)
    assert len(asked) <= 30


def shuffled(strategy: str) -> tuple[int, str]:
    """An order that has nothing to do with rewards, the same in every process."""
    return sum(ord(op) * 31**i for i, op in enumerate(strategy)) % 101, strategy
