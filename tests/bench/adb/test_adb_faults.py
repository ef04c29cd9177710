"""A device that is unplugged, restarts, stalls, heats up or fills up: finished rows stay, and none comes twice."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from syncnas_bench import Run
from syncnas_bench.adb import run as adb_run
from syncnas_bench.adb.device import AdbDevice
from syncnas_bench.adb.run import Patience
from syncnas_bench.errors import DeviceLost, DeviceUnavailable, RunnerCrashed, RunnerHung, StorageFull
from tests.support.adb_cases import QUICK, AdbServer, device_of, new_phone, no_server_env
from tests.support.adb_daemon import AdbDaemon
from tests.support.adb_fault_cases import FAULTS, Bench
from tests.support.adb_phone import battery, power, set_dump, thermal
from tests.support.adb_shells import raw_shell, shell_v2
from tests.support.bench_cases import Collector, is_running, sim_plan
from tests.support.waiting import wait_for

STEPS = [f"step{i}" for i in range(4)]


@pytest.fixture(params=[False, True], ids=["new", "old"])
def phone(request: pytest.FixtureRequest) -> Iterator[AdbDaemon]:
    with new_phone(legacy=request.param) as daemon:
        yield daemon


def steps_of(runs: list[Run]) -> list[str]:
    return [run.step for run in runs]


def launches_of(runs: list[Run]) -> int:
    return len({run.metadata["launch_id"] for run in runs})


def scratch(phone: AdbDaemon) -> Path:
    return phone.root / "data/local/tmp"


def is_clean(phone: AdbDaemon) -> bool:
    return [path.name for path in scratch(phone).iterdir()] in ([], ["syncnas.lease"])


def runner_pid(phone: AdbDaemon) -> int:
    (path,) = scratch(phone).glob("syncnas-*/pid")
    return int(path.read_text())


class After(Collector):
    """Keeps rows, and does something once, after the row `index`."""

    def __init__(self, index: int, action: object) -> None:
        super().__init__()
        self._index, self._action = index, action

    def __call__(self, run: Run) -> None:
        super().__call__(run)
        if len(self) == self._index + 1:
            self._action()  # type: ignore[operator]


@pytest.mark.parametrize("index", [0, 2, 3])
def test_unplugged_and_plugged_in_again(phone: AdbDaemon, device: AdbDevice, index: int) -> None:
    runs = After(index, phone.drop)
    device.run(sim_plan(steps=4), on_run=runs)
    assert steps_of(runs) == STEPS
    assert [run.row for run in runs] == [0, 1, 2, 3]
    assert launches_of(runs) == (2 if index < 3 else 1)
    assert is_clean(phone)


@pytest.mark.parametrize("seed", range(8))
def test_reset_at_a_random_byte(phone: AdbDaemon, device: AdbDevice, seed: int) -> None:
    device.run(sim_plan(), on_run=Collector())
    phone.faults.reset_after_bytes = random.Random(seed).randrange(12_000)
    runs = Collector()
    device.run(sim_plan(steps=4), on_run=runs)
    assert steps_of(runs) == STEPS
    assert phone.counts.resets == 1
    assert is_clean(phone)


def test_a_device_that_does_not_come_back(phone: AdbDaemon, tmp_path: Path) -> None:
    patience = Patience(reconnect_s=0.6, cool_s=0.2, poll_s=0.05)
    device = device_of(phone.address, no_server_env(tmp_path), patience)
    runs = After(1, phone.unplug)
    start = time.monotonic()
    with pytest.raises(DeviceLost, match=r"did not come back within 0\.\d+ s; .* goes on where it stopped"):
        device.run(sim_plan(steps=4), on_run=runs)
    assert time.monotonic() - start < 5
    assert steps_of(runs) == STEPS[:2]
    phone.plug()
    device.run(sim_plan(steps=4), on_run=runs)
    assert is_clean(phone)
    device.close()


def test_restart_in_between(phone: AdbDaemon, device: AdbDevice) -> None:
    runs = After(1, phone.reboot)
    device.run(sim_plan(steps=4), on_run=runs)
    assert steps_of(runs) == STEPS
    boots = [run.metadata["device"]["boot_id"] for run in runs]
    assert boots[0] == boots[1] != boots[2] == boots[3]
    for run in runs:
        around = {run.metadata[f"condition_{when}"]["boot_id"] for when in ("before", "after")}
        assert around == {run.metadata["device"]["boot_id"]}
    assert launches_of(runs) == 2
    assert is_clean(phone)


def test_stalled_link(phone: AdbDaemon, device: AdbDevice) -> None:
    def stall() -> None:
        phone.faults.stalled = True
        threading.Timer(1.0, recover).start()

    def recover() -> None:
        phone.faults.stalled = False

    runs = After(1, stall)
    device.run(sim_plan(steps=4), on_run=runs, stall_s=0.5)
    assert steps_of(runs) == STEPS
    wait_for(lambda: is_clean(phone))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV], ids=["SIGKILL", "SIGSEGV"])
def test_runner_that_dies(phone: AdbDaemon, device: AdbDevice, number: signal.Signals) -> None:
    runs = After(1, lambda: os.kill(runner_pid(phone), number))
    with pytest.raises(RunnerCrashed, match=f"died .{number.name}. after 2 of 4 rows") as caught:
        device.run(sim_plan(steps=4), on_run=runs)
    assert caught.value.signal_name == number.name
    assert steps_of(runs) == STEPS[:2]
    assert is_clean(phone)


def test_runner_that_hangs(phone: AdbDaemon, device: AdbDevice) -> None:
    pids = []

    def stop() -> None:
        pids.append(runner_pid(phone))
        os.kill(pids[0], signal.SIGSTOP)

    runs = After(1, stop)
    with pytest.raises(RunnerHung, match=r"limit of 0\.4 s for one step"):
        device.run(sim_plan(steps=4), on_run=runs, stall_s=0.4)
    assert steps_of(runs) == STEPS[:2]
    wait_for(lambda: not is_running(pids[0]))
    assert is_clean(phone)


def test_total_deadline(phone: AdbDaemon, device: AdbDevice) -> None:
    with pytest.raises(RunnerHung, match="its deadline"):
        device.run(sim_plan(steps=1, rounds=1000, run_us=100_000), on_run=Collector(), deadline_s=0.6)
    assert is_clean(phone)


def test_storage_that_fills_up(phone: AdbDaemon, device: AdbDevice) -> None:
    phone.quota_bytes = 10_000
    with pytest.raises(StorageFull, match="free some room"):
        device.run(sim_plan(), on_run=Collector())
    assert is_clean(phone)
    phone.quota_bytes = None
    device.run(sim_plan(), on_run=Collector())


def spoil(phone: AdbDaemon, instead: str, times: int) -> None:
    """Have the next questions about the device answered by other commands."""
    left = times

    def shells(run: Callable[..., Any], *more: bytes) -> Callable[[Any], Any]:
        async def serve(channel: Any) -> None:
            nonlocal left
            script = phone.counts.services[-1].partition(":")[2]
            if "echo @@begin" in script and left > 0:
                left -= 1
                script = script.replace("echo @@begin", f"{instead}\necho @@begin", 1)
            await run(phone.root, channel, script, *more)

        return serve

    phone.faults.instead["exec"] = shells(raw_shell, b"\n")
    if not phone.legacy:
        phone.faults.instead["shell"] = shells(shell_v2)


@pytest.mark.parametrize(
    "instead", ["exit 0", "echo @@begin; echo @@arch; exit 0", "echo @@begin; echo @@end; exit 129"]
)
def test_an_answer_that_is_not_whole_is_asked_for_again(phone: AdbDaemon, device: AdbDevice, instead: str) -> None:
    spoil(phone, instead, times=2)
    assert device.probe().model == "Example Test Phone"
    spoil(phone, instead, times=2)
    assert device.condition().screen == "Awake"
    spoil(phone, instead, times=1)
    runs = Collector()
    device.run(sim_plan(steps=2), on_run=runs)
    assert [run.metadata["tries"] for run in runs] == [1, 1], "no row is spoiled by it"
    spoil(phone, instead, times=10**6)
    for ask in (lambda: device.probe(again=True), device.condition, lambda: device.run(sim_plan(), on_run=runs)):
        with pytest.raises(DeviceLost, match=r"only a part .* 3 times .*; reconnect it and run the same command again"):
            ask()
    phone.faults.instead.clear()
    assert device.probe(again=True).model == "Example Test Phone"


def test_the_lease_is_extended_with_each_row(
    phone: AdbDaemon, device: AdbDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adb_run, "LEASE_S", 5.0)
    ends_s = []

    def look(_run: Run) -> None:
        (owner,) = scratch(phone).glob("syncnas.lease/*/owner")
        ends_s.append(int(owner.read_text().split()[1]))
        time.sleep(1.1)  # the lease is counted in whole seconds

    device.run(sim_plan(steps=3), on_run=look, stall_s=3.0)
    assert ends_s[0] < ends_s[1] < ends_s[2]


def test_on_run_that_fails_ends_the_runner(phone: AdbDaemon, device: AdbDevice) -> None:
    pids = []

    def refuse(run: Run) -> None:
        pids.append(runner_pid(phone))
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        device.run(sim_plan(steps=2), on_run=refuse)
    wait_for(lambda: not is_running(pids[0]))
    assert is_clean(phone)


def test_heat_in_mid_run_is_waited_for_and_the_step_redone(phone: AdbDaemon, tmp_path: Path) -> None:
    # Looks at the condition: before the launch, and before and after each step.
    set_dump(phone.root, "thermalservice", *[thermal(status) for status in (0, 0, 0, 2, 2, 1, 0)])
    runs = Collector()
    patience = dataclasses.replace(QUICK, cool_s=60)
    with device_of(phone.address, no_server_env(tmp_path), patience) as device:
        device.run(sim_plan(steps=4), on_run=runs)
    assert steps_of(runs) == STEPS
    assert [run.metadata["tries"] for run in runs] == [1, 2, 1, 1]
    for run in runs:
        assert run.metadata["condition_before"]["thermal_status"] == 0
        assert run.metadata["condition_after"]["thermal_status"] == 0
        assert run.unusable_reason == ""


@pytest.mark.parametrize(
    ("service", "text", "reason"),
    [
        ("thermalservice", thermal(3), "thermal status 3"),
        ("battery", battery(12), "battery at 12 %"),
    ],
    ids=["heat", "battery"],
)
def test_what_does_not_get_better_is_marked_invalid(
    phone: AdbDaemon, device: AdbDevice, service: str, text: str, reason: str
) -> None:
    set_dump(phone.root, service, text)
    runs = Collector()
    device.run(sim_plan(steps=2), on_run=runs)
    assert steps_of(runs) == STEPS[:2]
    assert [(run.unusable_reason, run.metadata["tries"]) for run in runs] == [(reason, 3)] * 2


def test_screen_and_clock_that_change_around_a_step(phone: AdbDaemon, device: AdbDevice) -> None:
    set_dump(phone.root, "power", power("Awake"), power("Asleep"))
    runs = Collector()
    device.run(sim_plan(steps=2), on_run=runs)
    assert [run.metadata["tries"] for run in runs] == [2, 1]
    core = next((phone.root / "sys/devices/system/cpu").glob("cpu*/cpufreq/scaling_max_freq"))
    runs = After(0, lambda: None)
    before = device.condition()
    core.write_text("900000\n")
    assert device.condition().change_since(before) == "a highest clock changed"


def test_adb_server_that_is_restarted(server: AdbServer) -> None:
    with new_phone() as phone:
        serial = server.connect(phone)
        user = threading.Timer(0.5, server.run, ["connect", serial])

        def restart() -> None:
            server.stop()
            server.start()
            user.start()  # connects again; not ours to do

        try:
            device = device_of(serial, server.env, QUICK)
            runs = After(1, restart)
            device.run(sim_plan(steps=4), on_run=runs)
            assert steps_of(runs) == STEPS
            wait_for(lambda: is_clean(phone))
            user.join()
            server.stop()
            device.close()
            phone.unplug()
            with pytest.raises(DeviceUnavailable):
                device.condition()
        finally:
            if user.is_alive():
                user.join()  # a client starts a server where it finds none
            server.stop()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", ["stall of a run", "stall of calls"])
def test_silence_from_a_random_byte_on(tmp_path: Path, name: str, seed: int) -> None:
    fault, _ = FAULTS[name]
    with new_phone() as phone:
        bench = Bench(phone, tmp_path)
        outcome = fault(bench, random.Random(seed))
        bench.close()
    assert outcome in ("whole", "every call within its deadline + 1 s")
