"""All that a person with a device wants first: examine, profile, search, export, bench with rivals, verdict."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from syncnas_bench import Device, Unit
from syncnas_bench.doctor import Check
from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.benchmarking.result_files import read_result
from syncnas_deploy.benchmarking.trust import trust, verdict_of
from syncnas_deploy.bundle import Bundle, is_bundle, read_bundle
from syncnas_deploy.errors import DocumentError, InfeasibleBudget, OutputExists, SyncNasError
from syncnas_deploy.files.output import check_no_file, check_output, write_text
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import read_config
from syncnas_deploy.pipeline.bundles import bench, export
from syncnas_deploy.pipeline.devices import units_of
from syncnas_deploy.pipeline.inputs import (
    BUNDLE,
    PROFILE,
    RESULT,
    SEARCH,
    BudgetLike,
    ConfigLike,
    base_model,
    budget_text,
    check_budget,
)
from syncnas_deploy.pipeline.profiles import profile, profile_path
from syncnas_deploy.pipeline.searches import search
from syncnas_deploy.precision import FileFormat
from syncnas_deploy.prediction.predict import Prediction, predict
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.progress import OnProgress
from syncnas_deploy.report.comparison import read_all
from syncnas_deploy.report.html.document import write_page
from syncnas_deploy.report.notebook import show_progress
from syncnas_deploy.search.evaluators import Evaluator, default_evaluator, make_evaluator
from syncnas_deploy.search.loop import SearchSettings
from syncnas_deploy.shown import brief, ms_text

COMMANDS, PAGE = "commands.sh", "page.html"
"""What an assessment's folder holds besides what `pipeline.inputs` finds in it."""
SERIAL = '"$ANDROID_SERIAL"'
"""What stands in the commands for a phone's serial or address."""
ROOM = 1.02
"""How much more than the least latency a budget gets that could not be met."""


@dataclass(frozen=True, repr=False)
class Assessment:
    """What an assessment came to.

    Attributes:
        folder: holds everything.
        checks: what `doctor` says of the device.
    """

    folder: Path
    checks: tuple[Check, ...]
    profile: DeviceProfile
    prediction: Prediction
    bundle: Bundle
    result: BenchResult

    def __repr__(self) -> str:
        verdict = verdict_of(self.result)
        return brief("Assessment", str(self.folder), self.bundle.config.name, verdict.answer if verdict else "")

    def _repr_html_(self) -> str:
        return self.result._repr_html_()


@dataclass(frozen=True)
class AssessSettings:
    """How much an assessment does.

    Attributes:
        budget: latency of the network that is searched, see `pipeline.budget_us`.
        evaluator: rates candidates; one that needs no data. Where None, see `search.evaluators.default_evaluator`.
        trials: evaluations of the search.
        samples: recorded runs of the bench.
        profile: how much is measured first.
    """

    budget: BudgetLike = "1.0x"
    evaluator: str | Evaluator | None = None
    trials: int = 24
    samples: int = 200
    profile: ProfileSettings = field(default_factory=ProfileSettings)


