"""The road of one pair of units: profile, search, export and bench with rivals, in a folder that it goes on in."""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from syncnas_bench import Device, Unit
from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.benchmarking.result_files import read_result
from syncnas_deploy.benchmarking.trust import trust
from syncnas_deploy.bundle import Bundle, is_bundle, read_bundle
from syncnas_deploy.errors import DocumentError, InfeasibleBudget, SyncNasError
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import read_config
from syncnas_deploy.pipeline.bundles import bench
from syncnas_deploy.pipeline.exports import export
from syncnas_deploy.pipeline.inputs import BUNDLE, PROFILE, RESULT, SEARCH, BudgetLike
from syncnas_deploy.pipeline.profiles import profile
from syncnas_deploy.pipeline.searches import search
from syncnas_deploy.precision import FileFormat
from syncnas_deploy.prediction.predict import Prediction, predict
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.progress import OnProgress
from syncnas_deploy.search.evaluators import Evaluator
from syncnas_deploy.search.loop import SearchSettings
from syncnas_deploy.shown import ms_text

ROOM = 1.02
"""How much more than the least latency a budget gets that could not be met."""


@dataclass(frozen=True)
class AssessSettings:
    """How much an assessment does.

    Attributes:
        budget: latency of the network that is searched, see `pipeline.budget_us`.
        evaluator: rates candidates; one that needs no data. Where None, see `search.evaluators.default_evaluator`.
        trials: evaluations of the search.
        samples: recorded runs of the bench.
        profile: how much is measured first.
        calibrate: pictures for int8. With them, the default units are those of `devices.paired_units`; without them an
            int8 network is made for timing alone.
        int8: whether the same units are assessed in int8 (a GPU in fp16), too.

    Raises:
        SettingsError: no such number of trials.
    """

    budget: BudgetLike = "1.0x"
    evaluator: str | Evaluator | None = None
    trials: int = 24
    samples: int = 200
    profile: ProfileSettings = field(default_factory=ProfileSettings)
    calibrate: Path | None = None
    int8: bool = False

    def __post_init__(self) -> None:
        SearchSettings(self.trials)


@dataclass(frozen=True)
class Road:
    """What was found on a road.

    Attributes:
        budget: the one that was met.
    """

    folder: Path
    profile: DeviceProfile
    budget: str
    prediction: Prediction
    bundle: Bundle
    result: BenchResult

    @property
    def documents(self) -> list[Path]:
        """What a report shows of it."""
        return [self.folder / name for name in (PROFILE, SEARCH, BUNDLE, RESULT)]

    def commands(self, device: str, base: str, evaluator: str, settings: AssessSettings) -> list[list[str]]:
        """The words of the commands that do the same, without the program's name.

        Args:
            device: what stands for the device.
            base: what the user calls the base model.
            evaluator: the name of what rated.
        """
        profile, found, bundle, result = map(str, self.documents)
        units = [word for unit in self.profile.units for word in ("--unit", unit)]
        pictures = ["--timing-only"] if settings.calibrate is None else ["--calibrate", str(settings.calibrate)]
        return [
            ["profile", "--device", device, "--base", base, *units, "--out", profile],
            ["search", "--profile", profile, "--budget", self.budget, "--evaluator", evaluator, "--trials",
             str(settings.trials), "--out", found],
            ["export", f"{found}/best.json", "--seed", "0", "--profile", profile,
             *(pictures if "int8" in self.bundle.precisions else ()), "--out", bundle],
            ["bench", bundle, "--device", device, "--profile", profile, "--evaluator", evaluator, "--samples",
             str(settings.samples), "--out", result],
        ]  # fmt: skip


def travel(
    on: Device,
    model: ModelConfig,
    out: Path,
    settings: AssessSettings,
    *,
    units: Sequence[str],
    judge: Evaluator,
    budget: str,
    on_progress: OnProgress,
    on_notice: Callable[[str], None],
) -> Road:
    """Go the road of two units. What is in `out` already is taken; a bench that was worthless is measured again.

    Args:
        units: texts; the device's default ones where there are none.
        judge: rates candidates.
        budget: its text. Where no network of two branches meets it, the least latency that one can meet is searched.

    Raises:
        BenchError: the device cannot be measured.
        OutputExists, JournalMismatch: `out` holds another assessment.
        MeasurementError: what was measured cannot be right.
    """

    def detail(text: str) -> None:
        on_notice(f"  {text}")

    on_notice(f"2/5 profiling it for {model.name}")
    measured = profile(
        model,
        on,
        out=out / PROFILE,
        units=units,
        calibrate=settings.calibrate,
        settings=settings.profile,
        resume=True,
        examine=False,
        on_progress=on_progress,
        on_notice=detail,
    )
    on_notice("3/5 searching")
    budget = _searched(measured, out / SEARCH, budget, settings.trials, judge, on_progress, detail)
    on_notice("4/5 exporting what was found")
    bundle = _exported(out, measured, settings.calibrate, detail)
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
            on_notice=detail,
        )
    return Road(out, measured, budget, prediction, bundle, result)


def shell_lines(commands: Sequence[Sequence[str]], as_it_is: str) -> str:
    """Commands of the program as a shell reads them, a line each; one word stays as it is."""
    words = (" ".join(word if word == as_it_is else shlex.quote(word) for word in line) for line in commands)
    return "".join(f"syncnas-deploy {line}\n" for line in words)


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
            on_notice=on_notice,
        )
        return budget

    try:
        return once(budget)
    except InfeasibleBudget as error:
        if error.least_us is None:
            raise
        least = f"{math.ceil(ROOM * error.least_us)}us"
        on_notice(f"two branches take at least {ms_text(error.least_us, 2)} ms: searching within {least} instead")
        return once(least)


def _exported(
    folder: Path, measured: DeviceProfile, calibrate: Path | None, on_notice: Callable[[str], None]
) -> Bundle:
    """What was found as a bundle for the profile's units, as it is there or anew."""
    best, out = read_config(folder / SEARCH / "best.json"), folder / BUNDLE
    formats = tuple(FileFormat.exported(Unit.parse(text)) for text in measured.units)
    pictures = calibrate if any(form.precision == "int8" for form in formats) else None
    try:
        bundle = read_bundle(out) if is_bundle(out) else None
    except DocumentError:
        bundle = None
    if bundle and (bundle.config, bundle.formats) == (best, formats) and bundle.timing_only <= (pictures is None):
        return bundle
    return export(
        best, out, profile=measured, calibrate=pictures, timing_only=pictures is None, force=True, on_notice=on_notice
    )


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
