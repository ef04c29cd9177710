"""How to repeat what is shown, and the raw data: commands, versions, hashes, and each file as a download."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import syncnas_deploy
from syncnas_bench.files import regular_bytes
from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.report.comparison import Comparison
from syncnas_deploy.report.html.markup import Markup, data_table, joined, tag

LARGE = 20_000
"""Bytes from which a download is compressed."""
MOST_BYTES = 300_000
"""Of one file, compressed; a larger one is named and left out."""
MOST_IN_ALL = 800_000
SERIAL = '"$ANDROID_SERIAL"'
"""What stands in commands for a phone's serial or address."""


@dataclass(frozen=True)
class RawFile:
    """A file that was read, as the page gives it away. `packed` is None where it is too large for that."""

    name: str
    sha256: str
    size: int
    packed: bytes | None

    @property
    def compressed(self) -> bool:
        """Whether `packed` is gzip."""
        return self.size > LARGE


def read_sources(paths: Sequence[Path]) -> list[RawFile]:
    """The files behind a page; a file that is gone or no file any more is left out."""
    found, left = [], MOST_IN_ALL
    for path in paths:
        for file in _files(path):
            try:
                regular_bytes(file)
                content = file.read_bytes()
            except OSError:
                continue
            packed = gzip.compress(content, 9, mtime=0) if len(content) > LARGE else content
            fits = len(packed) <= min(MOST_BYTES, left)
            left -= len(packed) if fits else 0
            digest = hashlib.sha256(content).hexdigest()
            name = f"{path.name}/{file.name}" if path.is_dir() else file.name
            found.append(RawFile(name, digest, len(content), packed if fits else None))
    return found


def _files(path: Path) -> Iterator[Path]:
    """A file itself; of a search's folder or a bundle what a person can read."""
    if not path.is_dir():
        yield path
        return
    names = ("manifest.json", "front.csv", "history.csv", "verdict.json")
    yield from sorted(path.glob("best*.json"))
    yield from (path / name for name in names if (path / name).is_file())


def repeat_section(comparison: Comparison, sources: Sequence[RawFile], commands: str) -> Markup:
    """Commands, versions, hashes and downloads.

    Args:
        commands: those that made all of it, where they are known; else they are told from the files.
    """
    lines = commands.splitlines() if commands else list(told_commands(comparison))
    code = tag("ol", [tag("li", tag("code", line)) for line in lines], class_="commands") if lines else None
    versions = {name: text for profile in comparison.profiles for name, text in profile.versions.items()}
    rows = [
        ["this page: syncnas-deploy", syncnas_deploy.__version__],
        *([name, text] for name, text in versions.items()),
    ]
    hashes = [[_download(source), f"{source.size:,}", tag("code", source.sha256[:16])] for source in sources]
    files = joined(
        tag("h3", "Raw data"),
        data_table(["file", "bytes", "sha256 begins with"], hashes, caption="Files, to download"),
        tag("p", "Names end in .gz where a file was compressed.", class_="note"),
    )
    versions_table = data_table(["what", "version"], rows[:100], caption="Versions")
    return joined(code, tag("h3", "Versions"), versions_table, files if hashes else None)


def _download(source: RawFile) -> Markup:
    if source.packed is None:
        return joined(source.name, " ", tag("small", "too large for this page"))
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", source.name)[-100:] + (".gz" if source.compressed else "")
    kind = "application/gzip" if source.compressed else "text/plain"
    # The address is longer than any text may be, and its letters are those of base64.
    address = base64.b64encode(source.packed).decode("ascii")
    link = tag("a", name, download=name, href="@").replace('"@"', f'"data:{kind};base64,{address}"')
    return Markup(link)


def told_commands(comparison: Comparison) -> Iterator[str]:
    """The commands that measure the same again, as far as the files tell them."""
    for profile in comparison.profiles:
        yield _line(
            "profile", *_on(profile.device.get("name", "")), "--base", profile.base.name, *_units(profile.units)
        )
    for probe in comparison.probes:
        place = f"{probe.stage + 1}.{probe.block + 1}@{probe.rows[len(probe.rows) // 2].width}"
        words = ("--base", probe.base, "--unit", probe.unit, "--probe", place, "--out", "probe.json")
        yield _line("profile", *_on(probe.device.get("name", "")), *words)
    for search in comparison.searches:
        budgets = [word for row in search.front for word in ("--budget", row.get("budget") or "1.0x")]
        yield _line("search", "--profile", "PROFILE", *budgets, "--out", search.folder.name)
    for result in comparison.results:
        yield _line("bench", "BUNDLE", *_on(result.device), *_units(result.units), *_amount(result))


def _on(device: str) -> list[str]:
    return ["--device", device if device == "host" or device.startswith("sim:") else SERIAL]


def _units(units: Sequence[str]) -> list[str]:
    return [word for unit in units for word in ("--unit", unit)]


def _amount(result: BenchResult) -> list[str]:
    launches = max(1, len(result.launch_samples))
    return ["--samples", str(len(result.makespan.samples_us)), "--launches", str(launches)]


def _line(*words: str) -> str:
    return " ".join(["syncnas-deploy", *(word if word == SERIAL else shlex.quote(word) for word in words)])
