"""The commands report and compare."""

from __future__ import annotations

from pathlib import Path

import click

from syncnas_deploy.cli.next_step import suggest, suggest_search
from syncnas_deploy.cli.options import epilog, force_option, html_option, json_option, refuse_idle
from syncnas_deploy.cli.suggestions import complete_document
from syncnas_deploy.cli.terminal import emit, note, say_page


@click.command(
    epilog=epilog(
        "syncnas-deploy report host.json found bundle bench.json",
        "syncnas-deploy report host.json found bundle bench.json --html page.html",
        "syncnas-deploy report host.json --learning learning.svg",
        "syncnas-deploy report probe.json phone.json --probe probe.svg",
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
@click.option(
    "--probe",
    "probe_path",
    type=click.Path(path_type=Path),
    metavar="FILE.svg",
    help="Also draw the one width probe among PATHS, over the curve of a profile among them.",
)
@html_option("Also write all of it as one page with pictures, which needs no network.")
@force_option
@json_option
def report(
    paths: tuple[Path, ...],
    plot_path: Path | None,
    probe_path: Path | None,
    page_path: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Show profiles, searches, bundles, configs, bench results and probes; predictions beside measurements.

    PATHS are files, folders or shipped names. Of an assessment's folder everything in it is shown. What an app measured
    is shown beside the bench of the bundle that it ran; name that, too.
    """
    from syncnas_deploy.files.output import check_output, write_text
    from syncnas_deploy.pipeline.inputs import called, documents_in
    from syncnas_deploy.report.comparison import read_all
    from syncnas_deploy.report.drawing.plots import learning_plot, width_plot
    from syncnas_deploy.report.html.document import write_page

    comparison = read_all(documents_in(paths))
    if plot_path is not None and len(comparison.profiles) != 1:
        raise click.UsageError(f"--learning draws one profile, PATHS have {len(comparison.profiles)}.")
    if probe_path is not None and len(comparison.probes) != 1:
        raise click.UsageError(f"--probe draws one width probe, PATHS have {len(comparison.probes)}.")
    for path in filter(None, (plot_path, probe_path, page_path)):
        check_output(path, force=force)
    if plot_path is not None:
        write_text(plot_path, learning_plot(comparison.profiles[0]), force=force)
    if probe_path is not None:
        (probe,) = comparison.probes
        write_text(probe_path, width_plot(probe, comparison.curve_us(probe)), force=force)
    if page_path is not None:
        write_page(page_path, comparison, force=force)
    if as_json:
        emit(comparison.to_json())
    else:
        say_page(comparison.page())
    if plot_path is not None:
        note(f"the learning curve is drawn in {plot_path}")
    if probe_path is not None:
        note(f"the width probe is drawn in {probe_path}")
    if page_path is not None:
        note(f"the page is {page_path}")
    kinds = dict(zip(comparison.kinds, map(called, comparison.paths), strict=True))
    if "result" in kinds and "search" in kinds:
        best = kinds["search"] / "best.json"
        suggest("draw the network", "draw", best, "--out", kinds["search"] / "best.svg")
    elif "bundle" in kinds and "result" not in kinds:
        bundle = kinds["bundle"]
        suggest("measure it", "bench", bundle, "--out", bundle.with_name(f"{bundle.name}.bench.json"))
    elif "search" in kinds:
        by = ("--profile", kinds["profile"]) if "profile" in kinds else ()
        suggest("write its files", "export", kinds["search"] / "best.json", *by, "--out", kinds["search"] / "bundle")
    elif "profile" in kinds and "result" not in kinds:
        suggest_search(kinds["profile"], comparison.profiles[0])
    elif "config" in kinds:
        suggest("draw it", "draw", kinds["config"], "--out", kinds["config"].with_suffix(".svg"))


@click.command(
    epilog=epilog(
        "syncnas-deploy compare before.json after.json",
        "syncnas-deploy compare pixel.json galaxy.json --budget 0.8x --html phones.html",
    )
)
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path), shell_complete=complete_document)
@click.option(
    "--budget", default="1.0x", show_default=True, help="Of profiles: the latency of the best strategy of each device."
)
@html_option("Also write it as a page, with all that `report` shows of each file.")
@force_option
@json_option
def compare(paths: tuple[Path, ...], budget: str, page_path: Path | None, force: bool, as_json: bool) -> None:
    """Compare profiles, searches or bench results: what differs, by how much, and whether that may be chance.

    PATHS are two or more files, folders or shipped names of one kind; of an assessment's folder its bench counts.
    Each result stands beside the first; a difference of less than two standard errors (by launches, and no less than
    A/A) may be chance. Profiles of several devices stand in one table, with the best strategy of each and what it takes
    on the others. Other inputs, numbers of classes or branches, kinds of units, precisions, base models or evaluators
    are refused, and simulated beside measured.
    """
    from syncnas_deploy import pipeline
    from syncnas_deploy.files.output import check_output
    from syncnas_deploy.report.contrast.sheets import sheets_json, sheets_page
    from syncnas_deploy.report.html.document import write_page

    if page_path is not None:
        check_output(page_path, force=force)
    read, sheets = pipeline.compare(paths, budget=budget)
    refuse_idle("--budget", used=read.profiles, remedy="it is for profiles")
    if page_path is not None:
        write_page(page_path, read, sheets=sheets, force=force)
    if as_json:
        emit(sheets_json(sheets))
    else:
        say_page(sheets_page(sheets))
    if page_path is not None:
        note(f"the page is {page_path}")
