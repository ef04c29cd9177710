"""Measuring the measuring: simulated units spend known times, and the stamps must find them again, as computed ones do.

A busy machine takes the processor from a unit now and then: it makes times longer, never shorter. So every run must
be at least as long as the truth, in each of its parts, and the shortest must be as long as it.
"""

from collections.abc import Callable
from pathlib import Path

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
    PlanError,
    SimDevice,
    SimUnit,
    Spend,
    Step,
    Unit,
    UnitError,
    UnitUnavailable,
    Vices,
    find_device,
    run_plan,
)
from syncnas_bench.device import runner_program
from syncnas_bench.runs import Microseconds
from syncnas_bench.simulated.virtual import VirtualLaunch, steady
from syncnas_bench.simulated.work import Kernel, Work, work_of
from tests.support.bench_cases import Collector, branches, plan_of, write_branches

SLACK_US = 2.0
"""Stamps are taken just before and after what they measure."""


Measured = Callable[[BenchPlan], list[JobRun]]
"""The jobs of a plan's one step."""


def on_runner(plan: BenchPlan) -> list[JobRun]:
    """By the native runner, which spends the times."""
    runs = Collector()
    run_plan(plan, command=[str(runner_program())], on_run=runs, deadline_s=120)
    return list(runs[0].jobs)


def virtually(plan: BenchPlan) -> list[JobRun]:
    """By the same law on a virtual clock."""
    told = [dict(word.split("=") for word in words.split()) for words in plan.simulation or [""] * len(plan.units)]
    vices = [Vices(**{name: float(number) for name, number in words.items()}) for words in told]
    (run,) = VirtualLaunch(plan, vices, pace=steady, launch=0, seed=0).runs()
    return list(run.jobs)


@pytest.fixture(params=[on_runner, virtually])
def measured(request: pytest.FixtureRequest) -> Measured:
    return request.param  # type: ignore[no-any-return]


def assert_takes(found_us: Microseconds, true_us: float) -> None:
    """No run is shorter than the truth. The shortest is as long, within 5 % or 60 us: a thread may wake late."""
    assert found_us.min() >= true_us - SLACK_US
    assert found_us.min() <= true_us + max(0.05 * true_us, 60.0)


def vicious(measured: Measured, vices: Vices, spend: Spend, *, rounds: int, gap_us: int = 0) -> JobRun:
    """One call on one unit with vices, a run right after the other."""
    step = Step("s", (Job.solo("j", 0, Call(0, 0, "c", spend=spend)),), rounds=rounds, gap_us=gap_us)
    return measured(plan_of("sim:a", step, simulation=(vices.words,)))[0]


def undisturbed_us(measured: Measured, vices: Vices, run_us: float, *, rounds: int) -> Microseconds:
    """The times of one call, `[rounds]`; the same seed gives the same vices, so each run's shortest of four counts."""
    launches = [vicious(measured, vices, Spend(run_us), rounds=rounds).busy_us(0) for _ in range(4)]
    shortest: Microseconds = np.min(launches, axis=0)
    return shortest


def two_lanes() -> tuple[Lane, Lane]:
    """A host-memory unit and a slower-moving one: 1200 and 700 us, then 500 and 900 us."""
    spends = (Spend(1200), Spend(500)), (Spend(700, download_us=150), Spend(900, upload_us=100))
    left, right = (
        Lane(unit, (Call(0, 0, "a", spend=begin), Call(1, 0, "b", ("own", "partner"), spend=end)))
        for unit, (begin, end) in enumerate(spends)
    )
    return left, right


