"""Small helpers for fp16 and int8: seeded calibration, how far two results are apart, a device with a GPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from syncnas_bench import HostDevice, Unit
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.profiling.experiment import ProfileSettings
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


QUICK = ProfileSettings(points=20, launches=1, rounds=3, discard=1, repeats=1, networks=1)
"""As little as a profile can be."""


def with_large_kernels(base: ModelConfig) -> ModelConfig:
    """A base whose second stage has 7x7 kernels."""
    stage = base.stages[1]
    blocks = tuple(dataclasses.replace(block, kernels=(7,)) for block in stage.branches[0])
    stages = (base.stages[0], dataclasses.replace(stage, branches=(blocks,)), *base.stages[2:])
    return dataclasses.replace(base, stages=stages)


class WithGpu(HostDevice):
    """A host whose default units are a CPU and a GPU."""

    def default_units(self) -> tuple[Unit, Unit]:
        return Unit("cpu", threads=2), Unit("gpu")
