"""The command search."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncnas_deploy.cli.next_step import device_words, suggest, suggest_profiling
from syncnas_deploy.cli.options import (
    FiniteRange,
    base_option,
    epilog,
    evaluator_option,
    file_name,
    force_option,
    json_option,
    profile_option,
    progress_options,
    read_profile,
    seed_option,
)
from syncnas_deploy.cli.progress import showing
from syncnas_deploy.cli.terminal import emit, say, say_page
from syncnas_deploy.cli.watching import watch_option, watched
from syncnas_deploy.search.algorithms import ALGORITHMS, DEFAULT_ALGORITHM

if TYPE_CHECKING:
    from syncnas_deploy.pipeline import Found


@click.command(
    epilog=epilog(
        "syncnas-deploy search --profile host.json --budget 1.0x --out found",
        "syncnas-deploy search --profile mobilenet_v2-sim-phone --budget 25ms "
        "--evaluator capacity --trials 300 --out found",
        "syncnas-deploy search --profile host.json --budget 1.0x --out found --resume",
        "syncnas-deploy search --profile host.json --base mobilenet_v2 --budget 0.8x --budget 1.0x "
        "--evaluator train:pictures,epochs=9 --workers 4 --out found",
        "syncnas-deploy search --profile phone.json --budget 0.8x --budget 1.0x --max-energy 8 --out found",
        "syncnas-deploy search --profile host.json --evaluator 'command:python rate.py {config}' "
        "--workers tcp://127.0.0.1:8786 --worker-resource GPU=1 --out found",
    )
)
@profile_option(required=True)
@base_option("Checked against the profile's base model, which is searched.")
@click.option(
    "--budget",
    "budgets",
    multiple=True,
    default=("1.0x",),
    show_default=True,
    help="1.0x of the base on the faster unit, or 25ms; several times for the best within each.",
)
@evaluator_option(
    "zen[:PIXELS] (training-free), capacity (MACs), train:FOLDER[,OPTIONS] (proxy training), "
    "inherit:WEIGHTS,FOLDER[,OPTIONS] (the base's weights), command:PROGRAM ARGUMENTS (prints JSON), "
    "or table:FILE (a CSV of strategy,reward). Default: zen where torch is installed, else capacity.",
)
@click.option(
    "--algorithm",
    type=click.Choice(ALGORITHMS),
    default=DEFAULT_ALGORITHM,
    show_default=True,
    help="What proposes candidates; uct is Monte Carlo tree search (MCTS).",
)
@click.option("--trials", type=click.IntRange(1, 100_000), default=100, show_default=True, help="Evaluations.")
@seed_option()
@click.option(
    "--workers",
    default="1",
    show_default=True,
    metavar="N|tcp://HOST:PORT",
    help="Who evaluates: 1 for this process, so many processes, or the workers of a dask scheduler.",
)
@click.option(
    "--worker-resource",
    "resources",
    multiple=True,
    metavar="NAME=AMOUNT",
    help="What an evaluation needs of a dask worker, such as GPU=1.",
)
@click.option(
    "--max-energy",
    "max_energy_mj",
    type=FiniteRange(0, min_open=True),
    metavar="MJ",
    help="Leave out what takes more millijoules per inference besides the idle device, by the profile's power.",
)
@click.option(
    "--width-step",
    type=click.Choice(["4", "8", "16", "32", "64"]),
    help="Widths are multiples of so many channels; default: 4, or 32 on a unit whose neighbours are erratic.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder for best.json and history.csv. Default: the profile's name with .search.",
)
@click.option("--resume", is_flag=True, help="Go on with an interrupted search.")
@watch_option
@force_option
@progress_options
@json_option
def search(
    profile_path: Path,
    base: str | None,
    budgets: tuple[str, ...],
    evaluator: str | None,
    algorithm: str,
    trials: int,
    seed: int,
    workers: str,
    resources: tuple[str, ...],
    max_energy_mj: float | None,
    width_step: str | None,
    out: Path | None,
    resume: bool,
    watch_path: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Search where to synchronize and how wide to be, within a latency budget.

    The base model is in the profile.
    """
    from syncnas_deploy import pipeline
    from syncnas_deploy.pipeline.search_folder import files_of
    from syncnas_deploy.report.html.live import search_charts
    from syncnas_deploy.report.judgement import verdict_lines
    from syncnas_deploy.report.searches import search_page
    from syncnas_deploy.report.tables import expected_error_text, prediction_page
    from syncnas_deploy.search.evaluators import compares_branches, make_evaluator
    from syncnas_deploy.search.loop import SearchSettings

    measured = read_profile(profile_path)
    out = out or _default_out(profile_path)
    with showing(f"searching within {' and '.join(budgets)}") as shown:
        found = pipeline.search(
            measured,
            base,
            budget=budgets,
            evaluator=evaluator,
            settings=SearchSettings(trials, algorithm, seed, max_energy_mj, int(width_step) if width_step else None),
            workers=workers,
            worker_resources=dict(_resource(text) for text in resources),
            out=out,
            resume=resume,
            force=force,
            on_progress=watched(
                watch_path,
                f"search for {measured.base.name}",
                shown,
                lambda: search_charts(out / pipeline.JOURNAL),
                force=force or resume,
            ),
            on_notice=shown.note,
        )
    best = out / "best.json"
    if as_json:
        emit({**_to_json(found, out), "expected_error": measured.expected_error})
        return
    macs, base_macs = found.config.macs(), measured.base.macs()
    say_page(search_page(found.result, [network.budget for network in found.front]))
    say("", f"best: {found.config.name}, {macs / 1e6:.1f} M MACs (the base has {base_macs / 1e6:.1f} M), predicted:")
    say_page(prediction_page(found.prediction, measured.units))
    say(expected_error_text(measured, found.prediction.makespan_us, doubt=False))
    say(f"written to {out}: {', '.join(files_of([network.budget for network in found.front]))}", "")
    for network in found.front:
        opening = f"{network.budget}: " if len(found.front) > 1 else ""
        first, *doubts = verdict_lines(network.verdict)
        say_page("\n".join([f"{opening}{first}", *doubts]))
    if measured.level == "worthless":
        suggest_profiling("since the profile is worthless, profile again on a quiet device", profile_path, measured)
        return
    timed = ["--timing-only"] if any(":int8" in unit for unit in measured.units) else []
    suggest("write its files", "export", best, "--profile", profile_path, *timed, "--out", out / "bundle")
    rated = ("--evaluator", evaluator) if evaluator and compares_branches(make_evaluator(evaluator)) else ()
    suggest(
        "after that, measure them", "bench", out / "bundle", *device_words(measured), "--profile", profile_path, *rated
    )