@pytest.mark.parametrize("launch", range(2))
@pytest.mark.parametrize("serial", [False, True])
def test_each_part_of_a_network_is_found_again(measured: Measured, serial: bool, launch: int) -> None:
    step = Step("s", (Job("net", two_lanes(), serial=serial),), rounds=100, discard=2)
    (job,) = measured(plan_of("sim:a sim:b", step, spin_us=10_000))
    calls = [[job.call(lane, phase) for lane in (0, 1)] for phase in (0, 1)]
    for phase, truths in enumerate(((1200, 700), (500, 900))):
        for lane, true_us in enumerate(truths):
            assert_takes(calls[phase][lane].busy_us, true_us)
    for lane, download_us in enumerate((0, 150)):
        assert_takes((calls[0][lane].arrive_ns - calls[0][lane].end_ns) / 1e3, download_us)
    if serial:
        # One after another: 1200, 700 + 150 of download, 500, 100 of upload + 900.
        order = [calls[0][0], calls[0][1], calls[1][0], calls[1][1]]
        assert_takes(order[0].begin_ns / 1e3, 0)
        for before, after, upload_us in zip(order, order[1:], (0, 0, 100), strict=False):
            assert_takes((after.begin_ns - before.arrive_ns) / 1e3, upload_us)
        assert_takes(job.makespan_us, 1200 + 850 + 500 + 1000)
        assert_takes(job.sync_overhead_us(0), 150 + 500 + 100)
        return
    # The barrier opens when the later lane arrives; then the second lane uploads.
    opened = np.maximum(calls[0][0].arrive_ns, calls[0][1].arrive_ns)
    for lane, upload_us in enumerate((0, 100)):
        assert_takes(calls[0][lane].begin_ns / 1e3, 0)
        assert_takes((calls[1][lane].begin_ns - opened) / 1e3, upload_us)
        assert_takes((calls[0][lane].arrive_ns + calls[0][lane].wait_ns - opened) / 1e3, 0)
    assert (job.makespan_ns == np.maximum(calls[1][0].end_ns, calls[1][1].end_ns)).all()
    begins, ends = (
        np.maximum(calls[1][0].begin_ns, calls[1][1].begin_ns),
        np.maximum(calls[0][0].end_ns, calls[0][1].end_ns),
    )
    assert (job.sync_overhead_us(0) == (begins - ends) / 1e3).all()


