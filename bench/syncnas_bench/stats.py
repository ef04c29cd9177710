"""Robust numbers from raw samples: medians, spread, disagreeing launches, and the A/A ratio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

# A launch whose median is farther than this from the median of launches is flagged, unless the
# launches' own spread is larger still: see `combine_launches`.
LAUNCH_TOLERANCE = 0.05
# For normal samples the standard deviation is 1.4826 times the median absolute deviation.
MAD_TO_SIGMA = 1.4826


@dataclass(frozen=True)
class Summary:
    """Order statistics of one set of samples, in microseconds.

    Attributes:
        mad_us: median of |sample - median|.
        p10_us, p90_us: percentiles with linear interpolation.
    """

    n: int
    median_us: float
    mad_us: float
    p10_us: float
    p90_us: float
    min_us: float

    @property
    def relative_spread(self) -> float:
        """(p90 - p10) / median; 0 for a median of 0."""
        return (self.p90_us - self.p10_us) / self.median_us if self.median_us > 0 else 0.0


def summarize(samples_ns: npt.ArrayLike) -> Summary:
    """Summary of samples in nanoseconds, `[samples]`.

    Raises:
        ValueError: there is no sample, or one is not finite.
    """
    samples_us = np.asarray(samples_ns, dtype=np.float64).ravel() / 1e3
    if samples_us.size == 0 or not np.isfinite(samples_us).all():
        raise ValueError("a summary needs at least one sample, all of them finite")
    median = float(np.median(samples_us))
    p10, p90 = (float(value) for value in np.percentile(samples_us, (10, 90)))
    mad = float(np.median(np.abs(samples_us - median)))
    return Summary(int(samples_us.size), median, mad, p10, p90, float(samples_us.min()))


@dataclass(frozen=True)
class Launches:
    """One quantity measured in several launches of the runner.

    Attributes:
        medians_us: the median of each launch, in launch order.
        median_us: median over the launches that agree.
        outliers: indices of the launches that disagree.
        relative_range: (max - min) / median over the launches that agree.
    """

    medians_us: tuple[float, ...]
    median_us: float
    outliers: tuple[int, ...]
    relative_range: float


def combine_launches(medians_us: Sequence[float], tolerance: float = LAUNCH_TOLERANCE) -> Launches:
    """Combine launches by a fixed rule, decided before the numbers are seen.

    Let m be the median of the launches' medians and d = MAD_TO_SIGMA * median(|median_i - m|). Launch i
    disagrees when |median_i - m| > max(3 * d, tolerance * m). With fewer than three launches nobody
    can be outvoted, and none is flagged.

    Raises:
        ValueError: there is no launch, or a median is not finite and positive.
    """
    values = np.asarray(medians_us, dtype=np.float64)
    if values.size == 0 or not np.isfinite(values).all() or (values <= 0).any():
        raise ValueError("launches need at least one median, all of them finite and positive")
    middle = float(np.median(values))
    distance = np.abs(values - middle)
    limit = max(3 * MAD_TO_SIGMA * float(np.median(distance)), tolerance * middle)
    far = distance > limit if values.size >= 3 else np.zeros(values.size, dtype=bool)
    kept = values[~far]
    combined = float(np.median(kept))
    return Launches(
        tuple(values.tolist()),
        combined,
        tuple(np.flatnonzero(far).tolist()),
        float((kept.max() - kept.min()) / combined),
    )


def aa_ratio(samples_ns: npt.ArrayLike) -> float:
    """Median of the odd samples over the median of the even ones, `[samples]` in the order taken.

    Both halves measure the same thing, so what differs from 1 is noise: a ratio of two different
    things means nothing while it is no farther from 1 than this one.

    Raises:
        ValueError: there are fewer than two samples, or the even ones have median 0.
    """
    samples = np.asarray(samples_ns, dtype=np.float64).ravel()
    if samples.size < 2 or np.median(samples[::2]) <= 0:
        raise ValueError("an A/A ratio needs at least two samples of positive time")
    return float(np.median(samples[1::2]) / np.median(samples[::2]))
