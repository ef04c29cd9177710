"""How to repeat what is shown, and the raw data: commands, versions, hashes, and each file as a download."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import syncnas_deploy
from syncnas_bench.files import regular_bytes
from syncnas_deploy.files.journal import journal_key
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import load_config
from syncnas_deploy.report.comparison import JOURNAL, Comparison, SearchFolder
from syncnas_deploy.report.html.markup import Markup, data_table, joined, tag
from syncnas_deploy.resources import shipped
from syncnas_deploy.search.algorithms import ALGORITHMS
from syncnas_deploy.search.search_file import SearchFile

LARGE = 20_000
"""Bytes from which a download is compressed."""
MOST_BYTES = 300_000
"""Of one file, compressed; a larger one is named and left out."""
MOST_IN_ALL = 800_000
SERIAL = '"$ANDROID_SERIAL"'
"""What stands in commands for a phone's serial or address."""
STAND_INS = {
    "BASE.json": 'the config of the base model; a profile holds it as "base"',
    "PROFILE": "the profile's file",
    "BUNDLE": "the bundle's folder",
    "EVALUATOR": "what rated the networks; see search --help",
    "FOLDER": "the folder of pictures",
    "WEIGHTS": "the base's weights",
    "PROGRAM": "the program that rated the networks, and its arguments",
    "TABLE": "the file of rewards",
}
"""Words of commands to be replaced by one's own, and by what."""


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
    names = ("manifest.json", "front.csv", "history.csv", "verdict.json", "search.json")
    yield from sorted(path.glob("best*.json"))
    yield from (path / name for name in names if (path / name).is_file())


def repeat_section(comparison: Comparison, sources: Sequence[RawFile], commands: str) -> Markup:
    """Commands, versions, hashes and downloads.

    Args:
        commands: those that made all of it, where they are known; else they are told from the files.
    """
    lines = commands.splitlines() if commands else list(told_commands(comparison))
    code = tag("ol", [tag("li", tag("code", line)) for line in lines], class_="commands") if lines else None
    words = {word for line in lines for word in re.split("[ :,']", line)} if not commands else set()
    own = "; ".join(f"{word}: {text}" for word, text in STAND_INS.items() if word in words)
    note = tag("p", f"Replace by your own: {own}.", class_="note") if own else None
    versions = {name: text for profile in comparison.profiles for name, text in profile.versions.items()}
    rows = [
        ["this page: syncnas-deploy", syncnas_deploy.__version__],
        *([name, text] for name, text in versions.items()),
        *(row for search in comparison.searches for row in _search_rows(search)),
    ]
    hashes = [[_download(source), f"{source.size:,}", tag("code", source.sha256[:16])] for source in sources]
    files = joined(
        tag("h3", "Raw data"),
        data_table(["file", "bytes", "sha256 begins with"], hashes, caption="Files, to download"),
        tag("p", "Names end in .gz where a file was compressed.", class_="note"),
    )
    versions_table = data_table(["what", "version"], rows[:100], caption="Versions")
    return joined(code, note, tag("h3", "Versions"), versions_table, files if hashes else None)


def _search_rows(search: SearchFolder) -> Iterator[list[str]]:
    """What computed a search's rewards, where its folder says it."""
    if search.how is not None:
        yield [f"{search.folder.name}: rated by", search.how.rated_by]
        yield from ([f"{search.folder.name}: {name}", text] for name, text in search.how.versions.items())
        yield [f"{search.folder.name}: profile's sha256 begins with", search.how.profile.sha256[:16]]


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
        told = profile.settings
        amount = _amount(launches=(told.get("launches"), 100), rounds=(told.get("rounds"), 10_000))
        base = _base(profile.base.name, profile.base)
        yield _line("profile", *_on(profile.device.get("name", "")), "--base", base, *_units(profile.units), *amount)
    for probe in comparison.probes:
        place = f"{probe.stage + 1}.{probe.block + 1}@{probe.rows[len(probe.rows) // 2].width}"
        words = ("--base", _base(probe.base), "--unit", probe.unit, "--probe", place, "--out", "probe.json")
        yield _line("profile", *_on(probe.device.get("name", "")), *words)
    for search in comparison.searches:
        texts = search.how.budgets if search.how else [row.get("budget") or "1.0x" for row in search.front]
        budgets = [word for text in texts for word in ("--budget", text)]
        yield _line("search", "--profile", "PROFILE", *budgets, *_how(search), "--out", search.folder.name)
    for result in comparison.results:
        runs, launches = len(result.makespan.samples_us), max(1, len(result.launch_samples))
        amount = _amount(samples=(max(5, runs), 10_000), launches=(launches, 100))
        beside = ["--profile", "PROFILE"] if any(b.role != "baseline" for b in result.baselines) else []
        beside += ["--evaluator", "EVALUATOR"] if result.reward is not None else []
        yield _line("bench", "BUNDLE", *_on(result.device), *_units(result.units), *amount, *beside)


