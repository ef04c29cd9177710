"""Measuring the measuring: simulated units spend known times, and the stamps must find them again."""

from collections.abc import Callable

import numpy as np
import pytest

from syncnas_bench import (
    SIM_DEVICES,
    BenchPlan,
    Call,
    DeviceNotFound,
    Job,
    JobRun,
    Lane,
    SimDevice,
    Step,
    Unit,
    UnitUnavailable,
    Work,
    find_device,
    run_plan,
)
from syncnas_bench.device import runner_program
from tests.support.bench_cases import Collector, plan_of

LAUNCHES = 5


def agrees(measured_us: float, true_us: float) -> bool:
    """Within the larger of 5 % and 20 microseconds."""
    return abs(measured_us - true_us) <= max(0.05 * true_us, 20.0)


def measured(plan: BenchPlan, job: int = 0) -> JobRun:
    runs = Collector()
    run_plan(plan, command=[str(runner_program())], on_run=runs, deadline_s=60)
    return runs[0].jobs[job]


def assert_agrees(measure: Callable[[], dict[str, float]], truth: dict[str, float]) -> None:
    """A busy machine may spoil a launch, but a wrong stamp spoils them all: one launch has to agree."""
    seen = []
    for _ in range(LAUNCHES):
        got = measure()
        if all(agrees(got[key], truth[key]) for key in truth):
            return
        seen.append({key: round(value, 1) for key, value in got.items()})
    pytest.fail(f"no launch agrees with {truth}: {seen}")


def two_lanes() -> tuple[Lane, Lane]:
    """A host-memory unit and a slower-moving one: 1200 and 700 us, then 500 and 900 us."""
    first = Lane(0, (Call(0, 0, "a", run_us=1200), Call(1, 0, "b", ("own", "partner"), run_us=500)))
    second = Lane(
        1,
        (
            Call(0, 0, "c", run_us=700, download_us=150),
            Call(1, 0, "d", ("own", "partner"), run_us=900, upload_us=100),
        ),
    )
    return first, second


@pytest.mark.parametrize(
    ("serial", "truth"),
    [
        # The barrier opens at 1200, the upload makes the second lane begin at 1300.
        (False, {"makespan": 2200, "sync": 100, "first": 0, "wait0": 0, "wait1": 350, "busy0": 1700}),
        # 1200 + 700 + 150 of download + 500 + 100 of upload + 900.
        (True, {"makespan": 3550, "sync": 750, "first": 150, "wait0": 850, "busy1": 1600}),
    ],
)  # fmt: skip
def test_makespan_waits_and_sync_are_found_again(serial: bool, truth: dict[str, float]) -> None:
    step = Step("s", (Job("net", two_lanes(), serial=serial),), rounds=100, discard=2)
    plan = plan_of("sim:a sim:b", step, spin_us=10_000)

    def measure() -> dict[str, float]:
        job = measured(plan)
        samples = {
            "makespan": job.makespan_us,
            "sync": job.sync_overhead_us(0),
            "first": job.sync_first_us(0),
            "wait0": job.call(0, 0).wait_ns / 1e3,
            "wait1": job.call(1, 0).wait_ns / 1e3,
            "busy0": job.busy_us(0),
            "busy1": job.busy_us(1),
        }
        # What disturbs a run makes it longer, so the shortest runs are the least disturbed ones.
        shortest = np.argsort(job.makespan_ns)[:10]
        return {key: float(np.median(value[shortest])) for key, value in samples.items()}

    assert_agrees(measure, truth)


def test_both_units_are_slowed_as_told_while_the_other_works_and_not_alone() -> None:
    units = (Unit("sim", name="a", slowdown=1.5), Unit("sim", name="b", slowdown=1.2))
    # They take the same time under load, so that each is loaded throughout.
    calls = Call(0, 0, "a", run_us=800), Call(0, 0, "b", run_us=1000)
    jobs = (
        Job("both", (Lane(0, (calls[0],)), Lane(1, (calls[1],)))),
        Job.solo("a", 0, calls[0]),
        Job.solo("b", 1, calls[1]),
    )

    def measure() -> dict[str, float]:
        runs = Collector()
        plan = BenchPlan(units, (), (Step("s", jobs, rounds=60, discard=5),))
        run_plan(plan, command=[str(runner_program())], on_run=runs)
        both, a, b = runs[0].jobs
        samples = {"both a": both.busy_us(0), "both b": both.busy_us(1), "a": a.busy_us(0), "b": b.busy_us(0)}
        return {key: float(np.median(us)) for key, us in samples.items()}

    assert_agrees(measure, {"both a": 1200, "both b": 1200, "a": 800, "b": 1000})


def test_noise_has_the_asked_for_spread() -> None:
    plan = BenchPlan(
        (Unit("sim", name="a", noise=0.1),),
        (),
        (Step("s", (Job.solo("j", 0, Call(0, 0, "c", run_us=1000)),), rounds=300),),
    )

    def measure() -> dict[str, float]:
        low, middle, high = np.percentile(measured(plan).busy_us(0), (10, 50, 90))
        return {"median": float(middle), "p90 - p10": float(high - low)}

    # For a normal distribution p90 - p10 is 2.563 standard deviations; 300 samples know it to 8 %.
    seen = [measure() for _ in range(3)]
    assert any(agrees(got["median"], 1000) and 200 < got["p90 - p10"] < 320 for got in seen), seen


def test_gap_and_discarded_runs_are_not_recorded() -> None:
    job = Job.solo("j", 0, Call(0, 0, "c", run_us=100))
    plan = plan_of("sim:a", Step("s", (job,), rounds=5, discard=3, gap_us=1000))
    run = measured(plan)
    assert len(run.t0_ns) == 5
    assert (np.diff(run.t0_ns) > 4 * 1_100_000).all(), "three discarded runs and four gaps lie in between"


