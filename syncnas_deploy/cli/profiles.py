"""Commands that measure devices and say what a network takes: devices, profile, predict, bench."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncnas_deploy.cli.options import (
    device_option,
    devices_option,
    emit,
    epilog,
    force_option,
    json_option,
    note,
    open_device,
    profile_option,
    read_profile,
    unit_option,
)

if TYPE_CHECKING:
    from syncnas_bench import Device


@click.command(epilog=epilog("syncnas-deploy devices", "syncnas-deploy devices --json"))
@json_option
def devices(as_json: bool) -> None:
    """List devices and their units."""
    from syncnas_deploy import pipeline
    from syncnas_deploy.report.tables import table

    found, waiting = pipeline.devices(), pipeline.waiting_devices()
    if as_json:
        emit([_device_json(device) for device in found] + [dict(entry) for entry in waiting])
        return
    rows = []
    for device in found:
        defaults = [str(unit) for unit in device.default_units()]
        for info in device.units():
            mark = f"branch {defaults.index(str(info.unit))}" if str(info.unit) in defaults else ""
            state = "ok" if info.available else f"no: {info.reason}"
            about = f"{info.description} ({info.note})" if info.note else info.description
            rows.append([device.name, str(info.unit), state, mark, about])
    rows += [[entry["name"], "-", f"no: {entry['state']}", "", entry["remedy"]] for entry in waiting]
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


@click.command(epilog=epilog("syncnas-deploy doctor", "syncnas-deploy doctor --device R58M123 --json"))
@device_option
@json_option
def doctor(device_name: str | None, as_json: bool) -> None:
    """Look at a device from all sides: what it has, what it does now, and what that does to numbers.

    Exits with 5 where something must be mended before anything can be measured.
    """
    from syncnas_bench.doctor import worst
    from syncnas_deploy.report.tables import table

    device = open_device(device_name)
    checks = device.examine()
    if as_json:
        emit({"device": device.name, "status": worst(checks), "checks": [check.to_dict() for check in checks]})
    else:
        rows = [[check.name, check.status, check.value, check.advice] for check in checks]
        click.echo(table(["what", "status", "found", "what it does to numbers, or the remedy"], rows))
    if worst(checks) == "failure":
        raise click.exceptions.Exit(5)


@click.command(
    epilog=epilog(
        "syncnas-deploy profile --device host --base mobilenet_v2",
        "syncnas-deploy profile --device host --base mobilenet_v2 --unit cpu:1@0 --unit cpu:1@1 --out host.json",
        "syncnas-deploy profile --device sim:phone --base mobilenet_v2 --out phone.json",
        "syncnas-deploy profile --device host --base mobilenet_v2 --out host.json --resume",
        "syncnas-deploy profile --device host --check host.json",
        "syncnas-deploy profile --device all --base mobilenet_v2 --out phones",
        "syncnas-deploy profile --device R58M123 --device R5CT456 --base mobilenet_v2",
    )
)
@devices_option
@click.option("--base", help="A base model: a shipped name or a config file.")
@unit_option
@click.option(
    "--check",
    "check_path",
    type=click.Path(path_type=Path),
    metavar="PROFILE",
    help="Measure a sample of PROFILE again and say whether it still holds, instead of a new profile.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Default: BASE-DEVICE.profile.json. A folder for several devices."
)
@click.option("--launches", type=click.IntRange(1, 100), help="Processes that measure each point.")
@click.option(
    "--rounds",
    type=click.IntRange(1, 10_000),
    help="Rounds of a launch; in each, every point is run 6 times unrecorded and then 6 times recorded.",
)
@click.option("--resume", is_flag=True, help="Go on with an interrupted profile.")
@force_option
@json_option
def profile(
    device_names: tuple[str, ...],
    base: str | None,
    units: tuple[str, ...],
    check_path: Path | None,
    out: Path | None,
    launches: int | None,
    rounds: int | None,
    resume: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Measure a device for a base model: solo latency, contention, sync overhead.

    Several devices are measured at once, each into a file of its own; one that fails does not stop the others.
    With --check, exits with 7 where the profile does not hold any more.
    """
    if check_path is not None:
        if base or units or out or launches or rounds or resume or force or len(device_names) > 1:
            raise click.UsageError("--check takes --device and --json only; what is measured is in the profile.")
        _check(check_path, device_names[0] if device_names else None, as_json)
        return
    if base is None:
        raise click.UsageError("Missing option '--base'; or give --check PROFILE.")
    import dataclasses

    from syncnas_bench import BenchError
    from syncnas_deploy import pipeline
    from syncnas_deploy.cli.several import note_how_to_go_on, profile_several, progress_text
    from syncnas_deploy.errors import MeasurementError
    from syncnas_deploy.prediction.profile_files import profile_to_json
    from syncnas_deploy.profiling.experiment import Settings
    from syncnas_deploy.report.tables import profile_text

    model, default = pipeline.base_model(base), Settings()
    settings = dataclasses.replace(default, launches=launches or default.launches, rounds=rounds or default.rounds)
    if len(device_names) > 1 or pipeline.ALL_DEVICES in device_names:
        profile_several(
            model,
            device_names,
            out=out,
            units=units,
            settings=settings,
            resume=resume,
            force=force,
            as_json=as_json,
        )
        return
    device = open_device(device_names[0] if device_names else None)
    path = out or pipeline.profile_path(model, device.name)
    try:
        measured = pipeline.profile(
            model,
            device,
            out=path,
            units=units,
            settings=settings,
            resume=resume,
            force=force,
            on_progress=lambda progress: note(progress_text(progress)),
        )
    except (BenchError, MeasurementError, KeyboardInterrupt):
        note_how_to_go_on([path])
        raise
    if as_json:
        emit(profile_to_json(measured))
    else:
        click.echo(f"{profile_text(measured)}\nwritten to {path}")


