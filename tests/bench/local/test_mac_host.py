"""This host as a Mac, as far as it shows without one: what it is asked stands for the answer of a real one."""

from __future__ import annotations

import json
import shlex
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from syncnas_bench import Call, HostDevice, Job, RunnerCrashed, RuntimeMissing, Step, UnitUnavailable, run_plan
from syncnas_bench import device as device_module
from syncnas_bench.device import runner_program
from syncnas_bench.local import host, mac_units, metal, runner, vulkan
from syncnas_bench.plan import PLAN_VERSION
from tests.support.bench_cases import Collector, plan_of, sim_plan

Mac = Callable[..., HostDevice]
STEP = Step("s", (Job.solo("j", 0, Call(0, 0, "a")),))


def script(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("#!/bin/sh", *lines, "")))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def mac(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mac:
    """A Mac with some performance cores and what Metal tells of its GPU; "" for none."""

    def make(gpu: str = "Apple M2", kind: str = "integrated", cores: int = 4) -> HostDevice:
        told = [{"name": gpu, "type": kind, "api": "Metal"}] if gpu else []
        program = script(tmp_path / "python", f"test $(basename $2) = metal.py && echo {shlex.quote(json.dumps(told))}")
        monkeypatch.setattr(vulkan.sys, "executable", str(program))
        monkeypatch.setattr(mac_units, "allowed_cores", lambda: tuple(range(cores)))
        return HostDevice(system="darwin")

    return make


@pytest.mark.parametrize(
    ("cores", "gpu", "kind", "pair"),
    [
        (4, "Apple M2", "integrated", ("cpu:4", "gpu")),
        (12, "Apple M4 Pro", "integrated", ("cpu:12", "gpu")),
        (1, "", "", ("cpu:1", "cpu:1")),
        (4, "", "", ("cpu:2", "cpu:2")),
        (3, "Apple Paravirtual device", "virtual", ("cpu:1", "cpu:1")),
        (80, "Apple M9", "integrated", ("cpu:64", "gpu")),
    ],
)
def test_default_pair(mac: Mac, cores: int, gpu: str, kind: str, pair: tuple[str, str]) -> None:
    device = mac(gpu, kind, cores)
    assert tuple(map(str, device.default_units())) == pair
    assert set(pair) <= {str(info.unit) for info in device.units() if info.available}


def test_units_of_a_mac(mac: Mac) -> None:
    cpu, *gpus = mac().units()
    assert (str(cpu.unit), cpu.available) == ("cpu:4", True)
    assert "pins no thread" in cpu.note
    assert [(str(info.unit), info.description, info.available) for info in gpus] == [
        ("gpu", "Apple M2", True),
        ("gpu:fp16", "Apple M2", True),
    ]


@pytest.mark.parametrize(
    ("gpu", "kind", "reason"),
    [
        ("", "", "Metal finds no GPU; start this from a terminal of the desktop, not over SSH"),
        ("Apple Paravirtual device", "virtual", "'Apple Paravirtual device' is a virtual GPU"),
    ],
)
def test_a_gpu_that_cannot_be_used_has_its_reason(mac: Mac, gpu: str, kind: str, reason: str) -> None:
    device = mac(gpu, kind)
    gpus = [info for info in device.units() if info.unit.kind == "gpu"]
    assert [info.available for info in gpus] == [False, False]
    assert all(info.reason.startswith(reason) for info in gpus)
    for unit in ("gpu", "gpu:fp16"):
        with pytest.raises(UnitUnavailable, match=reason):
            device.run(plan_of(f"cpu:4 {unit}", STEP, files=(Path("m.tflite"),)), on_run=Collector())


@pytest.mark.parametrize(
    ("units", "sentence"),
    [
        ("cpu:2@0,1 gpu", "macOS pins no thread to a core; write cpu:2@0,1 as cpu:2."),
        ("cpu:1 cpu:1@3:int8", "macOS pins no thread to a core; write cpu:1@3:int8 as cpu:1."),
        ("cpu:4 gpu:software", "there is no software GPU on macOS; use gpu or gpu:fp16."),
        ("gpu:fp16:software cpu:4", "there is no software GPU on macOS; use gpu or gpu:fp16."),
    ],
)
def test_what_no_mac_has_is_refused_with_the_reason(mac: Mac, units: str, sentence: str) -> None:
    with pytest.raises(UnitUnavailable) as caught:
        mac().run(plan_of(units, STEP, files=(Path("m.tflite"),)), on_run=Collector())
    assert str(caught.value) == sentence


def test_power_is_not_measured_and_said_so(mac: Mac) -> None:
    assert mac().power_meter() == (None, "macOS tells what it draws to root alone")


def test_metal_is_asked_once(mac: Mac, tmp_path: Path) -> None:
    device = mac()
    asked = tmp_path / "asked"
    script(tmp_path / "python", f"echo >>{asked}", "echo '[]'")
    device.units()
    device.default_units()
    assert asked.read_text() == "\n"


@pytest.mark.skipif(sys.platform == "darwin", reason="a Mac has a GPU")
def test_metal_is_not_here(capsys: pytest.CaptureFixture[str]) -> None:
    metal.main()
    assert capsys.readouterr().out == "[]\n"


@pytest.mark.needs("host units")
@pytest.mark.parametrize(
    ("system", "library"), [("darwin", "libLiteRt.dylib"), ("win32", "libLiteRt.dll"), ("linux", "libLiteRt.so")]
)
def test_litert_is_found_by_what_it_is_called_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, library: str
) -> None:
    package = tmp_path / "ai_edge_litert"
    package.mkdir()
    (package / "__init__.py").touch()
    for name in ("libLiteRt.dylib", "libLiteRt.dll", "libLiteRt.so"):
        (package / name).touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "ai_edge_litert", raising=False)
    assert host.find_litert(None, system) == package / library
    (package / library).unlink()
    with pytest.raises(RuntimeMissing, match="run `pip install ai-edge-litert`"):
        host.find_litert(None, system)


