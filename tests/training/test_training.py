"""Training learns, can be killed and resumed to the same curve, and refuses what would spoil a run."""

from __future__ import annotations

import csv
import hashlib
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import syncnas_deploy
from syncnas_deploy.bundle import write_bundle
from syncnas_deploy.errors import (
    CheckpointError,
    ConfigError,
    DatasetError,
    OutputExists,
    RecipeError,
    ResumeMismatch,
    TrainingDiverged,
    WeightsError,
)
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import load_config
from syncnas_deploy.networks.weights import parameter_shapes, random_weights
from syncnas_deploy.training.batches import TrainingOrder
from syncnas_deploy.training.bundle_accuracy import evaluate_bundle
from syncnas_deploy.training.checkpoints import load_weights
from syncnas_deploy.training.evaluation import evaluate_model
from syncnas_deploy.training.event_file import FILE_NAME
from syncnas_deploy.training.image_folders import training_sets
from syncnas_deploy.training.learner import Learner, TrainingProgress
from syncnas_deploy.training.processes import group_of
from syncnas_deploy.training.recipe import Recipe, Schedule, published_rate, scaled
from syncnas_deploy.training.run import Trained, TrainingOptions, train
from syncnas_deploy.training.run_folder import BEST, HISTORY, LAST, EpochRow
from tests.support.picture_cases import draw_set, small_branched, small_config

pytestmark = pytest.mark.usefixtures("one_thread")

QUICK = Recipe(
    rate=0.05, epochs=3, batch=8, accumulate=2, warmup_epochs=1, ema_decay=0.9, label_smoothing=0.1, smallest_crop=0.5
)


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve pictures of each shape."""
    return draw_set(tmp_path_factory.mktemp("few") / "set", 12, 6)


def tensors(path: Path) -> dict[str, torch.Tensor]:
    """A checkpoint's tensors by their place in it."""
    found: dict[str, torch.Tensor] = {}

    def walk(value: object, at: str) -> None:
        if isinstance(value, torch.Tensor):
            found[at] = value
        items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
        for key, item in items:
            walk(item, f"{at}/{key}")

    walk(torch.load(path, weights_only=True), "")
    return found


def losses(run: Trained) -> list[tuple[float, float, float, float]]:
    """The curve of a run, without its durations."""
    return [(row.rate, row.train_loss, row.val_loss, row.top1) for row in run.history]


def test_two_branches_learn_four_shapes_and_the_bundle_agrees_on_every_picture(tmp_path: Path) -> None:
    draw_set(tmp_path / "set" / "train", 200, 1)
    draw_set(tmp_path / "set" / "val", 50, 2)
    recipe = Recipe(rate=0.2, epochs=8, batch=32, warmup_epochs=2, dropout=0.0, smallest_crop=0.5)
    run = train(small_branched(8), tmp_path / "set", tmp_path / "run", recipe, TrainingOptions(workers=0))
    assert run.best.top1 > 0.9
    config = load_config(tmp_path / "run" / "config.json")
    weights = load_weights(tmp_path / "run" / BEST, config)
    by_torch = evaluate_model(config, weights, tmp_path / "set", workers=0)
    assert (by_torch.top1, by_torch.images) == (run.best.top1, 200)
    bundle = write_bundle(tmp_path / "bundle", config, weights, source=BEST)
    assert evaluate_bundle(bundle, tmp_path / "set", workers=0).guesses == by_torch.guesses


@pytest.mark.parametrize(("momentum", "told"), [(0.01, "96%"), (0.1, "66%"), (0.0, "100%"), (0.6, ""), (1.0, "")])
def test_statistics_that_stay_the_initial_ones_are_told_before_the_first_step(
    momentum: float, told: str, few: Path, tmp_path: Path
) -> None:
    said: list[str] = []
    recipe = replace(QUICK, epochs=1)
    config = replace(small_config(8), bn_momentum=momentum)

    def stop(progress: TrainingProgress) -> None:
        raise Killed(said)

    with pytest.raises(Killed):
        train(
            config, few, tmp_path / "run", recipe, TrainingOptions(workers=0), on_notice=said.append, on_progress=stop
        )
    assert len(said) == bool(told)
    assert all(f"After all 4 batches of this run {told} of the batch norms' statistics" in text for text in said)


