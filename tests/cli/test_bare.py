"""Without any optional package each command comes to its result, or to one sentence that names the extra.

The packages are made impossible to import in this process; so they are for child processes' modules, not for pip.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import numpy as np
import pytest

from syncnas_bench import DeviceUnavailable, SimDevice, library
from syncnas_deploy import pipeline
from syncnas_deploy.cli import cli
from syncnas_deploy.cli.exit_codes import EXTRAS, exit_code
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import write_config
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.prediction.profile_files import write_profile
from tests.support.latency_cases import law_profile
from tests.support.picture_cases import draw_set, small_branched, small_config
from tests.support.program import Program

CASES = (
    (0, "devices"),
    (0, "doctor --device host"),
    (0, "runtime list"),
    (0, "models"),
    (0, "models mobilenet_v2 --classes 4 --out four.json"),
    (0, "profile --base base.json --device sim:phone --launches 1 --rounds 2 --out p.json"),
    (0, "profile --device sim:phone --check checked.json"),
    (0, "search --profile law.json --trials 2 --out found"),
    (0, "search --profile law.json --trials 2 --workers 2 --evaluator capacity --out found"),
    (0, "predict syncnas_mobilenet_v2_100 --profile law.json"),
    (0, "draw small.json --out d.svg"),
    (0, "export small.json --out b"),
    (0, "export small.json --weights small.npz --out b"),
    (0, "bench bundle --device sim:phone --samples 6 --launches 1 --out r.json"),
    (0, "report law.json --html page.html"),
    (0, "compare law.json other.json"),
    (0, "export small.json --precision int8 --timing-only --out b"),
    (0, "completion bash"),
    ("torch", "search --profile law.json --evaluator zen --out found"),
    ("torch", "search --profile law.json --evaluator train:set,batch=2 --out found"),
    ("torch", "assess --device sim:phone --evaluator zen --out a"),
    ("onnx", "export small.json --format onnx --out b"),
    ("torch", "export small.json --weights text.safetensors --out b"),
    ("torch", "export small.json --weights text.pth --out b"),
    ("timm", "export mobilenet_v2 --weights timm:mobilenetv2_100 --out b"),
    ("torch", "weights convert small.npz --config small.json --out o.safetensors"),
    ("torch", "weights inherit base.npz --base base.json --config small.json --out o.safetensors"),
    ("torch", "export small.json --precision int8 --calibrate set --out b"),
    ("torch", "train small.json --path set --out run"),
    ("torch", "eval small.json --path set --weights small.npz"),
    ("torch", "eval bundle --path set"),
    ("cluster", "search --profile law.json --workers tcp://127.0.0.1:1 --evaluator capacity --out found"),
)


@pytest.fixture
def _bare(monkeypatch: pytest.MonkeyPatch, mobilenet: ModelConfig) -> None:
    """A folder with what the commands name, a device that takes no time, and no optional package."""
    for name in ("law.json", "other.json"):
        write_profile(Path(name), law_profile(mobilenet))
    for name, config in (("small", small_branched(8)), ("base", small_config(8))):
        write_config(Path(f"{name}.json"), config)
        np.savez(f"{name}.npz", **random_weights(parameter_shapes(config), 0))
    for name in ("text.safetensors", "text.pth"):
        Path(name).write_text("no weights")
    draw_set(Path("set"), 2, 0)
    pipeline.export("small.json", "bundle")
    monkeypatch.setattr(pipeline, "device", lambda name=None, _=None: SimDevice("phone"))
    for name in {*EXTRAS, *(name for name in sys.modules if name.partition(".")[0] in EXTRAS)}:
        monkeypatch.setitem(sys.modules, name, None)


@pytest.mark.usefixtures("_bare")
@pytest.mark.parametrize(("end", "words"), CASES, ids=[words[:60] for _, words in CASES])
def test_a_bare_environment_has_a_result_or_a_sentence(program: Program, end: int | str, words: str) -> None:
    if "checked.json" in words:
        pipeline.profile("base.json", SimDevice("phone"), out="checked.json", examine=False)
    done = program(*shlex.split(words))
    if end == 0:
        assert done.code == 0 and done.out + done.err, done.err
        return
    assert (done.code, done.out) == (9, ""), done.err
    assert f"syncnas-deploy[{end}]" in done.err.splitlines()[-1] and "Internal error" not in done.err


def test_every_command_is_tried() -> None:
    assert {words.split()[0] for _, words in CASES} | {"app"} == set(cli.commands)


@pytest.mark.usefixtures("_bare")
def test_an_app_needs_no_extra(program: Program) -> None:
    if not (Path(library.__file__).parent / "_native" / "java" / "classes.jar").is_file():
        pytest.skip("classes.jar is missing: javac was not there when this was installed")
    done = program("app", "bundle", "--out", "module")
    assert done.code == 0, done.err


@pytest.mark.parametrize("name", sorted(EXTRAS))
def test_whatever_is_raised_for_a_missing_package_has_exit_code_9(name: str) -> None:
    missing = ModuleNotFoundError(f"No module named {name!r}", name=f"{name}.inner")
    wrapped = DeviceUnavailable("it wants a key", "unauthorized")
    wrapped.__cause__ = missing
    assert exit_code(missing) == exit_code(wrapped) == 9
    assert exit_code(DeviceUnavailable("it is off", "offline")) == 5
