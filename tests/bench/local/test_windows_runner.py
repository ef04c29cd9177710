"""The runner for Windows: its sources always compile. Where wine is, it is linked, read, and run with LiteRT's DLL.

Linking takes a minute of a processor: zig builds its C library for Windows. Needed beside wine: LiteRT's wheel for
Windows and that of `msvc-runtime`, in the folder that SYNCNAS_TEST_WINDOWS_LITERT names. No Windows has run it.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np
import pytest

from syncnas_bench import BenchPlan, HostDevice, Job, Run, Step, Unit, run_plan
from syncnas_bench.device import runner_program
from syncnas_bench.errors import ModelRejected, PlanError, RuntimeMissing, UnitUnavailable
from tests.support.bench_cases import Collector, branches, plan_of, sim_plan, write_branches
from tests.support.native_sources import bound_functions, build_hook
from tests.support.pe_reader import DYNAMIC_BASE, MACHINE_X64, NX_COMPAT, PeFile

LITERT_VARIABLE = "SYNCNAS_TEST_WINDOWS_LITERT"
pytestmark = [pytest.mark.needs("native code"), pytest.mark.timeout(3600)]  # a long first link


def test_every_source_compiles_for_windows(tmp_path: Path) -> None:
    hook = build_hook()
    ((_, *words, _, _),) = hook.TRIAL.recipe.commands
    flags = [word for word in words if not word.endswith(".c")]
    for source in (word for word in words if word.endswith(".c")):
        command = [sys.executable, "-m", "ziglang", *flags, "-c", source, "-o", str(tmp_path / "object")]
        done = subprocess.run(command, cwd=hook.SOURCES, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Wine's program, with a Windows of its own; environment variables say so to all that is started."""
    program = shutil.which("wine") or shutil.which("wine64")
    if program is None:
        pytest.skip("wine is missing (Debian: apt install wine wine64)")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINEPREFIX", str(tmp_path_factory.mktemp("wine") / "prefix"))
        patch.setenv("WINEDEBUG", "-all")
        patch.setenv("WINEDLLOVERRIDES", "mscoree,mshtml=")  # asks for no download
        yield program
        subprocess.run(["wineserver", "-k"], check=False)
        shutil.rmtree(os.environ["WINEPREFIX"], ignore_errors=True)  # 700 MB


