"""What a page is about: each network once, with its measurement and its prediction where there are such."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from syncnas_bench import Unit, UnitError
from syncnas_deploy.benchmarking.app_times import AppTimes
from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.errors import ProfileMismatch
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.precision import FileFormat
from syncnas_deploy.prediction.predict import Prediction, predict
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.width_probe import WidthProbe
from syncnas_deploy.report.comparison import Comparison

MOST_SUBJECTS = 12
"""Networks that are shown whole; a page with more would not be read."""


@dataclass(frozen=True)
class Subject:
    """A network, and what is known of it.

    Attributes:
        profile: the one that `prediction` was made from.
        bundle: of the same network.
        apps: what apps measured of it.
    """

    config: ModelConfig
    units: tuple[str, ...]
    result: BenchResult | None
    prediction: Prediction | None
    profile: DeviceProfile | None
    bundle: Bundle | None = None
    apps: tuple[AppTimes, ...] = ()

    @property
    def name(self) -> str:
        """The network's, the device's where it was measured or predicted, and its units where they run int8 or fp16."""
        rounded = any(word in ("int8", "fp16") for unit in self.units for word in unit.split(":"))
        known = self.profile.device.get("name", "") if self.profile else ""
        device = self.result.device if self.result else known
        where = f" on {device}" if device else ""
        return f"{self.config.name}{where}" + (f", {' and '.join(self.units)}" if rounded else "")

    @property
    def labels(self) -> tuple[str, ...]:
        """What its numbers are: MEASURED, SIMULATED, SOFTWARE GPU or PREDICTED."""
        if self.result is not None:
            return labels(simulated=self.result.simulated, software_gpu=self.result.software_gpu)
        return ("MEASURED",) if self.apps else ("PREDICTED",)

    @property
    def formats(self) -> str:
        """Of the numbers, branch by branch: as the bundle says, else as the units do."""
        if self.bundle is not None:
            return " and ".join(map(str, self.bundle.formats))
        return formats_of(self.units)


def formats_of(units: Sequence[str]) -> str:
    """Which numbers units compute with, in words; "" where not all of them say so."""
    told = [str(FileFormat(unit.precision, unit.split)) for unit in map(_unit, units) if unit and unit.kind != "sim"]
    return " and ".join(told) if len(told) == len(units) else ""


def labels(*, simulated: bool, software_gpu: bool) -> tuple[str, ...]:
    """Whether hardware was measured."""
    kinds = ["SIMULATED"] if simulated else []
    kinds += ["SOFTWARE GPU"] if software_gpu else []
    return tuple(kinds) or ("MEASURED",)


def profile_labels(profile: DeviceProfile) -> tuple[str, ...]:
    """Whether a profile is of hardware."""
    software = any("software" in unit for unit in profile.whole_units)
    return labels(simulated=profile.kind == "simulated", software_gpu=software)


def probe_labels(probe: WidthProbe) -> tuple[str, ...]:
    """Whether a width probe is of hardware."""
    return labels(simulated=probe.kind == "simulated", software_gpu="software" in probe.unit)


def subjects(comparison: Comparison) -> list[Subject]:
    """Every result's network; then those of searches, bundles and configs that were not measured."""
    found = []
    for result in comparison.results:
        prediction, profile = comparison.prediction(result)
        known = _bundle(comparison, result.config, result.units), tuple(comparison.in_apps(result.config))
        found.append(Subject(result.config, result.units, result, prediction, profile, *known))
    measured = [subject.config for subject in found]
    for config in _other_configs(comparison):
        if config not in measured:
            measured.append(config)
            prediction, profile = _predicted(config, comparison.profiles)
            units = profile.units if profile else ()
            known = _bundle(comparison, config, units), tuple(comparison.in_apps(config))
            found.append(Subject(config, units, None, prediction, profile, *known))
    return found[:MOST_SUBJECTS]


def _other_configs(comparison: Comparison) -> Iterator[ModelConfig]:
    yield from (search.best for search in comparison.searches)
    yield from (bundle.config for bundle in comparison.bundles)
    yield from comparison.configs


def _bundle(comparison: Comparison, config: ModelConfig, units: Sequence[str]) -> Bundle | None:
    """The bundle of a network whose files are what its units run."""
    for bundle in comparison.bundles:
        pairs = zip(bundle.formats, map(_unit, units), strict=False)
        if bundle.config == config and all(unit is None or found.runs_on(unit) for found, unit in pairs):
            return bundle
    return None


def _unit(text: str) -> Unit | None:
    try:
        return Unit.parse(text)
    except UnitError:
        return None


def _predicted(config: ModelConfig, profiles: list[DeviceProfile]) -> tuple[Prediction | None, DeviceProfile | None]:
    for profile in profiles:
        try:
            return predict(config, profile), profile
        except ProfileMismatch:
            continue
    return None, None
