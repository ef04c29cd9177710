"""A bundle's run on a device, an app of it, and the drawing of a network."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from syncnas_bench import Device, RuntimeMissing, Unit
from syncnas_bench.litert.store import RuntimeStore
from syncnas_bench.work_folder import work_folder
from syncnas_deploy.apps.apk import write_apk
from syncnas_deploy.apps.module import FREE, doubts, write_app
from syncnas_deploy.benchmarking.app_times import AppTimes, read_app_times
from syncnas_deploy.benchmarking.result import BenchResult
from syncnas_deploy.benchmarking.result_files import result_to_json
from syncnas_deploy.benchmarking.run import Asked, fitting, run_bench
from syncnas_deploy.bundle import Bundle
from syncnas_deploy.errors import WRONG_USE, OutputError, ProfileMismatch
from syncnas_deploy.files.measured import write_measured
from syncnas_deploy.files.output import check_folder, check_output, write_text
from syncnas_deploy.files.places import as_path
from syncnas_deploy.pipeline.devices import tell_what_spoils_numbers, unit_of, units_of
from syncnas_deploy.pipeline.inputs import (
    BundleLike,
    ConfigLike,
    ProfileLike,
    as_bundle,
    as_config,
    as_profile,
)
from syncnas_deploy.pipeline.rivals import PILOTS, asked_beside
from syncnas_deploy.precision import FileFormat
from syncnas_deploy.prediction.predict import Prediction, predict
from syncnas_deploy.prediction.profile import DeviceProfile, flat_text
from syncnas_deploy.progress import OnProgress, Pace
from syncnas_deploy.report.drawing import architecture
from syncnas_deploy.report.drawing.png import render_png
from syncnas_deploy.report.drawing.svg import Drawing
from syncnas_deploy.report.notebook import show_progress
from syncnas_deploy.search.evaluators import Evaluator, as_it_runs, compares_branches, make_evaluator, rate


def app(
    bundle: BundleLike, out: Path, *, apk: Path | None = None, on_notice: Callable[[str], None] = lambda _: None
) -> dict[str, int]:
    """Write an Android module of a bundle, with a sample app.

    Args:
        bundle: the network.
        out: a new folder.
        apk: also a signed APK that measures the bundle in an app. LiteRT for arm64 is in it where the store has it.
        on_notice: called with sentences for the user: why the app's answers say nothing, for one.

    Returns:
        Size in bytes by path in `out`.

    Raises:
        BundleError: the bundle cannot be used, or was exported by a program that wrote no network.txt.
        RuntimeMissing: this installation lacks a library or the Java classes.
        MissingDependency: a tool for the APK is not installed.
        OutputExists: `out` or `apk` is there.
        OutputError: they cannot be written, or a tool failed.
    """
    opened = as_bundle(bundle)
    for sentence in doubts(opened):
        on_notice(sentence)
    check_folder(out, FREE, force=False)
    if apk is not None:
        check_output(apk, force=False)
        store = RuntimeStore()
        try:
            litert = {path.name: path for path in store.files(store.choose("arm64-v8a"))}
        except RuntimeMissing:
            litert = {}
            on_notice(f"{apk} has no LiteRT inside; run `syncnas-deploy runtime fetch` and make it again.")
        write_apk(opened, apk, litert)
    return write_app(opened, out)


def app_times(path: Path, bundle: BundleLike) -> AppTimes:
    """What an app measured of this bundle with `syncnas_measure`, or `Network.measure` in Java.

    Raises:
        AppTimesError: the file is not that, or is of another network.
    """
    return read_app_times(path, as_bundle(bundle))


def _baseline_units(on: Device, chosen: Sequence[Unit], form: FileFormat) -> list[Unit]:
    """The units of a baseline for which none is named: one core, the bench's own units, and all cores."""
    cpus = [info.unit for info in on.units() if info.available and info.unit.kind == "cpu"]
    first = [Unit("cpu", threads=1, cores=unit.cores[:1]) for unit in cpus[:1]]
    units = dict.fromkeys(fitting(unit, form) for unit in [*first, *chosen, *cpus])
    return [unit for unit in units if form.runs_on(unit)]


def _chosen_units(bundle: Bundle, on: Device, units: Sequence[str]) -> Sequence[Unit]:
    if bundle.config.branch_count == 1 and len(units) == 1:
        return (unit_of(on, units[0]),)
    if units:
        return units_of(on, units)
    forms = bundle.formats * 2
    return [_default_for(unit, form) for unit, form in zip(units_of(on), forms, strict=False)]


def _default_for(unit: Unit, form: FileFormat) -> Unit:
    """A device's default unit as it runs a file of a format: a GPU computes in fp16 what was exported in fp16."""
    halved = unit.kind == "gpu" and form.precision == "fp16"
    return dataclasses.replace(unit, precision="fp16") if halved else fitting(unit, form)


