"""The faults of `benchmarks.adb_faults`: each provokes one and says in words what came of it."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from syncnas_bench import BenchError, Job, Run, RunnerCrashed, RunnerHung, Step, UnitUnavailable, run_with_retries
from syncnas_bench.adb.device import AdbDevice
from syncnas_bench.adb.link import Link
from syncnas_bench.adb.run import Patience
from syncnas_bench.environment import DEVICE_LITERT_VARIABLE
from syncnas_bench.errors import LinkStalled, StorageFull
from syncnas_deploy.errors import WrongOutput
from syncnas_deploy.measuring.reference_outputs import OutputCheck
from tests.support.adb_cases import AdbServer, device_of, find_adb, new_phone, no_server_env
from tests.support.adb_daemon import AdbDaemon
from tests.support.adb_phone import set_dump, thermal
from tests.support.bench_cases import branches, plan_of, sim_plan, write_branches
from tests.support.litert_stub import lying_litert

TIMES = 50
PLAN = sim_plan(steps=4, rounds=5)
STEPS = [step.name for step in PLAN.steps]
PATIENCE = Patience(reconnect_s=10, cool_s=1, poll_s=0.02)
CALL_S = 0.4
STALL_S = 2.0
"""For so long a step may say nothing. One takes milliseconds, and hundreds of them on a busy machine."""


class GpuBoard(AdbDevice):
    """A board whose GPU may be used: on Linux boards it may not, and what this machine runs is no Android runner."""

    def _why_no_gpu(self) -> str:
        return ""


class Bench:
    """A fresh phone and a device on it."""

    def __init__(self, phone: AdbDaemon, home: Path) -> None:
        self.phone, self.home = phone, home
        self.env = no_server_env(home)
        self.serial = phone.address
        self.device: AdbDevice = device_of(self.serial, self.env, PATIENCE)

    def close(self) -> None:
        """Close the link."""
        self.device.close()

    def run(self, action: Callable[[int], None], **limits: float) -> list[Run]:
        """Run the plan; `action` is called after each row with the number of rows so far."""
        runs: list[Run] = []

        def on_run(run: Run) -> None:
            runs.append(run)
            action(len(runs))

        self.device.run(PLAN, on_run=on_run, **limits)
        return runs

    def pid(self) -> int:
        """The runner's process."""
        (path,) = (self.phone.root / "data/local/tmp").glob("syncnas-*/pid")
        return int(path.read_text())

    def is_clean(self) -> bool:
        """Whether nothing but the lease's folder is left."""
        return {path.name for path in (self.phone.root / "data/local/tmp").iterdir()} <= {"syncnas.lease"}

    def lying(self, lie: str) -> AdbDevice:
        """The device with a LiteRT library that lies, and a GPU that computes on the CPU."""
        env = self.env | {DEVICE_LITERT_VARIABLE: str(lying_litert(lie).parent)}
        board: AdbDevice = device_of(self.serial, env, PATIENCE, GpuBoard)
        return board


Fault = Callable[[Bench, random.Random], str]


def at(row: int, action: Callable[[], None]) -> Callable[[int], None]:
    """`action` once, after row `row`."""
    return lambda count: action() if count == row else None


def whole(runs: list[Run]) -> str:
    """Whether each step is there once."""
    return "whole" if [run.step for run in runs] == STEPS else "LOST OR DOUBLE ROWS"


def reset_at_random_byte(bench: Bench, rng: random.Random) -> str:
    """The connection is reset at a random byte."""
    bench.phone.faults.reset_after_bytes = rng.randrange(15_000)
    runs = bench.run(lambda _: None)
    bench.phone.faults.reset_after_bytes = None
    return whole(runs)


