"""`train` and `eval` on the command line: one round trip, and one sentence for each wrong use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from syncnas_deploy.networks.formats import write_config
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from tests.support.picture_cases import draw_set, small_branched
from tests.support.program import Program


def test_what_is_trained_is_evaluated_exported_and_evaluated_again(tmp_path: Path, program: Program) -> None:
    write_config(Path("net.json"), small_branched(8))
    draw_set(tmp_path / "set", 10, 0)
    (tmp_path / "set" / "circle" / "bad.jpg").write_text("no picture")
    options = ["--path", "set", "--out", "run", "--epochs", 1, "-b", 8, "-j", 0, "--json"]
    told = program("train", "net.json", *options)
    assert told.code == 0
    assert json.loads(told.out)["epochs"] == 1
    assert told.err.startswith("Scaled to this run: the learning rate is 8/256 of the published one, for steps of 8 ")
    assert "--recipe published" in told.err
    assert "left out: set/circle/bad.jpg: is no picture" in told.err
    assert program("train", "net.json", *options).code == 8
    assert program("train", "net.json", *options, "--resume").code == 0
    evaluation = ["--path", "set", "--json", "--predictions"]
    weights = ["--weights", "run/best.pth"]
    assert program("eval", "run/config.json", *evaluation, "torch.csv", *weights).code == 0
    assert program("export", "run/config.json", *weights, "--out", "bundle").code == 0
    assert program("eval", "bundle", *evaluation, "bundle.csv").code == 0
    assert Path("torch.csv").read_text() == Path("bundle.csv").read_text()


def test_the_published_recipe_is_kept_where_it_is_asked_for(tmp_path: Path, program: Program) -> None:
    write_config(Path("net.json"), small_branched(8))
    draw_set(tmp_path / "set", 10, 0)
    facts = {}
    for kind in ("published", "scaled"):
        options = ["--path", "set", "--epochs", 2, "-b", 8, "-j", 0]
        told = program("train", "net.json", *options, "--recipe", kind, "--out", kind)
        assert told.code == 0 and ("Scaled to this run" in told.err) == (kind == "scaled")
        facts[kind] = json.loads(Path(kind, "run.json").read_text())["facts"]
    assert [facts["published"][name] for name in ("rate_batch", "warmup_epochs")] == [None, 10]
    assert [facts["scaled"][name] for name in ("rate_batch", "warmup_epochs")] == [256, 0.2]


def test_it_is_said_that_weights_are_taken_and_not_their_average(tmp_path: Path, program: Program) -> None:
    config = small_branched(8)
    write_config(Path("net.json"), config)
    draw_set(tmp_path / "set", 2, 0)
    weights = {name: torch.from_numpy(x) for name, x in random_weights(parameter_shapes(config), 0).items()}
    torch.save({"state_dict": weights, "state_dict_ema": dict(weights)}, "w.pth")
    for command in (
        "eval net.json --path set --weights w.pth -j 0",
        "export net.json --weights w.pth --out bundle",
        "weights convert w.pth --config net.json --out w.safetensors",
        "train net.json --path set --weights w.pth --out run --epochs 1 -b 2 -j 0",
    ):
        told = program(*command.split())
        assert told.code == 0
        assert "w.pth: the weights themselves are taken, not their moving average 'state_dict_ema'." in told.err


@pytest.mark.parametrize(
    ("code", "sentence", "arguments"),
    [
        (2, "needs weights; give --weights", "eval net.json --path set"),
        (4, "no such folder", "train net.json --path absent --out run"),
        (5, "torch finds none here", "train net.json --path set --out run --device cuda -b 8"),
        (2, "rate must be between", "train net.json --path set --out run --lr -1"),
        (3, "choose a smaller --batch", "train net.json --path set --out run"),
        (4, "neither a config file nor a shipped model", "train absent --path set --out run"),
        (4, "no such file", "train net.json --path set --out run --weights absent.pth"),
    ],
)
def test_wrong_use_is_one_sentence(
    code: int,
    sentence: str,
    arguments: str,
    tmp_path: Path,
    program: Program,
) -> None:
    write_config(Path("net.json"), small_branched(8))
    draw_set(tmp_path / "set", 2, 0)
    told = program(*arguments.split())
    assert told.code == code and sentence in told.err
    assert len(told.err.splitlines()) == 1
    assert not Path("run").exists()
