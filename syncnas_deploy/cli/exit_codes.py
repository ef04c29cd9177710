"""Exit codes by kind, in one table: what each means, and the errors that it is for."""

from __future__ import annotations

from syncnas_bench import errors as bench_errors
from syncnas_deploy import errors
from syncnas_exporters import errors as export_errors

EXIT_CODES = (
    (0, "done"),
    (1, "an internal error; please report it"),
    (2, "wrong use of a command or an option"),
    (
        3,
        "a file's content cannot be used (config, profile, weights, bundle, table, journal, model, pictures, settings)",
    ),
    (4, "a named model, file, folder, evaluator or device does not exist"),
    (5, "the device lacks a unit or its runtime, or workers cannot be reached"),
    (6, "a measurement or an evaluation failed: it crashed, hung, or its numbers cannot be right"),
    (7, "no widths meet the latency budget, or the profile does not fit the model, or does not hold any more"),
    (8, "the output exists already or cannot be written"),
    (9, "an optional library is not installed"),
    (10, "training diverged: the loss was NaN or infinite; the last good checkpoint is kept"),
    (129, "ended by SIGHUP, as when a terminal closes; what was finished is kept"),
    (130, "interrupted; what was finished is kept"),
    (143, "ended by SIGTERM; what was finished is kept"),
)

CODES: dict[type[Exception], int] = {
    errors.DocumentError: 3,
    errors.WeightsError: 3,
    errors.DatasetError: 3,
    errors.SettingsError: 3,
    errors.RecipeError: 2,
    errors.TorchDeviceUnavailable: 5,
    errors.TrainingDiverged: 10,
    errors.StrategyError: 2,
    errors.ArgumentError: 2,
    errors.UnknownModel: 4,
    errors.UnknownEvaluator: 2,
    errors.EvaluationError: 6,
    errors.UnknownWorkers: 2,
    errors.WorkersUnavailable: 5,
    errors.ProfileMismatch: 7,
    errors.InfeasibleBudget: 7,
    errors.BudgetError: 2,
    errors.OutputError: 8,
    errors.MeasurementError: 6,
    errors.MissingDependency: 9,
    bench_errors.UnitError: 2,
    bench_errors.PlanError: 2,
    bench_errors.RuntimeMissing: 5,
    bench_errors.RuntimeMismatch: 5,
    bench_errors.SourceMissing: 4,
    bench_errors.UnitUnavailable: 5,
    bench_errors.DeviceUnavailable: 5,
    bench_errors.DeviceNotFound: 4,
    bench_errors.DeviceAmbiguous: 2,
    bench_errors.DeviceLeased: 5,
    bench_errors.RuntimeRejected: 3,
    bench_errors.AbiError: 2,
    bench_errors.ModelRejected: 3,
    bench_errors.PathUnreachable: 3,
    bench_errors.NotWritable: 8,
    bench_errors.PlaceBusy: 8,
    bench_errors.BenchError: 6,
    export_errors.MissingLibrary: 9,
    export_errors.ExportError: 3,
}
"""An error's exit code is that of its nearest ancestor here, unless the error itself has another one."""

EXTRAS = {
    "torch": "torch",
    "PIL": "torch",
    "safetensors": "torch",
    "onnx": "onnx",
    "onnxruntime": "onnx",
    "timm": "timm",
    "torchvision": "timm",
    "adb_shell": "direct",
    "usb1": "usb",
    "distributed": "cluster",
}
"""Optional packages, and the extra of this one that brings each."""


def exit_code(error: BaseException) -> int | None:
    """The documented exit code of an error from any of the three trees; None for anything else."""
    own: int | None = getattr(error, "code", None) if isinstance(error, errors.SyncNasError) else None
    if own is None and (missing_extra(error) or missing_extra(error.__cause__)):
        return 9
    return own or next((CODES[ancestor] for ancestor in type(error).__mro__ if ancestor in CODES), None)


def missing_extra(error: BaseException | None) -> str:
    """The extra that an import fails for; "" for other errors."""
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    return EXTRAS.get((name or "").partition(".")[0], "")
