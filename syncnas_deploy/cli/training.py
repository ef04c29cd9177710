"""Commands on pictures: eval, train."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from syncnas_deploy.cli.next_step import suggest
from syncnas_deploy.cli.options import (
    epilog,
    file_name,
    force_option,
    json_option,
    progress_options,
    refuse_idle,
    seed_option,
)
from syncnas_deploy.cli.progress import showing
from syncnas_deploy.cli.suggestions import complete_model
from syncnas_deploy.cli.terminal import emit, note, say
from syncnas_deploy.cli.watching import watch_option, watched
from syncnas_deploy.precision import PRECISIONS, Precision

images_option = click.option(
    "--path",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="A folder that holds one folder of pictures per class.",
)
torch_device_option = click.option(
    "--device", default="cpu", show_default=True, metavar="cpu|cuda|mps", help="Where torch computes."
)
input_size_option = click.option("--input-size", type=click.IntRange(8, 4_096), help="Pixels. Default: the config's.")
workers_option = click.option(
    "-j", "--workers", type=click.IntRange(0, 256), help="Processes that decode pictures. Default: cores, at most 4."
)


@click.command(
    "eval",
    epilog=epilog(
        "syncnas-deploy eval mobilenet_v2 --weights timm:mobilenetv2_100.ra_in1k --path imagenet -j 4 -b 64",
        "syncnas-deploy eval run/config.json --weights run/best.pth --path pictures --predictions guesses.csv",
        "syncnas-deploy eval bundle --path pictures",
        "syncnas-deploy eval run --path pictures --precision int8 --precision fp16",
    ),
)
@click.argument("source", metavar="CONFIG|BUNDLE", shell_complete=complete_model)
@images_option
@click.option("--weights", metavar="FILE|timm:NAME", help="Needed for a CONFIG; a BUNDLE or a RUN has its own.")
@workers_option
@click.option("-b", "--batch", type=click.IntRange(1, 65_536), help="Pictures at once. Default: 64.")
@torch_device_option
@input_size_option
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(PRECISIONS),
    multiple=True,
    help="Rate a CONFIG as its files compute it, by LiteRT; twice for branch 0 and branch 1. Default: by torch.",
)
@click.option(
    "--calibrate",
    metavar="DIR|FILE",
    type=click.Path(path_type=Path),
    help="Pictures, or a calibration.json, for --precision int8. Default: `train` in PATH.",
)
@click.option("--predictions", type=click.Path(path_type=Path), help="Also write a CSV: path, label, top1, correct.")
@force_option
@progress_options
@json_option
def evaluate(
    source: str,
    folder: Path,
    weights: str | None,
    workers: int | None,
    batch: int | None,
    device: str,
    input_size: int | None,
    precisions: tuple[Precision, ...],
    calibrate: Path | None,
    predictions: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Accuracy of CONFIG (by torch) or BUNDLE (its TFLite segments) on an image folder.

    The folder holds one folder of pictures per class. Their names in order are the model's classes. Where it holds
    parts (train, val, test), val is used, or else test. Pictures that cannot be decoded are named and left out.
    """
    from syncnas_deploy import pipeline
    from syncnas_deploy.bundle import is_bundle

    bundle = is_bundle(Path(source))
    refuse_idle("--device", used=not bundle, remedy="a bundle runs on this host's CPU")
    refuse_idle("--device", used=not precisions, remedy="files run on this host's CPU")
    refuse_idle("--input-size", used=not bundle, remedy="a bundle has its own")
    refuse_idle("--precision", used=not bundle, remedy="a bundle has its own")
    refuse_idle("--calibrate", used="int8" in precisions, remedy="it is for --precision int8")
    with showing(f"evaluating {source}") as shown:
        found = pipeline.evaluate(
            source,
            folder,
            weights=weights,
            batch=batch,
            workers=workers,
            device=device,
            input_size=input_size,
            precisions=precisions,
            calibrate=calibrate,
            predictions=predictions,
            force=force,
            on_progress=shown,
            on_notice=shown.note,
        )
    for path, reason in found.unreadable:
        note(f"left out: {path}: {reason}")
    if as_json:
        from syncnas_deploy.training.evaluation import accuracy_to_json  # torch is there by now

        emit(accuracy_to_json(found))
        return
    say(
        f"top-1 {100 * found.top1:.2f} %, top-5 {100 * found.top5:.2f} %, loss {found.loss:.4f}; "
        f"{found.images} pictures of {found.input_size} pixels from {found.folder}, "
        f"{found.images_per_s:.1f} pictures/s, {len(found.unreadable)} unreadable"
        + (f"; files in {' | '.join(found.precisions)}" if found.precisions else "")
    )
    if bundle:
        suggest("measure it", "bench", source, "--out", f"{Path(source).name}.bench.json")
    else:
        chosen = [word for precision in precisions for word in ("--precision", precision)]
        chosen += ["--calibrate", str(calibrate or folder)] if "int8" in precisions else []
        given = ["--weights", weights] if weights else []
        suggest("write its files", "export", source, *given, *chosen, "--out", "bundle")