def restart(bench: Bench, rng: random.Random) -> str:
    """The phone restarts after a random row."""
    runs = bench.run(at(rng.randint(1, 3), bench.phone.reboot))
    boots: dict[str, set[str]] = {}
    for run in runs:
        around = [run.metadata["condition_before"]["boot_id"], run.metadata["condition_after"]["boot_id"]]
        boots.setdefault(run.metadata["launch_id"], set()).update(around)
    if any(len(seen) > 1 for seen in boots.values()):
        return "A LAUNCH SPANS TWO BOOTS"
    return whole(runs)


def stalled_run(bench: Bench, rng: random.Random) -> str:
    """The link falls silent at a random byte, for twice as long as a step may take."""
    ended = threading.Event()

    def wake() -> None:
        while not ended.wait(0.05):
            if bench.phone.faults.stalled:
                ended.wait(2 * STALL_S)
                bench.phone.faults.stalled = False

    waker = threading.Thread(target=wake)
    waker.start()
    bench.phone.faults.stall_after_bytes = rng.randrange(60_000)
    try:
        return whole(bench.run(lambda _: None, stall_s=STALL_S))
    finally:
        bench.phone.faults.stall_after_bytes, bench.phone.faults.stalled = None, False
        ended.set()
        waker.join()


def stalled_calls(bench: Bench, rng: random.Random) -> str:
    """The link falls silent at a random byte and stays so; each call must end by its deadline and a second."""
    link = bench.device.link
    place, target = f"{bench.phone.root}/data/f", bench.home / "pulled"
    calls: list[Callable[[], object]] = [
        lambda: link.shell("echo 1; sleep 0.02; echo 2", deadline_s=CALL_S),
        lambda: link.push(bytes(30_000), place, deadline_s=CALL_S),
        lambda: link.pull(place, target, max_bytes=30_000, deadline_s=CALL_S),
        lambda: link.sha256([place], deadline_s=CALL_S),
        lambda: _first_line(link),
    ]
    bench.phone.faults.stall_after_bytes = rng.randrange(70_000)
    worst, stalls = 0.0, 0
    for call in calls:
        start = time.monotonic()
        try:
            call()
        except LinkStalled:
            stalls += 1
        worst = max(worst, time.monotonic() - start)
    bench.phone.faults.stall_after_bytes, bench.phone.faults.stalled = None, False
    (bench.phone.root / "data/f").unlink(missing_ok=True)
    if worst > CALL_S + 1:
        return f"A CALL TOOK {worst:.1f} S"
    return "every call within its deadline + 1 s" if stalls else "never silent: all was over before"


def _first_line(link: Link) -> bytes | None:
    with link.stream("echo 1; cat", deadline_s=CALL_S) as stream:
        return stream.line(time.monotonic() + CALL_S)


def died(number: signal.Signals) -> Fault:
    """The runner gets a signal after a random row."""

    def provoke(bench: Bench, rng: random.Random) -> str:
        try:
            bench.run(at(rng.randint(1, 3), lambda: os.kill(bench.pid(), number)), stall_s=STALL_S)
        except RunnerCrashed as error:
            return f"told as {error.signal_name}"
        except RunnerHung:
            return "told as hung"
        return "NOT NOTICED"

    return provoke


def died_and_retried(bench: Bench, rng: random.Random) -> str:
    """The runner is killed after a random row, and started again."""
    runs: list[Run] = []
    last = rng.randint(1, 3)

    def on_run(run: Run) -> None:
        runs.append(run)
        if len(runs) == last:
            os.kill(bench.pid(), signal.SIGKILL)

    run_with_retries(bench.device, PLAN, on_run=on_run)
    recorded = [run.row for run in runs if run.metadata.get("failures") == ["SIGKILL"]]
    return f"{whole(runs)}, the signal on record" if recorded == [last] else "NOT RECORDED"


def disk_full(bench: Bench, rng: random.Random) -> str:
    """The storage fills up at a random byte."""
    bench.phone.quota_bytes = rng.randrange(40_000)
    try:
        bench.run(lambda _: None)
    except StorageFull:
        return "clear error"
    except BenchError as error:
        return f"OTHER ERROR {error}"
    finally:
        bench.phone.quota_bytes = None
    return "NOT NOTICED"


