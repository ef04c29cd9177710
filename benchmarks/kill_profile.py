"""Kill a profile at random moments and go on with it: no finished step is lost, and the end holds all of them.

    python -m benchmarks.kill_profile [--kills 200] [--seed 0]

A child process profiles a simulated device with the real native runner; it is killed by SIGKILL after a random
time, its journal is checked, and the next child goes on. When a profile is complete it is compared with the journal
rows that were seen before, and a new one is begun. Prints one JSON line; exit code 1 if anything was lost.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from syncnas_bench import Run, SimDevice
from syncnas_deploy import pipeline
from syncnas_deploy.latency.experiment import Settings
from syncnas_deploy.latency.profile import DeviceProfile
from syncnas_deploy.latency.profile_files import read_profile

SETTINGS = Settings(launches=1, rounds=3, warmup=0, networks=1)
LONGEST_S = 7.0
"""Kills fall between 0 and this; a whole profile takes a little longer."""


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


def profile(out: Path) -> None:
    """The profile that is killed."""
    pipeline.profile("mobilenet_v2", SimDevice("duo"), out=out, settings=SETTINGS, resume=True)


def kill_and_compare(kills: int, seed: int, folder: Path) -> Report:
    """Kill `kills` profiles at random moments."""
    rng, report = np.random.default_rng(seed), Report()
    out = folder / "p.json"
    journal = out.with_name("p.json.journal")
    rows: list[str] = []
    while report.kills < kills:
        child = subprocess.Popen([sys.executable, "-m", "benchmarks.kill_profile", "--child", str(out)])
        try:
            child.wait(timeout=float(rng.uniform(0, LONGEST_S)))
        except subprocess.TimeoutExpired:
            child.send_signal(signal.SIGKILL)
            child.wait()
            report.kills += 1
            report.runners += _orphans()
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
        report.wrong += not _holds(read_profile(out), rows)
        out.unlink()
        rows = []
    return report


def _orphans() -> int:
    """Runners whose host is gone; they leave when their standard input ends."""
    time.sleep(0.5)
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
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        profile(args.child)
        return
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="syncnas-kill-") as folder:
        report = kill_and_compare(args.kills, args.seed, Path(folder))
    print(json.dumps({**asdict(report), "seconds": round(time.monotonic() - started, 1)}))
    sys.exit(0 if report.sound else 1)


if __name__ == "__main__":
    main()
