"""Processes of two hosts that want the same device: whoever holds its lease makes a mark that nobody else may find."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path[:0] = sys.argv[1].split(os.pathsep)

from syncnas_bench.adb import lease as adb_lease
from syncnas_bench.adb.direct import connect_tcp
from syncnas_bench.adb.link import Link
from syncnas_bench.environment import Environment
from syncnas_bench.errors import DeviceLeased
from syncnas_bench.systems import HOME_VARIABLE

if TYPE_CHECKING:
    from tests.support.adb_daemon import AdbDaemon


@dataclass(frozen=True)
class Race:
    """How often the lease was asked for and held, and how often two held it at once."""

    tries: int
    held: int
    overlaps: int


def start(phone: AdbDaemon, home: Path, *, host: str, tries: int, dies: bool = False) -> subprocess.Popen[str]:
    """A process of a host that asks for the lease; with `dies` it is gone while it holds it."""
    words = [host, str(phone.port), str(home), str(phone.root / "data/local/tmp"), str(tries), str(int(dies))]
    command = [sys.executable, __file__, os.pathsep.join(sys.path), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def race(phone: AdbDaemon, home: Path, *, processes: int, tries: int) -> Race:
    """Let processes of two hosts ask for the lease at the same time, `tries` times each."""
    racers = [start(phone, home, host=str(index % 2), tries=tries) for index in range(processes)]
    answers = [racer.communicate(timeout=250) for racer in racers]
    failed = [error for racer, (_, error) in zip(racers, answers, strict=True) if racer.returncode != 0]
    assert not failed, failed[0]
    counts = [tuple(map(int, out.split())) for out, _ in answers]
    return Race(processes * tries, sum(held for held, _ in counts), sum(overlaps for _, overlaps in counts))


def _ask(host: str, port: int, home: str, scratch: str, tries: int, *, dies: bool) -> None:
    # What tells two machines apart is their boot; "0" is this one.
    if host != "0":
        adb_lease._host = lambda: host * 16
    link, mark, held, overlaps = (
        Link(connect_tcp("127.0.0.1", port, Environment({HOME_VARIABLE: home}).adb_keys)),
        f"{home}/mark",
        0,
        0,
    )
    for _ in range(tries):
        try:
            lease = adb_lease.take_lease(link, scratch, seconds=60)
        except DeviceLeased:
            continue
        if dies:
            os._exit(9)
        held += 1
        try:
            os.close(os.open(mark, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            overlaps += 1
        time.sleep(0.002)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(mark)  # noqa: PTH108
        lease.release(link)
    print(held, overlaps)


def _main(words: Sequence[str]) -> None:
    host, port, home, scratch, tries, dies = words
    _ask(host, int(port), home, scratch, int(tries), dies=dies == "1")


if __name__ == "__main__":
    _main(sys.argv[2:])
