"""Evaluators that look at pictures: proxy training with early stopping, and inherited weights."""

from __future__ import annotations

import dataclasses
import json
import math
import pickle
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import msgspec
import numpy as np
import pytest

from syncnas_deploy import pipeline
from syncnas_deploy.errors import (
    DatasetError,
    JournalMismatch,
    MissingDependency,
    UnknownEvaluator,
    UnknownModel,
    WeightsError,
)
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.formats import write_config
from syncnas_deploy.networks.widths import Widths
from syncnas_deploy.precision import Precision
from syncnas_deploy.search.evaluators import (
    Capacity,
    Evaluation,
    Inherit,
    LearningEvaluator,
    Train,
    as_it_runs,
    described,
    make_evaluator,
    rate,
)
from syncnas_deploy.search.evaluators.halving import Halving
from syncnas_deploy.search.loop import SearchSettings, search
from syncnas_deploy.training.recipe import Recipe, Schedule
from tests.support.picture_cases import draw_set, small_config
from tests.support.synthetic import SyntheticTable

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.usefixtures("one_thread")

BASE = small_config(8)
NETWORK = branched(BASE, "nca")
OPTIONS = "epochs=2,size=32,batch=16,crop=0.5,rate=1.6"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shapes: twelve of each to train on, ten to validate with."""
    folder = tmp_path_factory.mktemp("pictures")
    draw_set(folder / "train", 12, 1)
    draw_set(folder / "val", 10, 2)
    return folder


@pytest.fixture(scope="module")
def trained_base(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path]:
    """A base that has learnt the shapes: its config, its weights, and pictures that it has not seen."""
    from syncnas_deploy.training.run import TrainingOptions, train

    folder = tmp_path_factory.mktemp("base")
    draw_set(folder / "set" / "train", 100, 1)
    draw_set(folder / "set" / "val", 25, 2)
    recipe = Recipe(rate=0.2, epochs=8, batch=32, warmup_epochs=1, dropout=0.0, smallest_crop=0.5)
    run = train(BASE, folder / "set", folder / "run", recipe, TrainingOptions(workers=0))
    assert run.best.top1 > 0.6
    return folder / "run" / "config.json", folder / "run" / "best.pth", folder / "set"


def test_a_candidate_is_worth_what_it_learns_the_same_for_the_same_seed(pictures: Path) -> None:
    evaluator = make_evaluator(f"train:{pictures},{OPTIONS}")
    assert isinstance(evaluator, Train) and isinstance(evaluator, LearningEvaluator)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first = evaluator.evaluate(NETWORK, 2**32 - 1)
    assert first.reward is not None and 0.0 <= first.reward <= 1.0 and not first.partial
    assert first.details["epochs"] == 2 and first.seconds > 0
    torch.random.set_rng_state(before)
    copy = pickle.loads(pickle.dumps(evaluator))
    again, other = copy.evaluate(NETWORK, 2**32 - 1), evaluator.evaluate(NETWORK, 1)
    assert (again.reward, again.details) == (first.reward, first.details)
    assert other.details["train_loss"] != first.details["train_loss"]


@pytest.mark.parametrize("momentum", [0.01, 0.001, 0.0])
def test_few_steps_are_validated_with_statistics_of_the_pictures(
    momentum: float, pictures: Path, trained_base: tuple[Path, Path, Path]
) -> None:
    """What is learnt does not depend on how fast running statistics follow, so no reward may."""
    config, weights, own = trained_base
    slow = dataclasses.replace(NETWORK, bn_momentum=momentum)
    for text in (f"train:{pictures},{OPTIONS}", f"inherit:{weights},{own},base={config},epochs=1,size=32,batch=32"):
        evaluator = make_evaluator(text)
        first, other = evaluator.evaluate(NETWORK, 1), evaluator.evaluate(slow, 1)
        assert (other.reward, other.details["val_loss"]) == (first.reward, first.details["val_loss"])
    far_better = [Evaluation(1.3, 1.0, {"top1_epoch_1": 1.1})] * 2
    given_up = Train.parse(f"{pictures},{OPTIONS},halving=2").informed(far_better)
    assert given_up.evaluate(slow, 1).details == given_up.evaluate(NETWORK, 1).details
    assert evaluator.key["batch_norms"] == given_up.key["batch_norms"] == "fitted", "a journal of before is another one"


@pytest.mark.parametrize("batch", [15, 16, 47])
def test_a_last_picture_alone_is_no_batch(batch: int, trained_base: tuple[Path, Path, Path], pictures: Path) -> None:
    """48 pictures to train on; the last features are 1 x 1, whose statistics one picture does not have."""
    config, weights, _ = trained_base
    found = make_evaluator(f"inherit:{weights},{pictures},base={config},size=8,batch={batch}").evaluate(NETWORK, 1)
    assert found.reward is not None


def test_width_and_size_make_the_network_that_is_trained(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from syncnas_deploy.training import proxy

    seen: list[ModelConfig] = []

    def spy(config: ModelConfig, *_: object, **__: object) -> tuple[tuple[proxy.EpochRow, ...], dict[str, object]]:
        seen.append(config)
        return (proxy.EpochRow(2, 0.1, 1.0, 1.0, 0.5, 1.0, 1.0),), {}

    monkeypatch.setattr(proxy, "train_briefly", spy)
    make_evaluator(f"train:{pictures},{OPTIONS},width=2").evaluate(dataclasses.replace(NETWORK, classes=9), 1)
    (network,) = seen
    assert (network.input_size, network.classes, network.stem.out_channels) == (32, 4, 16)


def test_a_hopeless_candidate_is_given_up_at_a_rung_with_an_estimate(pictures: Path) -> None:
    evaluator = Train.parse(f"{pictures},{OPTIONS},halving=2")
    assert evaluator.halving.rungs == (1,)
    far_better = [Evaluation(1.3, 1.0, {"top1_epoch_1": 1.1})] * 2
    informed = evaluator.informed(far_better)
    given_up = informed.evaluate(NETWORK, 1)
    assert given_up.partial and given_up.details["epochs"] == 1 and given_up.note == "given up after epoch 1"
    assert given_up.reward == pytest.approx(given_up.details["top1_epoch_1"] + 0.2)
    whole = evaluator.informed([Evaluation(0.1, 1.0, {"top1_epoch_1": 0.0})] * 9).evaluate(NETWORK, 1)
    assert not whole.partial and whole.details["epochs"] == 2
    assert informed.key == evaluator.key


def test_a_training_that_diverges_is_infeasible_and_says_so(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Schedule, "at", lambda _, epoch: 1e30)
    evaluation = Train.parse(f"{pictures},{OPTIONS}").evaluate(NETWORK, 1)
    assert evaluation.reward is None and evaluation.note.startswith("In epoch 1, step 2, the loss is")


@pytest.mark.parametrize("precision", ["fp32", "int8"])
def test_a_search_by_training_goes_on_where_it_was_killed(precision: str, pictures: Path, tmp_path: Path) -> None:
    base = small_config(4)
    table, path = SyntheticTable(base, 1), tmp_path / "j"

    def run(path: Path | None) -> list[tuple[str, float | None, str]]:
        evaluator = Train.parse(f"{pictures},epochs=2,size=16,batch=24,halving=2,spread=0,precision={precision}")
        settings = SearchSettings(trials=5, algorithm="random")
        result = search(base, table, [1e7], evaluator, settings, journal_path=path)
        return [(t.strategy, t.reward, t.outcome) for t in result.trials]

    whole = run(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]))
    assert run(path) == whole
    rows = [json.loads(line)["row"] for line in path.read_bytes().splitlines()[1:]]
    assert all("top1_epoch_1" in row["details"] for row in rows)
    rated = [row["note"] for row in rows if not row["partial"]]
    assert set(rated) == {"top-1 of files in int8" if precision == "int8" else ""}
    with pytest.raises(JournalMismatch):
        other = Train.parse(f"{pictures},epochs=2,size=16,batch=24,halving=2,spread=0,precision=fp16")
        search(base, table, [1e7], other, SearchSettings(trials=5, algorithm="random"), journal_path=path)


def test_inherited_weights_are_worth_something_without_training(trained_base: tuple[Path, Path, Path]) -> None:
    config, weights, pictures = trained_base
    evaluator = make_evaluator(f"inherit:{weights},{pictures},base={config},size=32,batch=32")
    assert isinstance(evaluator, Inherit)
    whole, narrow = (branched(BASE, "nca", Widths.of([[[w], [w, w], [w, w]]] * 2)) for w in (24, 4))
    first, other = evaluator.evaluate(whole, 1), evaluator.evaluate(narrow, 1)
    assert first.reward is not None and other.reward is not None
    # Chance is 0.25, and what the batch norms of the base would leave of it: hence fitted ones.
    assert first.reward > 0.6 and first.reward > other.reward + 0.1
    assert evaluator.evaluate(whole, 2).reward == first.reward, "without fine-tuning the seed does not matter"
    assert evaluator.spread == 0.0


def test_an_accuracy_has_the_error_of_its_few_pictures(
    trained_base: tuple[Path, Path, Path], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 and 40 pictures to validate with; 0.6 of them are right, whatever the seed."""
    config, weights, own = trained_base
    for kind in (Train, Inherit):
        monkeypatch.setattr(kind, "evaluate", lambda self, config, seed: Evaluation(0.6, 0.0))
    for text, error, most in (
        (f"inherit:{weights},{own},base={config},size=32,batch=32", 0.049, "0.05"),
        (f"train:{own},{OPTIONS}", 0.049, "0.05"),
        (f"train:{pictures},{OPTIONS},spread=0", 0.077, "0.079"),
        (f"train:{pictures},{OPTIONS},spread=0.1", math.hypot(0.1 / math.sqrt(3), 0.077), "0.079"),
    ):
        evaluator = make_evaluator(text)
        assert rate(evaluator, NETWORK) == (pytest.approx(0.6), pytest.approx(error, abs=1e-3))
        assert f"an accuracy of its validation pictures has a standard error of up to {most}." in described(evaluator)
        settings = SearchSettings(trials=4, algorithm="random")
        best = search(BASE, SyntheticTable(BASE, 1), [1e7], evaluator, settings).best
        assert not best.sure and (best.standard_error is None or best.standard_error > 0.04)
    assert "validation pictures" not in described(Capacity())


