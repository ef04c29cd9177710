"""Kernels: how alike strategies are, as covariance functions for Gaussian processes over candidates.

All are isotropic in the stages or see the segments between syncs, so none has anything to fit; which of them suits a
search is left to the evidence (`gaussian`).

Shapes: K kernels, S stages, L = 2 * 3^(S - 1) strategies in the order of `all_strategies`, B budgets, N = B * L
candidates in the order of `Ledger.candidates`.

- Hamming: exp(-(d_sync + w d_kind) / l); d_sync counts the stages that sync in one strategy only, d_kind those
  that ADD in one and CONCAT in the other.
- Interactions: effects of single stages, of pairs and of triples, as elementary symmetric polynomials.
- Effects: each sync adds its own, which depends on its stage, smoothly on where the segment that it ends began, and a
  little on its kind; and a share of a Hamming kernel for what does not add up.
- Segments: which stages run between two syncs without an exchange; a smooth function of the share in common.

Each has a trend in the number of syncs, and a constant, so that the mean is learnt.

Source: Duvenaud et al., "Additive Gaussian Processes", NIPS 2011 (symmetric polynomials).
"""

from __future__ import annotations

from math import comb

import numpy as np
import numpy.typing as npt

from syncnas_deploy.arrays import Float64Array, Int64Array
from syncnas_deploy.networks.strategy import all_strategies

Letters = npt.NDArray[np.str_]

HAMMING = ((1.5, 1.0), (3.0, 1.0))
"""Two Hamming kernels: length scale l and weight w of each."""
INTERACTIONS = (((1.0, 0.3, 0.1), 0.9), ((1.0, 0.7, 0.5), 0.8))
"""Two interaction kernels, each in two parts.

Weights of single stages, of pairs and of triples: with (1.0, 0.3, 0.1) a pair counts 0.3 of a single stage.
Likeness of ADD and CONCAT in one stage: with 0.9 they are nearly the same. Equal letters have 1, a sync beside none 0.
"""
EFFECTS_SHARE = 0.6
"""Share of the effects in their kernel; the rest is a Hamming kernel."""
EFFECTS_REST = (3.0, 0.3)
"""Length scale and weight of that Hamming kernel."""
EFFECT_KIND = 1 / 3
"""Size of what depends on a sync's kind, beside 1 for the sync."""
EFFECT_LENGTH = 6.0
"""Length scale, in stages, of where a segment begins."""
SEGMENT_KIND = 0.7
"""As `EFFECT_KIND`, in the kernel of segments."""
SEGMENT_LENGTH = 0.7
"""Squared distance of two unit vectors of segments at which the kernel falls to 1/e."""
TREND, TREND_SYNCS = 0.5, 2.0
"""Variance of the trend in the number of syncs, and the length scale of its curve, in syncs."""
CONSTANT = 1.0
"""Variance of the mean."""
BUDGET_SHARED, BUDGET_LENGTH = 0.4, 2.0
"""Covariance of budgets that are far apart, and the length scale between budgets, counted in budgets."""


class Kernels:
    """Covariances between the candidates of one search, row by row.

    Args:
        stages: letters of a strategy.
        budgets: latency budgets; neighbouring ones are alike.

    Attributes:
        count: K, how many covariance functions.
        size: N, how many candidates.
        diagonal: prior variances, [K, N]; about 1 plus the constant.
    """

    def __init__(self, stages: int, budgets: int = 1) -> None:
        letters = np.array([list(strategy) for strategy in all_strategies(stages)])
        # Whether each stage syncs, and by CONCAT, [L, S]; and how many sync, [L].
        self._sync = letters != "n"
        self._concat = letters == "c"
        self._syncs = self._sync.sum(axis=1)
        # By differences: [K - 2, S + 1, S + 1] and [S + 1, S + 1].
        self._tables = _tables(stages)
        self._rest = _hamming(*_differences(stages), *EFFECTS_REST)
        # Features of the effects and unit vectors of the segments, both [L, 3 S^2].
        self._effects = _effects(letters)
        segments = _segment_features(letters, SEGMENT_KIND).reshape(len(letters), -1)
        self._directions = segments / np.sqrt(np.sum(segments**2, axis=1))[:, None]
        self._trend = _trend(self._syncs, stages)
        # Between budgets, [B, B].
        place = np.arange(budgets)
        smooth = np.exp(-0.5 * ((place[:, None] - place) / BUDGET_LENGTH) ** 2)
        self._budgets = BUDGET_SHARED + (1 - BUDGET_SHARED) * smooth
        self.count = len(self._tables) + 2
        self.size = budgets * len(letters)
        trend_variance = np.diag(self._trend)[self._syncs]
        self._scale = 1 / np.mean(1.0 + trend_variance)
        variance = np.ones((self.count, len(letters)))
        variance[-2] = EFFECTS_SHARE * np.sum(self._effects**2, axis=1) + 1 - EFFECTS_SHARE
        self.diagonal = np.tile(self._scale * (variance + trend_variance) + CONSTANT, (1, budgets))

    def row(self, index: int) -> Float64Array:
        """Covariances of a candidate with all, [K, N]."""
        budget, strategy = divmod(index, len(self._syncs))
        row = self._budgets[budget][None, :, None] * self._strategy_row(strategy)[:, None, :]
        # Each budget has a mean of its own.
        row[:, budget] += CONSTANT
        return np.asarray(row.reshape(self.count, self.size))

    def _strategy_row(self, i: int) -> Float64Array:
        """Covariances of a strategy with all, without the constant, [K, L]."""
        both = self._sync & self._sync[i]
        d_sync = np.sum(self._sync != self._sync[i], axis=1)
        d_kind = np.sum(both & (self._concat != self._concat[i]), axis=1)
        cosine = self._directions @ self._directions[i]
        smooth = np.exp(-2 * (1 - cosine) / SEGMENT_LENGTH)
        effects = EFFECTS_SHARE * (self._effects @ self._effects[i])
        effects += (1 - EFFECTS_SHARE) * self._rest[d_sync, d_kind]
        rows = np.concatenate([self._tables[:, d_sync, d_kind], np.stack([effects, smooth])])
        return np.asarray(self._scale * (rows + self._trend[self._syncs[i], self._syncs]))


