"""Tabulated rewards of all 1,458 strategies of a seven-stage base: the families that searches are compared on.

`phys`: latency-like; each sync costs more where features are large, the best strategies have few syncs.
`mid`: the same with dearer mixing; the best have 2 to 6 syncs.
`smooth`: random effects of single letters, and weaker ones of pairs and triples.
`rugged`: the other way round, and the 30 % with the most syncs, more or less, are infeasible.
`mlp`: a random network of two hidden layers on the letters.
`forest`: a sum of random decision trees on the letters.
`zen`: measured, see `zen_landscape`; its seeds are one table, so only the searcher's own seed differs.

Each has noise of evaluation, drawn once: a table says what one evaluation of each strategy would have given. Rewards
look like accuracies; NaN says infeasible. The searcher was tuned on phys, mid, smooth and rugged with other seeds than
are reported, and never on mlp, forest and zen.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from syncnas_deploy.networks.strategy import all_strategies

Float64Array = npt.NDArray[np.float64]
STAGES = 7
STRATEGIES = all_strategies(STAGES)
LETTERS = np.array([list(strategy) for strategy in STRATEGIES])
ZEN_TABLE = Path(__file__).parent / "data" / "zen_mobilenet_v2.csv"
NOISE = 0.001
# Of the base MobileNetV2 at 224 px: features after each stage, megabytes, and shares of the work.
FEATURE_MB = np.array(
    [112 * 112 * 16, 56 * 56 * 24, 28 * 28 * 32, 14 * 14 * 64, 14 * 14 * 96, 7 * 7 * 160, 7 * 7 * 320]
)
FEATURE_MB = FEATURE_MB * 4 / 1e6
WORK = np.array([0.06, 0.16, 0.15, 0.17, 0.2, 0.16, 0.1])


def space(family: str, seed: int) -> Float64Array:
    """Rewards in the order of `STRATEGIES`, [1458]; the same for the same arguments."""
    if family == "zen":
        return _zen()
    rng = np.random.default_rng([FAMILIES.index(family), seed])
    return _MAKE[family](rng)


def budget_spaces(family: str, seed: int, budgets: Sequence[float]) -> Float64Array:
    """Rewards of `phys`, `mid` or `smooth` within several latency budgets, [budgets, 1458]; 1.0 is that of `space`.

    phys and mid have that much more time for their work; smooth has a tenth of its variance anew in each budget.
    Noise of evaluation is drawn for each budget.
    """
    make = _IN_BUDGETS[family]
    rows = []
    for budget in budgets:
        rng, noise = (
            np.random.default_rng([FAMILIES.index(family), seed, *more]) for more in ((), (int(1000 * budget),))
        )
        rows.append(make(rng, noise, budget))
    return np.stack(rows)


def _phys(rng: np.random.Generator, noise: np.random.Generator | None = None, budget: float = 1.0) -> Float64Array:
    fixed, per_mb = rng.uniform(0.03, 0.07), rng.uniform(0.1, 0.25)
    height = np.array([1.7, 1.5, 1.5, 1.5, 1.4, 1.4, 1.35]) * rng.uniform(0.93, 1.07, STAGES)
    mixing = rng.uniform(0.5, 1.5, STAGES)
    share = rng.uniform(0.75, 0.95)
    mixed = 0.03 * (1 - np.exp(-_mixing(mixing, np.full(STAGES, 0.05)) / 3))
    return _traded(noise or rng, _overhead(fixed, per_mb) / budget, budget * _capacity(height, share), mixed, most=0.6)


def _mid(rng: np.random.Generator, noise: np.random.Generator | None = None, budget: float = 1.0) -> Float64Array:
    fixed, per_mb = rng.uniform(0.02, 0.05), rng.uniform(0.05, 0.12)
    height, mixing = rng.uniform(0.9, 1.1, STAGES), rng.uniform(0.3, 1.7, STAGES)
    concat = rng.uniform(-0.1, 0.1, STAGES)
    mixed = 0.15 * (1 - np.exp(-_mixing(mixing, concat) / 3))
    return _traded(noise or rng, _overhead(fixed, per_mb) / budget, budget * _capacity(height, 0.9), mixed, most=0.75)


def _overhead(fixed: float, per_mb: float) -> Float64Array:
    """Share of the time that the syncs take; a CONCAT moves half of what an ADD moves."""
    moved = np.where(LETTERS == "a", 1.0, 0.5) * FEATURE_MB
    return np.sum((fixed + per_mb * moved) * (LETTERS != "n"), axis=1)


def _capacity(height: Float64Array, concat_share: float) -> Float64Array:
    """Work of the network relative to the base's, without overhead."""
    return np.sum(WORK * height * np.where(LETTERS == "c", concat_share, 1.0), axis=1)


