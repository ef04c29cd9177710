"""How alike strategies are: covariance functions for Gaussian processes over candidates.

All are isotropic in the stages or see the segments between syncs, so none has anything to fit; which of them suits a
search is left to the evidence (`gaussian`). Per base: `stages` letters, N = budgets * 2 * 3^(stages - 1) candidates in
the order of `Ledger.candidates`.

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

from syncnas_deploy.networks.strategy import all_strategies

Array = npt.NDArray[np.float64]

HAMMING = ((1.5, 1.0), (3.0, 1.0))
"""l and w."""
INTERACTIONS = (((1.0, 0.3, 0.1), 0.9), ((1.0, 0.7, 0.5), 0.8))
"""Shares of single stages, pairs and triples; and how alike ADD and CONCAT of a stage are, where the same letter is 1
and no sync beside a sync 0."""
EFFECTS_SHARE = 0.6
EFFECTS_REST = (3.0, 0.3)
EFFECT_KIND = 1 / 3
EFFECT_LENGTH = 6.0
"""In stages, of where a segment begins."""
SEGMENT_KIND = 0.7
SEGMENT_LENGTH = 0.7
TREND, TREND_SYNCS = 0.5, 2.0
CONSTANT = 1.0
BUDGET_SHARED, BUDGET_LENGTH = 0.4, 2.0


class Kernels:
    """Covariances between the candidates of one search, a row at a time.

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
        self._sync = letters != "n"
        self._concat = letters == "c"
        self._syncs = self._sync.sum(axis=1)
        self._tables = _tables(stages)
        self._rest = _hamming(*_differences(stages), *EFFECTS_REST)
        self._effects = _effects(letters)
        segments = _segment_features(letters, SEGMENT_KIND).reshape(len(letters), -1)
        self._directions = segments / np.sqrt(np.sum(segments**2, axis=1))[:, None]
        self._trend = _trend(self._syncs, stages)
        gap = np.arange(budgets)
        smooth = np.exp(-0.5 * ((gap[:, None] - gap) / BUDGET_LENGTH) ** 2)
        self._budgets = BUDGET_SHARED + (1 - BUDGET_SHARED) * smooth
        self.count = len(self._tables) + 2
        self.size = budgets * len(letters)
        self._scale = 1 / np.mean([np.diag(self._trend)[c] for c in self._syncs] + np.ones(len(letters)))
        own = np.ones((self.count, len(letters)))
        own[-2] = EFFECTS_SHARE * np.sum(self._effects**2, axis=1) + 1 - EFFECTS_SHARE
        own = self._scale * (own + np.diag(self._trend)[self._syncs]) + CONSTANT
        self.diagonal = np.tile(own, (1, budgets))

    def row(self, index: int) -> Array:
        """Covariances of a candidate with all, [K, N]."""
        budget, i = divmod(index, len(self._syncs))
        alike = self._strategies(i)
        row = self._budgets[budget][None, :, None] * alike[:, None, :]
        # Each budget has a mean of its own.
        row[:, budget] += CONSTANT
        return np.asarray(row.reshape(self.count, self.size))

    def _strategies(self, i: int) -> Array:
        """Covariances of a strategy with all, without the constant, [K, strategies]."""
        both = self._sync & self._sync[i]
        d_sync = np.sum(self._sync != self._sync[i], axis=1)
        d_kind = np.sum(both & (self._concat != self._concat[i]), axis=1)
        cosine = self._directions @ self._directions[i]
        smooth = np.exp(-2 * (1 - cosine) / SEGMENT_LENGTH)
        effects = EFFECTS_SHARE * (self._effects @ self._effects[i])
        effects += (1 - EFFECTS_SHARE) * self._rest[d_sync, d_kind]
        rows = np.concatenate([self._tables[:, d_sync, d_kind], np.stack([effects, smooth])])
        return np.asarray(self._scale * (rows + self._trend[self._syncs[i], self._syncs]))


def _differences(stages: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """d_sync and d_kind as a table has them, each [d_sync, d_kind]."""
    counts = np.arange(stages + 1)
    d_sync, d_kind = np.meshgrid(counts, counts, indexing="ij")
    return d_sync, d_kind


def _hamming(d_sync: npt.NDArray[np.int64], d_kind: npt.NDArray[np.int64], length: float, weight: float) -> Array:
    return np.asarray(np.exp(-(d_sync + weight * d_kind) / length))


def _tables(stages: int) -> Array:
    """Kernels that only see how many stages differ: [kernels, d_sync, d_kind], 1 for equal strategies."""
    d_sync, d_kind = _differences(stages)
    same = np.maximum(stages - d_sync - d_kind, 0)
    interactions = [
        np.average(
            [_symmetric(same, d_kind, order, alike) for order in range(1, len(shares[:stages]) + 1)],
            axis=0,
            weights=shares[:stages],
        )
        for shares, alike in INTERACTIONS
    ]
    return np.stack([*(_hamming(d_sync, d_kind, *of) for of in HAMMING), *interactions])


def _symmetric(same: npt.NDArray[np.int64], kinds: npt.NDArray[np.int64], order: int, alike: float) -> Array:
    """Mean product of `order` stages' likeness: `same` stages of 1, `kinds` of `alike`, the others 0."""
    choose = np.array([[float(comb(n, k)) for k in range(order + 1)] for n in range(int(same.max()) + 1)])
    terms = [choose[same, order - k] * choose[kinds, k] * alike**k for k in range(order + 1)]
    return np.asarray(np.sum(terms, axis=0) / comb(int(same.max()), order))


def _segment_features(letters: npt.NDArray[np.str_], kind: float) -> Array:
    """Which segments a strategy has, by first stage, last stage, and none or the letter at its end: [N, S, S, 3].

    Args:
        letters: of each strategy, [N, S].
        kind: the entry of a letter, beside 1 for the segment.
    """
    count, stages = letters.shape
    features = np.zeros((count, stages, stages, 3))
    rows, first = np.arange(count), np.zeros(count, int)
    for stage in range(stages):
        ends = letters[:, stage] != "n"
        at, start = rows[ends], first[ends]
        features[at, start, stage, 0] = 1
        features[at, start, stage, np.where(letters[at, stage] == "c", 2, 1)] = kind
        first[ends] = stage + 1
    return features


def _effects(letters: npt.NDArray[np.str_]) -> Array:
    """Features of the segments, alike where they end at the same stage and begin near each other: [N, 3 S^2].

    Their mean is 0 and that of their squared lengths 1.
    """
    first = np.arange(letters.shape[1])
    alike = np.exp(-0.5 * ((first[:, None] - first) / EFFECT_LENGTH) ** 2)
    root = np.linalg.cholesky(alike + 1e-9 * np.eye(len(first)))
    features = np.einsum("nfls,fg->ngls", _segment_features(letters, EFFECT_KIND), root).reshape(len(letters), -1)
    features -= features.mean(axis=0)
    return np.asarray(features / np.sqrt(np.mean(np.sum(features**2, axis=1))))


def _trend(syncs: npt.NDArray[np.int64], stages: int) -> Array:
    """Covariance by the numbers of syncs, [S + 1, S + 1]: a line and a smooth curve."""
    counts = np.arange(stages + 1)
    centred = counts - syncs.mean()
    line = np.outer(centred, centred) / max(float(syncs.var()), 1e-9)
    curve = np.exp(-0.5 * ((counts[:, None] - counts) / TREND_SYNCS) ** 2)
    return np.asarray(TREND * (line + curve))
