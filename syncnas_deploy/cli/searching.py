"""Commands around a search: search, report."""

from __future__ import annotations

from pathlib import Path

import click

from syncnas_deploy.cli.options import (
    emit,
    epilog,
    force_option,
    json_option,
    note,
    profile_option,
    read_profile,
)


@click.command(
    epilog=epilog(
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
        note(f"[{p.done}/{p.total}] {best}; {p.elapsed_s:.0f} s, about {p.eta_s:.0f} s to go")

    measured = read_profile(profile_path)
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
        emit(
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


@click.command(epilog=epilog("syncnas-deploy report host.json found bundle bench.json"))
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def report(paths: tuple[Path, ...], as_json: bool) -> None:
    """Show profiles, searches, bundles, configs and bench results; predictions beside measurements."""
    from syncnas_deploy.report.page import read_all

    page = read_all(paths)
    if as_json:
        emit(page.to_json())
    else:
        click.echo(page.to_text())