def _differences(stages: int) -> tuple[Int64Array, Int64Array]:
    """d_sync and d_kind at every place of a table over both, each [S + 1, S + 1]."""
    counts = np.arange(stages + 1)
    d_sync, d_kind = np.meshgrid(counts, counts, indexing="ij")
    return d_sync, d_kind


def _hamming(d_sync: Int64Array, d_kind: Int64Array, length: float, weight: float) -> Float64Array:
    """The Hamming kernel at these differences, any shape."""
    return np.asarray(np.exp(-(d_sync + weight * d_kind) / length))


def _tables(stages: int) -> Float64Array:
    """Kernels that only see how many stages differ, by d_sync and d_kind: [K - 2, S + 1, S + 1]; 1 at [:, 0, 0]."""
    d_sync, d_kind = _differences(stages)
    same = np.maximum(stages - d_sync - d_kind, 0)
    interactions = [
        np.average(
            [_symmetric(same, d_kind, order, likeness) for order in range(1, len(weights[:stages]) + 1)],
            axis=0,
            weights=weights[:stages],
        )
        for weights, likeness in INTERACTIONS
    ]
    return np.stack([*(_hamming(d_sync, d_kind, *of) for of in HAMMING), *interactions])


def _symmetric(same: Int64Array, kinds: Int64Array, order: int, likeness: float) -> Float64Array:
    """Mean product of `order` stages' likeness, any shape: `same` stages have 1, `kinds` have `likeness`, others 0."""
    choose = np.array([[float(comb(n, k)) for k in range(order + 1)] for n in range(int(same.max()) + 1)])
    terms = [choose[same, order - k] * choose[kinds, k] * likeness**k for k in range(order + 1)]
    return np.asarray(np.sum(terms, axis=0) / comb(int(same.max()), order))


def _segment_features(letters: Letters, kind: float) -> Float64Array:
    """Which segments each strategy has, [L, S, S, 3]: by first stage, last stage, and (any, ADD, CONCAT) at its end.

    Args:
        letters: of each strategy, [L, S].
        kind: the entry of ADD or CONCAT, beside 1 for any.
    """
    count, stages = letters.shape
    features = np.zeros((count, stages, stages, 3))
    rows, first = np.arange(count), np.zeros(count, int)
    for stage in range(stages):
        ends = letters[:, stage] != "n"
        row, start = rows[ends], first[ends]
        features[row, start, stage, 0] = 1
        features[row, start, stage, np.where(letters[row, stage] == "c", 2, 1)] = kind
        first[ends] = stage + 1
    return features


def _effects(letters: Letters) -> Float64Array:
    """Features of the segments, alike where they end at the same stage and begin near each other: [L, 3 S^2].

    Their mean is 0. The mean of the rows' squared lengths is 1.

    Args:
        letters: of each strategy, [L, S].
    """
    first = np.arange(letters.shape[1])
    covariance = np.exp(-0.5 * ((first[:, None] - first) / EFFECT_LENGTH) ** 2)
    root = np.linalg.cholesky(covariance + 1e-9 * np.eye(len(first)))
    features = np.einsum("nfls,fg->ngls", _segment_features(letters, EFFECT_KIND), root).reshape(len(letters), -1)
    features -= features.mean(axis=0)
    return np.asarray(features / np.sqrt(np.mean(np.sum(features**2, axis=1))))


def _trend(syncs: Int64Array, stages: int) -> Float64Array:
    """Covariance by the numbers of syncs, [S + 1, S + 1]: a line and a smooth curve.

    Args:
        syncs: of each strategy, [L].
        stages: S.
    """
    counts = np.arange(stages + 1)
    centred = counts - syncs.mean()
    line = np.outer(centred, centred) / max(float(syncs.var()), 1e-9)
    curve = np.exp(-0.5 * ((counts[:, None] - counts) / TREND_SYNCS) ** 2)
    return np.asarray(TREND * (line + curve))
