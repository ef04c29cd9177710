"""The command assess."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from syncnas_deploy.cli.next_step import PROGRAM, suggest, suggest_measuring_again
from syncnas_deploy.cli.options import (
    base_option,
    base_or_setting,
    device_option,
    epilog,
    evaluator_option,
    json_option,
    open_device,
    progress_options,
    unit_option,
    units_or_setting,
)
from syncnas_deploy.cli.progress import showing
from syncnas_deploy.cli.settings import path_setting
from syncnas_deploy.cli.terminal import emit, note_command, say, say_page


@click.command(
    epilog=epilog(
        "syncnas-deploy assess --device host",
        "syncnas-deploy assess --device R58M123 --base mobilenet_v3_large --out phone",
        "syncnas-deploy assess --device host --budget 0.8x --evaluator capacity --out narrow",
        "syncnas-deploy assess --device R58M123 --calibrate pictures --out shipped",
        "syncnas-deploy assess --device host --int8",
    )
)
@device_option
@unit_option
@base_option("The base model: a file or a shipped name. Default: syncnas.toml, then mobilenet_v2.")
@click.option(
    "--budget",
    default="1.0x",
    show_default=True,
    help="Latency of the network; see `search`. Where two branches cannot meet it, the least that they can meet.",
)
@evaluator_option("See `search`. Default: zen where torch is installed, else capacity.")
@click.option("--trials", type=click.IntRange(1, 100_000), default=24, show_default=True, help="Evaluations.")
@click.option("--samples", type=click.IntRange(5, 10_000), default=200, show_default=True, help="Recorded runs.")
@click.option(
    "--calibrate",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Pictures for int8. With them and a GPU, units that are not named run int8 and fp16. Default: syncnas.toml.",
)
@click.option("--int8", is_flag=True, help="Then the same units in int8 (a GPU in fp16), in OUT/int8, beside it.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder of everything. Default: BASE-DEVICE.assessment.")
@progress_options
@json_option
def assess(
    device_name: str | None,
    units: tuple[str, ...],
    base: str | None,
    budget: str,
    evaluator: str | None,
    trials: int,
    samples: int,
    calibrate: Path | None,
    int8: bool,
    out: Path | None,
    as_json: bool,
) -> None:
    """Find out whether two units pay on a device: doctor, profile, search, export, bench with rivals, verdict.

    Give the same command again to go on after an interruption, or to measure again what was worthless. A folder that
    holds files of something else is refused. `page.html` in the folder shows all of it, `commands.sh` holds the
    commands that do the same one by one. Without --calibrate int8 is for timing alone, which is as fast and computes
    nonsense. Exits with 6 where a measurement is worthless.
    """

    from syncnas_bench import BenchError
    from syncnas_deploy import pipeline
    from syncnas_deploy.benchmarking.result_files import result_to_json
    from syncnas_deploy.benchmarking.trust import trust
    from syncnas_deploy.errors import MeasurementError
    from syncnas_deploy.pipeline.inputs import PROFILE, SEARCH
    from syncnas_deploy.report.pairings import pairings_page
    from syncnas_deploy.report.prediction_json import prediction_to_json
    from syncnas_deploy.report.tables import bench_page, checks_table, expected_error_text

    named = base_or_setting(base) or "mobilenet_v2"
    model, units = pipeline.base_model(named), tuple(units_or_setting(units))
    device = open_device(device_name)
    folder = out or pipeline.assessment_path(model, device.name)
    calibrate = calibrate or path_setting("calibrate")
    settings = pipeline.AssessSettings(budget, evaluator, trials, samples, calibrate=calibrate, int8=int8)
    try:
        with showing(f"assessing {device.name} for {model.name}") as shown:
            done = pipeline.assess(
                device, model, folder, settings, units=units, named=named, on_progress=shown, on_notice=shown.note
            )
    except (BenchError, MeasurementError):
        if any(folder.glob("*")):
            note_command(f"what was finished is in {folder}; go on with", [PROGRAM, *sys.argv[1:]])
        raise
    if as_json:
        first, *others = (
            {**result_to_json(road.result), "predicted": prediction_to_json(road.prediction)} for road in done.roads
        )
        emit({**first, "folder": str(folder), **({"int8": others[0]} if others else {})})
    else:
        if doubts := [check for check in done.checks if check.status != "ok"]:
            say_page(checks_table(doubts))
            say("")
        for road in done.roads:
            say(expected_error_text(road.profile, road.prediction.makespan_us), "")
            say_page(bench_page(road.result, road.prediction, road.profile))
            say("")
        if len(done.roads) > 1:
            say_page(pairings_page([road.result for road in done.roads]))
            say("")
        say(f"everything is in {folder}; {folder / pipeline.COMMANDS} has the commands, one by one")
        say(f"page: {folder / pipeline.PAGE}")
    for judged in (trust(road.result) for road in done.roads):
        if judged.level == "worthless":
            suggest_measuring_again()
            raise MeasurementError(f"The measurement is {judged.sentence}. It is kept; measure again.")
    found = folder / SEARCH / "best.json"
    suggest("draw it", "draw", found, "--profile", folder / PROFILE, "--out", folder / "best.svg")
