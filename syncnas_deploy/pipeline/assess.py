"""All that a person with a device wants first: examine, profile, search, export, bench with rivals, verdict."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncnas_bench import Device, Unit
from syncnas_bench.doctor import Check
from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.benchmarking.trust import verdict_of
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.errors import OutputExists
from syncnas_deploy.files.output import check_no_file, check_output, write_text
from syncnas_deploy.files.places import as_path
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.pipeline.devices import in_int8, units_of
from syncnas_deploy.pipeline.inputs import (
    BUNDLE,
    INT8,
    PROFILE,
    RESULT,
    SEARCH,
    ConfigLike,
    base_model,
    budget_text,
    check_budget,
)
from syncnas_deploy.pipeline.profiles import profile_path
from syncnas_deploy.pipeline.road import AssessSettings, Road, shell_lines, travel
from syncnas_deploy.prediction.predict import Prediction
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.progress import OnProgress
from syncnas_deploy.report.comparison import read_all
from syncnas_deploy.report.html.document import write_page
from syncnas_deploy.report.html.sources import SERIAL
from syncnas_deploy.report.notebook import show_progress
from syncnas_deploy.search.evaluators import default_evaluator, make_evaluator
from syncnas_deploy.shown import brief
from syncnas_deploy.training.calibration import read_pictures

COMMANDS, PAGE = "commands.sh", "page.html"
"""What an assessment's folder holds besides what `pipeline.inputs` finds in it."""


@dataclass(frozen=True, repr=False)
class Assessment:
    """What an assessment came to.

    Attributes:
        folder: holds everything.
        checks: what `doctor` says of the device.
        roads: what was found for its units, and then, where it was asked for, for the same units in int8.
    """

    folder: Path
    checks: tuple[Check, ...]
    roads: tuple[Road, ...]

    @property
    def profile(self) -> DeviceProfile:
        """Of the device."""
        return self.roads[0].profile

    @property
    def prediction(self) -> Prediction:
        """Of the network that was found."""
        return self.roads[0].prediction

    @property
    def bundle(self) -> Bundle:
        """Of the network that was found."""
        return self.roads[0].bundle

    @property
    def result(self) -> BenchResult:
        """What was measured of it and its rivals."""
        return self.roads[0].result

    def __repr__(self) -> str:
        verdict = verdict_of(self.result)
        return brief("Assessment", str(self.folder), self.bundle.config.name, verdict.answer if verdict else "")

    def _repr_html_(self) -> str:
        return self.result._repr_html_()


def assess(
    on: Device,
    base: ConfigLike,
    out: str | Path,
    settings: AssessSettings | None = None,
    *,
    units: Sequence[str] = (),
    named: str = "",
    on_progress: OnProgress = show_progress,
    on_notice: Callable[[str], None] = lambda _: None,
) -> Assessment:
    """Find out whether two units pay on a device. What is in `out` already is taken; so an interrupted one goes on.

    A bench that was worthless is measured again. `named` is what the folder's commands call the base.

    Where no network of two branches meets the budget, the least latency that one can meet is searched instead.

    Raises:
        BenchError: the device cannot be measured.
        OutputExists, JournalMismatch: `out` holds another assessment, or files of something else.
        UnknownEvaluator, InfeasibleBudget, UnitError: what is asked for cannot be, before anything is measured.
        DatasetError: pictures that cannot be used, before anything is measured.
        MeasurementError: what was measured cannot be right.
    """
    model, out, settings = base_model(base), as_path(out), settings or AssessSettings()
    evaluator = settings.evaluator or default_evaluator(on_notice)
    judge, budget = make_evaluator(evaluator), budget_text(settings.budget)
    check_budget(budget)
    given = units_of(on, units)
    if settings.calibrate is not None:
        read_pictures(settings.calibrate, model.input_size)
    if settings.int8 and tuple(map(in_int8, given)) == given:
        on_notice(f"int8: {' and '.join(map(str, given))} have no other format that would be int8")
        settings = dataclasses.replace(settings, int8=False)
    _check_folder(out)

    def go(folder: Path, units: Sequence[str], on_notice: Callable[[str], None]) -> Road:
        return travel(
            on,
            model,
            folder,
            settings,
            units=units,
            judge=judge,
            budget=budget,
            on_progress=on_progress,
            on_notice=on_notice,
        )

    on_notice(f"1/5 examining {on.name}")
    checks = on.examine()
    roads = [go(out, units, on_notice)]
    first = roads[0].profile.units
    rounded = [str(in_int8(Unit.parse(text))) for text in first]
    if settings.int8 and tuple(rounded) != first:
        roads.append(go(out / INT8, rounded, lambda text: on_notice(f"int8: {text}")))
    named = named or (model.name if isinstance(base, ModelConfig) else str(base))
    rated = evaluator if isinstance(evaluator, str) else evaluator.name
    commands = _commands(on.name, named, roads, rated, settings, out)
    write_text(out / COMMANDS, commands, force=True)
    read = read_all([path for road in roads for path in road.documents])
    write_page(out / PAGE, read, commands=commands, force=True)
    return Assessment(out, checks, tuple(roads))


def assessment_path(base: ConfigLike, device: str) -> Path:
    """The default folder: ``BASE-DEVICE.assessment``."""
    return profile_path(base, device).with_name(profile_path(base, device).name.replace(".profile.json", ".assessment"))


def _check_folder(out: Path) -> None:
    """Refuse a folder with files of these names that no assessment has made: those have a profile, or its journal.

    Raises:
        OutputExists: the first of them.
    """
    check_no_file(out)
    begun = any(os.path.lexists(out / name) for name in (PROFILE, f"{PROFILE}.journal"))
    there = [name for name in (SEARCH, BUNDLE, RESULT, COMMANDS, PAGE, INT8) if os.path.lexists(out / name)]
    if there and not begun:
        raise OutputExists(f"{out}: holds files of something else, {there[0]} for one; choose another --out.")
    for name in (RESULT, COMMANDS, PAGE):
        check_output(out / name, force=True)


def _commands(
    device: str, base: str, roads: Sequence[Road], evaluator: str, settings: AssessSettings, out: Path
) -> str:
    """The commands that do the same, one by one."""
    # A serial or an address tells whose phone it is, and this folder may be shared.
    on = device if device == "host" or device.startswith("sim:") else SERIAL
    lines = [["doctor", "--device", on]]
    for road in roads:
        lines += road.commands(on, base, evaluator, settings)
    shown = [str(path) for road in roads for path in road.documents]
    lines.append(["report", *shown, "--html", str(out / PAGE), "--force"])
    return shell_lines(lines, SERIAL)