def test_fine_tuning_begins_where_the_base_ended(trained_base: tuple[Path, Path, Path], pictures: Path) -> None:
    config, weights, own = trained_base
    evaluator = make_evaluator(f"inherit:{weights},{own},base={config},epochs=1,size=32,batch=32,rate=0.2")
    tuned = evaluator.evaluate(branched(BASE, "nnc"), 1)
    assert tuned.reward is not None and tuned.reward > 0.6
    assert evaluator.spread is None
    assert evaluator.key != make_evaluator(f"inherit:{weights},{own},base={config},size=32,batch=32").key


@pytest.mark.parametrize("precisions", [("int8",), ("int8", "fp16"), ("fp16",)])
def test_a_candidate_is_rated_as_its_files_compute_it(pictures: Path, precisions: tuple[Precision, ...]) -> None:
    plain = Train.parse(f"{pictures},{OPTIONS}")
    evaluator = as_it_runs(plain, precisions)
    assert isinstance(evaluator, Train) and evaluator.key != plain.key
    assert evaluator.name == f"{plain.name},precision={'|'.join(precisions)}"
    assert evaluator.cost == f"{plain.cost}, and its files over the validation pictures, one by one"
    found, by_torch = pickle.loads(pickle.dumps(evaluator)).evaluate(NETWORK, 1), plain.evaluate(NETWORK, 1)
    assert found.details["top1_fp32"] == by_torch.reward and found.reward == pytest.approx(by_torch.reward, abs=0.1)
    assert found.details["val_loss"] != by_torch.details["val_loss"]
    assert found.note == f"top-1 of files in {' | '.join(precisions)}" and not by_torch.note
    assert evaluator.evaluate(NETWORK, 1) == dataclasses.replace(found, seconds=ANY)
    assert evaluator.evaluate(BASE, 1).note == f"top-1 of files in {precisions[0]}"


