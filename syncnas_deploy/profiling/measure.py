"""Measuring a device for a base model, launch by launch, until the table is certain enough.

The first launch measures the base's widths, both ends of the range, and widths in between. Each later launch first
looks at what was measured. It adds a width pair where the curves are least certain (see `width_design`). That ends when
a pair was predicted well enough before it was used, or when the points are spent.

Everything is measured in several launches, since now and then a whole process reads wrong. Such a launch is repeated.

Every finished step is journalled before the next one starts. What is measured depends on the journal alone, so an
interrupted run goes on as it would have.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, get_args

import msgspec
import numpy as np

import syncnas_deploy
from syncnas_bench import BenchError, Device, Run, Unit, run_with_retries
from syncnas_bench.work_folder import work_folder
from syncnas_deploy.errors import JournalError, MeasurementError, WrongOutput
from syncnas_deploy.files.documents import decode_document
from syncnas_deploy.files.journal import Journal, other_part
from syncnas_deploy.measuring.power import power_row
from syncnas_deploy.measuring.reference_outputs import OutputCheck
from syncnas_deploy.measuring.usable import Anchor, Runs, launches_of, usable
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.prediction.curve_model import CurveModel
from syncnas_deploy.prediction.curves import curves_of
from syncnas_deploy.prediction.energy import PowerModel
from syncnas_deploy.prediction.profile import NO_ENERGY, DeviceProfile, base_digest, flat_text
from syncnas_deploy.prediction.rows import INVOCATION_OPS, LearningRow, PowerRow, PowerState
from syncnas_deploy.profiling.experiment import (
    CHAIN_OPS,
    Experiment,
    ProfileSettings,
    pair_step,
    step_words,
    whole_job,
)
from syncnas_deploy.profiling.fit import assemble, fitted, point_rows, settings_text
from syncnas_deploy.profiling.width_design import first_pairs, next_pair
from syncnas_deploy.progress import OnProgress, Pace

POWER_LAUNCH = -1
"""Number, in the journal, of the launch that reads the power. It comes after all others."""
LAUNCHES_OF_A_PAIR = 3
"""Number of launches that measure a pair. None is added so late that it would have fewer."""
REPEATED_LAUNCHES = 2
"""Number of unusable launches that are measured again."""
_POWER_WORDS: dict[str, str] = {"idle": "at rest", "unit_0": "of branch 0", "unit_1": "of branch 1", "both": "of both"}
ANCHORS = tuple(Anchor(pair_step(0), whole_job(unit)) for unit in (0, 1))
"""The base on either unit."""


_NAMES = {
    "base": "base model",
    "units": "--unit",
    "launches": "--launches",
    "rounds": "--rounds",
    "version": "version of syncnas-deploy",
}
"""What the parts of a profile's key are called."""


def measure(
    base: ModelConfig,
    device: Device,
    units: Sequence[Unit],
    settings: ProfileSettings,
    journal_path: Path,
    *,
    anew: bool = False,
    on_progress: OnProgress = lambda _: None,
    keep: Callable[[DeviceProfile], DeviceProfile] | None = None,
) -> DeviceProfile:
    """Measure a device for a base model, going on where the journal ends.

    Args:
        base: a base model.
        device: to measure on.
        units: of branch 0 and of branch 1, then others that run whole networks alone.
        settings: how much to measure.
        journal_path: holds every finished step; a journal of another run is refused.
        anew: drop the journal that is there.
        on_progress: called with the step that begins, and at the end. The total is what is needed at most.
        keep: puts the profile where it belongs, and returns it as it is there; then the journal is removed. It stays
            where this is None.

    Raises:
        JournalMismatch: the journal is of another run, or of another device at the same address.
        BenchError: the device could not measure.
        WrongOutput: it computed something else than this host, three times.
        MeasurementError: what came back cannot be right.
    """
    key = {
        "base": base_digest(base),
        "device": device.name,
        **device.identity().to_key(),
        "units": [str(unit) for unit in units],
        "settings": settings_text(settings),
        "version": syncnas_deploy.__version__,
    }
    with Journal(journal_path, kind="profile", key=key, names=_NAMES, anew=anew) as journal:
        with work_folder("profile") as folder:
            experiment = Experiment(base, units, settings, folder)
            found = _Measurement(experiment, device, journal, OutputCheck(folder), on_progress).run()
        if keep is not None:
            found = keep(found)
            journal.remove()
        return found


