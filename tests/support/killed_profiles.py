"""Profiles that are killed at random moments and gone on with.

A child process profiles a simulated device with the real native runner. SIGKILL ends it at a random moment, its
journal is checked, and the next child goes on. A complete profile is compared with the journal rows that were seen
before, and a new one is begun.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from syncnas_bench import BenchPlan, Device, Launch, Run, SimDevice
from syncnas_bench.adb.device import AdbDevice
from syncnas_bench.adb.run import Patience
from syncnas_bench.device import DeviceFacts, OnRun
from syncnas_deploy import pipeline
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.profile_files import read_profile
from syncnas_deploy.profiling.experiment import ProfileSettings, pair_step, whole_job
from tests.support.adb_cases import device_of, new_phone, no_server_env
from tests.support.bench_cases import is_running

SETTINGS = ProfileSettings(launches=1, rounds=3, discard=0, repeats=1, networks=1)
STEPS = 7
"""About as many steps has a profile with one launch."""
MOST_STEPS = 2
"""A kill falls after 0 to so many more finished steps, and up to about as long as a step takes."""


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

    def facts(self) -> DeviceFacts:
        """See `AdbDevice.facts`."""
        return dataclasses.replace(super().facts(), simulated=True)

    def run(self, plan: BenchPlan, *, on_run: OnRun, deadline_s: float = 3600.0, stall_s: float = 600.0) -> Launch:
        """See `AdbDevice.run`."""
        timed = SimDevice("duo").timed(plan)
        return super().run(timed, on_run=on_run, deadline_s=deadline_s, stall_s=stall_s)


def profile(out: Path, serial: str | None) -> None:
    """The profile that is killed."""
    device: Device = SimDevice("duo", by_runner=True)
    if serial is not None:
        device = device_of(serial, os.environ, Patience(), TimedPhone)
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
    with new_phone() as phone:

        def left() -> int:
            pids = [path.read_text() for path in (phone.root / "data/local/tmp").glob("syncnas-*/pid")]
            return sum(is_running(int(pid)) for pid in pids if pid.strip())

        env = os.environ | no_server_env(folder)
        yield Target((phone.address,), dict(env), left)


def kill_and_compare(kills: int, seed: int, folder: Path, *, adb: bool = False) -> Report:
    """Kill `kills` profiles at random moments."""
    with target(folder, adb=adb) as found:
        return _kill_and_compare(kills, seed, folder, found)


def _kill_and_compare(kills: int, seed: int, folder: Path, found: Target) -> Report:
    rng, report = np.random.default_rng(seed), Report()
    out = folder / "p.json"
    journal = out.with_name("p.json.journal")
    rows: list[str] = []
    step_s = None
    while report.kills < kills:
        started = time.monotonic()
        command = [sys.executable, "-m", "tests.support.killed_profiles", str(out), *found.options]
        child = subprocess.Popen(command, env=found.env)
        if step_s is None:  # the first profile is whole: it says how long a step takes
            child.wait()
        elif _lives_until(child, journal, len(rows) + int(rng.integers(0, MOST_STEPS + 1)), rng.uniform(0, step_s)):
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
        step_s = step_s or (time.monotonic() - started) / STEPS
        report.wrong += not _holds(read_profile(out), rows)
        out.unlink()
        rows = []
    return report


def _lives_until(child: subprocess.Popen[bytes], journal: Path, steps: int, then_s: float) -> bool:
    """Wait until a journal has so many rows, and a while longer; whether the process still lives then."""
    while child.poll() is None and len(_rows(journal)) < steps:
        time.sleep(0.005)
    try:
        child.wait(timeout=then_s)
    except subprocess.TimeoutExpired:
        return True
    return False


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


def _holds(profile: DeviceProfile, rows: list[str]) -> bool:
    """Whether the whole network of every journalled pair has its median in the profile."""
    checked = 0
    for row in rows:
        run = Run.from_record(json.loads(row)["row"]["run"])
        for pair in range(len(profile.networks)):
            if run.step != pair_step(pair):
                continue
            for unit in (0, 1):
                (network,) = (n for n in profile.networks if (n.unit, n.pair) == (unit, pair))
                median_us = round(float(np.median(run.job(whole_job(unit)).makespan_us)), 3)
                checked += 1
                if network.sample.launches_us != (median_us,):
                    return False
    return checked > 0 or not any(json.loads(row)["row"]["step"] == pair_step(0) for row in rows)


def child() -> None:
    """The process that is killed: where the profile goes, and the phone's serial if it is one."""
    profile(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)


if __name__ == "__main__":
    child()