def assess(
    on: Device,
    base: ConfigLike,
    out: str | Path,
    settings: AssessSettings = AssessSettings(),
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
        MeasurementError: what was measured cannot be right.
    """
    model, out = base_model(base), Path(out)
    evaluator = settings.evaluator or default_evaluator(on_notice)
    judge, budget = make_evaluator(evaluator) if isinstance(evaluator, str) else evaluator, budget_text(settings.budget)
    check_budget(budget)
    units_of(on, units)
    _check_folder(out)
    on_notice(f"1/5 examining {on.name}")
    checks = on.examine()
    on_notice(f"2/5 profiling it for {model.name}")
    measured = profile(
        model,
        on,
        out=out / PROFILE,
        units=units,
        settings=settings.profile,
        resume=True,
        examine=False,
        on_progress=on_progress,
    )
    on_notice("3/5 searching")
    budget = _searched(measured, out / SEARCH, budget, settings.trials, judge, on_progress, on_notice)
    on_notice("4/5 exporting what was found")
    best = read_config(out / SEARCH / "best.json")
    bundle = _exported(out / BUNDLE)
    formats = [FileFormat.of(Unit.parse(text)) for text in measured.units]
    if bundle is None or bundle.config != best or list(bundle.formats) != formats:
        bundle = export(
            best,
            out / BUNDLE,
            precisions=[form.precision for form in formats],
            split_kernels=[branch for branch, form in enumerate(formats) if form.split_kernels],
            timing_only=True,
            force=True,
        )
    on_notice("5/5 measuring it beside its rivals")
    prediction = predict(bundle.config, measured)
    result = _measured(out / RESULT, bundle, measured, settings.samples)
    if result is None:
        result = bench(
            bundle,
            on,
            units=measured.units,
            samples=settings.samples,
            profile=measured,
            evaluator=judge,
            out=out / RESULT,
            force=True,
            examine=False,
            on_progress=on_progress,
            on_notice=lambda text: on_notice(f"  {text}"),
        )
    named = named or (model.name if isinstance(base, ModelConfig) else str(base))
    rated = evaluator if isinstance(evaluator, str) else evaluator.name
    commands = _commands(on.name, named, measured, budget, rated, settings, out)
    write_text(out / COMMANDS, commands, force=True)
    read = read_all([out / name for name in (PROFILE, SEARCH, BUNDLE, RESULT)])
    write_page(out / PAGE, read, commands=commands, force=True)
    return Assessment(out, checks, measured, prediction, bundle, result)


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
    there = [name for name in (SEARCH, BUNDLE, RESULT, COMMANDS, PAGE) if os.path.lexists(out / name)]
    if there and not begun:
        raise OutputExists(f"{out}: holds files of something else, {there[0]} for one; choose another --out.")
    for name in (RESULT, COMMANDS, PAGE):
        check_output(out / name, force=True)


def _searched(
    measured: DeviceProfile,
    out: Path,
    budget: str,
    trials: int,
    judge: Evaluator,
    on_progress: OnProgress,
    on_notice: Callable[[str], None],
) -> str:
    """Search, or go on with it, into `out`; the budget that was met."""
    how = SearchSettings(trials)

    def once(budget: str) -> str:
        search(
            measured,
            budget=budget,
            evaluator=judge,
            settings=how,
            out=out,
            resume=True,
            on_progress=on_progress,
            on_notice=lambda text: on_notice(f"  {text}"),
        )
        return budget

    try:
        return once(budget)
    except InfeasibleBudget as error:
        if error.least_us is None:
            raise
        least = f"{math.ceil(ROOM * error.least_us)}us"
        on_notice(f"  two branches take at least {ms_text(error.least_us, 2)} ms: searching within {least} instead")
        return once(least)


def _exported(folder: Path) -> Bundle | None:
    try:
        return read_bundle(folder) if is_bundle(folder) else None
    except DocumentError:
        return None


def _measured(path: Path, bundle: Bundle, profile: DeviceProfile, samples: int) -> BenchResult | None:
    """A finished bench that need not be done again.

    It is of this very network on this device and these units, has as many samples, and is worth something.
    """
    try:
        result = read_result(path) if path.exists() else None
    except SyncNasError:
        return None
    if result is None or result.config != bundle.config or len(result.makespan.samples_us) < samples:
        return None
    if profile.other_device(result.facts, result.units) or trust(result).level == "worthless":
        return None
    return result


def _format_options(measured: DeviceProfile) -> list[str]:
    """Options of `export` for the formats that a profile's units run; none where all is fp32."""
    formats = [FileFormat.of(Unit.parse(text)) for text in measured.units]
    options: list[str] = []
    if any(form.precision != "fp32" for form in formats):
        options += [word for form in formats for word in ("--precision", form.precision)] + ["--timing-only"]
    for branch, form in enumerate(formats):
        options += ["--split-kernels", str(branch)] if form.split_kernels else []
    return options


def _commands(
    device: str, base: str, measured: DeviceProfile, budget: str, evaluator: str, settings: AssessSettings, out: Path
) -> str:
    """The commands that do the same, one by one."""
    units = [word for unit in measured.units for word in ("--unit", unit)]
    profile, found, bundle = (str(out / name) for name in (PROFILE, SEARCH, BUNDLE))
    # A serial or an address tells whose phone it is, and this folder may be shared.
    on = device if device == "host" or device.startswith("sim:") else SERIAL
    lines = [
        ["doctor", "--device", on],
        ["profile", "--device", on, "--base", base, *units, "--out", profile],
        ["search", "--profile", profile, "--budget", budget, "--evaluator", evaluator, "--trials",
         str(settings.trials), "--out", found],
        ["export", f"{found}/best.json", "--seed", "0", *_format_options(measured), "--out", bundle],
        ["bench", bundle, "--device", on, "--profile", profile, "--evaluator", evaluator, "--samples",
         str(settings.samples), "--out", str(out / RESULT)],
        ["report", profile, found, bundle, str(out / RESULT), "--html", str(out / PAGE), "--force"],
    ]  # fmt: skip
    words = (" ".join(word if word == SERIAL else shlex.quote(word) for word in line) for line in lines)
    return "".join(f"syncnas-deploy {line}\n" for line in words)