def _check(path: Path, device_name: str | None, as_json: bool) -> None:
    from syncnas_deploy import pipeline
    from syncnas_deploy.report.tables import check_text

    found = pipeline.check_profile(
        read_profile(path), open_device(device_name), on_launch=lambda done, total: note(f"[{done}/{total}] launches")
    )
    if as_json:
        rows = [{"name": r.name, "units": r.units, "then_us": r.then_us, "now_us": r.now_us} for r in found.rows]
        emit({"holds": found.holds, "change": found.change, "differences": list(found.differences), "rows": rows})
    else:
        click.echo(check_text(found))
    if not found.holds:
        raise click.exceptions.Exit(7)


@click.command(
    epilog=epilog("syncnas-deploy predict syncnas_mobilenet_v2_100 --profile mobilenet_v2-host.profile.json")
)
@click.argument("config")
@profile_option
@json_option
def predict(config: str, profile_path: Path, as_json: bool) -> None:
    """Predict the latency of CONFIG, segment by segment."""
    from syncnas_deploy import pipeline
    from syncnas_deploy.report.prediction_json import prediction_to_json
    from syncnas_deploy.report.tables import expected_error_text, prediction_text

    measured = read_profile(profile_path)
    prediction = pipeline.predict(config, measured)
    if as_json:
        emit({**prediction_to_json(prediction), "expected_error": measured.expected_error})
    else:
        click.echo(prediction_text(prediction, measured.units))
        click.echo(expected_error_text(measured))


@click.command(
    epilog=epilog(
        "syncnas-deploy bench bundle --device host",
        "syncnas-deploy bench bundle --device host --samples 200 --profile host.json --out bench.json",
        "syncnas-deploy bench bundle --device host --baseline base --baseline other@cpu:2@0-1",
    )
)
@click.argument("bundle", type=click.Path(path_type=Path))
@device_option
@unit_option
@click.option(
    "--samples",
    type=click.IntRange(5, 1_000_000),
    default=100,
    show_default=True,
    help="Recorded runs, at least; each 6 follow 6 unrecorded ones.",
)
@click.option("--launches", type=click.IntRange(1, 100), default=3, show_default=True, help="Processes.")
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
    from syncnas_deploy.benchmarking.run import result_to_json
    from syncnas_deploy.report.prediction_json import prediction_to_json
    from syncnas_deploy.report.tables import bench_text

    pairs = []
    for text in baselines:
        path, _, unit = text.partition("@")
        if not path:
            raise click.UsageError(f"--baseline {text!r}: write BUNDLE or BUNDLE@UNIT, such as base@cpu:1@0.")
        pairs.append((Path(path), unit or None))
    measured = read_profile(profile_path) if profile_path else None
    result = pipeline.bench(
        bundle,
        open_device(device_name),
        units=units or (measured.units if measured else ()),
        samples=samples,
        launches=launches,
        baselines=pairs,
        out=out,
        force=force,
        on_launch=lambda done, total: note(f"[{done}/{total}] launches"),
    )
    prediction = pipeline.predict(result.config, measured) if measured else None
    if as_json:
        value = result_to_json(result)
        emit({**value, "predicted": prediction_to_json(prediction)} if prediction else value)
    else:
        click.echo(bench_text(result, prediction))
