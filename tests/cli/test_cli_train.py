"""`train` and `eval` on the command line: one round trip, and one sentence for each wrong use."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
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
    assert "Scaled to this run: the learning rate is 8/256 of the published one, for steps of 8 " in told.err
    assert told.err.startswith(
        "After all 4 batches of this run 66% of the batch norms' statistics are still those it began"
    )
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


def test_a_config_is_evaluated_as_its_files_will_compute_it(tmp_path: Path, program: Program) -> None:
    config = small_branched(8)
    write_config(Path("net.json"), config)
    np.savez("w.npz", **random_weights(parameter_shapes(config), 7))
    draw_set(tmp_path / "set" / "train", 4, 0)
    draw_set(tmp_path / "set" / "val", 5, 1)
    evaluation = ("--weights", "w.npz", "--path", "set", "-j", 0, "--json")
    export = ("export", "net.json", "--weights", "w.npz")
    for precisions in (("int8",), ("int8", "fp16"), ("fp16", "int8"), ("fp16",)):
        options = [word for precision in precisions for word in ("--precision", precision)]
        told = program("eval", "net.json", *evaluation, *options)
        assert told.code == 0 and ("has 16 pictures to calibrate with" in told.err) == ("int8" in precisions)
        found = json.loads(told.out)
        assert found["precisions"] == list(precisions * 2)[:2]
        pictures = ("--calibrate", "set") if "int8" in precisions else ()
        assert program(*export, *options, *pictures, "--out", "bundle", "--force").code == 0
        by_bundle = json.loads(program("eval", "bundle", "--path", "set", "-j", 0, "--json").out)
        same = ("top1", "loss", "images", "precisions", "input_size")
        assert {name: found[name] for name in same} == {name: by_bundle[name] for name in same}
    told = program("eval", "net.json", *evaluation[:-1], "--precision", "int8")
    assert "; files in int8 | int8" in told.out
    assert "export net.json --weights w.npz --precision int8 --calibrate set --out bundle" in told.err
    assert json.loads(program("eval", "net.json", *evaluation).out)["precisions"] == []
    other = program("eval", "net.json", *evaluation, "--precision", "int8", "--input-size", 48, "--calibrate", "set")
    assert other.code == 0 and json.loads(other.out)["input_size"] == 48


@pytest.mark.parametrize(
    ("code", "sentence", "arguments"),
    [
        (2, "flat: has no train to calibrate int8 with; give other pictures with --calibrate.", "net.json --path flat"),
        (2, "--calibrate would do nothing here; it is for", "net.json --path set --calibrate set --precision fp16"),
        (2, "--device would do nothing here; files run on this host's CPU.", "net.json --path set --device cuda"),
        (2, "--precision would do nothing here; a bundle has its own.", "bundle --path set"),
        (2, "has two branches and 3 precisions were given", "net.json --path set --precision int8 --precision int8"),
        (4, "nowhere: no such folder; give one with about 100 pictures", "net.json --path set --calibrate nowhere"),
        (3, "bundle: is a bundle; give bundle/calibration.json or a", "net.json --path set --calibrate bundle"),
        (3, "is the calibration of another network", "net.json --path set --calibrate bundle/calibration.json"),
    ],
)  # fmt: skip
def test_precisions_that_cannot_be_rated_are_refused(
    code: int, sentence: str, arguments: str, tmp_path: Path, program: Program
) -> None:
    config = small_branched(8)
    write_config(Path("net.json"), config)
    np.savez("w.npz", **random_weights(parameter_shapes(config), 7))
    for folder in ("set/train", "set/val", "flat"):
        draw_set(tmp_path / folder, 2, 0)
    assert program("export", "net.json", "--precision", "int8", "--calibrate", "set", "--out", "bundle").code == 0
    weights = () if arguments.startswith("bundle") else ("--weights", "w.npz")
    precision = () if "--precision fp16" in arguments else ("--precision", "int8")
    told = program("eval", *arguments.split(), *weights, *precision, "-j", 0)
    assert (told.code, sentence in told.err) == (code, True), told.err


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
        (2, "or train it (syncnas-deploy train) and give its run", "eval net.json --path set"),
        (2, "or train it (syncnas-deploy train) and give its run", "eval found --path set"),
        (2, "or train it (syncnas-deploy train) and give its run", "eval mobilenet_v2 --path set"),
        (3, "net.json: is a file, no folder", "train net.json --path net.json --out run -b 8"),
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
    Path("found").mkdir()
    write_config(Path("found/best.json"), small_branched(8))
    draw_set(tmp_path / "set", 2, 0)
    told = program(*arguments.split())
    assert told.code == code and sentence in told.err
    assert len(told.err.splitlines()) == 1
    assert not Path("run").exists()
