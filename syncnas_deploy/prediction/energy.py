"""Energy of an inference, from what a device draws in a few states.

    P(state) = idle + busy_0 * watts_0 + busy_1 * watts_1      busy: share of the time that a unit is in a call

Three states give idle, watts_0 and watts_1: nearly idle, and each unit alone at work. The fourth state, both at work,
says how much more or less they draw together. The energy of an inference is what its units draw while they work,
besides the idle device. What the crossings draw is not measured apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from syncnas_deploy.errors import MeasurementError
from syncnas_deploy.prediction.rows import PowerRow, PowerState


@dataclass(frozen=True)
class PowerModel:
    """What a device draws, in watts.

    Attributes:
        idle_w: of the whole device at rest.
        unit_w: what each unit adds while it is in a call.
        together: both units' sum is this much larger while both are in a call, a factor.
    """

    idle_w: float
    unit_w: tuple[float, float]
    together: float

    @classmethod
    def of(cls, rows: Sequence[PowerRow]) -> PowerModel:
        """The model from one row per state.

        Raises:
            MeasurementError: a state is missing, or the units cannot be told apart.
        """
        by_state = {row.state: row for row in rows}
        missing = [state for state in get_args(PowerState) if state not in by_state]
        if missing:
            raise MeasurementError(f"The power was not measured in state {missing[0]!r}; measure the device again.")
        known = [by_state[state] for state in ("idle", "unit_0", "unit_1")]
        shares = np.array([[1.0, *row.busy] for row in known])
        if abs(np.linalg.det(shares)) < 0.01:
            raise MeasurementError("The states in which the power was measured are too much alike; measure again.")
        idle_w, *unit_w = (float(w) for w in np.linalg.solve(shares, [row.watts for row in known]))
        both = by_state["both"]
        alone_w = sum(share * watts for share, watts in zip(both.busy, unit_w, strict=True))
        if min(unit_w) <= 0 or alone_w <= 0:
            raise MeasurementError(
                "A unit drew nothing while it worked, by the device's meter; keep the screen and the charger as they "
                "are, close other apps and measure again."
            )
        return cls(idle_w, (unit_w[0], unit_w[1]), max(0.0, (both.watts - idle_w) / alone_w))

    def phase_mj(self, busy_us: Sequence[float]) -> float:
        """Energy of a phase, besides the idle device's, in millijoules.

        Args:
            busy_us: how long each unit works, from the same begin on.
        """
        together_us = min(busy_us)
        counted_us = [us + (self.together - 1) * together_us for us in busy_us]
        return sum(watts * us for watts, us in zip(self.unit_w, counted_us, strict=True)) / 1e3
