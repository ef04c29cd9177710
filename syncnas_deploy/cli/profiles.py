"""Commands on profiles: profile, predict."""

from __future__ import annotations

from pathlib import Path

import click

from syncnas_deploy.cli.next_step import suggest, suggest_profiling, suggest_resuming, suggest_search
from syncnas_deploy.cli.options import (
    base_option,
    base_or_setting,
    devices_option,
    epilog,
    force_option,
    json_option,
    keep_identity_option,
    open_device,
    profile_option,
    progress_options,
    read_profile,
    trace_option,
    unit_option,
    units_or_setting,
)
from syncnas_deploy.cli.progress import showing
from syncnas_deploy.cli.settings import environment, path_setting, setting
from syncnas_deploy.cli.suggestions import complete_model, complete_profile
from syncnas_deploy.cli.terminal import emit, note, say, say_page
from syncnas_deploy.cli.watching import watch_option, watched


@click.command(
    epilog=epilog(
        "syncnas-deploy profile --device host --base mobilenet_v2",
        "syncnas-deploy profile --device host --base mobilenet_v2 --unit cpu:1@0 --unit cpu:1@1 --out host.json",
        "syncnas-deploy profile --device sim:phone --base mobilenet_v2 --out phone.json",
        "syncnas-deploy profile --device host --base mobilenet_v2 --out host.json --resume",
        "syncnas-deploy profile --device host --check host.json",
        "syncnas-deploy profile --device R58M123 --base mobilenet_v2 --unit gpu --probe 7.1@704 --out probe.json",
        "syncnas-deploy profile --device all --base mobilenet_v2 --out phones",
        "syncnas-deploy profile --device R58M123 --device R5CT456 --base mobilenet_v2",
    )
)
@devices_option
@base_option("A base model: a shipped name or a config file. Default: syncnas.toml.")
@unit_option
@click.option(
    "--check",
    "check_path",
    type=click.Path(path_type=Path),
    metavar="PROFILE",
    shell_complete=complete_profile,
    help="Measure a sample of PROFILE again and say whether it still holds, instead of a new profile.",
)
@click.option(
    "--probe",
    "place",
    metavar="STAGE.BLOCK@WIDTH",
    help="Measure one block at all widths around one, on one unit, instead of a profile: 7.1@704.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Default: BASE-DEVICE.profile.json. A folder for several devices."
)
@click.option("--launches", type=click.IntRange(1, 100), help="Processes that measure each point. Default: 5.")
@click.option(
    "--rounds",
    type=click.IntRange(1, 10_000),
    help="Rounds of a launch; in each, every point is run 6 times unrecorded and then 6 times recorded. Default: 3.",
)
@click.option("--resume", is_flag=True, help="Go on with an interrupted profile.")
@watch_option
@force_option
@keep_identity_option
@progress_options
@json_option
def profile(
    device_names: tuple[str, ...],
    base: str | None,
    units: tuple[str, ...],
    check_path: Path | None,
    place: str | None,
    out: Path | None,
    launches: int | None,
    rounds: int | None,
    resume: bool,
    watch_path: Path | None,
    force: bool,
    keep_identity: bool,
    as_json: bool,
) -> None:
    """Measure a device for a base model: solo latency, contention, sync overhead.

    Several devices are measured at once, each into a file of its own; one that fails does not stop the others.
    With --check, exits with 7 where the profile does not hold any more.
    """
    if check_path is not None:
        others = base or units or place or out or launches or rounds or resume or force or keep_identity or watch_path
        if others or len(device_names) > 1:
            raise click.UsageError("--check takes --device and --json only; what is measured is in the profile.")
        _check(check_path, device_names[0] if device_names else None, as_json)
        return
    base = base_or_setting(base)
    if base is None:
        raise click.UsageError("Missing option '--base'; or give --check PROFILE.")
    if place is not None:
        if launches or rounds or resume or watch_path or len(device_names) > 1 or "all" in device_names:
            raise click.UsageError("--probe takes one --device, --base, one --unit, --out, --force and --json only.")
        _probe(
            base,
            place,
            device_names[0] if device_names else None,
            units,
            out or Path("probe.json"),
            force=force,
            keep_identity=keep_identity,
            as_json=as_json,
        )
        return
    import dataclasses

    from syncnas_bench import BenchError
    from syncnas_deploy import pipeline
    from syncnas_deploy.cli.several import profile_several
    from syncnas_deploy.errors import MeasurementError
    from syncnas_deploy.prediction.profile_files import profile_to_json
    from syncnas_deploy.profiling.experiment import ProfileSettings
    from syncnas_deploy.report.tables import profile_page
    from syncnas_deploy.resources import shipped

    model, default, units = pipeline.base_model(base), ProfileSettings(), tuple(units_or_setting(units))
    calibrate = None if units else path_setting("calibrate")
    if base in shipped("model_configs") and base != model.name:
        note(f"{base} has two branches: its base {model.name} is measured")
    if not device_names and not environment().serial:
        device_names = tuple(filter(None, [setting("device")]))
    settings = dataclasses.replace(default, launches=launches or default.launches, rounds=rounds or default.rounds)
    if len(device_names) > 1 or pipeline.ALL_DEVICES in device_names:
        if watch_path is not None:
            raise click.UsageError("--watch shows one device; name one, or measure several without it.")
        profile_several(
            model,
            device_names,
            out=out,
            units=units,
            calibrate=calibrate,
            settings=settings,
            resume=resume,
            force=force,
            keep_identity=keep_identity,
            as_json=as_json,
        )
        return
    device = open_device(device_names[0] if device_names else None)
    path = out or pipeline.profile_path(model, device.name)
    try:
        with showing(f"profiling {device.name} for {model.name}") as shown:
            measured = pipeline.profile(
                model,
                device,
                out=path,
                units=units,
                calibrate=calibrate,
                settings=settings,
                resume=resume,
                force=force,
                keep_identity=keep_identity,
                on_progress=watched(watch_path, f"profile of {device.name}", shown, force=force or resume),
                on_notice=shown.note,
            )
    except (BenchError, MeasurementError):
        suggest_resuming([path])
        raise
    if as_json:
        emit(profile_to_json(measured))
    else:
        say_page(profile_page(measured))
        say(f"written to {path}")
    suggest_search(path, measured, device.name)