class Killed(Exception):
    """Stands for what ends a run at any moment."""


def test_the_average_follows_faster_in_the_first_steps(few: Path) -> None:
    """After step t it keeps min(decay, (1 + t) / (10 + t)) of itself. Source: tf.train.ExponentialMovingAverage."""
    config, recipe = small_config(8), replace(QUICK, epochs=1, batch=4, accumulate=1, ema_decay=0.5)
    training, validation = training_sets(few, recipe.held_out, recipe.seed)
    with group_of("cpu") as group:
        learner = Learner(config, recipe, training, validation, group, 0)
        learner.start(None, None, few)
        average = {name: value.clone().double() for name, value in learner.checkpoint().model.items()}

        def follow(progress: TrainingProgress) -> None:
            keep = min(0.5, (1 + progress.step) / (10 + progress.step))
            kept.append(keep)
            for name, value in learner.checkpoint().model.items():
                average[name] = keep * average[name] + (1 - keep) * value.double()

        kept: list[float] = []
        list(learner.epochs(few, follow))
        found = learner.checkpoint().average
    assert kept[0] == 2 / 11 and kept[7] == pytest.approx(0.5) and kept[-1] == 0.5 and len(kept) > 10
    assert found is not None
    for name, value in found.items():
        if value.is_floating_point():
            torch.testing.assert_close(value.double(), average[name], rtol=1e-5, atol=1e-6)


def test_a_killed_and_resumed_run_is_equal_to_an_uninterrupted_one(few: Path, tmp_path: Path) -> None:
    config = small_branched(8)
    whole = train(config, few, tmp_path / "whole", QUICK, TrainingOptions(workers=0))

    def kill(p: TrainingProgress) -> None:
        if (p.epoch, p.step) == (2, 2):
            raise Killed

    with pytest.raises(Killed):
        train(config, few, tmp_path / "killed", QUICK, TrainingOptions(workers=0), on_progress=kill)
    torch.manual_seed(99)
    rows: list[EpochRow] = []
    resumed = train(
        config, few, tmp_path / "killed", QUICK, TrainingOptions(workers=2, resume=True), on_epoch=rows.append
    )
    assert [row.epoch for row in rows] == [2, 3]
    assert losses(resumed) == losses(whole)
    for name in (LAST, BEST):
        wanted, found = tensors(tmp_path / "whole" / name), tensors(tmp_path / "killed" / name)
        assert len(wanted) > 100
        assert wanted.keys() == found.keys()
        assert all(torch.equal(wanted[key], found[key]) for key in wanted)
    again = train(config, few, tmp_path / "killed", QUICK, TrainingOptions(workers=0, resume=True))
    assert losses(again) == losses(whole)


def test_history_progress_and_event_file_tell_the_same(few: Path, tmp_path: Path) -> None:
    steps: list[TrainingProgress] = []
    logs, out = tmp_path / "logs", tmp_path / "run"
    run = train(
        small_config(8), few, out, QUICK, TrainingOptions(workers=0, tensorboard=logs), on_progress=steps.append
    )
    with (out / HISTORY).open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert [float(row["train_loss"]) for row in rows] == pytest.approx([r.train_loss for r in run.history], abs=1e-6)
    # 44 pictures are trained on, 16 a step: two steps an epoch.
    assert [(p.epoch, p.step, p.steps) for p in steps] == [(e, s, 2) for e in (1, 2, 3) for s in (1, 2)]
    assert steps[-1].eta_s == 0.0
    assert steps[0].eta_s > 0.0
    assert (logs / FILE_NAME).stat().st_size > 300
    assert not list(out.glob("*.part"))


def test_the_schedule_warms_up_anneals_and_restarts() -> None:
    schedule = Schedule(0.4, warmup_epochs=10, period_epochs=20, period_factor=2, smallest_rate=0.04)
    assert [schedule.at(e) for e in (0, 5, 10, 20)] == pytest.approx([0.0, 0.2, 0.4, 0.22])
    assert schedule.at(29.999) == pytest.approx(0.04, abs=1e-4)
    assert [schedule.at(e) for e in (30, 50)] == pytest.approx([0.4, 0.22])
    torch_rates = []
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, 20, 2, eta_min=0.04)
    for _ in range(70):
        torch_rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        theirs.step()
    assert [schedule.at(10 + e) for e in range(70)] == pytest.approx(torch_rates)