def build(folder: Path) -> Path:
    """A whole build, with nothing of an earlier one but the C library."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZIG_LOCAL_CACHE_DIR", str(folder / "cache"))
        hook = build_hook()
        hook.OUTPUT = folder / "built"
        program: Path = hook.build(hook.TRIAL)
        return program


@pytest.fixture(scope="module")
def runner(wine: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("runner"))


@pytest.fixture(scope="module")
def litert(wine: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """LiteRT's libraries for Windows, and what they need of Microsoft's, in one folder."""
    wheels = Path(os.environ.get(LITERT_VARIABLE) or pytest.skip(f"{LITERT_VARIABLE} names no folder with wheels"))
    folder = tmp_path_factory.mktemp("litert")
    for wheel in [*wheels.glob("ai_edge_litert-*win_amd64.whl"), *wheels.glob("msvc_runtime-*win_amd64.whl")]:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if member.endswith(".dll") and member.count("/") in (1, 3):
                    (folder / Path(member).name).write_bytes(archive.read(member))
    return folder


@pytest.fixture
def command(wine: str, runner: Path) -> list[str]:
    return [wine, str(runner)]


def windows(path: Path) -> Any:
    """How a program under wine names a file of this computer, with backslashes."""
    return PureWindowsPath(f"Z:{path}")


def run(command: list[str], plan: BenchPlan) -> list[Run]:
    runs = Collector()
    assert run_plan(plan, command=command, on_run=runs, deadline_s=900).exit == "0"
    assert len(runs) == len(plan.steps)
    return runs


def test_linked_for_wine_it_asks_for_dlls_of_windows_alone(runner: Path) -> None:
    program = PeFile(runner.read_bytes())
    assert program.machine == MACHINE_X64
    assert program.flags & DYNAMIC_BASE
    assert program.flags & NX_COMPAT
    own = {name for name in program.needed if not name.startswith("api-ms-win-crt-")}  # the C library of Windows 10
    assert own == {"KERNEL32.dll", "SHELL32.dll"}


def test_linked_for_wine_again_it_is_the_same_bytes(runner: Path, tmp_path: Path) -> None:
    assert build(tmp_path).read_bytes() == runner.read_bytes()


def test_the_dll_that_wine_loads_has_what_the_runner_binds(litert: Path) -> None:
    assert len(bound_functions()) > 30
    assert bound_functions() - PeFile((litert / "libLiteRt.dll").read_bytes()).exports == set()


def test_under_wine_it_tells_its_version_in_the_same_bytes(command: list[str]) -> None:
    native = subprocess.run([str(runner_program()), "--version"], capture_output=True, check=True)
    assert subprocess.run([*command, "--version"], capture_output=True, check=True).stdout == native.stdout


def test_under_wine_every_row_of_a_simulated_plan_comes_back(command: list[str]) -> None:
    for row in run(command, sim_plan(rounds=4, steps=3, run_us=300)):
        assert (row.jobs[0].busy_us(0) >= 300).all()


def _units(text: str) -> tuple[Unit, ...]:
    return tuple(map(Unit.parse, text.split()))


def net(model: Path, output: Path | None, units: str, **fields: Any) -> BenchPlan:
    jobs = (Job("at_once", branches(), output=output), Job("in_turns", branches(), serial=True))
    return plan_of(units, Step("net", jobs, rounds=3, discard=1), files=(model,), seed=3, **fields)


@pytest.mark.parametrize("units", ["cpu:1 cpu:1", "cpu:2 cpu:1", "cpu:1@{} cpu:1"])
def test_under_wine_outputs_are_those_of_linux_bit_for_bit(
    command: list[str], litert: Path, tmp_path: Path, units: str
) -> None:
    units = units.format(min(os.sched_getaffinity(0)))
    model = write_branches(tmp_path / "branches.tflite")
    output = tmp_path / "ünter wine.f32"
    plan = net(windows(model), windows(output), units, runtime=windows(litert / "libLiteRt.dll"))
    at_once, in_turns = run(command, plan)[0].jobs
    HostDevice().run(net(model, tmp_path / "linux.f32", units), on_run=Collector())
    assert at_once.output.sha256 == in_turns.output.sha256
    got, expected = (np.fromfile(path, "<f4") for path in (output, tmp_path / "linux.f32"))
    np.testing.assert_array_equal(got, expected)


def test_under_wine_what_cannot_be_has_its_sentence(command: list[str], litert: Path, tmp_path: Path) -> None:
    model = write_branches(tmp_path / "branches.tflite")
    cut = tmp_path / "cut.tflite"
    cut.write_bytes(model.read_bytes()[:-100])
    plan = net(windows(model), None, "cpu:1 cpu:1", runtime=windows(litert / "libLiteRt.dll"))
    job = dataclasses.replace(plan.steps[0].jobs[0], input=windows(tmp_path / "äbsent.f32"))
    cases: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"units": _units("cpu:1 gpu")}, UnitUnavailable, "the GPU cannot take .*no adapter"),
        ({"units": _units("cpu:1@64 cpu:1")}, UnitUnavailable, "processors 0 to 63 alone"),
        ({"units": _units("cpu:2@0,1 cpu:1")}, UnitUnavailable, "ask for cpu:1 with one core"),
        ({"files": (windows(cut),)}, ModelRejected, "cut short or damaged"),
        ({"files": (windows(tmp_path / "absent"),)}, ModelRejected, "absent cannot be read: No such file"),
        ({"files": (windows(tmp_path),)}, ModelRejected, "cannot be read"),
        ({"runtime": windows(tmp_path / "absent.dll")}, RuntimeMissing, "Windows error 126.*install"),
        ({"steps": (Step("s", (job,)),)}, PlanError, r"bsent\.f32 cannot be read: No such file"),
    ]
    for changes, error, sentence in cases:
        with pytest.raises(error, match=sentence):
            run(command, dataclasses.replace(plan, **changes))
