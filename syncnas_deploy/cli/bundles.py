"""Commands on bundles: export, app, bench."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncnas_deploy.bundle_formats import FORMATS
from syncnas_deploy.cli.next_step import device_words, suggest, suggest_measuring_again
from syncnas_deploy.cli.options import (
    device_option,
    epilog,
    evaluator_option,
    file_name,
    force_option,
    free_name,
    json_option,
    keep_identity_option,
    open_device,
    profile_option,
    progress_options,
    read_profile,
    refuse_idle,
    trace_option,
    unit_option,
    units_or_setting,
)
from syncnas_deploy.cli.progress import showing
from syncnas_deploy.cli.settings import path_setting
from syncnas_deploy.cli.suggestions import complete_model
from syncnas_deploy.cli.terminal import emit, note, say, say_page
from syncnas_deploy.precision import PRECISIONS, Precision
from syncnas_exporters.opsets import DEFAULT_OPSET, IR_VERSIONS

if TYPE_CHECKING:
    pass


@click.command(
    epilog=epilog(
        "syncnas-deploy export syncnas_mobilenet_v2_100 --weights syncnas_mobilenet_v2_100.pth --out bundle",
        "syncnas-deploy export found/best.json --seed 0 --format tflite --format onnx --out bundle",
        "syncnas-deploy export found/best.json --weights best.pth --precision int8 --precision fp16 "
        "--calibrate pictures --out bundle",
        "syncnas-deploy export found/best.json --weights best.pth --profile phone.json --calibrate pictures",
    )
)
@click.argument("config", shell_complete=complete_model)
@click.option(
    "--weights",
    metavar="FILE|timm:NAME",
    help="A .pth, .pt (tensors only), .safetensors or .npz. Default: the best of a training's folder, else random.",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), help="Random weights instead; default 0.")
@click.option(
    "--format",
    "formats",
    type=click.Choice(list(FORMATS)),
    multiple=True,
    default=("tflite",),
    show_default=True,
    help="What to write; several times for several.",
)
@profile_option("Write what its units run: precision of each branch, and whether its kernels are split.")
@click.option(
    "--precision",
    "precisions",
    type=click.Choice(PRECISIONS),
    multiple=True,
    help="Of the .tflite files; twice for branch 0 and 1. int8 needs --calibrate or --timing-only. "
    "Default: by --profile, else fp32.",
)
@click.option(
    "--calibrate",
    metavar="DIR|FILE",
    type=click.Path(path_type=Path),
    help="Pictures for int8, in folders or not; or the calibration.json of an earlier export of the same network. "
    "Default: syncnas.toml.",
)
@click.option(
    "--split-kernels",
    metavar="BRANCH",
    type=click.IntRange(0, 1),
    multiple=True,
    help="Write this branch's depthwise kernels over 5x5 as sums of smaller ones: faster on x86 CPUs.",
)
@click.option("--timing-only", is_flag=True, help="int8 without pictures: takes as long, and computes nonsense.")
@click.option(
    "--opset",
    type=click.IntRange(min(IR_VERSIONS), max(IR_VERSIONS)),
    default=DEFAULT_OPSET,
    show_default=True,
    help="Operator set of ONNX files.",
)
@click.option("--whole", is_flag=True, help="Also write two branches as one fp32 graph, whole.tflite or whole.onnx.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of the bundle. Default: NAME.bundle.")
@force_option
@json_option
def export(
    config: str,
    weights: str | None,
    seed: int | None,
    formats: tuple[str, ...],
    profile_path: Path | None,
    precisions: tuple[Precision, ...],
    calibrate: Path | None,
    split_kernels: tuple[int, ...],
    timing_only: bool,
    opset: int,
    whole: bool,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Export CONFIG (a file, a shipped name, a search's or training's folder) as a bundle of segments."""
    import msgspec

    from syncnas_deploy import pipeline

    if weights is not None and seed is not None:
        raise click.UsageError("--weights and --seed exclude each other; give one of them.")
    refuse_idle("--opset", used="onnx" in formats, remedy="add --format onnx")
    refuse_idle("--split-kernels", used="tflite" in formats, remedy="it is for --format tflite")
    refuse_idle("--profile", used="tflite" in formats, remedy="it is for --format tflite")
    model = pipeline.as_config(config)
    whole_anyway = model.branch_count == 1 and "onnx" not in formats
    refuse_idle("--whole", used=not whole_anyway, remedy=f"the file of {model.name}, of one branch, is whole")
    measured = read_profile(profile_path) if profile_path else None
    by_profile = [unit.precision for unit in pipeline.units_for(model, measured)]
    int8 = "int8" in (precisions or by_profile)
    refuse_idle("--timing-only", used=int8, remedy="it is for --precision int8")
    refuse_idle("--timing-only", used=calibrate is None, remedy="leave it out, since pictures are given")
    if int8 and calibrate is None and not timing_only:
        calibrate = path_setting("calibrate")
    out = out or Path(f"{file_name(model.name)}.bundle")
    taken = weights or (None if seed is not None else pipeline.weights_in(config))
    bundle = pipeline.export(
        model,
        out,
        weights=taken,
        seed=seed,
        formats=formats,
        opset=opset,
        whole=whole,
        profile=measured,
        precisions=precisions,
        calibrate=calibrate,
        split_kernels=split_kernels or None,
        timing_only=timing_only,
        force=force,
        on_notice=note,
    )
    far = bundle.against_fp32
    if as_json:
        emit(
            {
                "bundle": str(bundle.folder),
                "name": bundle.config.name,
                "weights": bundle.weights,
                "segments": [segment.name for segment in bundle.segments],
                "precisions": list(bundle.precisions),
                "against_fp32": None if far is None else msgspec.to_builtins(far),
                "files": dict(bundle.files),
            }
        )
    else:
        say(
            f"{bundle.config.name}: {len(bundle.segments)} segments, weights: {bundle.weights}; "
            f"{len(bundle.files)} files in {bundle.folder}"
        )
        if far is not None:
            on = "the reference image" if far.pictures == 1 else f"{far.pictures} pictures"
            say(
                f"{' | '.join(bundle.precisions)}: logits {far.rms:.2g} (rms, relative) from fp32 on {on}; "
                f"{far.agreement:.1%} have the same class first"
            )
    beside = (*device_words(read_profile(profile_path)), "--profile", profile_path) if profile_path else ()
    result = bundle.folder.with_name(f"{bundle.folder.name}.bench.json")
    suggest("measure it", "bench", bundle.folder, *beside, "--out", result)