def test_published_rates_are_the_defaults_and_nothing_is_scaled_unasked() -> None:
    names = ("mobilenet_v2", "fbnet_c", "mnasnet_b1", "rexnet")
    rates = [published_rate(replace(small_config(), name=name)) for name in names]
    assert rates == [0.256, 0.512, 0.512, 0.256]
    assert published_rate(replace(small_branched(), name="mine", base="fbnet_b")) == 0.512
    config = replace(small_config(), name="mobilenet_v2")
    assert Recipe(batch=64).schedule(config, 8).rate == 0.256
    assert Recipe(batch=64, accumulate=2, rate_batch=256).schedule(config, 8).rate == pytest.approx(4 * 0.256)
    assert Recipe().schedule(config, 1).period_epochs == 290


@pytest.mark.parametrize(
    ("given", "processes", "rate", "warmup", "says"),
    [
        ({}, 1, 0.256, 10, ""),
        ({"epochs": 100}, 1, 0.256, 10, ""),
        ({"batch": 64}, 4, 0.256, 10, ""),
        ({"batch": 256}, 8, 0.256, 10, ""),
        ({"batch": 64, "accumulate": 4, "epochs": 200}, 1, 0.256, 10, ""),
        ({"epochs": 3, "batch": 16}, 1, 0.016, 0.3, "16/256 of the published one, for steps of 16 pictures and the w"),
        ({"epochs": 60, "batch": 64}, 1, 0.064, 6, "the warm-up takes 6 of 60 epochs, not 10"),
        ({"epochs": 1, "batch": 8, "accumulate": 2}, 2, 0.032, 0.1, "32/256"),
        ({"epochs": 3, "batch": 16, "rate": 0.1}, 1, 0.1, 0.3, "the warm-up takes 0.3 of 3 epochs"),
        ({"epochs": 3, "batch": 16, "rate": 0.1, "rate_batch": 32}, 1, 0.05, 0.3, "the warm-up"),
        ({"epochs": 3, "batch": 16, "warmup_epochs": 0}, 1, 0.016, 0, "of the published one"),
        ({"epochs": 3, "batch": 16, "warmup_epochs": 10, "rate": 0.1}, 1, 0.1, 10, ""),
    ],
)
def test_a_scaled_recipe_follows_the_run(
    given: dict[str, float], processes: int, rate: float, warmup: float, says: str
) -> None:
    config = replace(small_config(), name="mobilenet_v2")
    recipe, said = scaled(processes, **given, seed=None)
    schedule = recipe.schedule(config, processes)
    assert (schedule.rate, schedule.warmup_epochs) == (pytest.approx(rate), pytest.approx(warmup))
    assert says in said and bool(says) == bool(said)
    if "warmup_epochs" not in given:
        # The rate rises in the first tenth of the run and is nearly 0 in its last hundredth.
        assert schedule.at(0.1 * recipe.epochs) > 0.9 * rate
        assert 0 <= schedule.at(0.99 * recipe.epochs) < 0.01 * rate
    assert scaled()[0] == Recipe()


def test_processes_share_an_epoch_without_overlap() -> None:
    orders = [TrainingOrder(103, 4, 3, 5, rank, 2) for rank in (0, 1)]
    keys = [index for order in orders for batch in order for _, index in batch]
    assert len(keys) == len(set(keys)) == 96
    assert [len(list(order)) for order in orders] == [12, 12]
    first = list(orders[0])
    orders[0].epoch = 1
    assert first != list(orders[0])


def test_a_loss_that_is_not_finite_ends_the_run_and_keeps_the_last_epoch(
    few: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Schedule, "at", lambda _, epoch: 0.05 if epoch < 1 else 1e30)
    out = tmp_path / "run"
    with pytest.raises(TrainingDiverged, match=r"In epoch 2, step 2, the loss is .*last\.pth holds epoch 1"):
        train(small_config(8), few, out, QUICK, TrainingOptions(workers=0))
    assert all(torch.isfinite(t).all() for t in tensors(out / LAST).values())
    assert len((out / HISTORY).read_text().splitlines()) == 2


