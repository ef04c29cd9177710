"""The command line: options, messages and exit codes; everything else is in `pipeline`.

Nothing heavy is imported before a command runs, so that --help answers at once.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import syncnas_deploy

if TYPE_CHECKING:
    from syncnas_bench import Device
    from syncnas_deploy.latency.profile import DeviceProfile

EXIT_CODES = (
    (0, "done"),
    (1, "an internal error; please report it"),
    (2, "wrong use of a command or an option"),
    (3, "a file's content cannot be used (config, profile, weights, bundle, table, journal, model)"),
    (4, "a named model, file, evaluator or device does not exist"),
    (5, "the device lacks a unit or its runtime"),
    (6, "a measurement failed: the runner crashed, hung, or its numbers cannot be right"),
    (7, "no widths meet the latency budget, or the profile does not fit the model"),
    (8, "the output exists already or cannot be written"),
    (9, "an optional library is not installed"),
    (10, "training diverged: the loss was NaN or infinite; the last good checkpoint is kept"),
    (130, "interrupted; what was finished is kept"),
)

_BY_NAME = {
    "DocumentError": 3,
    "WeightsError": 3,
    "DatasetError": 3,
    "RecipeError": 2,
    "DeviceUnavailable": 5,
    "TrainingDiverged": 10,
    "StrategyError": 2,
    "UnknownModel": 4,
    "UnknownEvaluator": 2,
    "ProfileMismatch": 7,
    "InfeasibleBudget": 7,
    "OutputError": 8,
    "MeasurementError": 6,
    "MissingDependency": 9,
    # syncnas_exporters and syncnas_bench own their trees; their roots come last.
    "UnitError": 2,
    "PlanError": 2,
    "RuntimeMissing": 5,
    "RuntimeMismatch": 5,
    "UnitUnavailable": 5,
    "DeviceNotFound": 4,
    "ModelRejected": 3,
    "BenchError": 6,
    "ExportError": 3,
}

F = TypeVar("F", bound=Callable[..., Any])


def exit_code(error: Exception) -> int | None:
    """The documented exit code of an error from any of the three trees; None for anything else."""
    for ancestor in type(error).__mro__:
        if ancestor.__module__.startswith(("syncnas_deploy", "syncnas_bench", "syncnas_exporters")):
            code = _BY_NAME.get(ancestor.__name__)
            if code is not None:
                return code
    return None


def main() -> None:
    """Run the program; every error becomes one sentence on stderr and a documented exit code."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        _leave("Interrupted; what was finished is kept.", 130)
    except click.ClickException as e:
        e.show()
        sys.exit(2)
    except click.exceptions.Exit as e:
        sys.exit(e.exit_code)
    except KeyboardInterrupt:
        _leave("Interrupted; what was finished is kept.", 130)
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115, PTH123 - whoever read stdout has left
        sys.exit(0)
    except Exception as e:
        code = exit_code(e)
        if code is None and os.environ.get("SYNCNAS_DEBUG"):
            raise
        if code is None:
            text = f"{type(e).__name__}: {e}".splitlines()[0]
            _leave(f"Internal error ({text}); set SYNCNAS_DEBUG=1 to see where, and please report it.", 1)
        _leave(str(e), code)


def _leave(message: str, code: int | None) -> None:
    click.echo(f"syncnas-deploy: {message}", err=True)
    sys.exit(code)


def _note(text: str) -> None:
    click.echo(text, err=True)


def _emit(value: object) -> None:
    click.echo(json.dumps(value, indent=1, allow_nan=False))


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
force_option = click.option("--force", is_flag=True, help="Replace an output that exists.")
device_option = click.option(
    "--device",
    "device_name",
    metavar="D",
    help="host, sim:NAME or a serial; default: $ANDROID_SERIAL, then the only device there is.",
)
unit_option = click.option(
    "--unit",
    "units",
    multiple=True,
    metavar="UNIT",
    help="cpu:THREADS[@CORES] or gpu[:fp16][:software]; twice, the first runs branch 0. Default: the device's.",
)
profile_option = click.option(
    "--profile",
    "profile_path",
    required=True,
    type=click.Path(path_type=Path),
    help="A device profile: a file or a shipped name.",
)


