"""Predictions under other circumstances: a slower device, no contention, fast crossings; and where the time goes."""

from __future__ import annotations

import pytest

from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.prediction.breakdown import of_prediction, outlook
from syncnas_deploy.prediction.drift import drift
from syncnas_deploy.prediction.predict import Circumstances, predict
from tests.support.latency_cases import law_profile

STRATEGY = "nancnca"


@pytest.fixture(scope="module")
def network(mobilenet: ModelConfig) -> ModelConfig:
    return branched(mobilenet, STRATEGY)


def test_the_parts_add_up_and_each_is_what_it_says(mobilenet: ModelConfig, network: ModelConfig) -> None:
    profile = law_profile(mobilenet)
    prediction = predict(network, profile)
    parts = of_prediction(prediction)
    total_us = parts.alone_us + parts.work_us + parts.contention_us + parts.crossings_us + parts.waiting_us
    assert total_us == pytest.approx(prediction.makespan_us)
    assert parts.crossings_us == pytest.approx(prediction.syncs_us)
    alone = [s.concurrent_us for phase in prediction.phases if len(phase.segments) == 1 for s in phase.segments]
    assert parts.alone_us == pytest.approx(sum(alone)) and parts.contention_us > 0
    # Stem and head run on branch 0: meanwhile branch 1 is idle.
    assert parts.idle_us[1] >= sum(alone)


def test_without_contention_and_with_fast_crossings_it_takes_less(mobilenet: ModelConfig, network: ModelConfig) -> None:
    profile = law_profile(mobilenet)
    made = predict(network, profile)
    free = predict(network, profile, Circumstances(contention=False))
    assert of_prediction(free).contention_us == 0.0
    fast = predict(network, profile, Circumstances(crossing_us=1.0))
    assert all(phase.sync_us <= 1.0 + 1e-9 for phase in fast.phases)
    assert outlook(network, profile) == (
        predict(network, profile, Circumstances(crossing_us=10.0)).makespan_us,
        free.makespan_us,
    )
    assert max(free.makespan_us, fast.makespan_us) < made.makespan_us


@pytest.mark.parametrize("slow", [0.98, 1.02, 1.05, 1.1, 1.2])
def test_drift_is_found_by_the_base_on_both_units(mobilenet: ModelConfig, network: ModelConfig, slow: float) -> None:
    profile = law_profile(mobilenet)
    now_us = [slow * profile.table.network_us(0), (2 - slow) * profile.table.network_us(1)]
    found = drift(network, profile, now_us)
    assert found.slowness == pytest.approx((slow, 2 - slow))
    assert abs(found.largest) == pytest.approx(abs(slow - 1))
    even = drift(network, profile, [slow * profile.table.network_us(unit) for unit in (0, 1)])
    # Crossings do not get slower with the units; all else does.
    made_us, today_us = (one.makespan_us - one.syncs_us for one in (even.made, even.today))
    assert today_us == pytest.approx(slow * made_us, rel=0.01)
