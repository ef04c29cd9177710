"""Measure .tflite signatures on the units of a device: alone, in turns, or two at the same time."""

from __future__ import annotations

from syncnas_bench.conditions import Condition
from syncnas_bench.device import Device, DeviceFacts, UnitInfo
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
from syncnas_bench.plan import BenchPlan, Call, InputSource, Job, Lane, Step, Work
from syncnas_bench.power import PowerMeter
from syncnas_bench.retries import run_with_retries
from syncnas_bench.runs import JobRun, LaneRun, Output, PhaseRun, PowerTrace, Run
from syncnas_bench.session import Launch, UnitSetup
from syncnas_bench.simulated.device import SIM_DEVICES, SimDevice, SimUnit
from syncnas_bench.units import Unit

__all__ = [
    "SIM_DEVICES",
    "BenchError",
    "BenchPlan",
    "Call",
    "Choice",
    "Condition",
    "Device",
    "DeviceAmbiguous",
    "DeviceFacts",
    "DeviceNotFound",
    "DeviceUnavailable",
    "HostDevice",
    "InputSource",
    "Job",
    "JobRun",
    "Lane",
    "LaneRun",
    "Launch",
    "ModelRejected",
    "Output",
    "PhaseRun",
    "PlanError",
    "PowerMeter",
    "PowerTrace",
    "RowMalformed",
    "Run",
    "RunFailed",
    "RunIncomplete",
    "RunnerCrashed",
    "RunnerHung",
    "RuntimeMismatch",
    "RuntimeMissing",
    "SimDevice",
    "SimUnit",
    "Step",
    "Unit",
    "UnitError",
    "UnitInfo",
    "UnitSetup",
    "UnitUnavailable",
    "Work",
    "default_device",
    "device_specs",
    "find_device",
    "phone_specs",
    "run_plan",
    "run_with_retries",
    "seeded_input",
]