@pytest.mark.parametrize(
    ("slowdown", "own", "other", "factor"),
    [(1.5, 1.0, 1.0, 1.5), (2.0, 1.0, 1.0, 2.0), (2.0, 0.5, 1.0, 1.5), (2.0, 1.0, 0.0, 1.0), (1.0, 1.0, 1.0, 1.0)],
)
def test_a_unit_is_slowed_while_the_other_works_by_what_both_share(
    measured: Measured, slowdown: float, own: float, other: float, factor: float
) -> None:
    short, long = Call(0, 0, "a", spend=Spend(1000, shared=own)), Call(0, 0, "b", spend=Spend(20_000, shared=other))
    jobs = (Job("both", (Lane(0, (short,)), Lane(1, (long,)))), Job.solo("alone", 0, short))
    words = (Vices(slowdown=slowdown).words, "")
    both, alone = measured(plan_of("sim:a sim:b", Step("s", jobs, rounds=40, discard=1), simulation=words))
    assert_takes(alone.busy_us(0), 1000)
    inner, outer = both.call(0, 0), both.call(1, 0)
    # Until the other one has begun, it runs at full speed.
    late_us = np.maximum(outer.begin_ns - inner.begin_ns, 0) / 1e3
    judged = (late_us < 500) & (inner.end_ns <= outer.end_ns)
    assert judged.any()
    found_us = np.sort((inner.busy_us + late_us * (factor - 1))[judged])
    # The other one may be held up between its stamp and its work: then it slows this one for less than it seems.
    assert_takes(found_us[len(found_us) // 4 :], 1000 * factor)


def test_noise_has_the_asked_for_spread(measured: Measured) -> None:
    found_us = undisturbed_us(measured, Vices(noise=0.1), 500, rounds=200)
    low, middle, high = np.percentile(found_us, (10, 50, 90))
    # For a normal distribution p90 - p10 is 2.563 standard deviations; 200 samples know it to 10 %.
    assert found_us.min() >= 0.7 * 500 - SLACK_US and middle == pytest.approx(500, abs=25)
    assert 95 < high - low < 165


def test_some_runs_take_much_longer(measured: Measured) -> None:
    found_us = undisturbed_us(measured, Vices(tail=0.3), 50, rounds=400)
    assert_takes(found_us, 50)
    # A third of the long ones takes less than 1.5 times as long.
    assert 0.1 < np.mean(found_us > 75) < 0.3
    assert np.percentile(found_us, 97) > 120


def test_speed_swings_within_a_period(measured: Measured) -> None:
    job = vicious(measured, Vices(drift=0.3, period_s=0.4), Spend(1000), rounds=800)
    begins_s = (job.t0_ns + job.call(0, 0).begin_ns) / 1e9
    turn = begins_s / 0.4 % 1
    truth_us = 1000 * (1 + 0.3 * np.where(turn < 0.5, 4 * turn - 1, 3 - 4 * turn))
    late_us = job.busy_us(0) - truth_us
    assert truth_us.min() < 750 and truth_us.max() > 1250
    for fast in (True, False):
        assert_takes(late_us[(truth_us < 1000) == fast], 0)


@pytest.mark.parametrize(("calls", "rounds", "gap_us"), [(60, 6, 0), (1, 300, 1500)])
def test_a_unit_that_worked_long_is_slower_until_it_has_cooled(
    measured: Measured, calls: int, rounds: int, gap_us: int
) -> None:
    # Between the calls of a lane there is no pause, however busy the machine is.
    lane = Lane(0, tuple(Call(phase, 0, "c", spend=Spend(1000)) for phase in range(calls)))
    step = Step("s", (Job("j", (lane,)),), rounds=rounds, gap_us=gap_us)
    (job,) = measured(plan_of("sim:a", step, simulation=(Vices(throttle=2.0, heat_s=0.02).words,)))
    phases = job.lanes[0].phases
    busy_us = np.stack([phase.busy_us for phase in phases], axis=1).ravel()
    begins_s, ends_s = (
        np.stack([(job.t0_ns + stamps) / 1e9 for stamps in columns], axis=1).ravel()
        for columns in ([phase.begin_ns for phase in phases], [phase.end_ns for phase in phases])
    )
    heat_s, heats_s = 0.0, []
    for i, begin_s in enumerate(begins_s):
        heat_s = max(0.0, heat_s - (begin_s - ends_s[i - 1] if i else 0.0))
        heats_s.append(heat_s)
        heat_s += ends_s[i] - begin_s
    cool, hot = np.array(heats_s) < 0.019, np.array(heats_s) > 0.021
    assert cool.any()
    assert_takes(busy_us[cool], 1000)
    if gap_us == 0:
        assert hot.sum() > 60
        assert_takes(busy_us[hot], 2000)


def test_gap_and_discarded_runs_are_not_recorded(measured: Measured) -> None:
    job = Job.solo("j", 0, Call(0, 0, "c", spend=Spend(100)))
    (run,) = measured(plan_of("sim:a", Step("s", (job,), rounds=5, discard=3, gap_us=1000)))
    assert len(run.t0_ns) == 5
    assert (np.diff(run.t0_ns) >= 4 * 1_100_000).all(), "three discarded runs and four gaps lie in between"


def test_a_turn_discards_runs_then_records_several(measured: Measured) -> None:
    times_us = {"j": 500, "k": 1000}
    jobs = tuple(Job.solo(name, 0, Call(0, 0, "c", spend=Spend(us))) for name, us in times_us.items())
    found = measured(plan_of("sim:a", Step("s", jobs, rounds=40, discard=2, repeats=4)))
    # [rounds, jobs, repeats], in the order of the turns.
    begins = np.stack([job.t0_ns.reshape(40, 4) for job in found], axis=1)
    ends = np.stack([(job.t0_ns + job.makespan_ns).reshape(40, 4) for job in found], axis=1)
    for i, us in enumerate(times_us.values()):
        # Between two recorded runs there is none: handing a run to the unit's thread takes far less than one.
        assert ((begins[:, i, 1:] - ends[:, i, :-1]) / 1e3).min(axis=0).max() < us / 2
        before = ends[:, 0, -1] if i else np.roll(ends[:, 1, -1], 1)
        discarded_us = (begins[:, i, 0] - before)[0 if i else 1 :] / 1e3
        assert 2 * us - SLACK_US <= discarded_us.min() < 2.5 * us


def test_tiles_and_share_of_a_law() -> None:
    work = Work(macs=3_200_000, bytes=200_000, ops=2, kernels=(Kernel("conv", 3_200_000, 40),))
    law = SIM_DEVICES["steps"][1]
    assert law.tile == 32
    # 40 channels fill two tiles of 32.
    base_us = law.launch_us + 2 * law.op_us + work.bytes / law.bytes_per_us
    assert law.run_us(work) == pytest.approx(base_us + work.macs * 64 / 40 / law.macs_per_us)
    assert law.shared(work) == 1.0
    memory = SIM_DEVICES["memory"][0]
    assert memory.shared(work) == pytest.approx(work.bytes / memory.bytes_per_us / memory.run_us(work))


@pytest.mark.parametrize("field", ["noise", "slowdown", "tail", "drift", "period_s", "throttle", "heat_s"])
def test_vices_have_a_range(field: str) -> None:
    with pytest.raises(UnitError, match=field):
        Vices(**{field: -1.0})


def test_a_simulated_device_reads_from_the_files_what_calls_spend(tmp_path: Path) -> None:
    model = write_branches(tmp_path / "m.tflite")
    laws = (
        SimUnit("cpu", "", 5.0, 2.0, 1000.0, 500.0),
        SimUnit("gpu", "", 60.0, 4.0, 4000.0, 2000.0, transfer_us=15.0, transfer_bytes_per_us=1000.0),
    )
    device = SimDevice("known", laws, by_runner=True)
    given = Lane(0, (Call(0, 0, "left0", spend=Spend(7.0)),))
    jobs = (Job("net", branches()), Job("given", (given,)))
    plan = BenchPlan(device.default_units(), (model,), (Step("s", jobs),))
    timed = device.timed(plan)
    net, kept = timed.steps[0].jobs
    moved_us = 15 + 4 * 24 * 24 * 8 / 1000
    for lane, law, crossing_us in zip(net.lanes, laws, (0.0, moved_us), strict=True):
        begin, end = (call.spend for call in lane.calls)
        work = [work_of(model, call.signature) for call in lane.calls]
        assert begin == Spend(law.run_us(work[0]), crossing_us, 0.0, 1.0)
        assert end == Spend(law.run_us(work[1]), crossing_us, crossing_us, 1.0)
    assert kept.lanes == (given,), "what a call says itself counts"
    assert timed.simulation == tuple(law.vices.words for law in laws)


def test_a_download_and_an_upload_move_what_each_call_writes_and_reads(tmp_path: Path) -> None:
    """A concatenation writes twice what it reads, so that a mix-up of both shows."""
    from syncnas_exporters.graph import GraphBuilder
    from syncnas_exporters.tflite import write_tflite

    def graph(name: str, *, joins: bool) -> object:
        builder = GraphBuilder(name)
        x = builder.input("x", (1, 4, 4, 4))
        y = builder.concat([x, builder.input("y", (1, 4, 4, 4))]) if joins else builder.relu(x)
        return builder.build([y])

    model = tmp_path / "m.tflite"
    model.write_bytes(write_tflite([graph("alone", joins=False), graph("joins", joins=True)]))  # type: ignore[list-item]
    law = SimUnit("a", "", 1.0, 1.0, 1.0, 1.0, transfer_us=2.0, transfer_bytes_per_us=10.0)
    device = SimDevice("known", (law, SimUnit("b", "", 1.0, 1.0, 1.0, 1.0)))
    lanes = tuple(Lane(i, (Call(0, 0, "alone"), Call(1, 0, "joins", ("own", "partner")))) for i in (0, 1))
    timed = device.timed(BenchPlan(device.default_units(), (model,), (Step("s", (Job("j", lanes),)),)))
    alone, joins = (call.spend for call in timed.steps[0].jobs[0].lanes[0].calls)
    assert alone is not None and (alone.download_us, alone.upload_us) == (2 + 25.6, 0)
    assert joins is not None and (joins.download_us, joins.upload_us) == (2 + 51.2, 2 + 25.6)


def test_simulated_device_says_so_everywhere() -> None:
    device = find_device("sim:duo")
    runs = Collector()
    call = Call(0, 0, "c", spend=Spend(10))
    plan = BenchPlan(device.default_units(), (), (Step("s", (Job.solo("j", 0, call),), rounds=2),))
    launch = device.run(plan, on_run=runs)
    assert device.facts().simulated
    assert runs[0].metadata["device"]["simulated"] is True
    assert launch.litert is None
    assert all("simulated" in unit.note for unit in device.units())


def test_who_spends_the_times_is_part_of_the_name() -> None:
    computed, spent = find_device("sim:duo"), find_device("sim:duo:runner")
    assert (computed.name, spent.name) == ("sim:duo", "sim:duo:runner")
    assert computed.identity() != spent.identity() and computed.facts().model != spent.facts().model


@pytest.mark.parametrize(
    ("spec", "near"),
    [
        ("sim:duo:RUNNER", "Did you mean 'sim:duo:runner'?"),
        ("sim:phone:run", "Did you mean 'sim:phone:runner'?"),
        ("sim:phone:runner:runner", "Did you mean 'sim:phone:runner'?"),
        ("sim:fone", "Did you mean 'sim:phone'?"),
        ("sim:", "sim:shared."),
        ("sim::runner", "sim:shared."),
    ],
)
def test_a_name_that_is_none_is_told_the_nearest(spec: str, near: str) -> None:
    with pytest.raises(DeviceNotFound) as raised:
        find_device(spec)
    assert str(raised.value).endswith(near)


def test_what_is_not_there_is_named() -> None:
    with pytest.raises(DeviceNotFound, match="sim:duo, sim:phone"):
        find_device("sim:tablet")
    with pytest.raises(DeviceNotFound, match="host, sim:duo"):
        find_device("usb")
    step = Step("s", (Job.solo("j", 0, Call(0, 0, "c")),))
    with pytest.raises(UnitUnavailable, match="sim:left, sim:right"):
        SimDevice("duo").run(plan_of("sim:npu", step), on_run=Collector())
    with pytest.raises(PlanError, match="no file that tells what it computes"):
        SimDevice("duo").run(plan_of("sim:left", step), on_run=Collector())
    assert Unit("sim", name="left") == SIM_DEVICES["duo"][0].unit