@pytest.mark.needs("host units")
@pytest.mark.parametrize("machine", [("AMD64", "win32"), ("x86_64", "darwin"), ("riscv64", "linux")])
def test_a_computer_without_a_runner_says_so(monkeypatch: pytest.MonkeyPatch, machine: tuple[str, str]) -> None:
    monkeypatch.setattr(device_module, "platform", SimpleNamespace(machine=lambda: machine[0]))
    monkeypatch.setattr(device_module, "sys", SimpleNamespace(platform=machine[1]))
    with pytest.raises(RuntimeMissing, match=rf"no native runner for {'-'.join(machine)}, which .* measure a phone"):
        runner_program()
    infos = HostDevice(system="linux").units()
    assert infos
    assert not [info for info in infos if info.available or "no native runner" not in info.reason]


HEADER = json.dumps({"header": {"plan": PLAN_VERSION, "runner": "1", "units": [{"setup_ms": 1.0, "models": 0}]}})


def dies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, *lines: str) -> tuple[type[Exception], str]:
    """What is said of a runner that dies; a shell script stands for it."""
    monkeypatch.setattr(runner, "sys", SimpleNamespace(platform=system))
    program = script(tmp_path / "the runner", *lines)
    with pytest.raises((RunnerCrashed, RuntimeMissing)) as caught:
        run_plan(sim_plan(), command=[str(program)], on_run=Collector())
    return caught.type, str(caught.value)


@pytest.mark.parametrize("lines", [("kill -9 $$",), ("echo dyld >&2", "kill -9 $$"), ("sleep 0.1", "kill -9 $$")])
def test_a_runner_that_macos_kills_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: tuple[str, ...]
) -> None:
    kind, said = dies(tmp_path, monkeypatch, "darwin", *lines)
    file = shlex.quote(str(tmp_path / "the runner"))
    assert kind is RuntimeMissing, "it is not tried again"
    assert said.startswith("macOS killed the runner before it began")
    assert f"`xattr -c {file}; codesign -f -s - {file}`" in said


@pytest.mark.parametrize(
    ("system", "lines"),
    [
        ("darwin", ("test $1 = --version || kill -9 $$",)),  # it can begin: something else has killed it
        ("darwin", (f"echo '{HEADER}'", "kill -9 $$")),  # it has begun
        ("darwin", ("kill -11 $$",)),
        ("linux", ("kill -9 $$",)),
    ],
)
def test_another_death_is_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, lines: tuple[str, ...]
) -> None:
    kind, said = dies(tmp_path, monkeypatch, system, *lines)
    assert kind is RunnerCrashed
    assert said.startswith("the runner died (SIG")
