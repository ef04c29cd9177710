"""The error tree of `syncnas_bench`: everything raised on purpose derives from `BenchError`.

Each message is one sentence that says what is wrong, followed by what to do about it.
"""

from __future__ import annotations

from collections.abc import Iterable

_KEPT_CHARS = 500


def printable(text: str) -> str:
    """`text` with a blank in the place of every line end, control character and escape."""
    return "".join(c if c.isprintable() else " " for c in text)


def as_message(message: str) -> str:
    """A message as one printable line, without its middle if it is long: its end says what to do."""
    text = printable(message)
    return text if len(text) <= 2 * _KEPT_CHARS else f"{text[:_KEPT_CHARS]} ... {text[-_KEPT_CHARS:]}"


def nearest(name: object, known: Iterable[str]) -> str:
    """The end of a message on an unknown name: " Did you mean 'x'?", or "" where nothing is near."""
    import difflib

    by_lower = {text.lower(): text for text in known}
    near = difflib.get_close_matches(str(name)[:80].lower(), by_lower, 1, 0.6)
    return f" Did you mean {by_lower[near[0]]!r}?" if near else ""


class BenchError(Exception):
    """Root of all errors of this package. `log` holds the last lines of the runner's stderr, if any.

    A message is one printable line, since parts of it may come from a device: nothing in it moves a cursor.
    """

    log: str = ""

    def __init__(self, message: str) -> None:
        super().__init__(as_message(message))


class UnitError(BenchError):
    """A unit's text or its fields are not valid."""


class PlanError(BenchError):
    """A benchmark plan contradicts itself, or the runner refused it."""


class RuntimeMissing(BenchError):
    """The runner program or the LiteRT library cannot be found or loaded."""


class SourceMissing(RuntimeMissing):
    """What libraries should be taken from does not exist."""


class RuntimeMismatch(BenchError):
    """The LiteRT library lacks a symbol the runner needs, or the runner is another version."""


class ModelRejected(BenchError):
    """A model file cannot be loaded, or does not hold what the plan asks for."""


class UnitUnavailable(BenchError):
    """A unit cannot run here: no adapter, no such core, or a model is not fully accelerated on it."""


class RunFailed(BenchError):
    """The runner reported that a run went wrong."""


class RunnerCrashed(BenchError):
    """The runner died. `signal_name` is e.g. "SIGSEGV", or None when it left with an odd exit code."""

    def __init__(self, message: str, signal_name: str | None = None) -> None:
        super().__init__(message)
        self.signal_name = signal_name


class RunnerHung(BenchError):
    """The runner missed the total deadline, or was silent for too long; it has been killed."""


class RunIncomplete(BenchError):
    """The runner's output ended without a trailer, or the trailer does not agree with the rows."""


class RowMalformed(BenchError):
    """A row of measurements is not what the plan asked for, or is not readable."""


class DeviceNotFound(BenchError):
    """No device answers to the given name."""


class DeviceAmbiguous(BenchError):
    """It is not clear which device is meant, or one is named twice."""


class DeviceUnavailable(BenchError):
    """A device is known but cannot be used now. `state` is e.g. "unauthorized", "offline", "busy" or "refused"."""

    def __init__(self, message: str, state: str) -> None:
        super().__init__(message)
        self.state = state


class LinkLost(BenchError):
    """The connection to a device, or to the adb server, ended before the call was done."""


class LinkStalled(LinkLost):
    """A call to a device got no answer before its deadline."""


class ServiceRefused(BenchError):
    """The device does not offer a service of the ADB protocol that was asked for."""


class CommandFailed(BenchError):
    """A shell command on the device failed that cannot fail on a sound device."""


class TransferFailed(BenchError):
    """A file could not be pushed or pulled, or arrived with other bytes."""


class StorageFull(TransferFailed):
    """The device's storage has too little room."""


class DeviceLeased(BenchError):
    """Another host is measuring on this device, or has taken it over meanwhile."""


class DeviceLost(BenchError):
    """The device did not come back in time, or another one did; the rows that were finished are kept."""


class RuntimeRejected(BenchError):
    """A LiteRT library or an archive of them is not what it should be: kind of file, ABI, checksum or content."""


class AbiError(RuntimeRejected):
    """No ABI that a runner is made for has this name."""


class DownloadFailed(BenchError):
    """A download did not arrive whole. What has arrived is kept and the next try goes on from there."""


class NotWritable(BenchError):
    """Something on this host cannot be written: its disk is full, or it may not be written to."""


class PathUnreachable(BenchError):
    """Nobody can tell what is at a path: a folder on the way may not be entered, or links lead in a circle."""


class PlaceBusy(BenchError):
    """Another process is writing there. `holder` says which, in words."""

    def __init__(self, place: object, holder: str) -> None:
        super().__init__(f"{place}: {holder} is writing it; let it end, then try again.")
        self.holder = holder
