"""A prediction as JSON, with the same names as a measured result."""

from __future__ import annotations

import dataclasses
from typing import Any

from syncnas_deploy.prediction.breakdown import Breakdown, of_prediction
from syncnas_deploy.prediction.predict import Prediction


def prediction_to_json(prediction: Prediction) -> dict[str, Any]:
    """``makespan_us``, ``energy_mj``, ``segments`` and ``syncs``, named as in ``bench --json``; and where it goes."""
    return {
        "makespan_us": round(prediction.makespan_us, 3),
        "energy_mj": None if prediction.energy_mj is None else round(prediction.energy_mj, 6),
        "segments": [
            {name: round(value, 3) if isinstance(value, float) else value for name, value in row.items()}
            for row in prediction.rows()
        ],
        "syncs": [
            {"after_phase": number, "overhead_us": round(phase.sync_us, 3), "wait_us": round(phase.wait_us, 3)}
            for number, phase in enumerate(prediction.phases[:-1])
        ],
        "breakdown": breakdown_to_json(of_prediction(prediction)),
    }


def breakdown_to_json(parts: Breakdown) -> dict[str, Any]:
    """Parts of a makespan, microseconds; see `Breakdown`."""
    named = {name: value for name, value in dataclasses.asdict(parts).items() if name != "idle_us"}
    return {name: round(us, 3) for name, us in named.items()} | {"idle_us": [round(us, 3) for us in parts.idle_us]}
