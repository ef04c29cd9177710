"""A report of several files: each read by what it is, predictions laid beside measurements."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from syncnas_bench.files import is_file, is_folder, regular_bytes
from syncnas_deploy.benchmarking import result_files
from syncnas_deploy.benchmarking.app_times import AppTimes, is_app_times, read_app_times
from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.benchmarking.result_files import read_result, result_to_json
from syncnas_deploy.bundle import Bundle, is_bundle, read_bundle
from syncnas_deploy.errors import AppTimesError, DocumentError, ProfileMismatch
from syncnas_deploy.files.documents import read_json
from syncnas_deploy.networks import formats
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import config_to_json, read_config
from syncnas_deploy.prediction import profile_files, width_probe
from syncnas_deploy.prediction.predict import Prediction, predict
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.profile_files import profile_to_json, read_profile
from syncnas_deploy.prediction.width_probe import WidthProbe, read_probe
from syncnas_deploy.report.judgement import verdict_lines
from syncnas_deploy.report.page import Cell, Page, Table
from syncnas_deploy.report.prediction_json import prediction_to_json
from syncnas_deploy.report.searches import folder_page
from syncnas_deploy.report.tables import app_page, bench_page, config_page, probe_page, profile_page
from syncnas_deploy.search.search_file import SearchFile, read_search
from syncnas_deploy.search.verdict_file import VerdictRow, read_verdicts

BEST, HISTORY, FRONT, JOURNAL = "best.json", "history.csv", "front.csv", "search.journal"
NUMBERS, COUNTS = ("standard_error", "predicted_us", "budget_us", "energy_mj"), ("trial", "evaluations")
"""Columns that hold numbers, or nothing."""
MAX_HISTORY_BYTES, MAX_HISTORY_ROWS = 32 * 1024 * 1024, 200_000


@dataclass(frozen=True)
class SearchFolder:
    """A search's folder: the best network, the rows of its history, the best by budget, and a verdict for each.

    Attributes:
        how: it went; None where the search is of before 0.3.
    """

    folder: Path
    best: ModelConfig
    history: tuple[dict[str, str], ...]
    front: tuple[dict[str, str], ...]
    verdicts: tuple[VerdictRow, ...]
    how: SearchFile | None = None


@dataclass
class Comparison:
    """Everything that was read, in the order it was named.

    Attributes:
        paths: the files and folders themselves.
        kinds: what each path is: profile, search, bundle, config, result, probe or app.
    """

    paths: list[Path] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    profiles: list[DeviceProfile] = field(default_factory=list)
    searches: list[SearchFolder] = field(default_factory=list)
    bundles: list[Bundle] = field(default_factory=list)
    configs: list[ModelConfig] = field(default_factory=list)
    results: list[BenchResult] = field(default_factory=list)
    probes: list[WidthProbe] = field(default_factory=list)
    apps: list[AppTimes] = field(default_factory=list)

    def probed(self, probe: WidthProbe) -> tuple[DeviceProfile, int] | None:
        """The first profile of a probe's device and base, and which of its units was probed; None where none is."""
        for measured in self.profiles:
            fits = measured.base.name == probe.base and probe.unit in measured.units
            fits &= any(curve.key == probe.key for curve in measured.curves)
            if fits and not measured.other_device(probe.device, measured.units):
                return measured, measured.units.index(probe.unit)
        return None

    def curve_us(self, probe: WidthProbe) -> dict[int, float]:
        """What a profile says at a probe's widths, as far as it goes; empty without one."""
        found = self.probed(probe)
        if found is None:
            return {}
        known = zip(*found[0].table.curve(found[1], probe.key), strict=True)
        return {int(w): float(us) for w, us in known if any(w == row.width for row in probe.rows)}

    def in_apps(self, config: ModelConfig) -> list[AppTimes]:
        """What apps measured of a network."""
        return [app for app in self.apps if app.config == config]

    def prediction(self, result: BenchResult) -> tuple[Prediction | None, DeviceProfile | None]:
        """The prediction and its profile, of the same device, units and base; None where no profile is."""
        for measured in self.profiles:
            if measured.other_device(result.facts, result.units):
                continue
            try:
                return predict(result.config, measured), measured
            except ProfileMismatch:
                continue
        return None, None

    def unmatched(self, result: BenchResult) -> str:
        """Why no profile's prediction stands beside a result; "" where one does, or where there is no profile."""
        if not self.profiles or self.prediction(result)[0] is not None:
            return ""
        reasons = [measured.other_device(result.facts, result.units) for measured in self.profiles]
        told = next((reason for reason in reasons if reason), "none of them is of its base model")
        return f"no prediction beside {result.config.name}: no profile fits it ({told})"

    def page(self) -> Page:
        """All of it for a terminal."""
        parts = [profile_page(item) for item in self.profiles]
        parts += [_search_page(item) for item in self.searches]
        parts += [_bundle_page(item) for item in self.bundles]
        parts += [config_page(item) for item in self.configs]
        parts += [probe_page(item, self.curve_us(item)) for item in self.probes]
        for item in self.results:
            parts.append(bench_page(item, *self.prediction(item)))
            parts += [Page(told) for told in [self.unmatched(item)] if told]
        parts += [app_page(app, [r for r in self.results if r.config == app.config]) for app in self.apps]
        separated = [part for each in parts for part in ("", *each.parts)]
        return Page(*separated[1:])

    def to_text(self) -> str:
        return str(self.page())

    def to_json(self) -> dict[str, Any]:
        """The whole page for a script."""
        return {
            "profiles": [profile_to_json(item) for item in self.profiles],
            "searches": [
                {
                    "folder": str(s.folder),
                    "best": config_to_json(s.best),
                    "history": list(s.history),
                    "front": list(s.front),
                    "verdicts": [{"budget": row.budget, **msgspec.to_builtins(row.verdict)} for row in s.verdicts],
                    "how": msgspec.to_builtins(s.how),
                }
                for s in self.searches
            ],
            "bundles": [{"folder": str(b.folder), "name": b.config.name, "weights": b.weights} for b in self.bundles],
            "probes": [msgspec.to_builtins(item) for item in self.probes],
            "apps": [{"name": a.config.name, "units": a.units, "samples_us": a.makespan.samples_us} for a in self.apps],
            "configs": [config_to_json(item) for item in self.configs],
            "results": [
                {**result_to_json(r), "predicted": prediction_to_json(p) if p else None}
                for r in self.results
                for p, _ in [self.prediction(r)]
            ],
        }


