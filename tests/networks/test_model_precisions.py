"""Every shipped model in fp16 and int8: what XNNPACK takes, and how far the chain of segments is from fp32."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest

from syncnas_deploy.bundle import graphs
from syncnas_deploy.networks.formats import load_config
from syncnas_deploy.networks.segments import Segment, cut, run_chain
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.precision import LARGE_ERROR
from syncnas_deploy.resources import shipped
from syncnas_exporters import RangeObserver, TfliteRunner, write_tflite
from tests.support.delegation import wholly_delegated
from tests.support.precision_cases import rms_error


def run_one(runners: dict[str, TfliteRunner], segment: Segment, feeds: Any) -> Any:
    return runners[segment.name].run(segment.name, feeds)


@pytest.mark.parametrize("name", shipped("model_configs"))
def test_a_model_in_fp16_and_int8(name: str) -> None:
    config = load_config(name)
    segments, lowered = cut(config), graphs(config, random_weights(parameter_shapes(config), 5))
    shape = (3, 1, config.input_size, config.input_size, 3)
    images = np.random.default_rng(5).uniform(-1, 1, shape).astype(np.float32)
    observer = RangeObserver(list(lowered.values()))
    wanted = np.concatenate([run_chain(segments, lambda s, x: observer.run(s.name, x), image) for image in images])
    for precision in ("fp16", "int8"):
        runners = {}
        for segment in segments:
            model = write_tflite([lowered[segment.name]], precision=precision, ranges=observer.ranges())
            assert wholly_delegated(model), f"{segment.name} in {precision}"
            runners[segment.name] = TfliteRunner(model)
        run = functools.partial(run_one, runners)
        found = [run_chain(segments, run, image) for image in images]
        assert rms_error(np.concatenate(found), wanted) < LARGE_ERROR[precision]
