"""Max-plus convolution of utilities over time bins: the utility of two parts together.

All arrays of utilities have the shape [N + 1]: the largest utility within 0, 1, ... N bins of time. They are -inf where
nothing fits, and never fall.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from syncnas_deploy.arrays import Float64Array

# Rows that are added at a time. 12 rows of 2,001 bins are 0.2 MB: they stay in the second-level cache, and the
# allocator keeps the memory. With 64 rows it gave it back each time, and page faults took up to a third of the time.
_ROWS = 12


def convolve(f: Float64Array, g: Float64Array) -> Float64Array:
    """The largest f[i] + g[j] with i + j = t bins, for every t, [N + 1].

    Only the bins at which the sparser part rises are tried: between them its utility is the same.
    """
    steps_f, steps_g = _steps(f), _steps(g)
    if len(steps_f) < len(steps_g):
        f, g, steps_g = g, f, steps_f
    n = len(f)
    # Row n - j of these windows is f delayed by j bins.
    delayed = sliding_window_view(np.concatenate([np.full(n, -np.inf), f]), n)
    best = np.full(n, -np.inf)
    for start in range(0, len(steps_g), _ROWS):
        steps = steps_g[start : start + _ROWS]
        sums = delayed[n - steps]
        sums += g[steps, None]
        np.maximum(best, sums.max(axis=0), out=best)
    return best


def split(f: Float64Array, g: Float64Array, t: int) -> int | None:
    """How many of t bins go to f in the best sum of f and g, both [N + 1]; the rest goes to g. None if nothing fits."""
    sums = f[: t + 1] + g[t::-1]
    best = int(np.argmax(sums))
    return best if sums[best] > -np.inf else None


def delay(f: Float64Array, bins: int) -> Float64Array:
    """f after `bins` bins are spent before it begins, [N + 1]."""
    late = np.full(len(f), -np.inf)
    late[bins:] = f[: max(len(f) - bins, 0)]
    return late


def _steps(f: Float64Array) -> NDArray[np.intp]:
    """The bins at which f, [N + 1], rises: ascending, [steps]."""
    rises = np.empty(len(f), dtype=bool)
    rises[0] = f[0] > -np.inf
    np.greater(f[1:], f[:-1], out=rises[1:])
    return np.flatnonzero(rises)
