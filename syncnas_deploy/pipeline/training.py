"""Weights from files and from a base model, training, and accuracy."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from syncnas_deploy.bundle import Bundle, is_bundle, read_bundle
from syncnas_deploy.bundle_formats import check_precisions
from syncnas_deploy.errors import WRONG_USE, BundleError, CalibrationError, MissingDependency, WeightsError
from syncnas_deploy.files.output import check_output
from syncnas_deploy.files.places import as_path
from syncnas_deploy.networks.inheriting import inherit
from syncnas_deploy.networks.scaling import variant
from syncnas_deploy.pipeline.exports import calibration_of
from syncnas_deploy.pipeline.inputs import ConfigLike, as_config, base_model, weights_in
from syncnas_deploy.precision import Precision
from syncnas_deploy.progress import OnProgress
from syncnas_deploy.report.notebook import show_progress
from syncnas_deploy.spawning import check_guarded
from syncnas_deploy.training.checkpoints import TIMM, load_other_classes, load_weights, write_safetensors
from syncnas_deploy.training.image_folders import evaluation_set, parts_of

if TYPE_CHECKING:
    # These import torch, which is loaded by the functions that need it.
    from syncnas_deploy.training.evaluation import Accuracy
    from syncnas_deploy.training.learner import TrainingProgress
    from syncnas_deploy.training.recipe import Recipe
    from syncnas_deploy.training.run import Trained
    from syncnas_deploy.training.run_folder import EpochRow


def convert_weights(
    source: str | Path,
    config: ConfigLike,
    out: Path,
    *,
    force: bool = False,
    on_notice: Callable[[str], None] = lambda _: None,
) -> int:
    """Write weights of a config as safetensors; returns the number of tensors.

    Raises:
        WeightsError: they do not fit the config.
        OutputError: `out` cannot be written, or exists and `force` is false.
    """
    out = as_path(out)
    check_output(out, force=force)
    weights = load_weights(source, as_config(config), on_notice)
    write_safetensors(out, weights, force=force)
    return len(weights)


def inherit_weights(
    source: str | Path,
    config: ConfigLike,
    out: str | Path,
    *,
    base: ConfigLike | None = None,
    seed: int = 0,
    force: bool = False,
    on_notice: Callable[[str], None] = lambda _: None,
) -> int:
    """Write initial weights of a branched model, made from its base's; returns the number of tensors.

    Args:
        base: the model that `source` is of. Where None, the shipped base that the config names.

    Raises:
        WeightsError: the weights are not the base's.
        OutputError: `out` cannot be written, or exists and `force` is false.
    """
    out = as_path(out)
    check_output(out, force=force)
    found = as_config(config)
    model = base_model(found if base is None else base)
    weights = inherit(found, model, load_weights(source, model, on_notice), seed)
    write_safetensors(out, weights, force=force)
    return len(weights)


def _need_torch(what: str) -> None:
    if importlib.util.find_spec("torch") is None:
        raise MissingDependency(f"{what} needs torch; install it with: pip install 'syncnas-deploy[torch]'.")


def evaluate(
    source: ConfigLike | Bundle,
    folder: str | Path,
    *,
    weights: str | Path | None = None,
    batch: int | None = None,
    workers: int | None = None,
    device: str = "cpu",
    input_size: int | None = None,
    precisions: Sequence[Precision] = (),
    calibrate: str | Path | None = None,
    predictions: str | Path | None = None,
    force: bool = False,
    on_progress: OnProgress = show_progress,
    on_notice: Callable[[str], None] = lambda _: None,
) -> Accuracy:
    """Accuracy on an image folder: of a network with weights by torch, or of a bundle through LiteRT.

    Args:
        source: a config, a shipped name, or a bundle (or its folder).
        folder: class folders, or a folder with ``val`` that holds them.
        weights: a file or ``timm:NAME``; for a config only, and needed there but for a training's folder.
        batch, workers, device, input_size: see `training.evaluation`; a bundle runs on the CPU at its own size.
        precisions: rate a config as its files would compute it, through LiteRT on the CPU; one for all branches, or one
            for each.
        calibrate: for int8: a folder of pictures, or a calibration.json of this network; `folder`'s part to train on
            where None.
        predictions: where a CSV with every picture's guess goes.
        on_notice: called with sentences for the user; so in the other functions here.

    Raises:
        WeightsError: none, or they do not fit; or given for a bundle.
        DatasetError: unusable folder, or another number of classes.
        BundleError: precisions for a bundle, which has its own, or ones that the network cannot be written in.
        CalibrationError: int8 without pictures to calibrate with, or with a calibration of another network.
        TorchDeviceUnavailable: torch finds no such device.
    """
    _need_torch("Evaluation")
    from syncnas_deploy.training.bundle_accuracy import evaluate_bundle, evaluate_exported
    from syncnas_deploy.training.evaluation import DEFAULT_BATCH, evaluate_model, write_guesses

    if workers != 0:
        check_guarded("evaluate")
    folder, guesses = as_path(folder), None if predictions is None else as_path(predictions)
    if guesses is not None:
        check_output(guesses, force=force)
    size = batch or DEFAULT_BATCH
    bundle = source if isinstance(source, Bundle) else None
    if bundle is None and isinstance(source, (str, Path)) and is_bundle(Path(source)):
        bundle = read_bundle(Path(source))
    if bundle is not None:
        if weights is not None:
            raise WeightsError(
                f"{bundle.folder}: a bundle has its weights; give a config to evaluate others.", code=WRONG_USE
            )
        if precisions:
            raise BundleError(
                f"{bundle.folder}: a bundle has its precision; give a config to evaluate another.", code=WRONG_USE
            )
        found = evaluate_bundle(bundle, folder, batch=size, workers=workers, on_progress=on_progress)
    else:
        assert not isinstance(source, Bundle)
        config, weights = as_config(source), weights or weights_in(source)
        if weights is None:
            raise WeightsError(
                f"{config.name}: evaluation needs weights; give --weights FILE or timm:NAME, or train it "
                "(syncnas-deploy train) and give its run.",
                code=WRONG_USE,
            )
        values = load_weights(weights, config, on_notice)
        if precisions:
            sized = config if input_size is None else variant(config, input_size=input_size)
            wanted = check_precisions(sized, precisions)
            images = evaluation_set(folder, config.classes)
            calibration = None
            if "int8" in wanted:
                pictures = _calibrating(folder) if calibrate is None else as_path(calibrate)
                calibration, _ = calibration_of(sized, values, pictures, 0, on_notice)
            found = evaluate_exported(
                sized, values, images, wanted, calibration, batch=size, workers=workers, on_progress=on_progress
            )
        else:
            found = evaluate_model(
                config,
                values,
                folder,
                batch=size,
                workers=workers,
                device=device,
                input_size=input_size,
                on_progress=on_progress,
            )
    if guesses is not None:
        write_guesses(guesses, found, force=force)
    return found


def _calibrating(folder: Path) -> Path:
    """The part of a data set that int8 is calibrated with where nothing else is named.

    Raises:
        CalibrationError: it has no part to train on.
    """
    found = parts_of(folder).get("train")
    if found is None:
        raise CalibrationError(
            f"{folder}: has no train to calibrate int8 with; give other pictures with --calibrate.", code=WRONG_USE
        )
    return found


def train(
    config: ConfigLike,
    folder: str | Path,
    out: str | Path,
    recipe: Recipe | None = None,
    *,
    weights: str | Path | None = None,
    new_classifier: bool = False,
    device: str = "cpu",
    workers: int | None = None,
    resume: bool = False,
    force: bool = False,
    tensorboard: str | Path | None = None,
    on_progress: Callable[[TrainingProgress], None] = show_progress,
    on_epoch: Callable[[EpochRow], None] = lambda _: None,
    on_notice: Callable[[str], None] = lambda _: None,
) -> Trained:
    """Train a network on an image folder; see `training.run.train` and its `TrainingOptions`.

    Args:
        weights: a file, or ``timm:NAME``, to start from.

    Raises:
        WeightsError: they cannot be read or do not fit.
    """
    _need_torch("Training")
    from syncnas_deploy.training import run as training

    if workers != 0:
        check_guarded("train")
    found, folder, out = as_config(config), as_path(folder), as_path(out)
    start = None
    if weights is not None:
        # A file may be of another number of classes than the config; `training` says what then.
        timm = str(weights).startswith(TIMM)
        start = load_weights(weights, found) if timm else load_other_classes(as_path(weights), found, on_notice)
    options = training.TrainingOptions(
        weights=start,
        new_classifier=new_classifier,
        device=device,
        workers=workers,
        resume=resume,
        force=force,
        tensorboard=None if tensorboard is None else as_path(tensorboard),
    )
    return training.train(
        found,
        Path(folder),
        Path(out),
        recipe,
        options,
        on_progress=on_progress,
        on_epoch=on_epoch,
        on_notice=on_notice,
    )
