"""An app's own times of a bundle, as its library wrote them: the rows of the runner, read as strictly."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from syncnas_bench import BenchPlan, Run, Step, Unit
from syncnas_bench.errors import BenchError, RowMalformed
from syncnas_bench.files import regular_bytes
from syncnas_bench.plan import PLAN_VERSION
from syncnas_bench.session import read_session
from syncnas_deploy.benchmarking.result import RunSamples
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.bundle_network import network_job
from syncnas_deploy.errors import ABSENT, AppTimesError
from syncnas_deploy.networks.config import ModelConfig

_MAX_BYTES = 1 << 30
_HEADER_BYTES = 1 << 16


@dataclass(frozen=True)
class AppTimes:
    """What an app measured.

    Attributes:
        config: the network.
        units: where the branches ran, as text.
        makespan: of every run.
        sha256: of the output of its last run.
    """

    config: ModelConfig
    units: tuple[str, ...]
    makespan: RunSamples
    sha256: str


class _Lines:
    """A finished file in the place of a runner."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines

    def lines(self) -> Iterator[bytes]:
        return iter(self._lines)

    def acknowledge(self) -> None:
        """Nobody waits."""

    def exit_text(self) -> str:
        return "0"

    def failure(self, error: BenchError) -> BenchError:
        return error


def is_app_times(path: Path) -> bool:
    """Whether a file begins as what `syncnas_measure` writes."""
    try:
        regular_bytes(path)
        with path.open("rb") as file:
            return "app" in json.loads(file.readline(_HEADER_BYTES))["header"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return False


def read_app_times(path: Path, bundle: Bundle) -> AppTimes:
    """Read what `syncnas_measure` wrote of this bundle.

    Raises:
        AppTimesError: it is not such a file, or is of another network.
    """
    try:
        if regular_bytes(path) > _MAX_BYTES:
            raise AppTimesError(f"{path}: is too large for an app's times; measure with fewer runs.")
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as e:
        absent = ABSENT if isinstance(e, FileNotFoundError) else None
        raise AppTimesError(
            f"{path}: cannot be read ({e.strerror}); give the file that the app wrote.", code=absent
        ) from None
    try:
        header, row = (json.loads(line) for line in lines[:2])
        if header["header"]["plan"] != PLAN_VERSION:
            raise AppTimesError(
                f"{path}: was written by a library of another version; make the app's module again with "
                "`syncnas-deploy app`, and measure again in the app."
            )
        units = tuple(Unit.parse(str(text)) for text in header["header"]["app"])
        runs = len(row["jobs"][0]["t0_ns"])
        branches = range(bundle.config.branch_count)
        job = network_job("network", bundle.segments, files=branches, units=branches)
        files = tuple(bundle.tflite(branch) for branch in branches)
        found: list[Run] = []
        read_session(BenchPlan(units, files, (Step("network", (job,), rounds=runs),)), _Lines(lines), found.append)
        network = found[0].job("network")
        if network.makespan_ns.min() <= 0 or (np.diff(network.t0_ns) < network.makespan_ns[:-1]).any():
            raise RowMalformed("a run takes no time, or begins before the one before it ends.")
    except (ValueError, KeyError, TypeError, IndexError, RecursionError, BenchError) as e:
        reason = "its first lines are no header and row of an app"
        if isinstance(e, BenchError):  # without what to do about a runner
            reason = str(e).rstrip(".").partition("; ")[0].replace("the runner", "the app")
        raise AppTimesError(
            f"{path}: is not what an app measured of {bundle.config.name} ({reason}); measure again in the app, with "
            "the module that `syncnas-deploy app` makes of this bundle."
        ) from None
    samples = tuple(float(value) for value in network.makespan_us)
    return AppTimes(bundle.config, tuple(map(str, units)), RunSamples(samples), network.output.sha256)
