"""The arm64 runners, run: the Linux one with LiteRT, the Android one on bionic, both by an emulator of one process.

Times under an emulator mean nothing; rows, trailers and outputs are what counts. Three things may be missing:
`qemu-aarch64-static` and an arm64 glibc (Debian: qemu-user-static, libc6-arm64-cross, libstdc++6-arm64-cross); LiteRT's
aarch64 wheel, in the folder that SYNCNAS_TEST_AARCH64_LITERT names; and bionic, in SYNCNAS_TEST_BIONIC (a folder
with system/bin/linker64 and system/lib64/libc.so), which no registry has.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

import syncnas_bench
from syncnas_bench import (
    Call,
    HostDevice,
    Job,
    ModelRejected,
    PlanError,
    Run,
    RuntimeMissing,
    Spend,
    Step,
    run_plan,
)
from tests.support.bench_cases import VALUES, Collector, branches, plan_of, sim_plan, write_branches

pytestmark = pytest.mark.needs("native code")

NATIVE = Path(syncnas_bench.__file__).parent / "_native"
GLIBC = Path(os.environ.get("QEMU_LD_PREFIX", "/usr/aarch64-linux-gnu"))
LITERT_VARIABLE = "SYNCNAS_TEST_AARCH64_LITERT"
BIONIC_VARIABLE = "SYNCNAS_TEST_BIONIC"
CORE = """processor\t: {}
Features\t: fp asimd evtstrm crc32 cpuid
CPU implementer\t: 0x41
CPU architecture: 8
CPU variant\t: 0x0
CPU part\t: 0xd08
CPU revision\t: 3

"""


def qemu() -> str:
    program = shutil.which("qemu-aarch64-static") or shutil.which("qemu-aarch64")
    return program or pytest.skip("qemu-aarch64-static is missing (Debian: apt install qemu-user-static)")


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs the aarch64 Linux runner on a board with two Cortex-A72."""
    if not (GLIBC / "lib" / "ld-linux-aarch64.so.1").exists():
        pytest.skip(f"no arm64 glibc in {GLIBC} (Debian: apt install libc6-arm64-cross libstdc++6-arm64-cross)")
    root = tmp_path_factory.mktemp("board")
    (root / "lib").symlink_to(GLIBC / "lib")
    # LiteRT's CPU detection reads this file and dies of an x86 one, which is what the emulator would show it.
    (root / "proc").mkdir()
    (root / "proc" / "cpuinfo").write_text("".join(CORE.format(core) for core in range(os.cpu_count() or 1)))
    return [qemu(), "-L", str(root), str(NATIVE / "aarch64-linux" / "syncnas-runner")]


@pytest.fixture(scope="module")
def phone() -> list[str]:
    """The command that runs the Android runner on bionic."""
    root = Path(os.environ.get(BIONIC_VARIABLE) or pytest.skip(f"{BIONIC_VARIABLE} names no folder with bionic"))
    libraries = f"LD_LIBRARY_PATH={root}/system/lib64"
    return [qemu(), "-L", str(root), "-E", libraries, str(NATIVE / "aarch64-android" / "syncnas-runner")]


@pytest.fixture(scope="module")
def litert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LiteRT's library for aarch64 Linux, out of the wheel."""
    folder = Path(os.environ.get(LITERT_VARIABLE) or pytest.skip(f"{LITERT_VARIABLE} names no folder with a wheel"))
    (wheel,) = folder.glob("ai_edge_litert-*_aarch64.whl")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract("ai_edge_litert/libLiteRt.so", tmp_path_factory.mktemp("litert")))


@pytest.fixture(params=["board", "phone_bionic"])
def arm64(request: pytest.FixtureRequest) -> list[str]:
    command: list[str] = request.getfixturevalue(request.param.partition("_")[0])
    return command


def run(command: list[str], plan: syncnas_bench.BenchPlan) -> list[Run]:
    runs = Collector()
    launch = run_plan(plan, command=command, on_run=runs, deadline_s=120)
    assert launch.exit == "0"
    assert len(runs) == len(plan.steps)
    return runs


def test_every_row_of_a_simulated_plan_comes_back(arm64: list[str]) -> None:
    for row in run(arm64, sim_plan(rounds=4, steps=3, run_us=300)):
        assert len(row.jobs[0].t0_ns) == 4
        assert (row.jobs[0].busy_us(0) >= 300).all(), "a simulated unit spins at least as long as it was told"


def test_two_units_meet_at_a_barrier(arm64: list[str]) -> None:
    lanes = tuple(
        syncnas_bench.Lane(i, (Call(0, 0, "a", spend=Spend(us)), Call(1, 0, "b", ("own", "partner"), spend=Spend(50))))
        for i, us in ((0, 400), (1, 100))
    )
    # No spinning: the earlier lane sleeps on the condition, so mutexes and conditions of this libc are used.
    plan = plan_of("sim:a sim:b", Step("s", (Job("net", lanes),), rounds=20, discard=1), spin_us=0)
    job = run(arm64, plan)[0].job("net")
    assert (job.call(0, 1).begin_ns >= job.call(1, 0).end_ns).all()
    assert (job.call(1, 1).begin_ns >= job.call(0, 0).end_ns).all()


def test_what_is_missing_has_its_name(arm64: list[str], tmp_path: Path) -> None:
    model = write_branches(tmp_path / "model.tflite")
    plan = plan_of("cpu:1", Step("s", (Job.solo("j", 0, Call(0, 0, "left0")),)), files=(model,))
    with pytest.raises(RuntimeMissing, match=r"LiteRT library cannot be loaded: .*absent\.so"):
        run_plan(dataclasses.replace(plan, runtime=tmp_path / "absent.so"), command=arm64, on_run=Collector())
    job = dataclasses.replace(Job.solo("j", 0, Call(0, 0, "c")), input=tmp_path / "absent.f32")
    with pytest.raises(PlanError, match=r"absent\.f32 cannot be read: No such file"):
        run_plan(plan_of("sim:a", Step("s", (job,))), command=arm64, on_run=Collector())


def test_board_measures_with_litert_and_agrees_with_the_host(board: list[str], litert: Path, tmp_path: Path) -> None:
    model = write_branches(tmp_path / "branches.tflite")

    def plan(output: Path) -> syncnas_bench.BenchPlan:
        jobs = (Job("at_once", branches(), output=output), Job("in_turns", branches(), serial=True))
        return plan_of("cpu:1 cpu:1", Step("net", jobs, rounds=3, discard=1), files=(model,), seed=3)

    at_once, in_turns = run(board, dataclasses.replace(plan(tmp_path / "board.f32"), runtime=litert))[0].jobs
    HostDevice().run(plan(tmp_path / "host.f32"), on_run=Collector())
    assert at_once.output.sha256 == in_turns.output.sha256
    assert at_once.output.finite
    got, expected = (np.fromfile(tmp_path / name, "<f4") for name in ("board.f32", "host.f32"))
    assert got.size == 2 * VALUES
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-5)


def test_board_refuses_a_broken_model(board: list[str], litert: Path, tmp_path: Path) -> None:
    model = write_branches(tmp_path / "model.tflite")
    model.write_bytes(model.read_bytes()[:-100])
    step = Step("s", (Job.solo("j", 0, Call(0, 0, "left0")),))
    plan = plan_of("cpu:1", step, files=(model,), runtime=litert)
    with pytest.raises(ModelRejected, match=r"model\.tflite"):
        run_plan(plan, command=board, on_run=Collector())
