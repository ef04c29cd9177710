"""What a device draws: which files tell, and what the runner reads of them while it works."""

from __future__ import annotations

import dataclasses
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from syncnas_bench import (
    BenchPlan,
    Call,
    HostDevice,
    Job,
    Lane,
    RowMalformed,
    Run,
    SimDevice,
    Spend,
    Step,
)
from syncnas_bench.power import find_meter
from syncnas_bench.runs import parse_row
from syncnas_bench.simulated.power import IDLE_W
from tests.support.adb_cases import device_of, new_phone, no_server_env
from tests.support.bench_cases import Collector, children_of, plan_of, sim_plan
from tests.support.latency_cases import quick
from tests.support.waiting import wait_for

SUPPLY = "/sys/class/power_supply/battery"
BATTERY = {"type": "Battery", "status": "Discharging", "current_now": "-412000", "voltage_now": "3900000"}


def supply(**texts: str) -> dict[str, str]:
    """A battery's files, some of them changed."""
    return {f"{SUPPLY}/{name}": text for name, text in {**BATTERY, **texts}.items()}


def hwmon(**texts: str) -> dict[str, str]:
    return {f"/sys/class/hwmon/hwmon3/{name}": text for name, text in texts.items()}


@pytest.mark.parametrize(
    ("texts", "files", "microwatts"),
    [
        (supply(), ["current_now", "voltage_now"], 1e-6),
        (supply(current_now="412000"), ["current_now", "voltage_now"], 1e-6),
        (supply(current_now="-412"), ["current_now", "voltage_now"], 1e-3),  # milliamperes
        (supply(power_now="1607000"), ["power_now"], 1.0),
        (hwmon(name="ina226", power1_input="5000000"), ["power1_input"], 1.0),
        (hwmon(name="ina3221", curr1_input="900", in1_input="5040"), ["curr1_input", "in1_input"], 1.0),
        ({**supply(status="Charging"), **hwmon(name="ina219", power1_input="7")}, ["power1_input"], 1.0),
    ],
)
def test_a_meter_is_found(texts: dict[str, str], files: list[str], microwatts: float) -> None:
    meter, reason = find_meter(texts)
    assert meter is not None and reason == ""
    assert [file.name for file in meter.files] == files
    assert meter.microwatts_per_reading == microwatts


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        ({}, "no battery gauge"),
        (supply(type="USB"), "no battery gauge"),
        (supply(current_now="0"), "no battery gauge"),
        (supply(current_now="Permission denied"), "no battery gauge"),
        (supply(status="Charging"), "not being drained .status: Charging.*Wi-Fi"),
        (supply(status="Full"), "not being drained"),
        (hwmon(name="amdgpu", power1_input="5000000"), "no battery gauge"),
        (hwmon(name="ina226", power1_input="0"), "no battery gauge"),
    ],
)
def test_no_meter_and_why(texts: dict[str, str], says: str) -> None:
    meter, reason = find_meter(texts)
    assert meter is None
    with pytest.raises(AssertionError, match=says):
        raise AssertionError(reason)


def make_battery(root: Path, **texts: str) -> Path:
    folder = root / SUPPLY[1:]
    folder.mkdir(parents=True)
    for name, text in {**BATTERY, **texts}.items():
        (folder / name).write_text(f"{text}\n")
    return folder


def busy(seconds: float) -> Step:
    """One call all the time."""
    return Step("busy", (Job.solo("j", 0, Call(0, 0, "c", spend=Spend(5000))),), rounds=int(seconds * 200))


@pytest.mark.needs("power files")
def test_the_runner_reads_the_meter_while_it_works(tmp_path: Path) -> None:
    battery = make_battery(tmp_path)
    device = HostDevice(root=tmp_path)
    meter, _ = device.power_meter()
    runs = Collector()

    def drain() -> None:
        wait_for(lambda: children_of(os.getpid()))
        time.sleep(0.7)
        (battery / "current_now").write_text("-1000000\n")

    plan = plan_of("sim:a", busy(2.0), dataclasses.replace(busy(0.3), name="later"), power=meter)
    thread = threading.Thread(target=drain)
    thread.start()
    device.run(plan, on_run=runs)
    thread.join()
    trace = runs[0].power
    assert trace is not None
    assert set(trace.microwatts.tolist()) == {1_606_800, 3_900_000}
    assert (np.diff(trace.microwatts) >= 0).all(), "it rose once"
    job = runs[0].jobs[0]
    gaps_ns = np.diff(trace.time_ns)
    assert (gaps_ns >= 100_000_000).all() and gaps_ns.min() < 200_000_000, "ten a second, fewer on a busy machine"
    assert abs(int(trace.time_ns[0]) - int(job.t0_ns[0])) < 2e9, "on the clock of the stamps"
    assert trace.mean_w(int(job.t0_ns[-60]), 2**62) == pytest.approx(3.9)
    assert trace.mean_w(0, 1) is None
    assert runs[1].power is not None and set(runs[1].power.microwatts.tolist()) == {3_900_000}
    assert Run.from_record(runs[0].to_record()).power.microwatts.tolist() == trace.microwatts.tolist()  # type: ignore[union-attr]