def _probe(
    base: str,
    place: str,
    device_name: str | None,
    units: tuple[str, ...],
    path: Path,
    *,
    force: bool,
    keep_identity: bool,
    as_json: bool,
) -> None:
    import msgspec

    from syncnas_deploy import pipeline
    from syncnas_deploy.report.tables import probe_page

    device = open_device(device_name)
    with showing(f"probing {place} of {base} on {device.name}") as shown:
        found = pipeline.probe_widths(
            base,
            device,
            place,
            out=path,
            units=units,
            force=force,
            keep_identity=keep_identity,
            on_progress=shown,
        )
    if as_json:
        emit(msgspec.to_builtins(found))
    else:
        say_page(probe_page(found, {}))
        say(f"written to {path}")
    suggest("draw it", "report", path, "--probe", path.with_suffix(".svg"))


def _check(path: Path, device_name: str | None, as_json: bool) -> None:
    from syncnas_deploy import pipeline
    from syncnas_deploy.report.page import Page
    from syncnas_deploy.report.tables import check_page, label_lines

    wanted, device = read_profile(path), open_device(device_name)
    with showing(f"measuring a sample of {path} again") as shown:
        found = pipeline.check_profile(wanted, device, on_progress=shown)
    if as_json:
        rows = [{"name": r.name, "units": r.units, "then_us": r.then_us, "now_us": r.now_us} for r in found.rows]
        differences, warnings = list(found.differences), list(found.warnings)
        emit(
            {
                "holds": found.holds,
                "change": found.change,
                "differences": differences,
                "warnings": warnings,
                "rows": rows,
            }
        )
    else:
        say_page(Page(check_page(found), *label_lines(wanted)))
    if not found.holds:
        suggest_profiling("measure it anew", path, wanted, device.name)
        raise click.exceptions.Exit(7)
    suggest_search(path, wanted, device.name)


@click.command(
    epilog=epilog("syncnas-deploy predict syncnas_mobilenet_v2_100 --profile mobilenet_v2-host.profile.json")
)
@click.argument("config", shell_complete=complete_model)
@profile_option(required=True)
@trace_option
@force_option
@json_option
def predict(config: str, profile_path: Path, trace_path: Path | None, force: bool, as_json: bool) -> None:
    """Predict the latency of CONFIG (a file, a shipped name or a search's folder), segment by segment."""
    from syncnas_deploy import pipeline
    from syncnas_deploy.files.output import check_output
    from syncnas_deploy.report.page import Page
    from syncnas_deploy.report.prediction_json import prediction_to_json
    from syncnas_deploy.report.tables import expected_error_text, label_lines, prediction_page
    from syncnas_deploy.report.trace import trace_of, write_trace

    if trace_path is not None:
        check_output(trace_path, force=force)
    measured = read_profile(profile_path)
    prediction = pipeline.predict(config, measured)
    if trace_path is not None:
        write_trace(trace_path, trace_of(measured.units, prediction, None, measured), force=force)
    if as_json:
        emit({**prediction_to_json(prediction), "expected_error": measured.expected_error})
    else:
        say_page(Page(prediction_page(prediction, measured.units), *label_lines(measured)))
        say(expected_error_text(measured, prediction.makespan_us))
    if trace_path is not None:
        note(f"the timeline is written to {trace_path}")
    suggest("write its files", "export", config, "--profile", profile_path)
