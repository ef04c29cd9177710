"""Measure .tflite signatures on the units of a device: alone, in turns, or two at the same time.

Names are looked up when they are first used, so that importing this package imports neither NumPy nor anything of ADB.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from syncnas_bench.conditions import Condition
    from syncnas_bench.device import Device, DeviceFacts, DeviceIdentity, UnitInfo
    from syncnas_bench.discovery import Choice, default_device, device_specs, find_device, phone_specs
    from syncnas_bench.errors import (
        BenchError,
        DeviceAmbiguous,
        DeviceNotFound,
        DeviceUnavailable,
        ModelRejected,
        PlanError,
        RowMalformed,
        RunFailed,
        RunIncomplete,
        RunnerCrashed,
        RunnerHung,
        RuntimeMismatch,
        RuntimeMissing,
        UnitError,
        UnitUnavailable,
    )
    from syncnas_bench.inputs import seeded_input
    from syncnas_bench.local.host import HostDevice
    from syncnas_bench.local.runner import run_plan
    from syncnas_bench.plan import BenchPlan, Call, InputSource, Job, Lane, Step
    from syncnas_bench.power import PowerMeter
    from syncnas_bench.retries import run_with_retries
    from syncnas_bench.runs import JobRun, LaneRun, Output, PhaseRun, PowerTrace, Run
    from syncnas_bench.session import Launch, UnitSetup
    from syncnas_bench.simulated.device import SIM_DEVICES, SimDevice
    from syncnas_bench.simulated.law import SimUnit, Vices
    from syncnas_bench.simulated.spend import Spend
    from syncnas_bench.units import Unit

_MODULES = {
    "conditions": ("Condition",),
    "device": ("Device", "DeviceFacts", "DeviceIdentity", "UnitInfo"),
    "discovery": ("Choice", "default_device", "device_specs", "find_device", "phone_specs"),
    "errors": (
        "BenchError", "DeviceAmbiguous", "DeviceNotFound", "DeviceUnavailable", "ModelRejected", "PlanError",
        "RowMalformed", "RunFailed", "RunIncomplete", "RunnerCrashed", "RunnerHung", "RuntimeMismatch",
        "RuntimeMissing", "UnitError", "UnitUnavailable",
    ),
    "inputs": ("seeded_input",),
    "local.host": ("HostDevice",),
    "local.runner": ("run_plan",),
    "plan": ("BenchPlan", "Call", "InputSource", "Job", "Lane", "Step"),
    "power": ("PowerMeter",),
    "retries": ("run_with_retries",),
    "runs": ("JobRun", "LaneRun", "Output", "PhaseRun", "PowerTrace", "Run"),
    "session": ("Launch", "UnitSetup"),
    "simulated.device": ("SIM_DEVICES", "SimDevice"),
    "simulated.law": ("SimUnit", "Vices"),
    "simulated.spend": ("Spend",),
    "units": ("Unit",),
}  # fmt: skip
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}

__all__ = [
    "SIM_DEVICES", "BenchError", "BenchPlan", "Call", "Choice", "Condition", "Device", "DeviceAmbiguous",
    "DeviceFacts", "DeviceIdentity", "DeviceNotFound", "DeviceUnavailable", "HostDevice", "InputSource", "Job",
    "JobRun", "Lane", "LaneRun", "Launch", "ModelRejected", "Output", "PhaseRun", "PlanError", "PowerMeter",
    "PowerTrace", "RowMalformed", "Run", "RunFailed", "RunIncomplete", "RunnerCrashed", "RunnerHung",
    "RuntimeMismatch", "RuntimeMissing", "SimDevice", "SimUnit", "Spend", "Step", "Unit", "UnitError", "UnitInfo",
    "UnitSetup", "UnitUnavailable", "Vices", "default_device", "device_specs", "find_device", "phone_specs",
    "run_plan", "run_with_retries", "seeded_input",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
