"""Every example of the README, the reference and the other documents is a command that runs.

What measures, trains or downloads is replaced by a stand-in that checks its arguments: an example runs up to there. The
tutorial's commands run whole, in `test_tutorial`.
"""

from __future__ import annotations

import inspect
import json
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
import pytest

import syncnas_deploy as sd
from syncnas_bench import SimDevice
from syncnas_bench.litert.store import RuntimeStore
from syncnas_deploy import pipeline
from syncnas_deploy.cli import cli
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.formats import config_to_json, write_config
from syncnas_deploy.prediction.profile_files import write_profile
from syncnas_deploy.search.algorithms import ALGORITHMS
from tests.support.documents import ROOT, document, steps
from tests.support.latency_cases import law_profile
from tests.support.picture_cases import small_branched
from tests.support.program import Program

HISTORY = {"docs/benchmarks.md", "docs/design.md"}
"""What was done once, by commands of that day."""
DOCUMENTS = tuple(sorted({"README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))} - HISTORY))
WHOLE = "docs/tutorial.md"
LONG = (
    "app", "assess", "bench", "check_profile", "convert_weights", "evaluate", "export", "inherit_weights",
    "predict_bench", "probe_widths", "profile", "profile_many", "search", "train",
)  # fmt: skip
"""Functions of `pipeline` that examples run up to."""
EXAMPLES = [step.text for name in DOCUMENTS if name != WHOLE for step in steps(document(name)) if not step.name]


def _stand_in(function: Callable[..., object]) -> Callable[..., object]:
    def reached(*arguments: Any, **named: Any) -> None:
        inspect.signature(function).bind(*arguments, **named)
        raise click.exceptions.Exit(0)

    return reached


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A bench result's text."""
    folder = tmp_path_factory.mktemp("result")
    bundle = pipeline.export(small_branched(8), folder / "b")
    pipeline.bench(bundle, SimDevice("phone"), samples=6, launches=1, out=folder / "bench.json")
    return (folder / "bench.json").read_text()


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A width probe's text."""
    path = tmp_path_factory.mktemp("probe") / "probe.json"
    pipeline.probe_widths("mobilenet_v2", SimDevice("midrange"), "7.1@704", out=path)
    return path.read_text()


@pytest.fixture
def project(
    monkeypatch: pytest.MonkeyPatch, mobilenet: ModelConfig, result: str, probe: str, tmp_path: Path
) -> Iterator[Path]:
    """A folder with what the examples name, and stand-ins for what takes long."""
    for name in ("host.json", "phone.json", "mobilenet_v2-host.profile.json", "pixel.json", "galaxy.json"):
        write_profile(Path(name), law_profile(mobilenet))
    for name in ("best.json", "found/best.json", "run/config.json", "mine.json"):
        write_config(Path(name), branched(mobilenet, "nnnnnna"))
    write_config(Path("my_base.json"), mobilenet)
    for name in ("bundle", "base", "other"):
        pipeline.export(small_branched(8), Path(name))
    Path("found/history.csv").write_text("trial,strategy,feasible,predicted_us,reward,seconds\n")
    Path("found/front.csv").write_text("budget,reward\n")
    for name in ("bench.json", "before.json", "after.json"):
        Path(name).write_text(result)
    Path("probe.json").write_text(probe)
    for name in LONG:
        monkeypatch.setattr(pipeline, name, _stand_in(getattr(pipeline, name)))
    for name in ("add", "fetch"):
        monkeypatch.setattr(RuntimeStore, name, _stand_in(getattr(RuntimeStore, name)))
    monkeypatch.setattr(pipeline, "device", lambda _name, _environment=None: SimDevice("phone"))
    monkeypatch.setattr(pipeline, "device_names", lambda names, _environment=None: tuple(names))
    yield tmp_path


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("example", sorted(set(EXAMPLES)))
def test_an_example_runs(program: Program, example: str) -> None:
    words = shlex.split(re.sub(r" > \S+$", "", example))
    if words[0] != "syncnas-deploy":  # eval "$(syncnas-deploy completion bash)", torchrun ... syncnas-deploy train
        found = re.search(r"syncnas-deploy ([^)\"]+)", example)
        assert found is not None, example
        words = ["", *shlex.split(found[1])]
    # A file that exists is no error of the example.
    done = program(*words[1:])
    assert done.code == 0 or "--force" in done.err, (example, done.err)


def test_the_python_of_the_documents_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "device", lambda _name: SimDevice("phone"))
    blocks = re.findall(r"```python\n(.*?)```", document("docs/python.md"), flags=re.DOTALL)
    names: dict[str, Any] = {"__name__": "__main__"}
    # Worker processes would import this test's program.
    exec("\n".join(blocks).replace(", workers=2", ""), names)
    assert Path("host.json").exists() and Path("bundle").is_dir() and names["result"].makespan.median_us > 0
    assert len(names["rewards"]) == 6 and len(names["found"].front) == 3


def test_the_python_face_is_documented() -> None:
    text = document("docs/python.md")
    functions = [name for name in sd.__all__ if name.islower() and not name.startswith("_")]
    assert [name for name in functions if f"sd.{name}" not in text] == []
    assert [name for name in ALGORITHMS if f'"{name}"' not in text] == [] and "MCTS" in text


def test_the_program_that_rates_networks_runs(mobilenet: ModelConfig) -> None:
    (step,) = (step for step in steps(document("docs/own-evaluator.md")) if step.name)
    network = json.dumps(config_to_json(branched(mobilenet, "nnnnnna")))
    done = subprocess.run([sys.executable, "-c", step.text], input=network, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["reward"] > 0


def test_the_evaluator_in_python_runs(capsys: pytest.CaptureFixture[str]) -> None:
    *_, code = re.findall(r"```python\n(.*?)```", document("docs/own-evaluator.md"), flags=re.DOTALL)
    exec(code, {"__name__": "example"})
    strategy, reward = capsys.readouterr().out.split()
    assert len(strategy) == 7 and float(reward) > 0


def test_there_are_examples_of_every_command() -> None:
    text = "\n".join(EXAMPLES)
    assert [name for name in cli.commands if f"syncnas-deploy {name}" not in text] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_and_options_in_a_document_exist(name: str) -> None:
    text = re.sub(r"\\\n\s*", "", document(name))
    for line in re.findall(r"syncnas-deploy ((?:[a-z]+)\b[^`\n]*)", text):
        word = re.split(r"[^a-z]", line)[0]
        if word not in cli.commands:
            continue
        command = cli.commands[word]
        inner = list(command.commands.values()) if isinstance(command, click.Group) else [command]
        known = {opt for each in inner for p in each.params for opt in (*p.opts, *p.secondary_opts)} | {"--help"}
        line = line.split("'command:")[0].split("    ")[0]
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", line)) <= known, line


def test_the_glossary_has_the_words_and_its_picture() -> None:
    text = document("docs/glossary.md")
    for word in ("strategy", "phase", "segment", "crossing", "contention", "A/A", "rival", "sure", "launch", "round"):
        assert re.search(rf"^\| [^|]*{re.escape(word)}", text, flags=re.MULTILINE), word
    root = xml.etree.ElementTree.parse(ROOT / "docs" / "glossary.svg").getroot()
    shown = " ".join(root.itertext())
    for word in ("strategy", "phase", "segment", "crossing", "contention", "A/A"):
        assert word in shown, word
