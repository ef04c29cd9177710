"""What a page is about: each network once, with its measurement and its prediction where there are such."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.errors import ProfileMismatch
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.prediction.predict import Prediction, predict
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.report.comparison import Comparison

MOST_SUBJECTS = 12
"""Networks that are shown whole; a page with more would not be read."""


@dataclass(frozen=True)
class Subject:
    """A network, and what is known of it. `profile` is the one that `prediction` was made from."""

    config: ModelConfig
    units: tuple[str, ...]
    result: BenchResult | None
    prediction: Prediction | None
    profile: DeviceProfile | None

    @property
    def name(self) -> str:
        """The network's, and the device's where it was measured."""
        return f"{self.config.name} on {self.result.device}" if self.result else self.config.name

    @property
    def labels(self) -> tuple[str, ...]:
        """What its numbers are: MEASURED, SIMULATED, SOFTWARE GPU or PREDICTED."""
        if self.result is not None:
            return labels(simulated=self.result.simulated, software_gpu=self.result.software_gpu)
        return ("PREDICTED",)


def labels(*, simulated: bool, software_gpu: bool) -> tuple[str, ...]:
    """Whether hardware was measured."""
    kinds = ["SIMULATED"] if simulated else []
    kinds += ["SOFTWARE GPU"] if software_gpu else []
    return tuple(kinds) or ("MEASURED",)


def profile_labels(profile: DeviceProfile) -> tuple[str, ...]:
    """Whether a profile is of hardware."""
    software = any("software" in unit for unit in profile.whole_units)
    return labels(simulated=profile.kind == "simulated", software_gpu=software)


def subjects(comparison: Comparison) -> list[Subject]:
    """Every result's network; then those of searches, bundles and configs that were not measured."""
    found = []
    for result in comparison.results:
        prediction, profile = comparison.prediction(result)
        found.append(Subject(result.config, result.units, result, prediction, profile))
    measured = [subject.config for subject in found]
    for config in _other_configs(comparison):
        if config not in measured:
            measured.append(config)
            prediction, profile = _predicted(config, comparison.profiles)
            units = profile.units if profile else ()
            found.append(Subject(config, units, None, prediction, profile))
    return found[:MOST_SUBJECTS]


def _other_configs(comparison: Comparison) -> Iterator[ModelConfig]:
    yield from (search.best for search in comparison.searches)
    yield from (bundle.config for bundle in comparison.bundles)
    yield from comparison.configs


def _predicted(config: ModelConfig, profiles: list[DeviceProfile]) -> tuple[Prediction | None, DeviceProfile | None]:
    for profile in profiles:
        try:
            return predict(config, profile), profile
        except ProfileMismatch:
            continue
    return None, None