def test_a_turn_discards_runs_then_records_several() -> None:
    jobs = (Job.solo("j", 0, Call(0, 0, "c", run_us=100)), Job.solo("k", 0, Call(0, 0, "d", run_us=2000)))
    run = measured(plan_of("sim:a", Step("s", jobs, rounds=3, discard=2, repeats=4)))
    assert len(run.t0_ns) == 12
    gaps = np.diff(run.t0_ns)
    within = [i for i in range(11) if i % 4 != 3]
    assert (gaps[within] < 2_000_000).all(), "the runs of a turn follow each other"
    assert (gaps[3::4] > 6 * 2_000_000).all(), "between turns lies the other job's turn of six runs"


def alone(unit: Unit, run_us: float, rounds: int) -> np.ndarray:
    """Times of one call, a run right after the other."""
    step = Step("s", (Job.solo("j", 0, Call(0, 0, "c", run_us=run_us)),), rounds=rounds)
    return measured(BenchPlan((unit,), (), (step,))).makespan_us


def test_some_runs_take_much_longer() -> None:
    us = alone(Unit("sim", name="a", tail=0.3), 50.0, 400)
    assert np.percentile(us, 30) < 60
    assert 0.1 < np.mean(us > 75) < 0.6
    assert np.percentile(us, 97) > 120


def test_speed_swings_within_a_period() -> None:
    us = alone(Unit("sim", name="a", drift=0.3, period_s=0.4), 1000.0, 800)
    assert np.percentile(us, 10) < 850 < 1150 < np.percentile(us, 90)


def test_a_unit_that_worked_long_is_slower_until_it_has_cooled() -> None:
    unit = Unit("sim", name="a", throttle=2.0, heat_s=0.1)
    us = alone(unit, 1000.0, 300)
    assert np.median(us[:60]) < 1300 and np.median(us[-60:]) > 1900
    step = Step("s", (Job.solo("j", 0, Call(0, 0, "c", run_us=1000.0)),), rounds=120, gap_us=1500)
    assert np.median(measured(BenchPlan((unit,), (), (step,))).makespan_us[-60:]) < 1300


@pytest.mark.parametrize(("first", "second", "factor"), [(1.0, 1.0, 2.0), (0.5, 1.0, 1.5), (1.0, 0.0, 1.0)])
def test_who_needs_more_memory_is_slowed_more(first: float, second: float, factor: float) -> None:
    lanes = (
        Lane(0, (Call(0, 0, "a", run_us=1000.0, pressure=first),)),
        Lane(1, (Call(0, 0, "b", run_us=5000.0, pressure=second),)),
    )
    units = (Unit("sim", name="a", slowdown=2.0), Unit("sim", name="b"))
    plan = BenchPlan(units, (), (Step("s", (Job("j", lanes),), rounds=20, discard=1),))
    assert_agrees(lambda: {"a": float(np.median(measured(plan).call(0, 0).busy_us))}, {"a": 1000.0 * factor})


def test_tiles_and_pressure_of_a_law() -> None:
    work = Work(macs=3_200_000, bytes=200_000, ops=2, kernels=((3_200_000, 40),))
    law = SIM_DEVICES["steps"][1]
    assert law.tile == 32
    # 40 channels fill two tiles of 32.
    base_us = law.launch_us + 2 * law.op_us + work.bytes / law.bytes_per_us
    assert law.run_us(work) == pytest.approx(base_us + work.macs * 64 / 40 / law.macs_per_us)
    assert law.pressure(work) == 1.0
    memory = SIM_DEVICES["memory"][0]
    assert memory.pressure(work) == pytest.approx(work.bytes / memory.bytes_per_us / memory.run_us(work))


def test_law_of_a_simulated_device() -> None:
    device = SimDevice("phone")
    cpu, gpu = device.default_units()
    work = Work(macs=12_000_000, bytes=400_000, ops=10)
    lanes = tuple(
        Lane(i, (Call(0, 0, "a", work=work, output_bytes=8000),
                 Call(1, 0, "b", ("own", "partner"), work=work, output_bytes=4000)))
        for i in (0, 1)
    )  # fmt: skip
    plan = BenchPlan((cpu, gpu), (), (Step("s", (Job("j", lanes),)),))
    timed = device.timed(plan).steps[0].jobs[0].lanes
    first, second = timed[0].calls[1], timed[1].calls[1]
    assert (first.run_us, first.download_us, first.upload_us) == (5 + 20 + 1000 + 50, 0, 0)
    assert (second.run_us, second.download_us, second.upload_us) == (60 + 40 + 300 + 20, 15 + 1, 15 + 2)


def test_simulated_device_says_so_everywhere() -> None:
    device = find_device("sim:duo")
    runs = Collector()
    call = Call(0, 0, "c", work=Work(1000, 1000, 1))
    plan = BenchPlan(device.default_units(), (), (Step("s", (Job.solo("j", 0, call),), rounds=2),))
    launch = device.run(plan, on_run=runs)
    assert device.facts().simulated
    assert runs[0].metadata["device"]["simulated"] is True
    assert launch.litert is None
    assert all("simulated" in unit.note for unit in device.units())


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(DeviceNotFound, match="sim:duo, sim:phone"):
        find_device("sim:tablet")
    with pytest.raises(DeviceNotFound, match="host, sim:duo"):
        find_device("usb")
    plan = plan_of("sim:npu", Step("s", (Job.solo("j", 0, Call(0, 0, "c")),)))
    with pytest.raises(UnitUnavailable, match="sim:left, sim:right"):
        SimDevice("duo").run(plan, on_run=Collector())