def test_an_older_run_is_not_lost_by_mistake(few: Path, tmp_path: Path) -> None:
    out, recipe = tmp_path / "run", replace(QUICK, epochs=1)
    train(small_config(8), few, out, recipe, TrainingOptions(workers=0))
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    with pytest.raises(OutputExists, match=r"give --resume to go on or --force"):
        train(small_config(8), few, out, recipe, TrainingOptions(workers=0))
    with pytest.raises(ResumeMismatch, match=r"was begun with weight_decay 1e-05, not 0\.1"):
        train(small_config(8), few, out, replace(recipe, weight_decay=0.1), TrainingOptions(workers=0, resume=True))
    with pytest.raises(ResumeMismatch, match="was begun with network small"):
        train(small_config(16), few, out, recipe, TrainingOptions(workers=0, resume=True))
    assert before == {path.name: path.read_bytes() for path in out.iterdir()}
    train(small_config(8), few, out, replace(recipe, seed=1), TrainingOptions(workers=0, force=True))
    assert before[LAST] != (out / LAST).read_bytes()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("{}")
    with pytest.raises(OutputExists, match="holds files of something else"):
        train(small_config(8), few, tmp_path / "other", recipe, TrainingOptions(workers=0))


class Exploit:
    """A pickle that would make a folder."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("exploited",)


def test_a_checkpoint_that_cannot_be_used_is_refused(few: Path, tmp_path: Path) -> None:
    out, recipe = tmp_path / "run", replace(QUICK, epochs=1)
    train(small_config(8), few, out, recipe, TrainingOptions(workers=0))
    whole = (out / LAST).read_bytes()
    other = torch.load(out / LAST, weights_only=True)
    other["state_dict"].pop("stem_conv.0.weight")

    def refused(match: str) -> None:
        with pytest.raises(CheckpointError, match=match):
            train(small_config(8), few, out, recipe, TrainingOptions(workers=0, resume=True))

    for cut in (0, 10, len(whole) // 2, len(whole) - 30):
        (out / LAST).write_bytes(whole[:cut])
        refused(r"last\.pth: .*not a checkpoint of tensors only")
    (out / LAST).write_bytes(pickle.dumps(Exploit()))
    refused("code in a checkpoint is never run")
    torch.save({"format": Exploit()}, out / LAST)
    refused("code in a checkpoint is never run")
    torch.save({"state_dict": {}}, out / LAST)
    refused("holds no training run")
    torch.save(other, out / LAST)
    refused(r"its tensors do not fit .*; give --force")
    assert not (tmp_path / "exploited").exists()


def test_damaged_pictures_are_named_and_their_neighbours_stand_in(tmp_path: Path) -> None:
    folder = draw_set(tmp_path / "set", 12, 7)
    for name in ("cross", "square"):
        (folder / name / "0003.png").write_bytes(b"")
    run = train(small_config(8), folder, tmp_path / "run", QUICK, TrainingOptions(workers=0))
    assert [text.split(": ")[0][-14:] for text in run.unreadable] == ["cross/0003.png", "quare/0003.png"]
    assert len(run.history) == 3
    for path in folder.rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(DatasetError, match="no picture could be read"):
        train(small_config(8), folder, tmp_path / "none", QUICK, TrainingOptions(workers=0))


def test_initial_weights_fit_or_are_refused(few: Path, tmp_path: Path) -> None:
    config, recipe = small_config(8), replace(QUICK, epochs=1)
    many = replace(config, classes=9)
    weights = random_weights(parameter_shapes(many), 0)
    with pytest.raises(WeightsError, match=r"have 9 classes and the pictures 4; give --new-classifier"):
        train(many, few, tmp_path / "run", recipe, TrainingOptions(weights=weights, workers=0))
    run = train(
        many,
        few,
        tmp_path / "run",
        replace(recipe, rate=1e-9),
        TrainingOptions(weights=weights, new_classifier=True, workers=0),
    )
    assert run.config.classes == 4
    kept = load_weights(tmp_path / "run" / LAST, run.config)
    assert np.allclose(kept["stem_conv.0.weight"], weights["stem_conv.0.weight"], atol=1e-5)
    del weights["head_conv.0.weight"]
    with pytest.raises(WeightsError, match=r"head_conv\.0\.weight is missing"):
        train(many, few, tmp_path / "new", recipe, TrainingOptions(weights=weights, new_classifier=True, workers=0))
    assert not (tmp_path / "new").exists()


def test_settings_that_cannot_work_are_refused_before_anything_is_written(few: Path, tmp_path: Path) -> None:
    def refused(error: type[Exception], match: str, recipe: Recipe) -> None:
        with pytest.raises(error, match=match):
            train(small_config(8), few, tmp_path / "run", recipe, TrainingOptions(workers=0))
        assert not (tmp_path / "run").exists()

    refused(DatasetError, "44 pictures to train on are fewer than the 256 of one step", Recipe())
    refused(RecipeError, "fp16 is not for device cpu", replace(QUICK, precision="fp16"))
    for name, value in (("rate", float("nan")), ("epochs", 0), ("dropout", 1.0), ("input_size", 4), ("seed", -1)):
        with pytest.raises(RecipeError, match=f"{name} must be between"):
            replace(QUICK, **{name: value})
    with pytest.raises(RecipeError, match="precision must be one of"):
        replace(QUICK, precision="int8")
    with pytest.raises(ConfigError, match="classes"):
        QUICK.resized(small_config(8), 2_000_000)


def test_another_input_size_and_bf16_train_too(few: Path, tmp_path: Path) -> None:
    recipe = replace(QUICK, epochs=1, input_size=24, precision="bf16")
    run = train(small_branched(8), few, tmp_path / "run", recipe, TrainingOptions(workers=0))
    config: ModelConfig = load_config(tmp_path / "run" / "config.json")
    assert config == run.config
    assert config.stages[1].branches[1][0].input_size == 12
    assert np.isfinite(run.history[0].train_loss)


SCRIPT = """
import hashlib, sys, warnings
from pathlib import Path
warnings.simplefilter("error")
sys.path.insert(0, sys.argv[1])
from tests.support.picture_cases import small_branched
from syncnas_deploy.training import run as training
from syncnas_deploy.training.learner import (Learner)
from syncnas_deploy.training.recipe import (Recipe)