def heat(bench: Bench, rng: random.Random) -> str:
    """The phone heats up and cools down while it is measured."""
    looks = [rng.choice((0, 0, 0, 1, 3)) for _ in range(12)]
    set_dump(bench.phone.root, "thermalservice", *[thermal(status) for status in (*looks, 0)])
    runs = bench.run(lambda _: None)
    tainted = [
        run
        for run in runs
        if not run.unusable_reason
        and any(run.metadata[f"condition_{when}"]["thermal_status"] for when in ("before", "after"))
    ]
    return "TAINTED ROW" if tainted else whole(runs)


def gpu(lie: str) -> Fault:
    """A GPU that falls back, crashes or hangs while a model is set up; then one that works, in a new process."""

    def provoke(bench: Bench, rng: random.Random) -> str:
        step = Step("net", (Job("j", branches()),), rounds=2)
        plan = plan_of("cpu:1 gpu", step, files=(write_branches(bench.home / "m.tflite"),))
        runs: list[Run] = []
        device = bench.lying(lie)
        try:
            device.run(plan, on_run=runs.append, stall_s=1.0)
            outcome = "NOT NOTICED"
        except UnitUnavailable:
            outcome = "refused as not fully accelerated"
        except RunnerCrashed as error:
            outcome = f"told as {error.signal_name}"
        except RunnerHung:
            outcome = "told as hung"
        device.close()
        accepted = len(runs)
        device = bench.lying("HONEST")
        device.run(plan, on_run=runs.append)
        device.close()
        if accepted or len(runs) != 1:
            return "ROW ACCEPTED"
        return f"{outcome}, no row accepted"

    return provoke


def wrong_output(bench: Bench, rng: random.Random) -> str:
    """A GPU that puts out NaN, zeros or one wrong value."""
    step = Step("net", (Job("j", branches()),), rounds=2)
    plan = plan_of("cpu:1 gpu", step, files=(write_branches(bench.home / "m.tflite"),), seed=rng.randrange(1000))
    device, rows = bench.lying(rng.choice(("NANS", "ZEROS", "ONE_WRONG"))), list[Run]()
    check = OutputCheck(bench.home)

    def on_run(run: Run) -> None:
        check.check(run)
        rows.append(run)

    try:
        run_with_retries(device, check.watched(plan), on_run=on_run, redo=(WrongOutput,))
    except WrongOutput:
        return "ROW ACCEPTED" if rows else "refused three times, no row accepted"
    finally:
        device.close()
    return "NOT NOTICED"


class LitertFault:
    """A way in which LiteRT fails in the wild. See `tests/bench/adb/test_adb_litert.py`.

    Attributes:
        lie: of the library, see `litert_stub`.
        accepted: rows that passed the comparison with this host.
    """

    def __init__(self, lie: str, unit: str = "gpu", files: int = 1) -> None:
        self.lie, self._unit, self._files = lie, unit, files
        self.accepted: list[Run] = []

    def run(self, bench: Bench, device: AdbDevice, unit: str = "") -> None:
        """Run a plan of the CPU and the GPU, compared with this host, with what a profile would do against failures."""
        files = tuple(write_branches(bench.home / f"m{i}.tflite") for i in range(self._files))
        jobs = tuple(Job(f"j{i}", branches(i)) for i in range(self._files))
        check, self.accepted = OutputCheck(bench.home), []
        plan = check.watched(plan_of(f"cpu:1 {unit or self._unit}", Step("net", jobs, rounds=2), files=files))

        def on_run(run: Run) -> None:
            check.check(run)
            self.accepted.append(run)

        with _watchdog(bench.phone), device:
            run_with_retries(device, plan, on_run=on_run, redo=(WrongOutput,), stall_s=2.0)

    def next_job(self, bench: Bench) -> str:
        """The same plan with a library that works, in new processes; for an overflow with whole numbers."""
        lie, unit = ("FP16_NANS", "gpu") if self.lie == "FP16_NANS" else ("HONEST", "")
        self.run(bench, bench.lying(lie), unit)
        return "right" if len(self.accepted) == 1 else "NO ROW"

    def __call__(self, bench: Bench, rng: random.Random) -> str:
        """Provoke it once."""
        try:
            self.run(bench, bench.lying(self.lie))
            told = "NOT NOTICED"
        except (BenchError, WrongOutput) as error:
            told = f"told as {type(error).__name__}"
        accepted = ", ROW ACCEPTED" if self.accepted else ", no row accepted"
        return f"{told}{accepted}, the next job {self.next_job(bench)}"


