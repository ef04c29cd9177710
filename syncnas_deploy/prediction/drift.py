"""Drift: how much slower or faster a device is than when it was profiled, told apart from the error of a prediction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.prediction.predict import Circumstances, Prediction, predict
from syncnas_deploy.prediction.profile import DeviceProfile

MOST_DRIFT = 0.10
"""Relative change of a unit's speed from which a device should be profiled again."""


@dataclass(frozen=True)
class Drift:
    """A prediction as it was made, and at today's speed.

    Attributes:
        slowness: by unit, the base's latency today over that in the profile, [2].
        made: the prediction by the profile.
        today: the prediction with both units at today's speed.
    """

    slowness: tuple[float, float]
    made: Prediction
    today: Prediction

    @property
    def largest(self) -> float:
        """The larger relative change of a unit; above 0 it is slower today."""
        return max((slower - 1 for slower in self.slowness), key=abs)


def drift(config: ModelConfig, profile: DeviceProfile, today_us: Sequence[float]) -> Drift:
    """The drift since a profile was made.

    Args:
        config: the network that is predicted.
        profile: of the device.
        today_us: latency of the profile's base on each of its units today, microseconds, [2].

    Raises:
        ProfileMismatch: the profile cannot predict the network.
    """
    first, second = (us / profile.table.network_us(unit) for unit, us in enumerate(today_us))
    slowness = (first, second)
    return Drift(slowness, predict(config, profile), predict(config, profile, Circumstances(slowness)))
