"""The store of LiteRT's libraries for phones and boards: add, fetch, list."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from syncnas_deploy.cli.next_step import suggest
from syncnas_deploy.cli.options import epilog, json_option, progress_options
from syncnas_deploy.cli.progress import showing
from syncnas_deploy.cli.terminal import emit, note, say_page
from syncnas_deploy.progress import Progress

if TYPE_CHECKING:
    from syncnas_bench.litert.lock import Runtime
    from syncnas_bench.litert.store import RuntimeStore

_ABI_HELP = "aarch64-android (arm64-v8a), x86_64-android, aarch64-linux or x86_64-linux."


@click.group()
def runtime() -> None:
    """Keep LiteRT's libraries for phones and boards.

    They are in $SYNCNAS_RUNTIMES, or ~/.cache/syncnas-deploy/runtimes, with a lock file of their checksums.
    """


@runtime.command(
    epilog=epilog(
        "syncnas-deploy runtime add litert-2.3.0.aar",
        "syncnas-deploy runtime add ai_edge_litert-2.3.0-cp311-cp311-manylinux_2_27_aarch64.whl",
        "syncnas-deploy runtime add my-build/ --version 2.3.0",
    )
)
@click.argument("source", type=click.Path(path_type=Path))
@click.option("--version", default="", help="LiteRT's version; default: what SOURCE's name says.")
@click.option("--abi", default="", help="Take the libraries for this one alone: " + _ABI_HELP)
@click.option("--force", is_flag=True, help="Replace the same version although its bytes differ.")
@json_option
def add(source: Path, version: str, abi: str, force: bool, as_json: bool) -> None:
    """Take LiteRT's libraries from a folder, an AAR, a wheel or another zip."""
    from syncnas_bench.litert.store import RuntimeStore

    store = RuntimeStore()
    entries = store.add(source, version=version, abi=abi, replace=force)
    _show(store, entries, as_json)
    for entry in entries:
        for sentence in entry.missing:
            note(sentence)
    suggest("examine the phone", "doctor")


@runtime.command(
    epilog=epilog(
        "syncnas-deploy runtime fetch",
        "syncnas-deploy runtime fetch --version 2.3.0 --abi aarch64-linux",
        "syncnas-deploy runtime fetch --url 'https://my.mirror/litert-{version}.aar' "
        f"--sha256 litert-2.3.0.aar={'0123456789abcdef' * 4}",
    )
)
@click.option("--version", default="", help="LiteRT's version; default: the one this package was made for.")
@click.option("--abi", default="", help="Default: aarch64-android. " + _ABI_HELP)
@click.option("--url", default="", metavar="TEMPLATE", help="With {version}, {abi}, {platform} and {library}.")
@click.option("--sha256", "sums", multiple=True, metavar="FILE=SUM", help="What a file must be; several times.")
@click.option("--force", is_flag=True, help="Fetch it again, and replace the same version although its bytes differ.")
@progress_options
@json_option
def fetch(version: str, abi: str, url: str, sums: tuple[str, ...], force: bool, as_json: bool) -> None:
    """Download LiteRT's libraries for a phone or a board.

    An interrupted download goes on where it broke off. What the lock file knows must come again as it was.
    --sha256 is compared with what is here, too; an archive whose sum is given is fetched again.
    """
    from syncnas_bench.litert.store import DEFAULT_ABI, DEFAULT_URL, DEFAULT_VERSION, RuntimeStore

    store, began = RuntimeStore(), time.monotonic()
    with showing(f"fetching into {store.path}") as shown:

        def on_progress(name: str, have: int, total: int) -> None:
            doing = f"{name}, {have / 1e6:.1f} of {total / 1e6:.1f} MB"
            shown(Progress(done=have, total=total, doing=doing, elapsed_s=time.monotonic() - began))

        fetched = store.fetch(
            version=version or DEFAULT_VERSION,
            abi=abi or DEFAULT_ABI,
            url=url or DEFAULT_URL,
            sha256=dict(_checksum(text) for text in sums),
            replace=force,
            on_progress=on_progress,
        )
    _show(store, (fetched,), as_json)
    suggest("examine the phone", "doctor")


@runtime.command("list", epilog=epilog("syncnas-deploy runtime list", "syncnas-deploy runtime list --json"))
@json_option
def list_runtimes(as_json: bool) -> None:
    """List what is there, and whether it still is what it was when it came."""
    from syncnas_bench.litert.store import RuntimeStore

    store = RuntimeStore()
    entries = store.entries()
    if not entries and not as_json:
        note(f"There is nothing in {store.path}; fetch LiteRT's libraries, or `runtime add` an AAR.")
        suggest("fetch them", "runtime", "fetch")
        return
    _show(store, entries, as_json)
    suggest("examine the phone", "doctor")


def _checksum(text: str) -> tuple[str, str]:
    name, separator, digest = text.partition("=")
    if not separator or not re.fullmatch("[0-9a-fA-F]{64}", digest):
        raise click.UsageError(f"{text!r} is not FILE=SUM with 64 hexadecimal digits.")
    return name, digest.lower()


def _show(store: RuntimeStore, entries: tuple[Runtime, ...], as_json: bool) -> None:
    from syncnas_deploy.report.page import Table

    if as_json:
        emit([_as_json(store, entry) for entry in entries])
        return
    rows = [
        (
            entry.version,
            entry.abi,
            ", ".join(library.name for library in entry.accelerators) or "none: no GPU",
            sum(library.bytes for library in entry.libraries) / 1e6,
            "; ".join(store.problems(entry)) or "ok",
            entry.origin,
        )
        for entry in entries
    ]
    say_page(Table(("version", "ABI", "accelerators", "MB", "state", "from"), rows, spare=(5,)))


def _as_json(store: RuntimeStore, entry: Runtime) -> dict[str, Any]:
    return entry.to_dict() | {"folder": str(store.path / entry.folder), "problems": list(store.problems(entry))}
