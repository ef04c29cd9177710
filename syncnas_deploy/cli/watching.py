"""The option --watch: a page that is written again and again while a command runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from syncnas_deploy.progress import OnProgress, Progress

if TYPE_CHECKING:
    from syncnas_deploy.report.html.markup import Markup

watch_option = click.option(
    "--watch",
    "watch_path",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="A page that shows how far it is, written again while it runs; a browser loads it again by itself.",
)


def watched(
    path: Path | None,
    title: str,
    listener: OnProgress,
    charts: Callable[[], Sequence[Markup]] = tuple,
    *,
    force: bool,
) -> OnProgress:
    """A listener that tells a page, too; `listener` itself where no page was asked for.

    Args:
        path: of the page.
        title: what runs.
        listener: gets the progress first.
        charts: what has been found so far.
        force: replace a file that is there.
    """
    if path is None:
        return listener
    from syncnas_deploy.report.html.live import LivePage

    page = LivePage(path, title, charts, force=force)
    click.get_current_context().call_on_close(page.end)

    def told(progress: Progress) -> None:
        listener(progress)
        page.tell(progress)

    return told
