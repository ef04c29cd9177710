"""The tests' stand-ins, for benchmarks: a phone at the other end of ADB's protocol, and libraries that lie."""

from __future__ import annotations

import sys
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path += [str(TESTS), str(TESTS / "bench")]

from adb_cases import AdbServer, device_of, find_adb, no_server_env, short_folder  # noqa: E402
from adb_daemon import AdbDaemon  # noqa: E402
from adb_phone import make_phone, set_dump, thermal  # noqa: E402
from bench_cases import branches, is_running, plan_of, sim_plan, write_branches  # noqa: E402
from hostile import CASES, sandbox  # noqa: E402
from lease_race import race  # noqa: E402
from litert_stub import lying_litert  # noqa: E402

__all__ = [
    "CASES",
    "AdbDaemon",
    "AdbServer",
    "branches",
    "device_of",
    "find_adb",
    "is_running",
    "lying_litert",
    "make_phone",
    "no_server_env",
    "plan_of",
    "race",
    "sandbox",
    "set_dump",
    "short_folder",
    "sim_plan",
    "thermal",
    "write_branches",
]