@click.command(
    epilog=epilog(
        "syncnas-deploy train syncnas_mobilenet_v2_100 --path imagenet --out run --device cuda --amp bf16",
        "syncnas-deploy train found/best.json --path pictures --out run --epochs 60 -b 64",
        "syncnas-deploy train found/best.json --path pictures --out run --epochs 60 -b 64 --resume",
        "torchrun --nproc-per-node 4 --no-python syncnas-deploy train fbnet_c --path imagenet --out run --device cuda",
    )
)
@click.argument("config", shell_complete=complete_model)
@images_option
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the run. Default: NAME.run.")
@click.option("--weights", metavar="FILE|timm:NAME", help="Weights to start from. Default: random ones.")
@click.option("--new-classifier", is_flag=True, help="Where the weights have another number of classes.")
@click.option(
    "--recipe",
    "kind",
    type=click.Choice(["scaled", "published"]),
    default="scaled",
    show_default=True,
    help="scaled: learning rate and warm-up follow the pictures of a step and the epochs, where none is given.",
)
@click.option(
    "--epochs", type=click.IntRange(1, 1_000_000), default=300, show_default=True, help="Passes over the pictures."
)
@click.option(
    "-b", "--batch", type=click.IntRange(1, 65_536), default=256, show_default=True, help="Pictures, each process."
)
@click.option(
    "--accumulate", type=click.IntRange(1, 65_536), default=1, show_default=True, help="Batches for one step."
)
@click.option(
    "--lr",
    "rate",
    type=float,
    help="Initial learning rate. Default: 0.512 for FBNet and MnasNet, else 0.256; scaled, see --recipe.",
)
@click.option(
    "--lr-batch",
    "rate_batch",
    type=click.IntRange(1, 1_000_000),
    help="Scale the rate linearly: it is for steps of that many pictures. Default: as given.",
)
@click.option(
    "--warmup-epochs",
    type=click.IntRange(0, 1_000_000),
    help="Epochs in which the rate rises from 0. Default: 10, or a tenth of the run; see --recipe.",
)
@click.option(
    "--period-epochs",
    type=click.IntRange(1, 1_000_000),
    help="First period of the cosine (T_0); then a warm restart. Default: up to the end of the run.",
)
@click.option(
    "--period-factor",
    type=click.IntRange(1, 1_000),
    default=1,
    show_default=True,
    help="How much longer each period is (T_mult).",
)
@click.option("--weight-decay", type=float, default=1e-5, show_default=True, help="Pull of the weights to 0.")
@click.option("--momentum", type=float, default=0.9, show_default=True, help="Of the gradient's running mean.")
@click.option(
    "--label-smoothing", type=float, default=0.0, show_default=True, help="Share of a label that all classes get."
)
@click.option("--dropout", type=float, default=0.2, show_default=True, help="Before the classifier.")
@click.option(
    "--ema", "ema_decay", type=float, default=0.0, show_default=True, help="Decay of an average of the weights."
)
@click.option(
    "--amp",
    "precision",
    type=click.Choice(["bf16", "fp16"]),
    help="Mixed precision: bf16 on cpu and cuda, fp16 on cuda.",
)
@input_size_option
@click.option(
    "--smallest-crop", type=float, default=0.08, show_default=True, help="Share of the area of a random crop."
)
@click.option(
    "--held-out",
    type=float,
    default=0.1,
    show_default=True,
    help="Share of each class to validate with, where PATH has no train and val.",
)
@seed_option()
@workers_option
@torch_device_option
@click.option("--tensorboard", type=click.Path(path_type=Path), metavar="DIR", help="Write an event file there.")
@click.option("--resume", is_flag=True, help="Go on after the last finished epoch.")
@watch_option
@force_option
@progress_options
@json_option
def train(
    config: str,
    folder: Path,
    out: Path | None,
    weights: str | None,
    new_classifier: bool,
    kind: str,
    precision: str | None,
    workers: int | None,
    device: str,
    tensorboard: Path | None,
    resume: bool,
    watch_path: Path | None,
    force: bool,
    as_json: bool,
    **numbers: Any,
) -> None:
    """Train CONFIG on an image folder, with the published recipe scaled to the run as default.

    PATH holds `train` and `val` with one folder of pictures per class in each, or such folders itself. OUT gets
    config.json, last.pth, best.pth and history.csv. Under torchrun, one process per GPU.
    """
    import dataclasses

    from syncnas_deploy import pipeline
    from syncnas_deploy.report.html.live import training_charts
    from syncnas_deploy.training.image_folders import parts_of
    from syncnas_deploy.training.recipe import Recipe, scaled

    refuse_idle("--new-classifier", used=weights, remedy="it is for --weights")
    refuse_idle("--period-factor", used=numbers["period_epochs"], remedy="add --period-epochs")
    refuse_idle("--held-out", used=not {"train", "val"} <= parts_of(folder).keys(), remedy="PATH has train and val")
    given = {name: value for name, value in {**numbers, "precision": precision}.items() if value is not None}
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    recipe, said = scaled(processes, **given) if kind == "scaled" else (Recipe(**given), "")
    if os.environ.get("RANK", "0") != "0":
        # Of several processes, the first one speaks for all.
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - until the process ends
    model = pipeline.as_config(config)
    out = out or Path(f"{file_name(model.name)}.run")
    unsaid = [said] if said else []  # said once the run begins: a refusal is one sentence
    with showing(f"training {model.name}") as shown:

        def on_progress(progress: Any) -> None:
            while unsaid:
                shown.note(unsaid.pop())
            shown(progress)

        found = pipeline.train(
            model,
            folder,
            out,
            recipe,
            weights=weights,
            new_classifier=new_classifier,
            device=device,
            workers=workers,
            resume=resume,
            force=force,
            tensorboard=tensorboard,
            on_progress=watched(
                watch_path if os.environ.get("RANK", "0") == "0" else None,
                f"training of {model.name}",
                on_progress,
                lambda: training_charts(out / "history.csv"),
                force=force or resume,
            ),
            on_notice=shown.note,
            on_epoch=lambda row: shown.note(
                f"epoch {row.epoch}: loss {row.train_loss:.4f}, validation {row.val_loss:.4f}, "
                f"top-1 {100 * row.top1:.2f} %, lr {row.rate:.4g}"
            ),
        )
    for text in found.unreadable:
        note(f"left out: {text}")
    best = found.best
    if as_json:
        emit(
            {
                "out": str(out),
                "classes": list(found.classes),
                "epochs": len(found.history),
                "best": dataclasses.asdict(best),
                "last": dataclasses.asdict(found.history[-1]),
                "unreadable": list(found.unreadable),
            }
        )
        return
    say(
        f"{found.config.name}, {len(found.classes)} classes: best top-1 {100 * best.top1:.2f} % "
        f"after epoch {best.epoch} of {len(found.history)}; {len(found.unreadable)} unreadable pictures",
        f"written to {out}",
    )
    files = (out / "config.json", "--weights", out / "best.pth")
    suggest("evaluate it", "eval", *files, "--path", folder)
