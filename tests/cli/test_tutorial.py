"""The tutorial and the README, word for word, as someone follows them in an empty folder.

In the README this host is a simulated device: there the commands are for real base
models. What is learned is learned in one thread and one process, since many on few cores take several times as long.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from syncnas_bench import Device, SimDevice
from syncnas_bench.environment import Environment
from syncnas_deploy import pipeline
from tests.support.documents import document, steps
from tests.support.program import Program

TIMING = {"bench": {0, 6}, "profile --check": {0, 7}}
"""Exit codes that a busy machine may cause: a measurement that is worth nothing, a profile that holds no more."""
TUTORIAL = ("small.json", "host.json", "found/best.json", "best.svg", "run/best.pth", "bundle", "bench.json")
README = ("host.json", "found/best.json", "bundle/manifest.json", "bench.json", "page.html")


@pytest.fixture
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Torch computes in one thread, here and in processes that are begun, and pictures are decoded in this process."""
    torch = pytest.importorskip("torch")
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("learner", "evaluation"):
        monkeypatch.setattr(f"syncnas_deploy.training.{name}.default_workers", lambda: 0)
    yield
    torch.set_num_threads(threads)


@pytest.mark.timeout(1800)
@pytest.mark.usefixtures("one_thread")
@pytest.mark.parametrize(
    ("name", "host", "leaves"), [("docs/tutorial.md", None, TUTORIAL), ("README.md", "phone", README)]
)
def test_a_document_runs_as_it_stands(
    name: str,
    host: str | None,
    leaves: tuple[str, ...],
    program: Program,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to(sys.executable)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    found = pipeline.device

    def device(name: str, environment: Environment) -> Device:
        return SimDevice(host) if host and name == "host" else found(name, environment)

    monkeypatch.setattr(pipeline, "device", device)
    if host:  # half a second for each of a hundred candidates is what zen takes
        monkeypatch.setattr("syncnas_deploy.search.evaluators.default_evaluator", lambda _: "capacity")
    for step in steps(document(name)):
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
    assert [path for path in leaves if not Path(path).exists()] == []