def _default_out(profile: Path) -> Path:
    """host.search for host.json and for host.profile.json, here."""
    name = profile.absolute().name.removesuffix(".json").removesuffix(".profile")
    return Path(f"{file_name(name)}.search")


def _resource(text: str) -> tuple[str, float]:
    """A resource by name."""
    match = re.fullmatch(r"([A-Za-z][A-Za-z0-9_-]{0,31})=([0-9]{1,6}(?:\.[0-9]{1,6})?)", text)
    if match is None or not float(match[2]):
        raise click.BadParameter(f"{text[:40]!r} is not NAME=AMOUNT, such as GPU=1", param_hint="--worker-resource")
    return match[1], float(match[2])


def _to_json(found: Found, out: Path) -> dict[str, object]:
    import msgspec

    from syncnas_deploy.report.prediction_json import prediction_to_json

    best = found.main.best
    return {
        "strategy": best.strategy,
        "reward": best.reward,
        "standard_error": best.standard_error,
        "budget_us": round(found.budget_us, 3),
        "trials": len(found.result.trials),
        "infeasible": len(found.result.infeasible),
        "macs": found.config.macs(),
        "config": str(out / "best.json"),
        "predicted": prediction_to_json(found.prediction),
        "front": [
            {
                "budget": network.budget,
                "budget_us": round(network.best.budget_us, 3),
                "strategy": network.best.strategy,
                "reward": network.best.reward,
                "evaluations": network.best.evaluations,
                "standard_error": network.best.standard_error,
                "sure": network.best.sure,
                "predicted": prediction_to_json(network.prediction),
                "verdict": msgspec.to_builtins(network.verdict),
            }
            for network in found.front
        ],
    }
