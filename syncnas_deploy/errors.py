"""The error tree of syncnas_deploy: every message is one sentence that says what is wrong and what to do.

    SyncNasError
    ├── DocumentError            a JSON or CSV file that cannot be used
    │   ├── ConfigError          ... as a ModelConfig
    │   ├── ProfileError         ... as a DeviceProfile
    │   ├── BundleError          ... as a Bundle's manifest
    │   ├── AppTimesError        ... as an app's times of a network
    │   ├── CalibrationError     ... as a Calibration of this network
    │   ├── RewardTableError     ... as a table of rewards
    │   ├── JournalError         ... as a journal
    │   │   └── JournalMismatch  a journal of another run
    │   └── ResumeMismatch       ... as the training run that is to be resumed
    ├── ArgumentError            no path, no name, or no number that means something
    ├── StrategyError            not a strategy of this base
    ├── UnknownModel             no file and no shipped model of that name
    ├── UnknownEvaluator         no evaluator of that name
    ├── EvaluationError          a candidate's evaluation failed
    ├── UnknownWorkers           neither a number of processes nor a scheduler's address
    ├── WorkersUnavailable       no workers to evaluate candidates
    ├── WeightsError             weights that do not fit the model
    │   └── CheckpointError      ... a training run's own checkpoint
    ├── DatasetError             a folder of pictures that cannot be used
    ├── RecipeError              settings of a training run that cannot be used
    ├── TrainingDiverged         the loss is no longer a finite number
    ├── TorchDeviceUnavailable        torch cannot compute where it was asked to
    ├── ProfileMismatch          a profile that does not fit the model or lacks an entry
    ├── InfeasibleBudget         no widths meet the latency budget
    │   └── BudgetError              ... because it is none, or is given twice
    ├── SettingsError            a search's settings, or a syncnas.toml, that cannot be used
    ├── OutputError              a result cannot be written
    │   ├── OutputExists         ... because it is there already
    │   └── OutputBusy           ... because another process is writing it
    ├── MeasurementError         measured numbers that cannot be right
    │   └── WrongOutput          ... because the device computed something else than this host
    └── MissingDependency        an optional library is not installed

`syncnas_exporters.errors` and `syncnas_bench.errors` own their trees; `cli.exit_codes` maps all three to exit codes.
"""

from __future__ import annotations

from syncnas_bench.errors import BenchError, as_message
from syncnas_exporters.errors import ExportError

WRONG_USE, ABSENT = 2, 4
"""Exit codes of errors of any class: an option that makes no sense; a file or a name that does not exist."""


class SyncNasError(Exception):
    """Root of this package's errors. A message is one printable line, since parts of it may come from a file.

    Attributes:
        code: `WRONG_USE` or `ABSENT`, where that is what is wrong; None for the exit code of the class.
    """

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(as_message(message))
        self.code = code


Error = (SyncNasError, BenchError, ExportError)
"""The roots of everything that is raised on purpose: ``except Error``, and ``except (*Error, OSError)``."""


class DocumentError(SyncNasError):
    """A file's content cannot be used; the message names file, field and remedy."""


class Incomparable(DocumentError):
    """Files whose numbers say nothing about each other; the message says why."""


class ConfigError(DocumentError):
    """Not a valid ModelConfig."""


class ProfileError(DocumentError):
    """Not a valid DeviceProfile."""


class BundleError(DocumentError):
    """Not a valid Bundle."""


class AppTimesError(DocumentError):
    """Not an app's times of this network."""


class CalibrationError(DocumentError):
    """Not a valid Calibration, or not one of this network."""


class RewardTableError(DocumentError):
    """Not a valid table of strategy,reward rows."""


class JournalError(DocumentError):
    """A journal is damaged in its middle or is of another format."""


class JournalMismatch(JournalError):
    """A journal belongs to a run with other parameters."""


class ResumeMismatch(DocumentError):
    """A run cannot be resumed, since something that decides it is different now."""


class ArgumentError(SyncNasError):
    """An argument that means nothing, whatever is on the disk: no path, no name, or no number within bounds."""


class StrategyError(SyncNasError):
    """Not a synchronization strategy for this base model."""


class UnknownModel(SyncNasError):
    """Neither a file nor the name of a shipped model."""


class UnknownEvaluator(SyncNasError):
    """No evaluator has this name."""


class EvaluationError(SyncNasError):
    """The evaluation of a candidate failed."""


class UnknownWorkers(SyncNasError):
    """Neither a number of processes nor the address of a scheduler."""


class WorkersUnavailable(SyncNasError):
    """Workers that candidates should be evaluated on are not there, or cannot be used."""


class WeightsError(SyncNasError):
    """Weights that cannot be read or do not fit the model."""


class CheckpointError(WeightsError):
    """A checkpoint of a training run that cannot be used."""


class DatasetError(SyncNasError):
    """A folder of images that cannot be used."""


class RecipeError(SyncNasError):
    """Settings of a training run that cannot be used."""


class TrainingDiverged(SyncNasError):
    """The loss is no longer a finite number."""


class TorchDeviceUnavailable(SyncNasError):
    """torch cannot compute where it was asked to."""


class ProfileMismatch(SyncNasError):
    """A profile is of another base model, other units, or lacks an entry that is needed."""


class InfeasibleBudget(SyncNasError):
    """No channel widths meet the latency budget. `least_us` is the smallest that can be met, where that is known."""

    least_us: float | None = None


class BudgetError(InfeasibleBudget):
    """Not a latency budget, or one that is given twice."""


class SettingsError(SyncNasError):
    """The settings of a search, or the project's syncnas.toml, cannot be used."""


class OutputError(SyncNasError):
    """A result cannot be written where it was asked for."""


class OutputExists(OutputError):
    """A result is there already and --force was not given."""


class OutputBusy(OutputError):
    """Another process is writing there."""


class MeasurementError(SyncNasError):
    """Measured numbers contradict each other or what was asked for."""


class WrongOutput(MeasurementError):
    """A device's outputs are not finite or not those of the host."""


class MissingDependency(SyncNasError):
    """An optional library is needed for this and not installed."""