def _mixing(weight: Float64Array, concat: Float64Array) -> Float64Array:
    """What exchanging features brings: each sync by the root of the stages since the one before."""
    mixed, since = np.zeros(len(STRATEGIES)), np.zeros(len(STRATEGIES))
    for s in range(STAGES):
        since += 1
        synced = LETTERS[:, s] != "n"
        bonus = np.where(LETTERS[:, s] == "c", 1 + concat[s], 1.0)
        mixed += synced * weight[s] * np.sqrt(since) * bonus
        since[synced] = 0
    return mixed


def _traded(
    rng: np.random.Generator, cost: Float64Array, capacity: Float64Array, mixed: Float64Array, *, most: float
) -> Float64Array:
    left = np.maximum(capacity * np.maximum(0, 1 - cost), 0.05)
    value = 0.70 + 0.05 * np.log(left) + mixed + rng.normal(0, 0.0005, len(cost))
    return np.where(cost > most, np.nan, _observed(rng, value))


def _effects(rng: np.random.Generator, orders: Sequence[tuple[int, float]]) -> Float64Array:
    """Sum of random effects of letters together; per order how many and their standard deviation."""
    value = np.zeros(len(STRATEGIES))
    for order, (count, spread) in enumerate(orders, start=1):
        for _ in range(count):
            stages = rng.choice(STAGES, order, replace=False)
            letters = rng.choice(list("nac"), order)
            value += rng.normal(0, spread) * np.all(LETTERS[:, stages] == letters, axis=1)
    return _accuracy_like(value)


def _smooth(rng: np.random.Generator) -> Float64Array:
    return _observed(rng, _effects(rng, [(21, 1.0), (60, 0.45), (80, 0.3)]))


def _smooth_in_budget(rng: np.random.Generator, noise: np.random.Generator, budget: float) -> Float64Array:
    orders = [(21, 1.0), (60, 0.45), (80, 0.3)]
    value = 0.95 * _effects(rng, orders) + 0.05 * budget + math.sqrt(0.1) * (_effects(noise, orders) - 0.72)
    return _observed(noise, value)


def _rugged(rng: np.random.Generator) -> Float64Array:
    value = _effects(rng, [(21, 0.4), (120, 0.6), (300, 0.6)])
    syncs = np.sum(LETTERS != "n", axis=1) + rng.normal(0, 1, len(STRATEGIES))
    return np.where(syncs > np.quantile(syncs, 0.7), np.nan, _observed(rng, value))


def _one_hot() -> Float64Array:
    """[1458, 21]"""
    return np.concatenate([op == LETTERS for op in "nac"], axis=1).astype(float)


def _mlp(rng: np.random.Generator) -> Float64Array:
    signal = _one_hot()
    for _ in range(2):
        weights = rng.normal(0, 1.5 / math.sqrt(signal.shape[1]), (signal.shape[1], 32))
        signal = np.tanh(signal @ weights + rng.normal(0, 0.3, 32))
    return _observed(rng, _accuracy_like(signal @ rng.normal(0, 1, 32)))


def _forest(rng: np.random.Generator) -> Float64Array:
    letters = _one_hot() > 0
    value = np.zeros(len(STRATEGIES))
    for _ in range(40):
        leaf = np.zeros(len(STRATEGIES), int)
        # Each level asks another question in each of its nodes.
        for _level in range(5):
            question = rng.integers(letters.shape[1], size=leaf.max() + 1)
            leaf = 2 * leaf + letters[np.arange(len(leaf)), question[leaf]]
        value += rng.normal(0, 1, leaf.max() + 1)[leaf]
    return _observed(rng, _accuracy_like(value))


def _accuracy_like(value: Float64Array) -> Float64Array:
    return 0.72 + 0.01 * (value - value.mean()) / value.std()


def _observed(rng: np.random.Generator, value: Float64Array) -> Float64Array:
    return value + rng.normal(0, NOISE, len(value))


def _zen() -> Float64Array:
    """The shipped table; NaN where it has no reward."""
    with ZEN_TABLE.open(encoding="utf-8", newline="") as file:
        rewards = {row["strategy"]: float(row["reward"] or "nan") for row in csv.DictReader(file)}
    return np.array([rewards[strategy] for strategy in STRATEGIES])


_MAKE: dict[str, Callable[[np.random.Generator], Float64Array]] = {
    "phys": _phys,
    "mid": _mid,
    "smooth": _smooth,
    "rugged": _rugged,
    "mlp": _mlp,
    "forest": _forest,
}
_IN_BUDGETS: dict[str, Callable[[np.random.Generator, np.random.Generator, float], Float64Array]] = {
    "phys": _phys,
    "mid": _mid,
    "smooth": _smooth_in_budget,
}
FAMILIES = (*_MAKE, "zen")