class Spy(Learner):
    def epochs(self, out, on_progress):
        for row in super().epochs(out, on_progress):
            state = [*self.checkpoint().model.values(), *self.checkpoint().average.values()]
            digest = hashlib.sha256(b"".join(t.numpy().tobytes() for t in state)).hexdigest()
            Path(sys.argv[4], f"{row.epoch}-{self._group.rank}").write_text(f"{digest} {row.train_loss} {row.val_loss}")
            yield row

training.Learner = Spy
recipe = Recipe(rate=0.05, epochs=2, batch=4, accumulate=2, warmup_epochs=1, period_epochs=4,
                ema_decay=0.9)
training.train(small_branched(8), Path(sys.argv[2]), Path(sys.argv[3]), recipe, training.TrainingOptions(workers=0))
"""


def test_two_processes_end_with_the_same_weights(few: Path, tmp_path: Path) -> None:
    script, told = tmp_path / "script.py", tmp_path / "told"
    script.write_text(SCRIPT)
    told.mkdir()
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(script)]
    package = str(Path(syncnas_deploy.__file__).parents[1])
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([package, *sys.path[1:]])}
    arguments = [str(Path(__file__).parent), str(few), str(tmp_path / "run"), str(told)]
    done = subprocess.run(run + arguments, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    for epoch in (1, 2):
        first, second = ((told / f"{epoch}-{rank}").read_text() for rank in (0, 1))
        assert first == second
    saved = torch.load(tmp_path / "run" / LAST, weights_only=True)
    state = [*saved["state_dict"].values(), *saved["average"].values()]
    digest = hashlib.sha256(b"".join(t.numpy().tobytes() for t in state)).hexdigest()
    assert (told / "2-0").read_text().startswith(digest)
    assert len((tmp_path / "run" / HISTORY).read_text().splitlines()) == 3
