"""Small helpers for fp16 and int8: seeded calibration, and how far two results are apart."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from syncnas_exporters import Graph, RangeObserver
from syncnas_exporters.ranges import Ranges

Float32Array = NDArray[np.float32]


def calibrated(graph: Graph) -> tuple[Mapping[str, Ranges], dict[str, Float32Array]]:
    """Ranges from one seeded input, and that input."""
    rng = np.random.default_rng(3)
    feeds = {name: rng.standard_normal(graph.tensors[name].shape).astype(np.float32) for name in graph.inputs}
    observer = RangeObserver([graph])
    observer.run(graph.name, feeds)
    return observer.ranges(), feeds


def rms_error(got: Float32Array, want: Float32Array) -> float:
    """Root mean square of the difference over that of `want`."""
    return float(np.sqrt(np.mean((got - want) ** 2)) / max(np.sqrt(np.mean(want**2)), 1e-9))
