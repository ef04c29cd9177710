"""`train` and `eval` on the command line: one round trip, and one sentence for each wrong use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from syncnas_deploy.networks.formats import write_config
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
    assert "left out: set/circle/bad.jpg: is no picture" in told.err
    assert program("train", "net.json", *options).code == 8
    assert program("train", "net.json", *options, "--resume").code == 0
    evaluation = ["--path", "set", "--json", "--predictions"]
    weights = ["--weights", "run/best.pth"]
    assert program("eval", "run/config.json", *evaluation, "torch.csv", *weights).code == 0
    assert program("export", "run/config.json", *weights, "--out", "bundle").code == 0
    assert program("eval", "bundle", *evaluation, "bundle.csv").code == 0
    assert Path("torch.csv").read_text() == Path("bundle.csv").read_text()


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
