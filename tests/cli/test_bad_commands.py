"""Every bad command is one sentence with its documented exit code, and nothing half-made is left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from syncnas_deploy import pipeline
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import config_text, config_to_json
from syncnas_deploy.prediction.profile_files import profile_to_json
from tests.support.latency_cases import law_profile
from tests.support.program import Program


def write(path: Path, text: str) -> Path:
    """A file with text."""
    path.write_text(text)
    return path


def bad_profile(base: ModelConfig, /, **changes: object) -> str:
    """A profile's text with top-level changes."""
    return json.dumps({**profile_to_json(law_profile(base)), **changes})


def searching(folder: Path, base: ModelConfig, evaluator: str) -> list[object]:
    """A search with another evaluator."""
    profile = write(folder / "p.json", bad_profile(base))
    return ["search", "--base", "mobilenet_v2", "--out", "s", "--evaluator", evaluator, "--profile", profile]


Case = tuple[Callable[[Path, ModelConfig], list[object]], int, str]
CASES: dict[str, Case] = {
    "unknown command": (lambda t, b: ["frobnicate"], 2, "No such command"),
    "unknown option": (lambda t, b: ["models", "--frob"], 2, "No such option"),
    "unknown model": (lambda t, b: ["models", "alexnet"], 4, "neither a config file nor a shipped model"),
    "unknown base": (lambda t, b: ["profile", "--base", "alexnet"], 4, "alexnet"),
    "unknown device": (lambda t, b: ["profile", "--base", "mobilenet_v2", "--device", "R58M"], 4, "R58M"),
    "unknown sim": (lambda t, b: ["profile", "--base", "mobilenet_v2", "--device", "sim:x"], 4, "sim:duo"),
    "one unit": (lambda t, b: ["profile", "--base", "mobilenet_v2", "--unit", "cpu:1"], 2, "--unit twice"),
    "bad unit": (
        lambda t, b: ["profile", "--base", "mobilenet_v2", "--unit", "cpu:x", "--unit", "gpu"],
        2,
        "cpu:THREADS",
    ),
    "same units": (
        lambda t, b: ["profile", "--base", "mobilenet_v2", "--unit", "cpu:1", "--unit", "cpu:1"],
        2,
        "two different units",
    ),
    "no such core": (
        lambda t, b: ["profile", "--base", "mobilenet_v2", "--unit", "cpu:1@999", "--unit", "cpu:1@0"],
        5,
        "999",
    ),
    "existing profile": (
        lambda t, b: ["profile", "--base", "mobilenet_v2", "--out", write(t / "p.json", "{}")],
        8,
        "--force",
    ),
    "not json": (lambda t, b: ["models", write(t / "x.json", "{")], 3, "not JSON"),
    "newer schema": (
        lambda t, b: ["models", write(t / "x.json", config_text(b).replace("config/1", "config/7"))],
        3,
        "upgrade",
    ),
    "missing profile": (lambda t, b: ["predict", "mobilenet_v2", "--profile", "gone.json"], 4, "gone.json"),
    "NaN in a profile": (
        lambda t, b: ["predict", "mobilenet_v2", "--profile", write(t / "p.json", '{"schema": NaN}')],
        3,
        "NaN",
    ),
    "profile of another base": (
        lambda t, b: [
            "search",
            "--base",
            "mobilenet_v2",
            "--out",
            "s",
            "--evaluator",
            "capacity",
            "--profile",
            write(t / "p.json", bad_profile(b, base={**config_to_json(b), "name": "other"})),
        ],
        7,
        "measured for base 'other'",
    ),
    "profile without its points": (
        lambda t, b: [
            "predict",
            "syncnas_mobilenet_v2_100",
            "--profile",
            write(t / "p.json", bad_profile(b, points=[])),
        ],
        7,
        "no entry",
    ),
    "a base predicted": (
        lambda t, b: ["predict", "mobilenet_v2", "--profile", write(t / "p.json", bad_profile(b))],
        7,
        "one branch",
    ),
    "impossible budget": (
        lambda t, b: [
            "search",
            "--base",
            "mobilenet_v2",
            "--out",
            "s",
            "--evaluator",
            "capacity",
            "--budget",
            "5us",
            "--profile",
            write(t / "p.json", bad_profile(b)),
        ],
        7,
        "raise --budget to at least",
    ),
    "no budget": (
        lambda t, b: [
            "search",
            "--base",
            "mobilenet_v2",
            "--out",
            "s",
            "--evaluator",
            "capacity",
            "--budget",
            "fast",
            "--profile",
            write(t / "p.json", bad_profile(b)),
        ],
        2,
        "write 1.0x",
    ),
    "unknown evaluator": (
        lambda t, b: [
            "search",
            "--base",
            "mobilenet_v2",
            "--out",
            "s",
            "--evaluator",
            "luck",
            "--profile",
            write(t / "p.json", bad_profile(b)),
        ],
        4,
        "capacity or table:FILE",
    ),
    "no workers": (lambda t, b: [*searching(t, b, "capacity"), "--workers", "0"], 2, "give a number of processes"),
    "a resource without an amount": (
        lambda t, b: [*searching(t, b, "capacity"), "--worker-resource", "GPU"],
        2,
        "not NAME=AMOUNT",
    ),
    "resources without a cluster": (
        lambda t, b: [*searching(t, b, "capacity"), "--worker-resource", "GPU=1"],
        2,
        "Only dask workers have resources",
    ),
    "a budget twice": (
        lambda t, b: [*searching(t, b, "capacity"), "--budget", "1x", "--budget", "1.0x"],
        2,
        "the same latency",
    ),
    "no pictures to train on": (lambda t, b: searching(t, b, "train:gone"), 4, "gone: no such folder"),
    "no weights for candidates": (lambda t, b: searching(t, b, "inherit:gone.npz,gone"), 4, "gone"),
    "an unknown option of an evaluator": (lambda t, b: searching(t, b, "train:x,epoch=1"), 2, "no option 'epoch'"),
    "table without the column": (
        lambda t, b: [
            "search",
            "--base",
            "mobilenet_v2",
            "--out",
            "s",
            "--evaluator",
            f"table:{write(t / 't.csv', 'a,b')}",
            "--profile",
            write(t / "p.json", bad_profile(b)),
        ],
        3,
        "t.csv",
    ),
    "a strategy of the wrong length": (
        lambda t, b: [
            "models",
            write(t / "x.json", json.dumps({**config_to_json(pipeline.base_model(b)), "strategy": "nna"})),
        ],
        3,
        "x.json",
    ),
    "weights and a seed": (
        lambda t, b: ["export", "mobilenet_v2", "--weights", "w.pth", "--seed", 1, "--out", "b"],
        2,
        "exclude each other",
    ),
    "weights of another kind": (
        lambda t, b: ["weights", "convert", "w.bin", "--config", "mobilenet_v2", "--out", "w.safetensors"],
        3,
        ".safetensors",
    ),
    "no weights to inherit": (
        lambda t, b: ["weights", "inherit", "w.npz", "--config", "syncnas_fbnet_c_100", "--out", "w.safetensors"],
        4,
        "no such file",
    ),
    "missing weights": (lambda t, b: ["export", "mobilenet_v2", "--weights", "w.pth", "--out", "b"], 4, "w.pth"),
    "unwritable output": (lambda t, b: ["export", "mobilenet_v2", "--out", "/proc/nowhere/b"], 8, "cannot be written"),
    "unwritable profile": (
        lambda t, b: ["profile", "--device", "sim:duo", "--base", "mobilenet_v2", "--out", "/proc/nowhere/p.json"],
        8,
        "/proc/nowhere",
    ),
    "no bundle": (lambda t, b: ["bench", "nothing"], 4, "no such bundle"),
    "a baseline without unit syntax": (
        lambda t, b: ["bench", "nothing", "--baseline", "@cpu:1"],
        2,
        "BUNDLE or BUNDLE@UNIT",
    ),
    "report of something else": (lambda t, b: ["report", write(t / "x.json", '{"a": 1}')], 3, "neither a profile"),
}


@pytest.mark.parametrize("name", list(CASES))
def test_bad_input_is_one_sentence(program: Program, mobilenet: ModelConfig, tmp_path: Path, name: str) -> None:
    make, code, says = CASES[name]
    arguments = make(tmp_path, mobilenet)
    before = sorted(path for path in tmp_path.rglob("*"))
    done = program(*arguments)
    assert (done.code, done.out) == (code, "")
    assert says in done.err
    assert "Traceback" not in done.err
    if code != 2:
        assert done.err.splitlines()[-1].startswith("syncnas-deploy: ")
    assert sorted(path for path in tmp_path.rglob("*")) == before, "something half-made was left"
