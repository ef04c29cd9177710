"""The tutorial, word for word, as someone follows it in an empty folder. Only simulated devices take no time."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from syncnas_bench import Device
from syncnas_bench.environment import Environment
from syncnas_deploy import pipeline
from tests.support.documents import document, steps
from tests.support.program import Program
from tests.support.virtual_time import VirtualDevice

TIMING = {"bench": {0, 6}, "profile --check": {0, 7}}
"""Exit codes that a busy machine may cause: a measurement that is worth nothing, a profile that holds no more."""


@pytest.mark.timeout(1800)
def test_the_tutorial_runs_as_it_stands(program: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    found = pipeline.device

    def device(name: str, environment: Environment) -> Device:
        return VirtualDevice(name[4:]) if name.startswith("sim:") else found(name, environment)

    monkeypatch.setattr(pipeline, "device", device)
    done = 0
    for step in steps(document("docs/tutorial.md")):
        if step.name:
            Path(step.name).write_text(step.text)
            continue
        word, *words = shlex.split(step.text)
        if word == "python":
            subprocess.run([sys.executable, *words], check=True)
            continue
        assert word == "syncnas-deploy", step.text
        told = program(*words)
        kind = "profile --check" if "--check" in words else words[0]
        assert told.code in TIMING.get(kind, {0}), (step.text, told.err[-2000:])
        done += 1
    assert done > 20
    for path in ("small.json", "host.json", "found/best.json", "best.svg", "run/best.pth", "bundle", "bench.json"):
        assert Path(path).exists(), path
