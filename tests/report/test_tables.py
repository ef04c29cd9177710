"""Tables as they are printed: every number and every sign."""

from __future__ import annotations

import msgspec
import pytest

from syncnas_deploy.benchmarking.result import Baseline, BenchResult, Energy, RunSamples, SegmentSamples
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.prediction.predict import PhasePrediction, Prediction, SegmentPrediction
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.profiling.recheck import CheckRow, ProfileCheck
from syncnas_deploy.report.judgement import crossing_line
from syncnas_deploy.report.tables import (
    bench_page,
    check_page,
    expected_error_text,
    label_lines,
    prediction_page,
    profile_page,
)
from tests.support.latency_cases import law_profile


def around(median_us: float) -> RunSamples:
    """Samples whose 10th and 90th percentiles are 1 % below and above their median."""
    return RunSamples((0.9875 * median_us, median_us, 1.0125 * median_us))


@pytest.fixture
def result(mobilenet: ModelConfig) -> BenchResult:
    rows = [
        ("stem", 0, 0, 400.0, 410.0),
        ("phase1_branch0", 0, 1, 2000.0, 2100.0),
        ("phase1_branch1", 1, 1, 1500.0, 1560.0),
        ("head", 0, 2, 500.0, 505.0),
    ]
    return BenchResult(
        config=branched(mobilenet, "nnnnnna", name="mine"),
        device="R58M123",
        simulated=False,
        software_gpu=False,
        units=("cpu:1@4", "gpu:fp16"),
        facts={"name": "R58M123"},
        condition={},
        makespan=around(3200.0),
        again=around(3168.0),
        segments=tuple(SegmentSamples(n, b, p, around(solo), around(both)) for n, b, p, solo, both in rows),
        syncs=(around(80.0), around(105.0)),
        baselines=(
            Baseline("base", "cpu:1@4", 300_774_272, around(6400.0)),
            Baseline("base", "gpu:fp16", 300_774_272, around(1600.0)),
        ),
        change=-0.0712,
        difference=2.5e-3,
        warnings=("1 of 3 launches were left out: the device was not fit (thermal status 3)",),
        energy=Energy("battery gauge", 0.8, 7.7, (15.4, 3.3)),
    )


@pytest.fixture
def prediction() -> Prediction:
    phases = (
        PhasePrediction((SegmentPrediction("stem", 0, 380.0, 380.0),), 90.0, 0.0),
        PhasePrediction(
            (
                SegmentPrediction("phase1_branch0", 0, 2040.0, 2184.0),
                SegmentPrediction("phase1_branch1", 1, 1485.0, 1500.0),
            ),
            100.0,
            12.0,
        ),
        PhasePrediction((SegmentPrediction("head", 0, 450.0, 450.0),), 0.0, 0.0),
    )
    return Prediction(phases, 3040.0, 8.25)


BENCH = """\
mine on R58M123
segment         unit      solo: predicted (us)  measured  concurrent: predicted  measured  error (%)
--------------  --------  --------------------  --------  ---------------------  --------  ---------
stem            cpu:1@4                  380.0     400.0                  380.0     410.0       -7.3
  crossing                                   -         -                   90.0      80.0          -
phase1_branch0  cpu:1@4                2,040.0   2,000.0                2,184.0   2,100.0        4.0
phase1_branch1  gpu:fp16               1,485.0   1,500.0                1,500.0   1,560.0       -3.8
  crossing                                   -         -                  100.0     105.0          -
head            cpu:1@4                  450.0     500.0                  450.0     505.0      -10.9
total                                        -         -                3,040.0   3,200.0       -5.0
overlap (solo times / makespan): 1.38 of at most 1.52 with these segments; where both branches work 1.67 of 1.75
2 crossings of 80 to 105 us: 185 us in all, 5.8% of its latency
A/A 1.010 (the same network twice)
warning: 1 of 3 launches were left out: the device was not fit (thermal status 3)
logits equal the exporting host's within 2.5e-03 (relative)

model  units               MACs (M)  median (ms)  p10-p90 (ms)  latency
-----  ------------------  --------  -----------  ------------  -------
base   cpu:1@4                300.8  6.400        6.336-6.464   4.00x
base   gpu:fp16               300.8  1.600        1.584-1.616   1.00x
mine   cpu:1@4 + gpu:fp16     569.4  3.200        3.168-3.232   2.00x
MACs: multiply-accumulates, the work of one image; latency: in times of the fastest base or rival

energy of an inference besides the idle device's 0.80 W (battery gauge):
model  units               predicted (mJ)  measured (mJ)
-----  ------------------  --------------  -------------
base   cpu:1@4             -               15.400
base   gpu:fp16            -               3.300
mine   cpu:1@4 + gpu:fp16  8.250           7.700

where the time goes          predicted (%)  measured (%)
---------------------------  -------------  ------------
one unit alone (stem, head)           27.3          28.6
both units at work                    61.3          62.5
slowed by each other                   4.7           3.1
crossings                              6.2           5.8
waiting for the later                  0.4           0.0
(branch 0 idle)                        0.0           0.0
(branch 1 idle)                       49.8          45.5

This measurement is doubtful:
  within a launch its time changed by -7.1%: it heats up or a clock changes; cool it, or hold the clock
  1 of 3 launches were left out: the device was not fit (thermal status 3)"""