@contextmanager
def _watchdog(phone: AdbDaemon) -> Iterator[None]:
    """A phone that restarts when its GPU hangs, as the library says by a file."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            with suppress(OSError):  # folders come and go
                for path in (phone.root / "data/local/tmp").glob("syncnas-*/lib/*.restart"):
                    path.unlink()
                    phone.reboot()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()


LITERT_FAULTS = {
    "second GPU model": LitertFault("SECOND_MODEL", files=2),
    "silent CPU": LitertFault("SILENT_CPU"),
    "no reason": LitertFault("NO_REASON"),
    "fp16 overflow": LitertFault("FP16_NANS", "gpu:fp16"),
    "read hangs": LitertFault("READ_HANGS"),
    "second output": LitertFault("SECOND_WRONG"),
    "kernel": LitertFault("KERNEL"),
    "restart": LitertFault("RESTART"),
}
LITERT_TIMES = 25


def server_restarts(times: int, home: Path) -> Iterator[str]:
    """The adb server is killed and started again after a random row; its user connects the phone again."""
    adb = find_adb()
    if adb is None:
        yield "not run: there is no adb program (Debian's adb, or `pip install adbutils`)"
        return
    rng = random.Random("server")
    server = AdbServer(adb, home)
    server.start()
    try:
        for _ in range(times):
            with new_phone() as phone:
                yield _server_restart(server, phone, rng.randint(1, 3))
    finally:
        server.stop()


def _server_restart(server: AdbServer, phone: AdbDaemon, row: int) -> str:
    serial, runs, moments = server.connect(phone), list[Run](), list[float]()
    device = device_of(serial, server.env, PATIENCE)

    def on_run(run: Run) -> None:
        runs.append(run)
        if len(runs) == row:
            server.stop()
            server.start()
            moments.append(time.monotonic())
            threading.Timer(0.3, server.run, ["connect", serial]).start()
        elif len(runs) == row + 1:
            moments.append(time.monotonic())

    device.run(PLAN, on_run=on_run)
    device.close()
    server.run("disconnect", serial)
    took_s = moments[1] - moments[0]
    return f"{whole(runs)}, recovered within 10 s" if took_s < 10 else f"RECOVERED AFTER {took_s:.0f} S"


FAULTS: dict[str, tuple[Fault, int]] = {
    "reset at a random byte": (reset_at_random_byte, 200),
    "restart of the phone": (restart, TIMES),
    "stall of a run": (stalled_run, TIMES),
    "stall of calls": (stalled_calls, TIMES),
    "runner SIGKILL": (died(signal.SIGKILL), TIMES),
    "runner SIGSEGV": (died(signal.SIGSEGV), TIMES),
    "runner hangs": (died(signal.SIGSTOP), TIMES),
    "runner SIGKILL, tried again": (died_and_retried, TIMES),
    "disk full": (disk_full, TIMES),
    "heat in mid-run": (heat, TIMES),
    "GPU falls back": (gpu("FALLBACK"), TIMES),
    "GPU crashes": (gpu("CRASH"), TIMES),
    "GPU hangs": (gpu("HANG"), TIMES),
    "wrong output": (wrong_output, TIMES),
    **{f"LiteRT: {name}": (fault, LITERT_TIMES) for name, fault in LITERT_FAULTS.items()},
}
