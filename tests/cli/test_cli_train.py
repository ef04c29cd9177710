"""`train` and `eval` on the command line: one round trip, and one sentence for each wrong use."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from syncnas_deploy.cli import main
from syncnas_deploy.networks.formats import write_config
from tests.support.picture_cases import draw_set, small_branched


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """Run the program in this process; its exit code."""
    monkeypatch.setattr(sys, "argv", ["syncnas-deploy", *map(str, arguments)])
    try:
        main()
    except SystemExit as e:
        return int(e.code or 0)
    return 0


def test_what_is_trained_is_evaluated_exported_and_evaluated_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    write_config(Path("net.json"), small_branched(8))
    draw_set(tmp_path / "set", 10, 0)
    (tmp_path / "set" / "circle" / "bad.jpg").write_text("no picture")
    options = ["--path", "set", "--out", "run", "--epochs", 1, "-b", 8, "-j", 0, "--json"]
    assert run(monkeypatch, "train", "net.json", *options) == 0
    told = capfd.readouterr()
    assert json.loads(told.out)["epochs"] == 1
    assert "left out: set/circle/bad.jpg: is no picture" in told.err
    assert run(monkeypatch, "train", "net.json", *options) == 8
    assert run(monkeypatch, "train", "net.json", *options, "--resume") == 0
    evaluation = ["--path", "set", "--json", "--predictions"]
    weights = ["--weights", "run/best.pth"]
    assert run(monkeypatch, "eval", "run/config.json", *evaluation, "torch.csv", *weights) == 0
    assert run(monkeypatch, "export", "run/config.json", *weights, "--out", "bundle") == 0
    assert run(monkeypatch, "eval", "bundle", *evaluation, "bundle.csv") == 0
    assert Path("torch.csv").read_text() == Path("bundle.csv").read_text()


@pytest.mark.parametrize(
    ("code", "sentence", "arguments"),
    [
        (3, "needs weights; give --weights", "eval net.json --path set"),
        (3, "no such folder", "train net.json --path absent --out run"),
        (5, "torch finds none here", "train net.json --path set --out run --device cuda -b 8"),
        (2, "rate must be between", "train net.json --path set --out run --lr -1"),
        (3, "choose a smaller --batch", "train net.json --path set --out run"),
        (4, "neither a config file nor a shipped model", "train absent --path set --out run"),
        (3, "no such file", "train net.json --path set --out run --weights absent.pth"),
    ],
)
def test_wrong_use_is_one_sentence(
    code: int,
    sentence: str,
    arguments: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    write_config(Path("net.json"), small_branched(8))
    draw_set(tmp_path / "set", 2, 0)
    assert run(monkeypatch, *arguments.split()) == code
    told = capfd.readouterr()
    assert sentence in told.err
    assert len(told.err.splitlines()) == 1
    assert not Path("run").exists()