def test_what_was_asked_for_goes_before_the_units(pictures: Path) -> None:
    for text, asked in (("int8", ("int8",)), ("fp32", ()), ("fp16", ("fp16",))):
        evaluator = Train.parse(f"{pictures},{OPTIONS},precision={text}")
        assert evaluator.rounded == asked and as_it_runs(evaluator, ("int8", "fp16")) is evaluator
    plain = Train.parse(f"{pictures},{OPTIONS}")
    assert as_it_runs(plain, ("fp32", "fp32")).key == plain.key
    assert as_it_runs(Capacity(), ("int8",)) == Capacity()


def test_inherited_weights_are_rated_as_their_files_compute_them(trained_base: tuple[Path, Path, Path]) -> None:
    config, weights, own = trained_base
    text = f"inherit:{weights},{own},base={config},size=32,batch=32"
    network = branched(BASE, "nca")
    plain, rounded, tuned = (make_evaluator(f"{text}{more}") for more in ("", ",precision=int8", ",epochs=1,rate=0.2"))
    by_torch, found = plain.evaluate(network, 1), rounded.evaluate(network, 1)
    assert found.reward == pytest.approx(by_torch.reward, abs=0.1) and found.note == "top-1 of files in int8"
    assert found.details["val_loss"] != by_torch.details["val_loss"]
    after = as_it_runs(tuned, ("int8", "fp16")).evaluate(network, 1)
    assert after.note == "top-1 of files in int8 | fp16" and "top1_fp32" in after.details