def test_a_bench_as_it_is_printed(result: BenchResult, prediction: Prediction) -> None:
    assert str(bench_page(result, prediction)) == BENCH


def test_what_is_not_there_is_not_printed(result: BenchResult) -> None:
    plain = msgspec.structs.replace(
        result, change=0.01, warnings=(), difference=None, energy=None, no_energy="R58M123 has no gauge.", baselines=()
    )
    text = str(bench_page(plain))
    for word in ("warning", "changed by", "logits", "MACs", "mJ)", "predicted"):
        assert word not in text
    assert "energy: not measured (R58M123 has no gauge)" in text
    assert text.endswith("This measurement is trustworthy.")
    (total,) = [line for line in text.splitlines() if line.startswith("total")]
    assert total.split() == ["total", "-", "3,200.0"]
    labelled = str(bench_page(msgspec.structs.replace(plain, simulated=True, software_gpu=True))).splitlines()[0]
    assert labelled == (
        "mine on R58M123 [SIMULATED units: no real device was measured]"
        " [SOFTWARE GPU: its times say nothing about a GPU]"
    )


PREDICTION = """\
segment         unit      solo (us)  concurrent (us)
--------------  --------  ---------  ---------------
stem            cpu:1@4       380.0            380.0
  crossing                        -             90.0
phase1_branch0  cpu:1@4     2,040.0          2,184.0
phase1_branch1  gpu:fp16    1,485.0          1,500.0
  crossing                        -            100.0
head            cpu:1@4       450.0            450.0
total                             -          3,040.0
2 crossings of 90 to 100 us: 190 us in all, 6.2% of its latency
energy of an inference besides the idle device: 8.250 mJ"""


def test_a_prediction_as_it_is_printed(prediction: Prediction) -> None:
    assert str(prediction_page(prediction, ("cpu:1@4", "gpu:fp16"))) == PREDICTION


CHECK = """\
network  units      then (us)  now (us)  change (%)
-------  ---------  ---------  --------  ----------
base     cpu:1@4      1,000.0   1,080.0         8.0
base     gpu            500.0     490.0        -2.0
aaaaaaa  cpu + gpu      800.0     856.0         7.0
different: kernel was '5.4' and is '5.10'
warning: 1 of 3 launches were left out: the device was not fit (screen off)
+7.0% in the median: the profile does not hold: measure the device again, in the condition it will be used in"""


def test_a_check_as_it_is_printed() -> None:
    rows = (
        CheckRow("base", "cpu:1@4", 1000.0, 1080.0),
        CheckRow("base", "gpu", 500.0, 490.0),
        CheckRow("aaaaaaa", "cpu + gpu", 800.0, 856.0),
    )
    warnings = ("1 of 3 launches were left out: the device was not fit (screen off)",)
    assert str(check_page(ProfileCheck(rows, ("kernel was '5.4' and is '5.10'",), warnings))) == CHECK
    assert str(check_page(ProfileCheck(rows[1:2], ()))).splitlines()[-1] == "-2.0% in the median: the profile holds"