class StepRow(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of a profile's journal: one finished step.

    Attributes:
        launch: number of the launch, from 0; `POWER_LAUNCH` for the one that reads the power.
        step: name of the step.
        run: the run, see `Run.to_record`.
    """

    launch: Annotated[int, msgspec.Meta(ge=POWER_LAUNCH)]
    step: str
    run: dict[str, Any]


class _Measurement:
    """A profile that is being measured."""

    def __init__(
        self,
        experiment: Experiment,
        device: Device,
        journal: Journal,
        outputs: OutputCheck,
        on_progress: OnProgress,
    ) -> None:
        self._experiment, self._device, self._journal = experiment, device, journal
        self._outputs, self._on_progress = outputs, on_progress
        self._pace: Pace | None = None
        self._base, self._settings = experiment.base, experiment.settings
        self._meter, _ = device.power_meter()
        rows = [decode_document(StepRow, row, str(journal.path), JournalError) for row in journal.rows]
        found = {(row.launch, row.step): Run.from_record(row.run) for row in rows}
        self._runs = {key: run for key, run in found.items() if key[0] != POWER_LAUNCH}
        self._loops = {step: run for (launch, step), run in found.items() if launch == POWER_LAUNCH}
        self._learning: list[LearningRow] = []
        self._known: EarlierCurves | None = None
        self._judged = -1

    def run(self) -> DeviceProfile:
        """Measure what the journal does not have, and make the profile."""
        for pair in first_pairs(self._base):
            self._experiment.add_pair(pair)
        self._experiment.add_pair(next_pair(self._base, self._experiment.pairs))
        total = self._settings.launches
        launch = 0
        while launch < total:
            self._look(launch)
            self._measure(launch, total)
            launch += 1
            repeated = total - self._settings.launches
            # A launch that cannot be used is repeated at the end.
            if launch == total and repeated < REPEATED_LAUNCHES:
                total += len(self._left_out(self._runs)) > repeated
        counted = usable({key: run for key, run in self._runs.items() if key[0] < total}, ANCHORS)
        power, no_power = self._power(counted.runs)
        return assemble(
            self._experiment,
            self._device,
            counted.runs,
            learning=self._learning,
            warnings=(*counted.warnings, *no_power),
            power=power,
        )

    def _left_out(self, runs: Runs) -> frozenset[int]:
        """Launches that do not count; all of them where none does."""
        try:
            return usable(runs, ANCHORS).left_out
        except MeasurementError:
            return frozenset(launch for launch, _ in runs)

    def _power(self, runs: Runs) -> tuple[tuple[PowerRow, ...], tuple[str, ...]]:
        """Rows of what the device drew, and warnings. Both are empty where it has no power meter."""
        if self._meter is None:
            return (), ()
        times: dict[str, list[float]] = defaultdict(list)
        for launch in launches_of(runs, pair_step(0)):
            for job in runs[launch, pair_step(0)].jobs:
                times[job.name].append(float(np.median(job.makespan_us)))
        plan = self._experiment.power_plan(self._meter, {name: statistics.median(us) for name, us in times.items()})
        missing = tuple(step for step in plan.steps if step.name not in self._loops)
        pace = self._expected(len(missing))

        def keep(run: Run) -> None:
            self._journal.append(msgspec.to_builtins(StepRow(POWER_LAUNCH, run.step, run.to_record())))
            self._loops[run.step] = run
            left = [step.name for step in missing if step.name not in self._loops]
            pace.step(f"power, {_POWER_WORDS[left[0]]}" if left else "power")

        try:
            if missing:
                pace.begin(f"power, {_POWER_WORDS[missing[0].name]}")
                rest = dataclasses.replace(plan, steps=missing)
                run_with_retries(self._device, rest, on_run=keep, deadline_s=self._settings.deadline_s)
            rows = tuple(power_row(state, self._loops[state]) for state in get_args(PowerState))
            PowerModel.of(rows)
        except (BenchError, MeasurementError) as error:
            # The table is measured. It is kept although the power cannot be read.
            return (), (f"{NO_ENERGY}{error}",)
        return rows, ()

    def _measure(self, launch: int, total: int) -> None:
        names = [step.name for step in self._experiment.steps]
        missing = [name for name in names if (launch, name) not in self._runs]
        if not missing:
            return

        pace = self._expected(len(missing) + self._later(launch, total))

        def keep(run: Run) -> None:
            self._outputs.check(run)
            self._journal.append(msgspec.to_builtins(StepRow(launch, run.step, run.to_record())))
            self._runs[launch, run.step] = run
            left = [name for name in names if (launch, name) not in self._runs]
            pace.step(self._words(launch, left[0]) if left else f"launch {launch + 1} is done")

        pace.begin(self._words(launch, missing[0]))
        plan = self._outputs.watched(self._experiment.plan(missing, self._settings.seed))
        run_with_retries(self._device, plan, on_run=keep, redo=(WrongOutput,), deadline_s=self._settings.deadline_s)

    def _expected(self, left: int) -> Pace:
        """What reports the progress: so many steps are left, at most."""
        done = len(self._runs) + len(self._loops)
        if self._pace is None:
            self._pace = Pace(self._on_progress, done + left, done)
        self._pace.expect(left)
        return self._pace

    def _later(self, launch: int, total: int) -> int:
        """The most steps after a launch: width pairs may be added, see `_look`."""
        pairs, steps = len(self._experiment.pairs), len(self._experiment.steps)
        last = self._settings.launches - LAUNCHES_OF_A_PAIR
        room = 0 if self._judged == pairs - 1 else max(0, self._most_pairs() - pairs)
        added = [min(room, max(0, min(at, last) - max(launch, 0))) for at in range(launch + 1, total)]
        return sum(steps + more for more in added) + len(get_args(PowerState)) * (self._meter is not None)

    def _most_pairs(self) -> int:
        """How many width pairs the points of a unit are enough for."""
        fixed = 2 + len(INVOCATION_OPS) + 2 * len(self._base.stages)
        return (self._settings.points - fixed) // len(curves_of(self._base))

    def _words(self, launch: int, step: str) -> str:
        """What is being done."""
        launches = self._settings.launches
        turn = (
            f"launch {launch + 1} of {launches}" if launch < launches else "one launch more, since another is unusable"
        )
        return f"{turn}: {step_words(step)}"

    def _look(self, launch: int) -> None:
        """Before a launch, judge how well the last pair was predicted, and add another pair where it is needed."""
        last = len(self._experiment.pairs) - 1
        # A resumed run has later launches already. It must decide as it did then, without them.
        runs = {key: run for key, run in self._runs.items() if key[0] < launch}
        unusable = self._left_out(runs)
        runs = {key: run for key, run in runs.items() if key[0] not in unusable}
        if self._judged == last or not launches_of(runs, pair_step(last)):
            return
        self._judged = last
        if self._known is None:
            self._known = EarlierCurves.of(self._experiment, runs, pairs=last)
        rows = learning_rows(self._experiment, runs, last, self._known)
        self._learning += rows
        if (
            launch <= self._settings.launches - LAUNCHES_OF_A_PAIR
            and any(row.network_error > self._settings.error for row in rows)
            and last + 2 <= self._most_pairs()
        ):
            self._known = EarlierCurves.of(self._experiment, runs, pairs=last + 1)
            self._experiment.add_pair(next_pair(self._base, self._experiment.pairs, self._known.models))


@dataclass(frozen=True)
class EarlierCurves:
    """What was known before a pair was measured.

    Attributes:
        models: curves of both units.
        points: by unit, the number of points that its curves are made of.
    """

    models: tuple[CurveModel, CurveModel]
    points: tuple[int, int]

    @classmethod
    def of(cls, experiment: Experiment, runs: Runs, *, pairs: int) -> EarlierCurves:
        """The curves from the first `pairs` width pairs."""
        names = {pair_step(number) for number in range(pairs)}
        rows = point_rows(experiment, {key: run for key, run in runs.items() if key[1] in names})
        counts = [sum(row.unit == unit for row in rows) for unit in (0, 1)]
        return cls(fitted(experiment.base, rows), (counts[0], counts[1]))


def learning_rows(experiment: Experiment, runs: Runs, number: int, known: EarlierCurves) -> tuple[LearningRow, ...]:
    """How well the curves of before predicted pair `number`: one row per unit."""
    measured = {
        (row.unit, row.point): row.sample.median_us
        for row in point_rows(experiment, {key: run for key, run in runs.items() if key[1] == pair_step(number)})
    }
    index = {curve.key: i for i, curve in enumerate(curves_of(experiment.base))}
    rows = []
    for unit, (model, count) in enumerate(zip(known.models, known.points, strict=True)):
        networks, points = [], []
        for op in CHAIN_OPS:
            blocks = [part.point for part in experiment.chains[number, op] if part.point.expands]
            predicted = [(_at(model, index[point.key], point.width), measured[unit, point]) for point in blocks]
            networks.append(abs(sum(us for us, _ in predicted) / sum(us for _, us in predicted) - 1))
            points += [abs(us / found - 1) for us, found in predicted]
        rows.append(LearningRow(unit, count, round(max(networks), 4), round(statistics.median(points), 4)))
    return tuple(rows)


def _at(model: CurveModel, curve: int, width: int) -> float:
    us, _ = model.predict(curve, np.array([width]))
    return float(us[0])


def difference(
    profile: DeviceProfile, base: ModelConfig, device: Device, units: Sequence[Unit], settings: ProfileSettings
) -> str:
    """What makes a profile another one than `measure` would make of these arguments; "" where nothing does."""
    texts = [str(unit) for unit in units]
    if base_digest(profile.base) != base_digest(base):
        return f"it is of the base model {profile.base.name}, here it is {base.name} or other blocks"
    if other := profile.other_device(flat_text(device.facts().to_dict()), texts[:2]):
        return other
    if profile.whole_units != tuple(texts):
        return f"its units are {', '.join(profile.whole_units)}, here they are {', '.join(texts)}"
    return other_part(profile.settings, settings_text(settings), _NAMES)