@click.command(
    epilog=epilog(
        "syncnas-deploy export syncnas_mobilenet_v2_100 --weights weights.pth --out bundle",
        "syncnas-deploy app bundle --out android",
        "syncnas-deploy app bundle --out android --apk measure.apk",
    )
)
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="A new folder for the module.")
@click.option("--apk", type=click.Path(path_type=Path), help="Also a signed APK that measures BUNDLE in an app.")
@json_option
def app(bundle: Path, out: Path, apk: Path | None, as_json: bool) -> None:
    """Make an Android module of BUNDLE: an AAR, Gradle files and a sample app in Kotlin.

    The AAR has the network, the library that runs it and its Java face; see docs/in-your-app.md. The same bundle gives
    the same bytes. A folder that is there is never replaced, since people change what is in it.
    """
    from syncnas_deploy import pipeline

    warnings: list[str] = []
    sizes = pipeline.app(bundle, out, apk=apk, on_notice=warnings.append)
    if as_json:
        emit({"module": str(out), "files": sizes, "apk": None if apk is None else str(apk), "warnings": warnings})
    else:
        say(f"{len(sizes)} files in {out}; {out / 'README.md'} says how to go on.")
    note(*(f"warning: {text}" for text in warnings))


@click.command(
    epilog=epilog(
        "syncnas-deploy bench bundle --device host",
        "syncnas-deploy bench bundle --device host --samples 200 --profile host.json --out bench.json",
        "syncnas-deploy bench bundle --device host --baseline base --baseline other@cpu:2@0-1",
        "syncnas-deploy bench bundle --device host --profile host.json --trace trace.json",
    )
)
@click.argument("bundle", type=click.Path(path_type=Path))
@device_option
@unit_option
@click.option(
    "--samples",
    type=click.IntRange(5, 10_000),
    default=100,
    show_default=True,
    help="Recorded runs, at least; each 6 follow 6 unrecorded ones.",
)
@click.option("--launches", type=click.IntRange(1, 100), default=3, show_default=True, help="Processes that measure.")
@click.option(
    "--baseline",
    "baselines",
    multiple=True,
    metavar="BUNDLE[@UNIT]",
    help="A base model measured in the same rounds; on one core, each unit and all cores where no unit is given.",
)
@profile_option("Print its prediction beside, and measure its base and the rivals in the same rounds.")
@click.option(
    "--rivals/--no-rivals",
    default=True,
    show_default=True,
    help="With a profile: measure the best networks of one branch of the same latency, and say whether two pay.",
)
@evaluator_option("Compare by its rewards instead of by MACs; see `search`.")
@click.option(
    "--from",
    "app_path",
    type=click.Path(path_type=Path),
    metavar="APP.JSON",
    help="Print the times beside that an app measured itself; see docs/in-your-app.md.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The result, with raw samples. Default: BUNDLE-DEVICE.bench.json, numbered where that is there.",
)
@trace_option
@force_option
@keep_identity_option
@progress_options
@json_option
def bench(
    bundle: Path,
    device_name: str | None,
    units: tuple[str, ...],
    samples: int,
    launches: int,
    baselines: tuple[str, ...],
    profile_path: Path | None,
    rivals: bool,
    evaluator: str | None,
    app_path: Path | None,
    out: Path | None,
    trace_path: Path | None,
    force: bool,
    keep_identity: bool,
    as_json: bool,
) -> None:
    """Run BUNDLE on a device, both branches at once, print what was measured, and say whether it pays."""
    from syncnas_deploy import pipeline
    from syncnas_deploy.benchmarking.result_files import result_to_json
    from syncnas_deploy.benchmarking.trust import trust
    from syncnas_deploy.errors import MeasurementError
    from syncnas_deploy.files.output import check_output
    from syncnas_deploy.report.prediction_json import prediction_to_json
    from syncnas_deploy.report.tables import app_page, bench_page
    from syncnas_deploy.report.trace import trace_of, write_trace

    pairs = []
    for text in baselines:
        path, _, unit = text.partition("@")
        if not path:
            raise click.UsageError(f"--baseline {text!r}: write BUNDLE or BUNDLE@UNIT, such as base@cpu:1@0.")
        pairs.append((Path(path), unit or None))
    refuse_idle("--rivals", used=profile_path or not rivals, remedy="add --profile, which tells what takes as long")
    refuse_idle("--evaluator", used=profile_path and rivals, remedy="it compares with rivals, which need --profile")
    opened = pipeline.as_bundle(bundle)
    app_times = pipeline.app_times(app_path, opened) if app_path else None
    measured = read_profile(profile_path) if profile_path else None
    if trace_path is not None:
        check_output(trace_path, force=force)
    device = open_device(device_name)
    chosen = units or (measured.units if measured else units_or_setting(units))
    named = file_name(opened.folder.absolute().name.removesuffix(".bundle"))
    out = out or free_name(f"{named}-{file_name(device.name)}", ".bench.json")
    # Before minutes are spent on measuring: a profile that does not fit is refused now.
    prediction = None
    if measured:
        prediction = pipeline.predict_bench(opened, device, measured, units=chosen, named=str(profile_path))
    with showing(f"measuring {bundle} on {device.name}") as shown:
        result = pipeline.bench(
            opened,
            device,
            units=chosen,
            samples=samples,
            launches=launches,
            baselines=pairs,
            profile=measured,
            rivals=rivals,
            evaluator=evaluator,
            out=out,
            force=force,
            keep_identity=keep_identity,
            on_progress=shown,
            on_notice=shown.note,
        )
    if trace_path is not None:
        write_trace(trace_path, trace_of(result.units, prediction, result, measured), force=force)
    if as_json:
        value = result_to_json(result)
        beside = {"predicted": prediction_to_json(prediction)} if prediction else {}
        told = {"units": app_times.units, "samples_us": app_times.makespan.samples_us} if app_times else {}
        emit({**value, **beside, **({"app": told} if told else {})})
    else:
        if app_times:
            say_page(app_page(app_times, [result]))
        say_page(bench_page(result, prediction, measured))
        say("", f"written to {out}")
    if trace_path is not None:
        note(f"the timeline is written to {trace_path}")
    judged = trust(result)
    if judged.level == "worthless":
        suggest_measuring_again()
        raise MeasurementError(f"The measurement is {judged.sentence}. It is kept; measure again.")
    profiles = [str(profile_path)] if profile_path else []
    files = [*profiles, bundle, out, *([app_path] if app_path else [])]
    suggest("show it beside its prediction" if profiles else "show it again", "report", *files)
