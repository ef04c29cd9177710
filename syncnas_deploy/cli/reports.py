"""The command report."""

from __future__ import annotations

from pathlib import Path

import click

from syncnas_deploy.cli.next_step import suggest
from syncnas_deploy.cli.options import epilog, force_option, json_option
from syncnas_deploy.cli.several import suggest_search
from syncnas_deploy.cli.suggestions import complete_document
from syncnas_deploy.cli.terminal import emit, note, say_page


@click.command(
    epilog=epilog(
        "syncnas-deploy report host.json found bundle bench.json",
        "syncnas-deploy report host.json --learning learning.svg",
    )
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), shell_complete=complete_document)
@click.option(
    "--learning",
    "plot_path",
    type=click.Path(path_type=Path),
    metavar="FILE.svg",
    help="Also draw the learning curve of the one profile among PATHS.",
)
@force_option
@json_option
def report(paths: tuple[Path, ...], plot_path: Path | None, force: bool, as_json: bool) -> None:
    """Show profiles, searches, bundles, configs and bench results; predictions beside measurements.

    PATHS are files, folders or shipped names. Of an assessment's folder everything in it is shown.
    """
    from syncnas_deploy.files.output import check_output, write_text
    from syncnas_deploy.pipeline import documents_in
    from syncnas_deploy.report.comparison import read_all
    from syncnas_deploy.report.drawing.learning_curve import learning_plot

    comparison = read_all(documents_in(paths))
    if plot_path is not None:
        if len(comparison.profiles) != 1:
            raise click.UsageError(f"--learning draws one profile, PATHS have {len(comparison.profiles)}.")
        check_output(plot_path, force=force)
        write_text(plot_path, learning_plot(comparison.profiles[0]), force=force)
    if as_json:
        emit(comparison.to_json())
    else:
        say_page(comparison.page())
    if plot_path is not None:
        note(f"the learning curve is drawn in {plot_path}")
    kinds = dict(zip(comparison.kinds, paths, strict=True))
    if "result" in kinds and "search" in kinds:
        best = kinds["search"] / "best.json"
        suggest("draw the network", "draw", best, "--out", kinds["search"] / "best.svg")
    elif "bundle" in kinds and "result" not in kinds:
        bundle = kinds["bundle"]
        suggest("measure it", "bench", bundle, "--out", bundle.with_name(f"{bundle.name}.bench.json"))
    elif "search" in kinds:
        suggest("write its files", "export", kinds["search"] / "best.json", "--out", kinds["search"] / "bundle")
    elif "profile" in kinds and "result" not in kinds:
        suggest_search(kinds["profile"])
    elif "config" in kinds:
        suggest("draw it", "draw", kinds["config"], "--out", kinds["config"].with_suffix(".svg"))
