"""Profiles: measuring one device or several at once, and whether a profile still holds."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncnas_bench import Device, Unit, UnitError
from syncnas_bench.environment import Environment
from syncnas_deploy.errors import OutputExists, ProfileMismatch
from syncnas_deploy.files.journal import drop_journal, journal_key
from syncnas_deploy.files.output import check_output
from syncnas_deploy.files.places import as_path
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.widths import BlockKey
from syncnas_deploy.pipeline.devices import (
    device,
    device_names,
    other_units,
    paired_units,
    tell_what_spoils_numbers,
    unit_of,
    units_of,
)
from syncnas_deploy.pipeline.inputs import ConfigLike, ProfileLike, as_profile, base_model
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.prediction.profile_files import load_profile, write_profile
from syncnas_deploy.prediction.width_probe import WidthProbe, write_probe
from syncnas_deploy.profiling import measure, recheck
from syncnas_deploy.profiling.experiment import ProfileSettings
from syncnas_deploy.profiling.kernel_choice import kernel_times, with_faster_kernels
from syncnas_deploy.profiling.recheck import ProfileCheck
from syncnas_deploy.profiling.width_probe import probe_widths as measure_probe
from syncnas_deploy.progress import OnProgress, Progress
from syncnas_deploy.report.notebook import show_progress
from syncnas_deploy.shown import brief

_PLACE = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})@([0-9]{1,5})")


def profile(
    base: ConfigLike,
    on: Device,
    *,
    out: str | Path | None = None,
    units: Sequence[str] = (),
    calibrate: str | Path | None = None,
    settings: ProfileSettings | None = None,
    resume: bool = False,
    force: bool = False,
    keep_identity: bool = False,
    examine: bool = True,
    on_progress: OnProgress = show_progress,
    on_notice: Callable[[str], None] = lambda _: None,
) -> DeviceProfile:
    """Measure a device for a base model and write the profile, without `out` to `profile_path`.

    Finished steps are kept in ``<out>.journal`` until the profile is written. `resume` goes on from there. A profile
    that is finished already is returned as it is. Only with `keep_identity` does the profile have the device's serial
    or address and its boot id. With `examine`, `on_notice` is told first what the numbers will suffer from.

    Where no units are named: with `calibrate`, pictures for int8, they are int8 on the CPU and fp16 on a GPU (see
    `devices.paired_units`), and kernels over 5x5 are split where that is measured to be faster. `on_notice` is told.

    Raises:
        OutputExists: the profile, or an unfinished journal without `resume`, is there already.
        JournalMismatch: the journal is of another run.
        BenchError: the device could not measure.
        MeasurementError: what it measured cannot be right.
    """
    model = base_model(base)
    units_of(on, units)  # what is no unit is refused before anything is looked at
    wanted = settings or ProfileSettings()
    out = profile_path(model, on.name) if out is None else as_path(out)
    journal = out.with_name(out.name + ".journal")
    check_output(out, force=force or resume)
    complete = load_profile(out) if resume and out.exists() else None
    if complete is None and journal.exists() and not (resume or force):
        raise OutputExists(f"{journal}: an unfinished run is there; give --resume to go on or --force to begin anew.")
    chosen: tuple[Unit, ...] = paired_units(on, units, None if calibrate is None else as_path(calibrate), on_notice)
    if not units:
        begun = complete.units if complete else journal_key(journal).get("units", ()) if resume else ()
        chosen = _with_kernels(chosen, model, on, begun, on_notice)
    chosen += other_units(on, chosen)
    if complete is not None:
        if other := measure.difference(complete, model, on, chosen, wanted):
            raise OutputExists(f"{out}: is a finished profile of another run: {other}; choose another --out.")
        drop_journal(journal)
        return complete

    def keep(full: DeviceProfile) -> DeviceProfile:
        shared = full.shared(keep_identity=keep_identity)
        write_profile(out, shared, force=force)
        return shared

    if examine:
        tell_what_spoils_numbers(on, on_notice)
    fresh = force and not resume
    return measure.measure(model, on, chosen, wanted, journal, anew=fresh, on_progress=on_progress, keep=keep)


def _with_kernels(
    units: Sequence[Unit], base: ModelConfig, on: Device, begun: object, on_notice: Callable[[str], None]
) -> tuple[Unit, ...]:
    """A device's default units, with split kernels where a measurement says that they are faster.

    Args:
        begun: texts of the units that this profile was begun with, if it was; their choice stays.
    """
    texts = [text for text in begun if isinstance(text, str)] if isinstance(begun, (list, tuple)) else []
    if texts:
        same = [text.removesuffix(":split") for text in texts[:2]] == [str(unit) for unit in units]
        return tuple(Unit.parse(text) for text in texts[:2]) if same else tuple(units)
    times = kernel_times(base, on, units)
    chosen = tuple(with_faster_kernels(unit, times) for unit in units)
    for unit, (whole_us, split_us) in times.items():
        taken = "split" if with_faster_kernels(unit, times).split else "whole"
        on_notice(
            f"unit {unit}: kernels over 5x5 are {taken}, by measurement: the base takes {whole_us / 1e3:.2f} ms with "
            f"whole and {split_us / 1e3:.2f} ms with split ones"
        )
    return chosen


def check_profile(profile: ProfileLike, on: Device, *, on_progress: OnProgress = show_progress) -> ProfileCheck:
    """Measure a sample of a profile again, to see whether it still holds.

    Raises:
        ProfileMismatch: it is of another device.
        BenchError: the device could not measure.
    """
    return recheck.check_profile(as_profile(profile), on, on_progress=on_progress)


def probe_widths(
    base: ConfigLike,
    on: Device,
    place: str,
    *,
    out: str | Path,
    units: Sequence[str] = (),
    force: bool = False,
    keep_identity: bool = False,
    on_progress: OnProgress = show_progress,
) -> WidthProbe:
    """Measure one block at all widths around one, and write what it took.

    Args:
        place: stage, block and width as people count them, such as ``7.1@704``.
        units: the text of the unit; the device's second default one where there is none.

    Raises:
        ProfileMismatch: `place` is no place of the base.
        UnitError: a text that is no unit, or more than one.
        OutputExists: `out` is there already.
        BenchError: the device could not measure.
        MeasurementError: what it computed is wrong.
    """
    model, match = base_model(base), _PLACE.fullmatch(place)
    if match is None:
        raise ProfileMismatch(f"{place[:40]!r} is no place to probe; give STAGE.BLOCK@WIDTH, such as 7.1@704.")
    if len(units) > 1:
        raise UnitError(f"{len(units)} units given; a probe measures one, so give --unit once.")
    stage, block, width = (int(number) for number in match.groups())
    out = as_path(out)
    check_output(out, force=force)
    found = measure_probe(
        model,
        on,
        unit_of(on, units[0]) if units else on.default_units()[1],
        BlockKey(stage - 1, block - 1),
        width,
        keep_identity=keep_identity,
        on_progress=on_progress,
    )
    write_probe(out, found, force=force)
    return found


def profile_path(base: ConfigLike, device: str, folder: str | Path = ".") -> Path:
    """The default place of a profile: ``BASE-DEVICE.profile.json`` in a folder."""
    safe = re.sub(r"[^\w.\[\]-]", "-", device)
    return as_path(folder) / f"{base_model(base).name}-{safe}.profile.json"


@dataclass(frozen=True, repr=False)
class DeviceOutcome:
    """How measuring one of several devices ended: with a profile, or with an error.

    Attributes:
        path: where the profile is, or would be.
    """

    device: str
    path: Path
    profile: DeviceProfile | None
    error: BaseException | None

    def __repr__(self) -> str:
        end = str(self.path) if self.error is None else f"{type(self.error).__name__}: {self.error}"
        return brief("DeviceOutcome", self.device, end)


def profile_many(
    base: ConfigLike,
    devices: Sequence[str],
    *,
    folder: str | Path = ".",
    units: Sequence[str] = (),
    calibrate: str | Path | None = None,
    settings: ProfileSettings | None = None,
    resume: bool = False,
    force: bool = False,
    keep_identity: bool = False,
    environment: Environment | None = None,
    on_progress: Callable[[str, Progress], None] = lambda _device, _: None,
    on_notice: Callable[[str], None] = lambda _: None,
) -> tuple[DeviceOutcome, ...]:
    """Measure several devices for a base model at once, each in a thread and into a file of its own.

    One device's failure does not stop the others. An interruption ends each after the step that it is in.

    Args:
        devices: names, see `device_names`.
        folder: of the profiles; see `profile_path`.
        units, calibrate, settings, resume, force, keep_identity: see `profile`.
        on_progress: called with the device's name, from its thread.
        on_notice: called with sentences that name the device, from its thread.
    """
    model, interrupted = base_model(base), threading.Event()
    outcomes: dict[str, DeviceOutcome] = {}

    def one(name: str, path: Path) -> None:
        def progress(done: Progress) -> None:
            on_progress(name, done)
            if interrupted.is_set():
                raise KeyboardInterrupt

        found, failure = None, None
        try:
            with device(name, environment) as on:
                found = profile(
                    model,
                    on,
                    out=path,
                    units=units,
                    calibrate=calibrate,
                    settings=settings,
                    resume=resume,
                    force=force,
                    keep_identity=keep_identity,
                    on_progress=progress,
                    on_notice=on_notice,
                )
        except BaseException as error:
            failure = error
        outcomes[name] = DeviceOutcome(name, path, found, failure)

    names = device_names(devices, environment)
    threads = [
        threading.Thread(target=one, args=(name, profile_path(model, name, folder)), name=name, daemon=True)
        for name in names
    ]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        interrupted.set()
        for thread in threads:
            thread.join()
        raise
    return tuple(outcomes[name] for name in names)