@pytest.mark.parametrize(
    ("precision", "value", "says"),
    [("int8", np.nan, "holds NaN or infinity"), ("fp16", 1e9, "beyond 65504"), ("int8", 3e38, "becomes NaN or")],
)
def test_a_candidate_that_files_cannot_hold_is_infeasible_and_says_so(
    precision: str, value: float, says: str, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from syncnas_deploy.training.learner import Learner

    ended = Learner.weights

    def spoilt(self: Learner) -> dict[str, Any]:
        return {name: np.full_like(x, value) if "classifier" in name else x for name, x in ended(self).items()}

    monkeypatch.setattr(Learner, "weights", spoilt)
    found = Train.parse(f"{pictures},{OPTIONS},precision={precision}").evaluate(NETWORK, 1)
    assert found.reward is None and says in found.note


def test_a_search_rates_by_the_precisions_of_its_units(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = pipeline.as_profile("mobilenet_v2-sim-phone")
    asked: list[Train] = []

    def evaluate(self: Train, config: ModelConfig, seed: int) -> Evaluation:
        asked.append(self)
        return Evaluation(float(config.macs()), 0.0)

    monkeypatch.setattr(Train, "evaluate", evaluate)
    text = f"train:{pictures},{OPTIONS},spread=0"
    for units, ours, rivals in (
        (("cpu:1@0:int8", "gpu:fp16"), ("int8", "fp16"), {("int8",), ("fp16",)}),
        (("cpu:1@0:int8", "gpu"), ("int8", "fp32"), {("int8",), ()}),
        (("cpu:1@0", "cpu:1@1"), (), {()}),
    ):
        asked.clear()
        of_units = msgspec.structs.replace(profile, units=units)
        pipeline.search(of_units, evaluator=text, settings=SearchSettings(trials=2))
        assert {one.rounded for one in asked[:2]} == {ours}
        assert {one.rounded for one in asked[2:]} == rivals


def test_options_that_mean_nothing_are_refused(pictures: Path, tmp_path: Path) -> None:
    for text, says in (
        ("train:", "names no folder"),
        (f"train:{pictures},epoch=3", "train has no option 'epoch'; use epochs, size"),
        (f"train:{pictures},epochs=3,epochs=4", "epochs is given twice"),
        (f"train:{pictures},epochs=0", "epochs must be 1 to"),
        (f"train:{pictures},epochs=1e3", "epochs must be 1 to"),
        (f"train:{pictures},width=0", "width must be 0.05 to 4"),
        (f"train:{pictures},width=nan", "width must be 0.05 to 4"),
        (f"train:{pictures},precision=int4", "precision must be one of fp32, fp16, int8, found 'int4'"),
        (f"inherit:w,{pictures},precision=", "precision must be one of fp32, fp16, int8, found ''"),
        (f"train:{pictures},device=tpu", "device must be one of cpu, cuda, mps"),
        (f"train:{pictures},device=", "device is empty"),
        (f"inherit:{pictures}", "inherit: needs weights and a folder"),
        (f"inherit:w.npz,{pictures},width=1", "inherit has no option 'width'"),
    ):
        with pytest.raises(UnknownEvaluator, match=says):
            make_evaluator(text)
    with pytest.raises(DatasetError, match=r"48 pictures to train on are fewer than a batch of 64; add batch=12"):
        make_evaluator(f"train:{pictures}")
    with pytest.raises(DatasetError, match="no such folder"):
        make_evaluator(f"train:{tmp_path / 'none'},batch=4")
    with pytest.raises(WeightsError, match=r"none\.npz: cannot be read \(No such file"):
        make_evaluator(f"inherit:{tmp_path / 'none.npz'},{pictures},batch=4")
    (tmp_path / "w.npz").write_bytes(b"")
    with pytest.raises(UnknownModel, match="'small' is no shipped model; add base=FILE"):
        make_evaluator(f"inherit:{tmp_path / 'w.npz'},{pictures},batch=4").evaluate(NETWORK, 1)
    write_config(tmp_path / "base.json", BASE)
    with pytest.raises(WeightsError, match=r"w\.npz"):
        make_evaluator(f"inherit:{tmp_path / 'w.npz'},{pictures},batch=4,base={tmp_path / 'base.json'}").evaluate(
            NETWORK, 1
        )


def test_without_torch_it_is_said_what_to_install(pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    for text in (f"train:{pictures},{OPTIONS}", f"inherit:w.npz,{pictures},batch=4"):
        with pytest.raises(MissingDependency, match=r"install 'syncnas-deploy\[torch\]'"):
            make_evaluator(text)


def test_weights_that_changed_since_the_search_began_are_refused(
    trained_base: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, weights, own = trained_base
    (tmp_path / "w.pth").write_bytes(weights.read_bytes())
    evaluator = make_evaluator(f"inherit:w.pth,{own},base={config},size=32,batch=32")
    (tmp_path / "w.pth").write_bytes(weights.read_bytes() + b" ")
    monkeypatch.chdir("/")
    with pytest.raises(WeightsError, match=r"w\.pth: is another file here than where the search began"):
        evaluator.evaluate(NETWORK, 1)


def test_the_pictures_decide_and_not_their_place(pictures: Path, tmp_path: Path) -> None:
    evaluator = Train.parse(f"{pictures},{OPTIONS}")
    twin = draw_set(tmp_path / "twin" / "train", 12, 1).parent
    draw_set(twin / "val", 10, 2)
    assert Train.parse(f"{twin},{OPTIONS}").key == evaluator.key
    assert Train.parse(f"{twin},{OPTIONS},width=0.5").key != evaluator.key
    assert "48 to 96" in dataclasses.replace(evaluator, halving=Halving(2, 2)).cost
    changed = dataclasses.replace(evaluator, pictures=dataclasses.replace(evaluator.pictures, digest="other"))
    with pytest.raises(DatasetError, match="holds other pictures here than where the search began"):
        changed.evaluate(NETWORK, 1)
