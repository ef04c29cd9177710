"""All that a person with a device wants first: examine, profile, search, export, bench with rivals, verdict."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from syncnas_bench import Device
from syncnas_bench.doctor import Check
from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.benchmarking.result_files import read_result
from syncnas_deploy.benchmarking.trust import trust
from syncnas_deploy.bundle import Bundle, is_bundle, read_bundle
from syncnas_deploy.errors import DocumentError, InfeasibleBudget, SyncNasError
from syncnas_deploy.files.output import check_output, write_text
from syncnas_deploy.networks.formats import read_config
from syncnas_deploy.pipeline.bundles import bench, export
from syncnas_deploy.pipeline.inputs import ConfigLike, base_model
from syncnas_deploy.pipeline.profiles import profile, profile_path
from syncnas_deploy.pipeline.searches import search
from syncnas_deploy.prediction.predict import Prediction, predict
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.search.evaluators import Evaluator
from syncnas_deploy.search.loop import SearchSettings

PROFILE, SEARCH, BUNDLE, RESULT, COMMANDS = "profile.json", "search", "bundle", "bench.json", "commands.sh"
"""What an assessment's folder holds."""
ROOM = 1.02
"""How much more than the least latency a budget gets that could not be met."""


@dataclass(frozen=True)
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


@dataclass(frozen=True)
class AssessSettings:
    """How much an assessment does.

    Attributes:
        budget: latency of the network that is searched, see `pipeline.budget_us`.
        evaluator: rates candidates; one that needs no data.
        trials: evaluations of the search.
        samples: recorded runs of the bench.
        profile: how much is measured first.
    """

    budget: str = "1.0x"
    evaluator: str | Evaluator = "zen"
    trials: int = 24
    samples: int = 200
    profile: ProfileSettings = field(default_factory=ProfileSettings)


def assess(
    on: Device,
    base: ConfigLike,
    out: Path,
    settings: AssessSettings = AssessSettings(),
    *,
    units: Sequence[str] = (),
    on_notice: Callable[[str], None] = lambda _: None,
) -> Assessment:
    """Find out whether two units pay on a device. What is in `out` already is taken; so an interrupted one goes on.

    A bench that was worthless is measured again.

    Where no network of two branches meets the budget, the least latency that one can meet is searched instead.

    Raises:
        BenchError: the device cannot be measured.
        OutputExists, JournalMismatch: `out` holds another assessment.
        MeasurementError: what was measured cannot be right.
    """
    model = base_model(base)
    check_output(out / RESULT, force=_measured(out / RESULT) is not None)
    check_output(out / COMMANDS, force=_is_commands(out / COMMANDS))
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
        on_progress=lambda p: on_notice(f"  [{p.done}/{p.total}] {p.step}, {p.eta_s:.0f} s to go"),
    )
    on_notice("3/5 searching")
    budget = _searched(measured, out / SEARCH, settings, on_notice)
    on_notice("4/5 exporting what was found")
    best = read_config(out / SEARCH / "best.json")
    bundle = _exported(out / BUNDLE)
    if bundle is None or bundle.config != best:
        bundle = export(best, out / BUNDLE, force=bundle is not None)
    on_notice("5/5 measuring it beside its rivals")
    prediction = predict(bundle.config, measured)
    earlier = _measured(out / RESULT)
    if earlier is not None and earlier.config == bundle.config and trust(earlier).level != "worthless":
        result = earlier
    else:
        result = bench(
            bundle,
            on,
            units=measured.units,
            samples=settings.samples,
            profile=measured,
            evaluator=settings.evaluator,
            out=out / RESULT,
            force=earlier is not None,
            on_launch=lambda done, total: on_notice(f"  [{done}/{total}] launches"),
            on_notice=lambda text: on_notice(f"  {text}"),
        )
    lines = _commands(on.name, model.name, measured, budget, settings, out)
    write_text(out / COMMANDS, lines, force=_is_commands(out / COMMANDS))
    return Assessment(out, checks, measured, prediction, bundle, result)


def assessment_path(base: ConfigLike, device: str) -> Path:
    """The default folder: ``BASE-DEVICE.assessment``."""
    return profile_path(base, device).with_name(profile_path(base, device).name.replace(".profile.json", ".assessment"))


def _searched(measured: DeviceProfile, out: Path, settings: AssessSettings, on_notice: Callable[[str], None]) -> str:
    """Search, or go on with it, into `out`; the budget that was met."""
    how = SearchSettings(settings.trials)

    def once(budget: str) -> str:
        search(
            measured,
            budget=budget,
            evaluator=settings.evaluator,
            settings=how,
            out=out,
            resume=True,
            on_progress=lambda p: on_notice(f"  [{p.done}/{p.total}] {p.eta_s:.0f} s to go"),
            on_notice=lambda text: on_notice(f"  {text}"),
        )
        return budget

    try:
        return once(settings.budget)
    except InfeasibleBudget as error:
        if error.least_us is None:
            raise
        least = f"{ROOM * error.least_us / 1e3:.2f}ms"
        on_notice(f"  two branches take at least {error.least_us / 1e3:.2f} ms: searching within {least} instead")
        return once(least)


def _exported(folder: Path) -> Bundle | None:
    try:
        return read_bundle(folder) if is_bundle(folder) else None
    except DocumentError:
        return None


def _measured(path: Path) -> BenchResult | None:
    """A finished bench; None where there is none, or a file of something else."""
    try:
        return read_result(path) if path.exists() else None
    except SyncNasError:
        return None


def _is_commands(path: Path) -> bool:
    try:
        return path.read_text(encoding="utf-8").startswith("syncnas-deploy ")
    except (OSError, UnicodeDecodeError):
        return False


def _commands(device: str, base: str, measured: DeviceProfile, budget: str, settings: AssessSettings, out: Path) -> str:
    """The commands that do the same, one by one."""
    units = [word for unit in measured.units for word in ("--unit", unit)]
    evaluator = settings.evaluator if isinstance(settings.evaluator, str) else settings.evaluator.name
    profile, found, bundle = (str(out / name) for name in (PROFILE, SEARCH, BUNDLE))
    lines = [
        ["doctor", "--device", device],
        ["profile", "--device", device, "--base", base, *units, "--out", profile],
        ["search", "--profile", profile, "--budget", budget, "--evaluator", evaluator, "--trials",
         str(settings.trials), "--out", found],
        ["export", f"{found}/best.json", "--seed", "0", "--out", bundle],
        ["bench", bundle, "--device", device, "--profile", profile, "--evaluator", evaluator, "--samples",
         str(settings.samples), "--out", str(out / RESULT)],
        ["report", profile, found, str(out / RESULT)],
    ]  # fmt: skip
    return "".join(f"{shlex.join(['syncnas-deploy', *line])}\n" for line in lines)