def read_all(paths: Sequence[Path]) -> Comparison:
    """Read every path as what it is.

    Raises:
        DocumentError: a path is nothing that a report can show.
    """
    page = Comparison(paths=list(paths))
    of_apps = [path for path in paths if is_app_times(path)]
    for path in paths:
        if is_folder(path):
            _read_folder(path, page)
            continue
        if path in of_apps:
            page.kinds.append("app")
            continue
        value = read_json(path, DocumentError)
        schema = str(value.get("schema", "")) if isinstance(value, dict) else ""
        kind = schema.rpartition("/")[0]
        if kind == profile_files.SCHEMA:
            page.profiles.append(read_profile(path))
            page.kinds.append("profile")
        elif kind == result_files.SCHEMA:
            page.results.append(read_result(path))
            page.kinds.append("result")
        elif kind == width_probe.SCHEMA:
            page.probes.append(read_probe(path))
            page.kinds.append("probe")
        elif kind == formats.SCHEMA or (isinstance(value, dict) and "0" in value):
            page.configs.append(read_config(path))
            page.kinds.append("config")
        else:
            raise DocumentError(
                f"{path}: neither a profile, a bench result, a probe nor a config (its 'schema' is {schema[:60]!r})."
            )
    page.apps += [_read_app(path, page.bundles) for path in of_apps]
    return page


def _read_app(path: Path, bundles: Sequence[Bundle]) -> AppTimes:
    """What an app measured of the first bundle that it can be of."""
    error = AppTimesError(f"{path}: is what an app measured; name the bundle that it ran, too.")
    for bundle in bundles:
        try:
            return read_app_times(path, bundle)
        except AppTimesError as e:
            error = e
    raise error


def _read_folder(path: Path, page: Comparison) -> None:
    if is_bundle(path):
        page.bundles.append(read_bundle(path))
        page.kinds.append("bundle")
    elif is_file(path / BEST):
        history, front = _rows(path / HISTORY), _rows(path / FRONT)
        best, verdicts, how = read_config(path / BEST), read_verdicts(path), read_search(path)
        if how is not None and how.base != best.base:
            raise DocumentError(f"{path / 'search.json'}: is of base {how.base!r}, not of {best.base!r}; search again.")
        page.searches.append(SearchFolder(path, best, history, front, verdicts, how))
        page.kinds.append("search")
    elif (path / JOURNAL).is_file():
        raise DocumentError(f"{path}: its search has not finished; let it end, or go on with `search --resume`.")
    else:
        raise DocumentError(f"{path}: neither a bundle nor a search's folder; name the files themselves.")


def _rows(path: Path) -> tuple[dict[str, str], ...]:
    """The rows of a search's CSV, their rewards checked."""
    try:
        if regular_bytes(path) > MAX_HISTORY_BYTES:
            raise DocumentError(f"{path}: is too large to be a search's.")
        with path.open(encoding="utf-8-sig", newline="") as f:
            rows = tuple(dict(row) for row in itertools.islice(csv.DictReader(f, strict=True), MAX_HISTORY_ROWS + 1))
        if len(rows) > MAX_HISTORY_ROWS:
            raise DocumentError(f"{path}: has too many rows to be a search's.")
        for row in rows:
            float(row["reward"] or 0.0)
            for name in NUMBERS:
                float(row.get(name) or 0.0)
            for name in COUNTS:
                int(row.get(name) or 0)
        return rows
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError):
        raise DocumentError(f"{path}: cannot be read as a search wrote it; run the search again.") from None


def _search_page(search: SearchFolder) -> Page:
    verdicts = [line for row in search.verdicts for line in ("", *verdict_lines(row.verdict))]
    how = [str(search.how)] if search.how else []
    return Page(f"search in {search.folder}", *how, folder_page(search.history, search.front), *verdicts)


def _bundle_page(bundle: Bundle) -> Page:
    rows: list[list[Cell]] = [
        [s.name, s.branch, s.phase, s.sync.name.lower(), len(s.blocks), s.output_bytes] for s in bundle.segments
    ]
    formats = " | ".join(map(str, bundle.formats))
    head = f"bundle {bundle.folder}: {bundle.config.name}, {formats}, weights: {bundle.weights}"
    return Page(head, Table(["segment", "branch", "phase", "first op", "blocks", "output (bytes)"], rows))