def _base(name: str, config: ModelConfig | None = None) -> str:
    """The name of a shipped model, where it is that one; else what stands for a config of one's own."""
    known = name in shipped("model_configs") and config in (None, load_config(name))
    return name if known else "BASE.json"


def _how(search: SearchFolder) -> list[str]:
    """What rated and how many; where the folder says it, or has its journal, also what proposed, and the seed."""
    if search.how is not None:
        return _told_by(search.how)
    key = journal_key(search.folder / JOURNAL)
    evaluator, searcher, seed = key.get("evaluator"), key.get("searcher"), key.get("seed")
    words = ["--evaluator", _rated(evaluator if isinstance(evaluator, dict) else {})]
    if isinstance(searcher, dict) and searcher.get("algorithm") in ALGORITHMS:
        published = searcher["algorithm"] == "uct" and searcher.get("normalise") is False
        words += ["--algorithm", "uct-published" if published else searcher["algorithm"]]
    words += _amount(trials=(sum(bool(row.get("trial")) for row in search.history), 100_000))
    return words + (["--seed", str(seed)] if type(seed) is int and 0 <= seed < 2**31 else [])


def _told_by(how: SearchFile) -> list[str]:
    """The same from a search's own file."""
    words = ["--evaluator", _rated(how.evaluator)]
    words += ["--algorithm", how.algorithm] if how.algorithm in ALGORITHMS else []
    words += [*_amount(trials=(how.trials, 100_000)), "--seed", str(min(how.seed, 2**31 - 1))]
    words += [] if how.max_energy_mj is None else ["--max-energy", f"{how.max_energy_mj:g}"]
    return words + ([] if how.width_step not in (4, 8, 16, 32, 64) else ["--width-step", str(how.width_step)])


def _rated(evaluator: Mapping[str, object]) -> str:
    """The evaluator, from its key; what the key does not say has a stand-in."""
    name, pixels = evaluator.get("name"), evaluator.get("input_size")
    if name == "zen" and type(pixels) is int and 32 <= pixels <= 1024:
        return f"zen:{pixels}"
    if name in ("train", "inherit"):
        return ",".join(["train:FOLDER" if name == "train" else "inherit:WEIGHTS,FOLDER", *_options(evaluator)])
    stand_ins = {"capacity": "capacity", "command": "command:PROGRAM", "table": "table:TABLE"}
    return stand_ins.get(str(name), "EVALUATOR")


def _options(evaluator: Mapping[str, object]) -> Iterator[str]:
    """Options of an evaluator with pictures, as far as its key has them."""
    recipe = evaluator.get("recipe")
    recipe = recipe if isinstance(recipe, dict) else {}
    known = {
        "epochs": evaluator.get("epochs", recipe.get("epochs")),
        "size": recipe.get("input_size"),
        "batch": recipe.get("batch"),
        "crop": recipe.get("smallest_crop"),
        "rate": recipe.get("rate"),
        "width": evaluator.get("width") if evaluator.get("name") == "train" else None,
        "halving": evaluator.get("halving") if evaluator.get("name") == "train" else None,
    }
    for option, value in known.items():
        if isinstance(value, (int, float)) and type(value) is not bool and 0 <= value < 1e5:
            yield f"{option}={value:g}"


def _amount(**counts: tuple[object, int]) -> list[str]:
    """Options of the counts that are known, from 1 to the most that each may be."""
    texts = [(name, str(value), most) for name, (value, most) in counts.items()]
    fits = [(name, text) for name, text, most in texts if re.fullmatch("[1-9][0-9]{0,5}", text) and int(text) <= most]
    return [word for name, text in fits for word in (f"--{name}", text)]


def _on(device: str) -> list[str]:
    return ["--device", device if device == "host" or device.startswith("sim:") else SERIAL]


def _units(units: Sequence[str]) -> list[str]:
    return [word for unit in units for word in ("--unit", unit)]


def _line(*words: str) -> str:
    return " ".join(["syncnas-deploy", *(word if word == SERIAL else shlex.quote(word) for word in words)])
