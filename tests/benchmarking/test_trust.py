"""Trust in a bench: what is equal must read equal, and what was odd is said."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from syncnas_deploy.benchmarking.result import Baseline, BenchResult, RunSamples
from syncnas_deploy.benchmarking.run import _change
from syncnas_deploy.benchmarking.trust import LEAST_ERROR, ratio_error, trust, verdict_of
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.prediction.predict import PhasePrediction, Prediction, SegmentPrediction
from syncnas_deploy.report.judgement import foretold_text
from tests.support.latency_cases import law_profile

QUIET = RunSamples(tuple(1000.0 + (i % 5) for i in range(60)))


def scaled(samples: RunSamples, *factors: float) -> RunSamples:
    part = len(samples.samples_us) // len(factors)
    return RunSamples(tuple(us * factors[at // part] for at, us in enumerate(samples.samples_us)))


TORN = scaled(QUIET, 1.0, 1.0, 1.3)


@pytest.fixture
def result(mobilenet: ModelConfig) -> BenchResult:
    return BenchResult(
        config=branched(mobilenet, "nnnnnna"), device="host", simulated=False, software_gpu=False,
        units=("cpu:1@0", "cpu:1@1"), facts={"cores": "4", "os": "Debian"}, condition={}, makespan=QUIET, again=QUIET,
        segments=(), syncs=(), baselines=(), change=0.0, difference=0.0, launch_samples=(20, 20, 20),
        before={"load_1min": "0.3"},
    )  # fmt: skip


def test_a_quiet_measurement_is_trustworthy(result: BenchResult) -> None:
    assert (trust(result).level, trust(result).reasons) == ("trustworthy", ())


@pytest.mark.parametrize(
    ("change", "level", "words"),
    [
        ({"again": scaled(QUIET, 1.05)}, "doubtful", "the same network twice differs by 4.8%"),
        ({"again": scaled(QUIET, 1.2)}, "worthless", "the same network twice differs by 16.7%"),
        ({"makespan": scaled(QUIET, 1.0, 1.0, 1.08)}, "doubtful", "launches differ by 8."),
        ({"makespan": TORN, "again": TORN}, "worthless", "launches differ by 30"),
        ({"change": -0.07}, "doubtful", "within a launch its time changed by -7.0%"),
        ({"change": 0.3}, "worthless", "within a launch its time changed by +30.0%"),
        ({"before": {"load_1min": "12.1"}}, "doubtful", "the load was 12.1 on 4 cores before it began"),
        ({"warnings": ("1 of 3 launches were left out: the device was not fit",)}, "doubtful", "left out"),
        ({"before": {"load_1min": "12.1"}, "facts": {"cores": "8", "os": "Android 14"}}, "trustworthy", ""),
        ({"before": {"load_1min": "denied"}}, "trustworthy", ""),
    ],
)  # fmt: skip
def test_what_is_odd_is_said(result: BenchResult, change: dict[str, object], level: str, words: str) -> None:
    found = trust(msgspec.structs.replace(result, **change))
    assert found.level == level
    assert words in found.sentence


def test_a_change_in_the_middle_of_a_launch_is_seen() -> None:
    """Thirds of this launch are alike; its rolling median moves by a tenth."""
    us = np.full(90, 1000.0)
    us[38:60] = 1100.0
    assert np.median(us[:30]) == np.median(us[-30:])
    assert _change([us]) == pytest.approx(0.1)
    assert _change([us[::-1].copy()]) == pytest.approx(0.1, abs=0.2) and _change([np.full(9, 5.0)]) == 0.0
    assert _change([np.linspace(1100, 1000, 90)]) == pytest.approx(-0.09, abs=0.03)


def test_a_doubtful_measurement_keeps_its_verdict_and_a_worthless_one_has_none(result: BenchResult) -> None:
    assert verdict_of(result) is None
    rival = Baseline("base_x1.2", "cpu:2", 2 * result.config.macs(), QUIET, role="rival")
    beside = msgspec.structs.replace(result, baselines=(rival,))
    found = verdict_of(beside)
    assert found is not None and found.answer == "does not pay" and found.gain == pytest.approx(-np.log(2))
    loaded = verdict_of(msgspec.structs.replace(beside, before={"load_1min": "12"}))
    assert loaded is not None and loaded.answer == "does not pay" and loaded.opening == "It seems not to pay"
    assert loaded.doubts[0].startswith("the measurement is doubtful: the load was 12.0 on 4 cores")
    noise = verdict_of(msgspec.structs.replace(beside, again=scaled(QUIET, 1.5)))
    assert noise is not None and noise.answer == "cannot tell" and "worthless: the same network" in noise.because


def test_the_error_of_a_ratio_is_that_of_the_launches(result: BenchResult) -> None:
    assert ratio_error(result, QUIET) == LEAST_ERROR
    # Both slower in a launch: the ratio is the same. One of them slower: it is not.
    slow = scaled(QUIET, 1.0, 1.1, 1.2)
    both = msgspec.structs.replace(result, makespan=slow, again=slow)
    assert ratio_error(both, slow) == LEAST_ERROR
    logs = np.log([1.0, 1.1, 1.2])
    assert ratio_error(result, slow) == pytest.approx(4.30 / 2 * np.std(logs, ddof=1) / np.sqrt(3), rel=1e-3)
    assert ratio_error(msgspec.structs.replace(result, launch_samples=()), slow) == LEAST_ERROR


@pytest.mark.parametrize(
    ("rival_us", "rival_ratio", "said", "then"),
    [
        (1002.0, 0.8, "pays, 1.25 times", "the measurement agrees"),
        (1002.0, 1.25, "does not pay, 0.80 times", "the measurement agrees"),
        (850.0, 0.6, "pays, 1.67 times", "the measurement agrees, but not in how much"),
        (1900.0, 1.25, "does not pay, 0.80 times", "the measurement says otherwise, and counts"),
        (800.0, 0.8, "pays, 1.25 times", "the measurement cannot tell"),
        (1002.0, 1.02, "cannot tell, 0.98 times", "the measurement can"),
    ],
)
def test_what_predictions_alone_said_stands_beside_the_measurement(
    result: BenchResult, mobilenet: ModelConfig, rival_us: float, rival_ratio: float, said: str, then: str
) -> None:
    profile = msgspec.structs.replace(law_profile(mobilenet), warnings=())
    macs = round(rival_ratio * result.config.macs())
    rival = Baseline("base_x", "cpu:2", macs, RunSamples((rival_us,) * 60), role="rival", predicted_us=5000.0)
    whole = PhasePrediction((SegmentPrediction("all", 0, 5000.0, 5000.0),), 0.0, 0.0)
    prediction = Prediction((whole,), 5000.0, None)

    def told(*baselines: Baseline) -> str:
        return foretold_text(msgspec.structs.replace(result, baselines=baselines), prediction, profile)

    assert told(rival).startswith(f"by prediction alone: {said} the work in the same time (")
    assert told(rival).endswith(f"; {then}")
    assert told() == told(msgspec.structs.replace(rival, predicted_us=None)) == ""
