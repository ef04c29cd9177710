"""How far a result is from what it should be, and the two layouts of feature maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from syncnas_exporters.errors import SignatureMismatch


@dataclass(frozen=True)
class Difference:
    """How far an array is from another.

    Attributes:
        max_abs: largest absolute difference of two elements; infinity when a value is not finite.
        max_rel: `max_abs` over the largest magnitude in the wanted array, so that elements near zero do
            not count for more than the rest; 0 when the arrays are equal.
        finite: whether both arrays hold finite numbers only.
    """

    max_abs: float
    max_rel: float
    finite: bool


def difference(got: npt.NDArray[Any], want: npt.NDArray[Any]) -> Difference:
    """Compare two arrays of one shape, in float64.

    Raises:
        SignatureMismatch: when the shapes differ or the arrays are empty.
    """
    if got.shape != want.shape or got.size == 0:
        raise SignatureMismatch(f"cannot compare shapes {got.shape} and {want.shape}; check the layout")
    if not (np.isfinite(got).all() and np.isfinite(want).all()):
        return Difference(float("inf"), float("inf"), finite=False)
    max_abs = float(np.abs(got.astype(np.float64) - want.astype(np.float64)).max())
    scale = float(np.abs(want.astype(np.float64)).max())
    if max_abs == 0.0:
        return Difference(0.0, 0.0, finite=True)
    return Difference(max_abs, max_abs / scale if scale else float("inf"), finite=True)


def nchw(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`[N, H, W, C]` to `[N, C, H, W]`, contiguous."""
    return np.ascontiguousarray(x.transpose(0, 3, 1, 2))


def nhwc(x: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """`[N, C, H, W]` to `[N, H, W, C]`, contiguous."""
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1))