def _epilog(*examples: str) -> str:
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in examples)


_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code:3}  {text}" for code, text in EXIT_CODES)


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}, epilog=_CODES)
@click.version_option(syncnas_deploy.__version__, prog_name="syncnas-deploy")
def cli() -> None:
    """One network on a phone's CPU and GPU at the same time: measure, search, export, benchmark.

    Data goes to stdout, progress to stderr; every command takes --json.
    """


@cli.command(epilog=_epilog("syncnas-deploy devices", "syncnas-deploy devices --json"))
@json_option
def devices(as_json: bool) -> None:
    """List devices and their units."""
    from syncnas_deploy import pipeline
    from syncnas_deploy.report.tables import table

    found = pipeline.devices()
    if as_json:
        _emit([_device_json(device) for device in found])
        return
    rows = []
    for device in found:
        defaults = [str(unit) for unit in device.default_units()]
        for info in device.units():
            mark = f"branch {defaults.index(str(info.unit))}" if str(info.unit) in defaults else ""
            state = "ok" if info.available else f"no: {info.reason}"
            about = f"{info.description} ({info.note})" if info.note else info.description
            rows.append([device.name, str(info.unit), state, mark, about])
    click.echo(table(["device", "unit", "available", "default for", "what it is"], rows))


def _device_json(device: Device) -> dict[str, Any]:
    return {
        **device.facts().to_dict(),
        "default_units": [str(unit) for unit in device.default_units()],
        "units": [
            {
                "unit": str(info.unit),
                "available": info.available,
                "reason": info.reason,
                "description": info.description,
                "note": info.note,
            }
            for info in device.units()
        ],
    }


@cli.command(epilog=_epilog("syncnas-deploy models", "syncnas-deploy models mobilenet_v2"))
@click.argument("name", required=False)
@json_option
def models(name: str | None, as_json: bool) -> None:
    """List the shipped models, or the blocks of one (NAME or a config file)."""
    from syncnas_deploy import pipeline
    from syncnas_deploy.models.formats import config_to_json, load_config
    from syncnas_deploy.models.weights import parameter_count
    from syncnas_deploy.report import tables

    if name is not None:
        config = load_config(name)
        if as_json:
            _emit({**config_to_json(config), "params": parameter_count(config), "macs": config.macs()})
        else:
            click.echo(tables.models_table([config]) + "\n\n" + tables.blocks_table(config))
        return
    configs = list(pipeline.models())
    if as_json:
        _emit(
            [
                {
                    "name": c.name,
                    "base": c.base,
                    "stages": len(c.stages),
                    "strategy": c.strategy,
                    "params": parameter_count(c),
                    "macs": c.macs(),
                    "source": c.source,
                }
                for c in configs
            ]
        )
    else:
        click.echo(tables.models_table(configs))