def predict_bench(
    bundle: BundleLike, on: Device, profile: ProfileLike, *, units: Sequence[str] = (), named: str = ""
) -> Prediction:
    """The prediction for what `bench` of the same arguments measures, from a profile of the same device and units.

    Args:
        named: what a command would call the profile's base; a profile is one of its names.

    Raises:
        ProfileMismatch: the profile is of another device, other units or another base.
    """
    opened, measured = as_bundle(bundle), as_profile(profile)
    chosen = zip(_chosen_units(opened, on, units), opened.formats * 2, strict=False)
    texts = [str(fitting(unit, form)) for unit, form in chosen]  # a profile of units for other files is of no use
    facts = flat_text(on.facts().to_dict())
    if other := measured.other_device(facts, texts):
        base = named or (measured.base.name if isinstance(profile, DeviceProfile) else str(profile))
        words = ["profile", "--device", on.name, "--base", base]
        if not measured.other_device(facts, measured.units):  # another device has other units
            words += [word for unit in texts for word in ("--unit", unit)]
        raise ProfileMismatch(
            f"The profile does not fit this measurement: {other}; measure one that does: "
            f"`syncnas-deploy {shlex.join(words)}`."
        )
    return predict(opened.config, measured)


def bench(
    bundle: BundleLike,
    on: Device,
    *,
    units: Sequence[str] = (),
    samples: int = 100,
    launches: int = 3,
    baselines: Sequence[tuple[BundleLike, str | None]] = (),
    profile: ProfileLike | None = None,
    rivals: bool = True,
    evaluator: str | Evaluator | None = None,
    out: str | Path | None = None,
    force: bool = False,
    keep_identity: bool = False,
    examine: bool = True,
    on_progress: OnProgress = show_progress,
    on_notice: Callable[[str], None] = lambda _: None,
) -> BenchResult:
    """Run a bundle on a device, both branches at once, with baselines in the same rounds.

    Args:
        baselines: base models, each with its unit; without one it runs on each of the bench's units, on one core and
            on all of them.
        profile: of the device, with which the base and the rivals are measured in the same rounds.
        rivals: whether networks of one branch and the same latency are measured, too.
        evaluator: rates network and rivals, where it can compare one branch with two; without it MACs are compared.
        examine: whether the device is examined first; `on_notice` is told what the numbers will suffer from.
        on_progress: called before the first launch and after each.
        on_notice: called with sentences for the user.
        keep_identity: whether the result has the device's serial or address and its boot id.

    Raises:
        BundleError: not a usable bundle.
        ProfileMismatch: the profile is of another device, other units or another base.
        BenchError: the device could not run it.
        MeasurementError: its outputs are wrong there, or the device was never fit to be measured.
    """
    opened, out = as_bundle(bundle), None if out is None else as_path(out)
    if out is not None:
        check_output(out, force=force)
    chosen = _chosen_units(opened, on, units)
    asked = [
        Asked(b, unit)
        for b, text in ((as_bundle(b), text) for b, text in baselines)
        for unit in ([unit_of(on, text)] if text else _baseline_units(on, chosen, b.formats[0]))
    ]
    judge = None if evaluator is None else make_evaluator(evaluator)
    opened.reference()  # a damaged one is refused before anything is measured
    if examine:
        tell_what_spoils_numbers(on, on_notice)
    beside = profile is not None and opened.config.branch_count == 2
    needed = launches + (on.power_meter()[0] is not None)
    pace = Pace(on_progress, needed + (PILOTS if beside and rivals else 0))
    with work_folder("rivals") as folder:
        if profile is not None and beside:
            predict_bench(opened, on, profile, units=units)
            measured = as_profile(profile)
            asked += asked_beside(
                opened,
                on,
                chosen,
                measured,
                folder,
                with_rivals=rivals,
                evaluator=judge,
                pace=pace,
                on_notice=on_notice,
            )
        pace.expect(needed)
        pace.begin(f"launch 1 of {launches}")
        full = run_bench(opened, on, chosen, samples=samples, launches=launches, baselines=asked, on_launch=pace.step)
    result = full.shared(keep_identity=keep_identity)
    if judge is not None and compares_branches(judge) and any(b.role == "rival" for b in result.baselines):
        reward, error = rate(as_it_runs(judge, opened.precisions), opened.config)
        result = msgspec.structs.replace(result, reward=reward, standard_error=error)
    if out is not None:
        write_measured(out, result_to_json(result), force=force)
    return result


def draw(
    config: ConfigLike,
    out: str | Path | None = None,
    *,
    units: Sequence[str] = (),
    profile: ProfileLike | None = None,
    force: bool = False,
) -> Drawing:
    """Draw an architecture, with a profile's predicted times where one is given; into a file where `out` is given.

    Returns:
        The drawing as SVG, a text that notebooks show as a picture.

    Raises:
        OutputError: `out` does not end in ``.svg`` or ``.png``, cannot be written, or a converter failed.
        UnitError: a text that is no unit, or not one text per branch.
        ProfileMismatch: the profile does not fit the model or was measured on other units.
        MissingDependency: a PNG and no converter is installed.
    """
    path = None if out is None else as_path(out)
    if path is not None:
        if path.suffix not in (".svg", ".png"):
            raise OutputError(f"{path}: a drawing is .svg or .png; choose such a name.", code=WRONG_USE)
        check_output(path, force=force)
    found = as_config(config)
    measured = None if profile is None else as_profile(profile)
    named = tuple(str(Unit.parse(text)) for text in units) or None
    svg = Drawing(architecture.draw(found, units=named, profile=measured))
    if path is not None and path.suffix == ".png":
        render_png(svg, path, force=force)
    elif path is not None:
        write_text(path, svg, force=force)
    return svg