@pytest.mark.needs("power files")
@pytest.mark.parametrize("text", ["", "many", "1e300", "nan"])
def test_what_cannot_be_read_leaves_no_reading(tmp_path: Path, text: str) -> None:
    battery = make_battery(tmp_path)
    device = HostDevice(root=tmp_path)
    meter, _ = device.power_meter()
    (battery / "current_now").write_text(text)
    runs = Collector()
    device.run(plan_of("sim:a", busy(0.3), power=meter), on_run=runs)
    assert runs[0].power is not None and runs[0].power.time_ns.size == 0
    (battery / "current_now").unlink()
    device.run(plan_of("sim:a", busy(0.3), power=meter), on_run=runs)
    assert runs[1].power is not None and runs[1].power.time_ns.size == 0


def test_a_plan_without_a_meter_tells_no_power(tmp_path: Path) -> None:
    runs = Collector()
    HostDevice(root=tmp_path).run(sim_plan(), on_run=runs)
    assert runs[0].power is None


def test_a_row_must_have_the_power_that_was_asked_for() -> None:
    runs = Collector()
    device = SimDevice("battery", quick("battery"))
    meter, _ = device.power_meter()
    asked = BenchPlan(device.default_units(), (), (busy(0.2),), power=meter)
    device.run(asked, on_run=runs)
    run = runs[0]
    assert run.power is not None
    jobs = dataclasses.replace(run, metadata={}, power=None)
    record = jobs.to_record()
    with pytest.raises(RowMalformed, match="not told"):
        parse_row(record, asked, 0)
    record["power"] = {"time_ns": [5, 4], "microwatts": [1, 1]}
    with pytest.raises(RowMalformed, match="back in time"):
        parse_row(record, asked, 0)
    with pytest.raises(RowMalformed, match="without being asked"):
        parse_row(record, dataclasses.replace(asked, power=None), 0)
    record["power"] = {"time_ns": [4], "microwatts": [-1]}
    with pytest.raises(RowMalformed, match="microwatts"):
        parse_row(record, asked, 0)


def test_a_simulated_gauge_tells_what_its_units_draw() -> None:
    device = SimDevice("battery", quick("battery"))
    meter, reason = device.power_meter()
    assert meter is not None and reason == "" and meter.files == ()
    watts = {law.name: law.watts for law in quick("battery")}
    first, second = (Lane(unit, (Call(0, 0, "c", spend=Spend(4000.0)),)) for unit in (0, 1))
    for lanes in ((first,), (second,), (first, second)):
        runs = Collector()
        step = Step("s", (Job("j", lanes),), rounds=200)
        device.run(BenchPlan(device.default_units(), (), (step,), power=meter), on_run=runs)
        trace, job = runs[0].power, runs[0].jobs[0]
        assert trace is not None
        joules = sum(
            job.busy_us(n).sum() * 1e-6 * watts[device.default_units()[lane.unit_index].name]
            for n, lane in enumerate(job.lanes)
        )
        # One reading each 0.1 s, the mean of that time.
        assert 0.1 * trace.microwatts.sum() * 1e-6 == pytest.approx(
            0.1 * len(trace.time_ns) * IDLE_W + joules, rel=1e-3
        )
    assert SimDevice("phone").power_meter() == (None, "sim:phone has no gauge")


def test_a_phone_is_asked_for_its_gauge_and_its_runner_reads_it(tmp_path: Path) -> None:
    with new_phone() as phone, device_of(phone.address, no_server_env(tmp_path)) as device:
        assert device.power_meter() == (None, "no battery gauge and no supply sensor can be read")
        battery = make_battery(phone.root, status="Charging")
        assert "Wi-Fi" in device.power_meter()[1]
        (battery / "status").write_text("Discharging\n")
        meter, _ = device.power_meter()
        assert meter is not None and [str(file) for file in meter.files] == [
            f"{SUPPLY}/current_now",
            f"{SUPPLY}/voltage_now",
        ]
        # The stand-in's runner sees this host's /sys, so it is shown where the stand-in's is.
        shown = dataclasses.replace(meter, files=tuple(phone.root / str(file)[1:] for file in meter.files))
        runs = Collector()
        device.run(plan_of("sim:a", busy(0.5), power=shown), on_run=runs)
        assert runs[0].power is not None and set(runs[0].power.microwatts.tolist()) == {1_606_800}