PROFILE = """\
simulated profile of mobilenet_v2 on law, 2026-01-01T00:00:00+00:00
240 points, 30 syncs; 3 launches of 10 rounds
unit       base (ms)  contention  invocation (us)
---------  ---------  ----------  ---------------
sim:left        4.20  1.10-1.40               2.0
sim:right       6.06  1.02-1.14               3.5
contention: how many times as long a unit takes while the other one works; invocation: what a call costs
sync overhead, of a crossing between the units: 7.1 to 13.3 us
  of it download 1.4 and 3.4 us, wait 0.8 us (polling), upload 2.1 and 5.5 us, then submission 2.0 and \
3.5 us (sim:left and sim:right; medians)
sim:left: a chain of unseen widths was predicted within 3.0% after 120 points
sim:right: a chain of unseen widths was predicted within 2.0% after 120 points
expected error 3.0%: of 1 network measured as a test, 9 in 10 were predicted within 3.0%, all within 3.0%; predictions \
were 3.0% too long in the median, and are shown as they are
the profile is doubtful (1 warning: made by hand)
warning: made by hand"""


def test_a_profile_as_it_is_printed(mobilenet: ModelConfig) -> None:
    assert str(profile_page(law_profile(mobilenet))) == PROFILE


@pytest.mark.parametrize(("slept", "told"), [(0.25, "asleep in 25% of the runs"), (1.0, "asleep in 100% of the runs")])
def test_a_profile_says_where_a_waiting_unit_slept(mobilenet: ModelConfig, slept: float, told: str) -> None:
    profile = law_profile(mobilenet)
    syncs = tuple(msgspec.structs.replace(row, slept=slept) for row in profile.syncs)
    assert f"wait 0.8 us ({told})" in str(profile_page(msgspec.structs.replace(profile, syncs=syncs)))


def test_what_is_no_hardware_is_labelled(mobilenet: ModelConfig) -> None:
    law = law_profile(mobilenet)
    assert label_lines(law) == ["note: the units are SIMULATED: no hardware was measured"]
    software = msgspec.structs.replace(law, kind="measured", units=("cpu:1", "gpu:software"))
    assert label_lines(software) == ["note: a SOFTWARE GPU was measured: its times say nothing about a GPU"]
    assert label_lines(msgspec.structs.replace(software, units=("cpu:1", "gpu"))) == []


def test_crossings_have_a_price() -> None:
    assert crossing_line((), 100.0) == "nothing crosses between the units"
    assert crossing_line((30.0,), 100.0) == "1 crossing of 30 us: 30 us in all, 30.0% of its latency"


def with_errors(base: ModelConfig, *errors: float, warnings: tuple[str, ...] = ()) -> DeviceProfile:
    """A profile by whose held-out networks predictions were so much too long."""
    law = law_profile(base)
    us = law.held_out[0].sample.median_us
    rows = (msgspec.structs.replace(law.held_out[0], predicted_us=us * (1 + error)) for error in errors)
    return msgspec.structs.replace(law, held_out=tuple(rows), warnings=warnings)


TEST = "of {} networks measured as a test, 9 in 10 were predicted within {}, all within {}"
AS_THEY_ARE = "in the median, and are shown as they are"
ERRORS: dict[str, tuple[tuple[float, ...], tuple[str, ...], str]] = {
    "at an edge": ((0.0, 0.0123), (), f"expect 19.75 to 20.00 ms: {TEST.format(2, '1.1%', '1.2%')}"),
    "small": ((0.01, -0.01), (), f"expect 19.80 to 20.21 ms: {TEST.format(2, '1.0%', '1.0%')}"),
    "too long": (
        (0.24, 0.2),
        (),
        f"expect 16.1 to 20.0 ms: {TEST.format(2, '23.6%', '24.0%')}; predictions were 22.0% too long {AS_THEY_ARE}; "
        "the profile is doubtful (its predictions are 24% off)",
    ),
    "too short": (
        (-0.6, -0.6),
        ("the load was 14.0", "a point differed"),
        f"expect 20 to 50 ms: {TEST.format(2, '60.0%', '60.0%')}; predictions were 60.0% too short {AS_THEY_ARE}; "
        "the profile is worthless (its predictions are 60% off; 2 warnings: the load was 14.0)",
    ),
    "not known": (
        (),
        ("made by hand",),
        "how far predictions are off is not known: no networks were measured as a test; "
        "the profile is doubtful (1 warning: made by hand)",
    ),
}


@pytest.mark.parametrize("name", list(ERRORS))
def test_a_prediction_carries_its_error_and_the_doubts_of_its_profile(name: str, mobilenet: ModelConfig) -> None:
    errors, warnings, told = ERRORS[name]
    assert expected_error_text(with_errors(mobilenet, *errors, warnings=warnings), 20_000.0) == told
