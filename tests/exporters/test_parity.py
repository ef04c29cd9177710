"""The difference of two arrays, and the layouts."""

from __future__ import annotations

import numpy as np
import pytest

from syncnas_exporters import SignatureMismatch, difference, nchw, nhwc


def test_difference() -> None:
    want = np.array([0.0, -4.0, 2.0], np.float32)
    same = difference(want, want)
    assert (same.max_abs, same.max_rel, same.finite) == (0.0, 0.0, True)
    off = difference(want + np.array([0.5, 0, 0], np.float32), want)
    assert (off.max_abs, off.max_rel, off.finite) == (0.5, 0.125, True)
    assert difference(np.ones(1), np.zeros(1)).max_rel == float("inf")
    broken = difference(np.array([0.0, np.nan, 2.0]), want)
    assert (broken.max_abs, broken.finite) == (float("inf"), False)
    with pytest.raises(SignatureMismatch, match="layout"):
        difference(want, want[:2])


def test_layouts_are_inverse_and_contiguous() -> None:
    x = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    assert nchw(x).shape == (2, 5, 3, 4)
    assert nchw(x).flags.c_contiguous
    assert nchw(x)[1, 2, 0, 3] == x[1, 0, 3, 2]
    np.testing.assert_array_equal(nhwc(nchw(x)), x)
