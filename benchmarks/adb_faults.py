"""Repeats each fault of a device over ADB against the tests' daemon, and counts what was lost or came twice.

    python benchmarks/adb_faults.py [--times N]

Nothing here has met a physical phone: the device is a folder on this machine, the clients and the runner are real.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "bench"), str(ROOT / "bench"), str(ROOT / "exporters")]

from adb_cases import AdbServer, device_of, find_adb, no_server_env, short_folder  # noqa: E402
from adb_daemon import AdbDaemon  # noqa: E402
from adb_phone import make_phone, set_dump, thermal  # noqa: E402
from bench_cases import sim_plan  # noqa: E402

from syncnas_bench import BenchError, Run, RunnerCrashed, RunnerHung  # noqa: E402
from syncnas_bench.adb_device import AdbDevice  # noqa: E402
from syncnas_bench.adb_discovery import connector  # noqa: E402
from syncnas_bench.adb_run import Patience  # noqa: E402
from syncnas_bench.errors import StorageFull  # noqa: E402

PLAN = sim_plan(steps=4, rounds=5)
STEPS = [step.name for step in PLAN.steps]
PUSH_BYTES = 100_000_000


class Bench:
    """A fresh phone and a device on it."""

    def __init__(self, phone: AdbDaemon, home: Path) -> None:
        self.phone = phone
        patience = Patience(reconnect_s=10, cool_s=1, poll_s=0.02)
        self.device: AdbDevice = device_of(f"127.0.0.1:{phone.port}", no_server_env(home), patience)

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


def at(row: int, action: Callable[[], None]) -> Callable[[int], None]:
    """`action` once, after row `row`."""
    return lambda count: action() if count == row else None


def reset_at_random_byte(bench: Bench, rng: random.Random) -> str:
    bench.phone.faults.reset_after_bytes = rng.randrange(15_000)
    runs = bench.run(lambda _: None)
    bench.phone.faults.reset_after_bytes = None
    return "whole" if [run.step for run in runs] == STEPS else "LOST OR DOUBLE ROWS"


def restart(bench: Bench, rng: random.Random) -> str:
    runs = bench.run(at(rng.randint(1, 3), bench.phone.reboot))
    boots: dict[str, set[str]] = {}
    for run in runs:
        around = [run.metadata["condition_before"]["boot_id"], run.metadata["condition_after"]["boot_id"]]
        boots.setdefault(run.metadata["launch_id"], set()).update(around)
    whole = [run.step for run in runs] == STEPS and all(len(seen) == 1 for seen in boots.values())
    return "whole, no launch spans two boots" if whole else "WRONG"


def died(bench: Bench, number: signal.Signals, rng: random.Random) -> str:
    try:
        bench.run(at(rng.randint(1, 3), lambda: os.kill(bench.pid(), number)), stall_s=0.3)
    except RunnerCrashed as error:
        return f"told as {error.signal_name}"
    except RunnerHung:
        return "told as hung"
    return "NOT NOTICED"


def disk_full(bench: Bench, rng: random.Random) -> str:
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
    looks = [rng.choice((0, 0, 0, 1, 3)) for _ in range(12)]
    set_dump(bench.phone.root, "thermalservice", *[thermal(status) for status in (*looks, 0)])
    runs = bench.run(lambda _: None)
    tainted = [
        run
        for run in runs
        if "invalid" not in run.metadata
        and any(run.metadata[f"condition_{when}"]["thermal_status"] for when in ("before", "after"))
    ]
    return "TAINTED ROW" if tainted or [run.step for run in runs] != STEPS else "no tainted row"


FAULTS: dict[str, Callable[[Bench, random.Random], str]] = {
    "reset at a random byte": reset_at_random_byte,
    "restart of the phone": restart,
    "runner SIGKILL": lambda bench, rng: died(bench, signal.SIGKILL, rng),
    "runner SIGSEGV": lambda bench, rng: died(bench, signal.SIGSEGV, rng),
    "runner hangs": lambda bench, rng: died(bench, signal.SIGSTOP, rng),
    "disk full": disk_full,
    "heat in mid-run": heat,
}


def repeat(name: str, fault: Callable[[Bench, random.Random], str], times: int, home: Path) -> None:
    """Provoke one fault many times, and print what came of it."""
    rng, counts, start = random.Random(name), Counter[str](), time.monotonic()
    for _ in range(times):
        with short_folder() as folder, AdbDaemon(make_phone(folder / "p")) as phone:
            bench = Bench(phone, home)
            outcome = fault(bench, rng)
            counts[outcome if bench.is_clean() else f"{outcome}, NOT CLEANED UP"] += 1
            bench.device.close()
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts.most_common())
    print(f"{name}: {told} ({time.monotonic() - start:.0f} s)", flush=True)


def throughput(home: Path) -> None:
    """Push the same file in turns with our two ways in and with the adb client."""
    adb = find_adb()
    if adb is None:
        print("push: no adb program to compare with (Debian's adb, or `pip install adbutils`)")
        return
    payload = home / "payload"
    payload.write_bytes(os.urandom(PUSH_BYTES))
    with short_folder() as folder, AdbDaemon(make_phone(folder / "p")) as phone:
        server = AdbServer(adb, home)
        server.start()
        try:
            serial = server.connect(phone)
            links = {
                "server": connector(serial, server.env)(),
                "direct": connector(serial, no_server_env(home))(),
            }
            ways: dict[str, Callable[[], object]] = {
                "adb": lambda: server.run("-s", serial, "push", str(payload), "/f")
            }
            for name, link in links.items():
                ways[name] = lambda link=link: link.push(payload, "/f")
            best = dict.fromkeys(ways, 0.0)
            for _ in range(5):
                for name, push in ways.items():
                    start = time.monotonic()
                    push()
                    best[name] = max(best[name], PUSH_BYTES / 1e6 / (time.monotonic() - start))
            print("push, MB/s, best of 5:", ", ".join(f"{name} {rate:.0f}" for name, rate in best.items()))
            for link in links.values():
                link.close()
        finally:
            server.stop()


def main() -> None:
    """Run the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=50, help="how often each fault is provoked (default 50)")
    times = parser.parse_args().times
    with tempfile.TemporaryDirectory() as folder:
        throughput(Path(folder))
        for name, fault in FAULTS.items():
            repeat(name, fault, times, Path(folder))


if __name__ == "__main__":
    main()