@cli.command(
    epilog=_epilog(
        "syncnas-deploy profile --device host --base mobilenet_v2",
        "syncnas-deploy profile --device host --base mobilenet_v2 --unit cpu:1@0 --unit cpu:1@1 --out host.json",
        "syncnas-deploy profile --device sim:phone --base mobilenet_v2 --out phone.json",
        "syncnas-deploy profile --device host --base mobilenet_v2 --out host.json --resume",
    )
)
@device_option
@click.option("--base", required=True, help="A base model: a shipped name or a config file.")
@unit_option
@click.option("--out", type=click.Path(path_type=Path), help="Default: BASE-DEVICE.profile.json.")
@click.option("--launches", type=click.IntRange(1, 100), help="Processes that measure each point.")
@click.option("--rounds", type=click.IntRange(3, 10_000), help="Recorded runs of each point in a launch.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted profile.")
@force_option
@json_option
def profile(
    device_name: str | None,
    base: str,
    units: tuple[str, ...],
    out: Path | None,
    launches: int | None,
    rounds: int | None,
    resume: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Measure a device for a base model: solo latency, contention, sync overhead."""
    import dataclasses

    from syncnas_deploy import pipeline
    from syncnas_deploy.latency.measure import Progress, Settings
    from syncnas_deploy.latency.profile_files import profile_to_json
    from syncnas_deploy.report.tables import profile_text

    device, model = pipeline.device(device_name), pipeline.base_model(base)
    safe = device.name.replace(":", "-").replace("/", "-")
    path = out or Path(f"{model.name}-{safe}.profile.json")
    default = Settings()
    settings = dataclasses.replace(default, launches=launches or default.launches, rounds=rounds or default.rounds)

    def progress(p: Progress) -> None:
        _note(f"[{p.done}/{p.total}] {p.step}: {p.elapsed_s:.0f} s, about {p.eta_s:.0f} s to go")

    measured = pipeline.profile(
        model,
        device,
        out=path,
        units=units,
        settings=settings,
        resume=resume,
        force=force,
        on_progress=progress,
    )
    if as_json:
        _emit(profile_to_json(measured))
    else:
        click.echo(f"{profile_text(measured)}\nwritten to {path}")


@cli.command(epilog=_epilog("syncnas-deploy predict syncnas_mobilenet_v2_100 --profile mobilenet_v2-host.profile.json"))
@click.argument("config")
@profile_option
@json_option
def predict(config: str, profile_path: Path, as_json: bool) -> None:
    """Predict the latency of CONFIG, segment by segment."""
    from syncnas_deploy import pipeline
    from syncnas_deploy.report.predictions import prediction_to_json
    from syncnas_deploy.report.tables import prediction_text

    measured = _read_profile(profile_path)
    prediction = pipeline.predict(config, measured)
    if as_json:
        _emit(prediction_to_json(prediction))
    else:
        click.echo(prediction_text(prediction, measured.units))


def _read_profile(path: Path) -> DeviceProfile:
    from syncnas_deploy.latency.profile_files import load_profile

    return load_profile(path)


@cli.command(
    epilog=_epilog(
        "syncnas-deploy search --profile host.json --base mobilenet_v2 --budget 1.0x --out found",
        "syncnas-deploy search --profile mobilenet_v2-sim-phone --base mobilenet_v2 --budget 25ms "
        "--evaluator capacity --trials 300 --out found",
        "syncnas-deploy search --profile host.json --base mobilenet_v2 --budget 1.0x --out found --resume",
    )
)
@profile_option
@click.option("--base", required=True, help="The base model of the profile.")
@click.option("--budget", default="1.0x", show_default=True, help="1.0x of the base on the faster unit, or 25ms.")
@click.option(
    "--evaluator",
    default="zen",
    show_default=True,
    help="zen[:PIXELS] (training-free), capacity (MACs), or table:FILE (a CSV of strategy,reward).",
)
@click.option("--trials", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Evaluations.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for best.json and history.csv.")
@click.option("--resume", is_flag=True, help="Go on with an interrupted search.")
@force_option
@json_option
def search(
    profile_path: Path,
    base: str,
    budget: str,
    evaluator: str,
    trials: int,
    seed: int,
    out: Path,
    resume: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Search where to synchronize and how wide to be, within a latency budget."""
    from syncnas_deploy import pipeline
    from syncnas_deploy.report.predictions import prediction_to_json
    from syncnas_deploy.report.tables import prediction_text, search_text
    from syncnas_deploy.search.run import Progress

    def progress(p: Progress) -> None:
        best = f"best {p.best.strategy} {p.best.reward:.4f}" if p.best else "none feasible yet"
        _note(f"[{p.done}/{p.total}] {best}; {p.elapsed_s:.0f} s, about {p.eta_s:.0f} s to go")

    measured = _read_profile(profile_path)
    found = pipeline.search(
        measured,
        base,
        budget=budget,
        evaluator=evaluator,
        trials=trials,
        seed=seed,
        out=out,
        resume=resume,
        force=force,
        on_progress=progress,
    )
    best = found.result.best
    if as_json:
        _emit(
            {
                "strategy": best.strategy,
                "reward": best.reward,
                "budget_us": round(found.budget_us, 3),
                "trials": len(found.result.trials),
                "macs": found.config.macs(),
                "config": str(out / "best.json"),
                "predicted": prediction_to_json(found.prediction),
            }
        )
        return
    click.echo(search_text(found.result, found.budget_us))
    click.echo(f"\nbest: {found.config.name}, {found.config.macs() / 1e6:.1f} M MACs, predicted:")
    click.echo(prediction_text(found.prediction, measured.units))
    click.echo(f"written to {out / 'best.json'} and {out / 'history.csv'}")


@cli.command(
    epilog=_epilog(
        "syncnas-deploy export syncnas_mobilenet_v2_100 --weights syncnas_mobilenet_v2_100.pth --out bundle",
        "syncnas-deploy export found/best.json --seed 0 --format tflite --format onnx --out bundle",
    )
)
@click.argument("config")
@click.option("--weights", metavar="FILE|timm:NAME", help="A .pth, .pt (tensors only), .safetensors or .npz.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Random weights instead; default 0.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(["tflite", "onnx"]),
    multiple=True,
    default=("tflite",),
    show_default=True,
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the bundle.")
@force_option
@json_option
def export(
    config: str,
    weights: str | None,
    seed: int | None,
    formats: tuple[str, ...],
    out: Path,
    force: bool,
    as_json: bool,
) -> None:
    """Export CONFIG (a file or a shipped name) as a bundle of segments."""
    from syncnas_deploy import pipeline

    if weights is not None and seed is not None:
        raise click.UsageError("--weights and --seed exclude each other; give one of them.")
    bundle = pipeline.export(config, out, weights=weights, seed=seed or 0, formats=formats, force=force)
    if as_json:
        _emit(
            {
                "bundle": str(bundle.folder),
                "name": bundle.config.name,
                "weights": bundle.weights,
                "segments": [segment.name for segment in bundle.segments],
                "files": dict(bundle.files),
            }
        )
    else:
        click.echo(
            f"{bundle.config.name}: {len(bundle.segments)} segments, weights: {bundle.weights}; "
            f"{len(bundle.files)} files in {bundle.folder}"
        )


@cli.group(epilog=_epilog("syncnas-deploy weights convert model.pth --config mobilenet_v2 --out model.safetensors"))
def weights() -> None:
    """Convert weights, or make a branched model's initial weights from its base's."""


@weights.command(
    epilog=_epilog(
        "syncnas-deploy weights convert model.pth --config mobilenet_v2 --out model.safetensors",
        "syncnas-deploy weights convert timm:mobilenetv2_100 --config mobilenet_v2 --out model.safetensors",
    )
)
@click.argument("source")
@click.option("--config", required=True, help="The network: a shipped name or a config file.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A .safetensors file.")
@force_option
@json_option
def convert(source: str, config: str, out: Path, force: bool, as_json: bool) -> None:
    """Write SOURCE (a checkpoint or timm:NAME) as safetensors, checked against the network."""
    from syncnas_deploy import pipeline

    count = pipeline.convert_weights(source, config, out, force=force)
    if as_json:
        _emit({"out": str(out), "tensors": count})
    else:
        click.echo(f"{count} tensors of {config} written to {out}")


@weights.command(
    epilog=_epilog("syncnas-deploy weights inherit base.pth --config syncnas_mobilenet_v2_100 --out start.safetensors")
)
@click.argument("source")
@click.option("--config", required=True, help="The branched network: a shipped name or a config file.")
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True, help="For what is new.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A .safetensors file.")
@force_option
@json_option
def inherit(source: str, config: str, seed: int, out: Path, force: bool, as_json: bool) -> None:
    """Make initial weights of a branched network from SOURCE, weights of its base model."""
    from syncnas_deploy import pipeline

    count = pipeline.inherit_weights(source, config, out, seed=seed, force=force)
    if as_json:
        _emit({"out": str(out), "tensors": count})
    else:
        click.echo(f"{count} tensors of {config} written to {out}; train them before use")


@cli.command(
    epilog=_epilog(
        "syncnas-deploy bench bundle --device host",
        "syncnas-deploy bench bundle --device host --samples 200 --profile host.json --out bench.json",
        "syncnas-deploy bench bundle --device host --baseline base --baseline other@cpu:2@0-1",
    )
)
@click.argument("bundle", type=click.Path(path_type=Path))
@device_option
@unit_option
@click.option("--samples", type=click.IntRange(5, 1_000_000), default=100, show_default=True)
@click.option("--launches", type=click.IntRange(1, 100), default=2, show_default=True, help="Processes.")
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    metavar="BUNDLE[@UNIT]",
    help="A base model measured in the same rounds; on one core, each unit and all cores where no unit is given.",
)
@click.option("--profile", "profile_path", type=click.Path(path_type=Path), help="Print its prediction beside.")
@click.option("--out", type=click.Path(path_type=Path), help="Also write the result, with raw samples.")
@force_option
@json_option
def bench(
    bundle: Path,
    device_name: str | None,
    units: tuple[str, ...],
    samples: int,
    launches: int,
    baselines: tuple[str, ...],
    profile_path: Path | None,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Run BUNDLE on a device, both branches at once, and print what was measured."""
    from syncnas_deploy import pipeline
    from syncnas_deploy.latency.benchmark import result_to_json
    from syncnas_deploy.report.predictions import prediction_to_json
    from syncnas_deploy.report.tables import bench_text

    pairs = []
    for text in baselines:
        path, _, unit = text.partition("@")
        if not path:
            raise click.UsageError(f"--baseline {text!r}: write BUNDLE or BUNDLE@UNIT, such as base@cpu:1@0.")
        pairs.append((Path(path), unit or None))
    measured = _read_profile(profile_path) if profile_path else None
    result = pipeline.bench(
        bundle,
        pipeline.device(device_name),
        units=units or (measured.units if measured else ()),
        samples=samples,
        launches=launches,
        baselines=pairs,
        out=out,
        force=force,
        on_launch=lambda done, total: _note(f"[{done}/{total}] launches"),
    )
    prediction = pipeline.predict(result.config, measured) if measured else None
    if as_json:
        value = result_to_json(result)
        _emit({**value, "predicted": prediction_to_json(prediction)} if prediction else value)
    else:
        click.echo(bench_text(result, prediction))


@cli.command(
    epilog=_epilog(
        "syncnas-deploy draw syncnas_mobilenet_v2_100 --out searched.svg",
        "syncnas-deploy draw found/best.json --profile host.json --out best.png",
        "syncnas-deploy draw syncnas_mobilenet_v2_100 --unit cpu:4 --unit gpu --out searched.svg",
    )
)
@click.argument("config")
@click.option(
    "--profile", "profile_path", type=click.Path(path_type=Path), help="Show its predicted times, and bars of them."
)
@click.option(
    "--unit",
    "units",
    multiple=True,
    metavar="UNIT",
    help="What each branch runs on, once a branch. Default: the profile's units (a base model: the faster one).",
)
@click.option("--out", required=True, type=click.Path(path_type=Path), help="FILE.svg or FILE.png.")
@force_option
@json_option
def draw(config: str, profile_path: Path | None, units: tuple[str, ...], out: Path, force: bool, as_json: bool) -> None:
    """Draw CONFIG (a file or a shipped name): blocks, segments and what crosses between the units."""
    from syncnas_deploy import pipeline

    measured = _read_profile(profile_path) if profile_path else None
    pipeline.draw(config, out, units=units, profile=measured, force=force)
    if as_json:
        _emit({"config": config, "out": str(out), "profile": str(profile_path) if profile_path else None})
    else:
        click.echo(f"drawn in {out}")


@cli.command(epilog=_epilog("syncnas-deploy report host.json found bundle bench.json"))
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def report(paths: tuple[Path, ...], as_json: bool) -> None:
    """Show profiles, searches, bundles, configs and bench results; predictions beside measurements."""
    from syncnas_deploy.report.page import read_all

    page = read_all(paths)
    if as_json:
        _emit(page.to_json())
    else:
        click.echo(page.to_text())


images_option = click.option(
    "--path",
    "folder",
    required=True,
    type=click.Path(path_type=Path),
    help="A folder that holds a folder of pictures a class.",
)
torch_device_option = click.option(
    "--device", default="cpu", show_default=True, metavar="cpu|cuda|mps", help="Where torch computes."
)
workers_option = click.option(
    "-j", "--workers", type=click.IntRange(0, 256), help="Processes that decode pictures. Default: cores, at most 4."
)


def _once_a_second(show: Callable[[Any], str]) -> Callable[[Any], None]:
    """A listener that notes what `show` makes of its argument, at most once a second."""
    last = 0.0

    def listen(progress: Any) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= 1.0:
            last = now
            _note(show(progress))

    return listen


@cli.command(
    "eval",
    epilog=_epilog(
        "syncnas-deploy eval mobilenet_v2 --weights timm:mobilenetv2_100.ra_in1k --path imagenet -j 4 -b 64",
        "syncnas-deploy eval run/config.json --weights run/best.pth --path pictures --predictions guesses.csv",
        "syncnas-deploy eval bundle --path pictures",
    ),
)
@click.argument("source", metavar="CONFIG|BUNDLE")
@images_option
@click.option("--weights", metavar="FILE|timm:NAME", help="Needed for a CONFIG; a BUNDLE has its own.")
@workers_option
@click.option("-b", "--batch", type=click.IntRange(1, 65_536), help="Pictures at once. Default: 64.")
@torch_device_option
@click.option("--input-size", type=click.IntRange(8, 4_096), help="Pixels. Default: the config's.")
@click.option("--predictions", type=click.Path(path_type=Path), help="Also write a CSV: path, label, top1, correct.")
@force_option
@json_option
def evaluate(
    source: str,
    folder: Path,
    weights: str | None,
    workers: int | None,
    batch: int | None,
    device: str,
    input_size: int | None,
    predictions: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Accuracy of CONFIG (by torch) or BUNDLE (its TFLite segments) on an image folder.

    The folder holds a folder of pictures a class, named so that their order is that of the model's classes; where it
    holds `val`, that is used. Pictures that cannot be decoded are named and left out.
    """
    from syncnas_deploy import pipeline
    from syncnas_deploy.models.evaluation import accuracy_to_json

    found = pipeline.evaluate(
        source,
        folder,
        weights=weights,
        batch=batch,
        workers=workers,
        device=device,
        input_size=input_size,
        predictions=predictions,
        force=force,
        on_progress=_once_a_second(lambda p: f"[{p.done}/{p.total}] {p.elapsed_s:.0f} s, about {p.eta_s:.0f} s to go"),
    )
    for path, reason in found.unreadable:
        _note(f"left out: {path}: {reason}")
    if as_json:
        _emit(accuracy_to_json(found))
        return
    click.echo(
        f"top-1 {100 * found.top1:.2f} %, top-5 {100 * found.top5:.2f} %, loss {found.loss:.4f}; "
        f"{found.images} pictures of {found.input_size} pixels from {found.folder}, "
        f"{found.images_per_s:.1f} pictures/s, {len(found.unreadable)} unreadable"
    )


@cli.command(
    epilog=_epilog(
        "syncnas-deploy train syncnas_mobilenet_v2_100 --path imagenet --out run --device cuda --amp bf16",
        "syncnas-deploy train found/best.json --path pictures --out run --epochs 60 -b 64 --lr 0.1",
        "syncnas-deploy train found/best.json --path pictures --out run --epochs 60 -b 64 --lr 0.1 --resume",
        "torchrun --nproc-per-node 4 --no-python syncnas-deploy train fbnet_c --path imagenet --out run --device cuda",
    )
)
@click.argument("config")
@images_option
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option("--weights", metavar="FILE|timm:NAME", help="Weights to start from. Default: random ones.")
@click.option("--new-classifier", is_flag=True, help="Where the weights have another number of classes.")
@click.option("--epochs", type=click.IntRange(1, 1_000_000), default=300, show_default=True)
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
    help="Initial learning rate. Default: 0.512 for FBNet and MnasNet, else 0.256.",
)
@click.option(
    "--lr-batch",
    "rate_batch",
    type=click.IntRange(1, 1_000_000),
    help="Scale the rate linearly: it is for steps of that many pictures. Default: as given.",
)
@click.option("--warmup-epochs", type=click.IntRange(0, 1_000_000), default=10, show_default=True)
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
@click.option("--weight-decay", type=float, default=1e-5, show_default=True)
@click.option("--momentum", type=float, default=0.9, show_default=True)
@click.option("--label-smoothing", type=float, default=0.0, show_default=True)
@click.option("--dropout", type=float, default=0.2, show_default=True)
@click.option(
    "--ema", "ema_decay", type=float, default=0.0, show_default=True, help="Decay of an average of the weights."
)
@click.option(
    "--amp",
    "precision",
    type=click.Choice(["bf16", "fp16"]),
    help="Mixed precision: bf16 on cpu and cuda, fp16 on cuda.",
)
@click.option("--input-size", type=click.IntRange(8, 4_096), help="Pixels. Default: the config's.")
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
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=0, show_default=True)
@workers_option
@torch_device_option
@click.option("--tensorboard", type=click.Path(path_type=Path), metavar="DIR", help="Write an event file there.")
@click.option("--resume", is_flag=True, help="Go on after the last finished epoch.")
@force_option
@json_option
def train(
    config: str,
    folder: Path,
    out: Path,
    weights: str | None,
    new_classifier: bool,
    precision: str | None,
    workers: int | None,
    device: str,
    tensorboard: Path | None,
    resume: bool,
    force: bool,
    as_json: bool,
    **numbers: Any,
) -> None:
    """Train CONFIG on an image folder, with the published recipe as default.

    PATH holds `train` and `val` with a folder of pictures a class in each, or such folders itself. OUT gets
    config.json, last.pth, best.pth and history.csv. Under torchrun, one process a GPU.
    """
    import dataclasses

    from syncnas_deploy import pipeline
    from syncnas_deploy.models.recipe import Recipe

    recipe = Recipe(precision=precision or "fp32", **numbers)
    if os.environ.get("RANK", "0") != "0":
        # Of several processes, the first one speaks for all.
        sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, PTH123 - until the process ends
    found = pipeline.train(
        config,
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
        on_progress=_once_a_second(
            lambda p: (
                f"[epoch {p.epoch}/{p.epochs}, step {p.step}/{p.steps}] loss {p.loss:.4f}, lr {p.rate:.4g}; "
                f"{p.elapsed_s:.0f} s, about {p.eta_s:.0f} s to go"
            )
        ),
        on_epoch=lambda row: _note(
            f"epoch {row.epoch}: loss {row.train_loss:.4f}, validation {row.val_loss:.4f}, top-1 {100 * row.top1:.2f} %"
        ),
    )
    for text in found.unreadable:
        _note(f"left out: {text}")
    best = found.best
    if as_json:
        _emit(
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
    click.echo(
        f"{found.config.name}, {len(found.classes)} classes: best top-1 {100 * best.top1:.2f} % "
        f"after epoch {best.epoch} of {len(found.history)}; {len(found.unreadable)} unreadable pictures\n"
        f"written to {out}; evaluate with: syncnas-deploy eval {out / 'config.json'} --weights {out / 'best.pth'} "
        f"--path {folder}"
    )


@cli.command(epilog=_epilog('eval "$(syncnas-deploy completion bash)"'))
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@json_option
def completion(shell: str, as_json: bool) -> None:
    """Print a completion script for your shell."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    script = found(cli, {}, "syncnas-deploy", "_SYNCNAS_DEPLOY_COMPLETE").source()
    if as_json:
        _emit({"shell": shell, "script": script})
    else:
        click.echo(script)
