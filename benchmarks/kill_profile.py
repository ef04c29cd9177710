"""Kill a profile at random moments and go on with it: no finished step is lost, and the end holds all of them.

    python -m benchmarks.kill_profile [--adb] [--kills 200] [--seed 0]

A child process profiles a simulated device with the real native runner; it is killed by SIGKILL after a random
time, its journal is checked, and the next child goes on. When a profile is complete it is compared with the journal
rows that were seen before, and a new one is begun. Prints one JSON line; exit code 1 if anything was lost.
With --adb the runner runs on the tests' stand-in for a phone, at the other end of ADB's protocol.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.stand_ins import AdbDaemon, is_running, make_phone, no_server_env, short_folder
from syncnas_bench import BenchPlan, Device, Launch, Run, SimDevice
from syncnas_bench.adb_device import AdbDevice
from syncnas_bench.adb_discovery import connector
from syncnas_bench.device import OnRun
from syncnas_deploy import pipeline
from syncnas_deploy.latency.experiment import Settings
from syncnas_deploy.latency.profile import DeviceProfile
from syncnas_deploy.latency.profile_files import read_profile

SETTINGS = Settings(launches=1, rounds=3, discard=0, repeats=1, networks=1)
LEEWAY = 1.1
"""Kills fall between 0 and this times what a whole profile takes, which is tried first."""


@dataclass
class Report:
    """What a series of kills did.

    Attributes:
        kills: processes killed before they had finished.
        profiles: profiles completed in between.
        kept: finished steps that a kill left in the journal, counted at every kill.
        lost: steps finished before a kill that were gone or changed after the next.
        repeated: steps measured twice within one profile.
        wrong: completed profiles whose numbers are not those of the journalled steps.
        runners: native runners still alive half a second after their host was killed.
    """

    kills: int = 0
    profiles: int = 0
    kept: int = 0
    lost: int = 0
    repeated: int = 0
    wrong: int = 0
    runners: int = 0

    @property
    def sound(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.lost or self.repeated or self.wrong or self.runners)


class TimedPhone(AdbDevice):
    """A device over ADB whose simulated units have the times of `sim:duo`."""

    def run(self, plan: BenchPlan, *, on_run: OnRun, deadline_s: float = 3600.0, stall_s: float = 600.0) -> Launch:
        """See `AdbDevice.run`."""
        return super().run(SimDevice("duo").timed(plan), on_run=on_run, deadline_s=deadline_s, stall_s=stall_s)


def profile(out: Path, serial: str | None) -> None:
    """The profile that is killed."""
    device: Device = SimDevice("duo")
    if serial is not None:
        device = TimedPhone(serial, connector(serial, os.environ))
    units = ("sim:left", "sim:right")
    pipeline.profile("mobilenet_v2", device, out=out, units=units, settings=SETTINGS, resume=True)


@dataclass(frozen=True)
class Target:
    """What is profiled: the child's options and environment, and how many runners are left without a host."""

    options: tuple[str, ...]
    env: dict[str, str]
    orphans: Callable[[], int]


@contextlib.contextmanager
def target(folder: Path, *, adb: bool) -> Iterator[Target]:
    """A simulated device, or a stand-in for a phone."""
    if not adb:
        yield Target((), dict(os.environ), _orphans)
        return
    with short_folder() as root, AdbDaemon(make_phone(root / "p")) as phone:

        def left() -> int:
            pids = [path.read_text() for path in (phone.root / "data/local/tmp").glob("syncnas-*/pid")]
            return sum(is_running(int(pid)) for pid in pids if pid.strip())

        env = os.environ | no_server_env(folder)
        yield Target(("--serial", f"127.0.0.1:{phone.port}"), dict(env), left)


def kill_and_compare(kills: int, seed: int, folder: Path, *, adb: bool = False) -> Report:
    """Kill `kills` profiles at random moments."""
    with target(folder, adb=adb) as found:
        return _kill_and_compare(kills, seed, folder, found)


def _kill_and_compare(kills: int, seed: int, folder: Path, found: Target) -> Report:
    rng, report = np.random.default_rng(seed), Report()
    out = folder / "p.json"
    journal = out.with_name("p.json.journal")
    rows: list[str] = []
    longest_s = None
    while report.kills < kills:
        started = time.monotonic()
        command = [sys.executable, "-m", "benchmarks.kill_profile", "--child", str(out), *found.options]
        child = subprocess.Popen(command, env=found.env)
        try:
            child.wait(timeout=None if longest_s is None else float(rng.uniform(0, longest_s)))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
            report.kills += 1
            time.sleep(0.5)
            report.runners += found.orphans()
            if out.exists():
                continue  # it had written the profile: the next child finds it finished, and then it is checked
            now = _rows(journal)
            report.lost += now[: len(rows)] != rows
            report.repeated += len(_steps(now)) != len(set(_steps(now)))
            report.kept += len(now)
            rows = now
            continue
        if child.returncode != 0:
            raise RuntimeError(f"a profile ended with exit code {child.returncode}")
        report.profiles += 1
        longest_s = longest_s or LEEWAY * (time.monotonic() - started)
        report.wrong += not _holds(read_profile(out), rows)
        out.unlink()
        rows = []
    return report


def _orphans() -> int:
    """Runners whose host is gone; they leave when their standard input ends."""
    found = subprocess.run(
        ["pgrep", "-P", "1", "-r", "R,S,D", "syncnas-runner"], capture_output=True, text=True, check=False
    )
    return len(found.stdout.split())


def _rows(journal: Path) -> list[str]:
    """The whole lines after the header."""
    return journal.read_text().split("\n")[1:-1] if journal.exists() else []


def _steps(rows: list[str]) -> list[str]:
    return [json.loads(row)["row"]["step"] for row in rows]


def _holds(found: DeviceProfile, rows: list[str]) -> bool:
    """Whether every journalled base network has its median in the profile."""
    for row in rows:
        run = Run.from_json(json.loads(row)["row"]["run"])
        if not run.step.startswith("solo_"):
            continue
        ratio = float(run.step.removeprefix("solo_"))
        for unit in (0, 1):
            (network,) = (n for n in found.networks if (n.unit, n.ratio) == (unit, ratio))
            if network.sample.launches_us != (round(float(np.median(run.job(f"whole_{unit}").makespan_us)), 3),):
                return False
    return True


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--adb", action="store_true", help="on the tests' stand-in for a phone")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--serial", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        profile(args.child, args.serial)
        return
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="syncnas-kill-") as folder:
        report = kill_and_compare(args.kills, args.seed, Path(folder), adb=args.adb)
    print(json.dumps({**asdict(report), "seconds": round(time.monotonic() - started, 1)}))
    sys.exit(0 if report.sound else 1)


if __name__ == "__main__":
    main()
