"""The front door for Python users: one function per command, values in and values out.

from syncnas_deploy import pipeline

host = pipeline.device("host")
profile = pipeline.profile("mobilenet_v2", host, out=Path("host.json"))
found = pipeline.search(profile, "mobilenet_v2", budget="1.0x", evaluator="zen", trials=24)
bundle = pipeline.export(found.config, Path("bundle"), seed=0)
result = pipeline.bench(bundle, host, profile=profile)
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from syncnas_bench import (
    Device,
    DeviceAmbiguous,
    DeviceNotFound,
    DeviceUnavailable,
    Unit,
    UnitError,
    default_device,
    device_specs,
    find_device,
    phone_specs,
)
from syncnas_bench.adb_discovery import list_adb_devices
from syncnas_deploy.bundle import Bundle, check_bundle_output, is_bundle, read_bundle, write_bundle
from syncnas_deploy.documents import check_output, write_json, write_text
from syncnas_deploy.errors import (
    ConfigError,
    InfeasibleBudget,
    MissingDependency,
    OutputError,
    OutputExists,
    ProfileMismatch,
    WeightsError,
)
from syncnas_deploy.journal import is_empty_journal
from syncnas_deploy.latency import check, experiment, measure
from syncnas_deploy.latency.benchmark import BenchResult, result_to_json, run_bench
from syncnas_deploy.latency.check import Check
from syncnas_deploy.latency.predict import Prediction, ProfileCosts, place_ends
from syncnas_deploy.latency.predict import predict as predict_network
from syncnas_deploy.latency.profile import DeviceProfile
from syncnas_deploy.latency.profile_files import load_profile, write_profile
from syncnas_deploy.models.checkpoints import TIMM, load_weights, read_arrays, write_safetensors
from syncnas_deploy.models.config import ModelConfig
from syncnas_deploy.models.formats import load_config, read_config, write_config
from syncnas_deploy.models.inherit import inherit
from syncnas_deploy.models.weights import parameter_shapes, random_weights
from syncnas_deploy.report import architecture
from syncnas_deploy.report.png import render_png
from syncnas_deploy.resources import shipped
from syncnas_deploy.search import evaluators, run
from syncnas_deploy.search import trials as trials_
from syncnas_deploy.search.searcher import DEFAULT_ALGORITHM
from syncnas_deploy.search.workers import make_workers

if TYPE_CHECKING:
    # These import torch, which is loaded by the functions that need it.
    from syncnas_deploy.models.evaluation import Accuracy
    from syncnas_deploy.models.evaluation import Progress as EvaluationProgress
    from syncnas_deploy.models.learner import Progress as TrainingProgress
    from syncnas_deploy.models.recipe import Recipe
    from syncnas_deploy.models.run_folder import EpochRow
    from syncnas_deploy.models.training import Trained

ConfigLike = ModelConfig | str | Path
ProfileLike = DeviceProfile | str | Path

ALL_DEVICES = "all"
"""In the place of a device's name: every phone that can be used."""


def devices(environment: Mapping[str, str] = os.environ) -> tuple[Device, ...]:
    """Every device that can be used: this host, the simulated ones, and those connected over ADB."""
    found = []
    for spec in device_specs(environment):
        # A phone can be unplugged between being listed and being opened.
        with contextlib.suppress(DeviceNotFound, DeviceUnavailable):
            found.append(find_device(spec, environment))
    return tuple(found)


def waiting_devices(environment: Mapping[str, str] = os.environ) -> tuple[Mapping[str, str], ...]:
    """Devices over ADB that are there and cannot be used yet: name, state, and the remedy."""
    try:
        entries = list_adb_devices(environment)
    except DeviceUnavailable:
        return ()
    waiting = (entry for entry in entries if entry.state != "device")
    return tuple({"name": entry.serial, "state": entry.state, "remedy": entry.remedy} for entry in waiting)


def device(spec: str | None = None, environment: Mapping[str, str] = os.environ) -> Device:
    """The device `spec`, else ANDROID_SERIAL, else the only phone attached, else this host.

    Raises:
        DeviceNotFound: no such device.
        DeviceAmbiguous: no `spec`, and several phones are attached.
    """
    return find_device(spec or default_device(environment).spec, environment)


def device_names(names: Sequence[str], environment: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Names of devices with ``all`` replaced by every phone that can be used.

    Raises:
        DeviceNotFound: there is no phone.
        DeviceAmbiguous: a device is named twice.
    """
    found: list[str] = []
    for name in names:
        phones = phone_specs(environment) if name == ALL_DEVICES else (name,)
        if not phones:
            raise DeviceNotFound("No phone is attached that can be used; see `syncnas-deploy devices`.")
        found += phones
    twice = next((name for name in found if found.count(name) > 1), None)
    if twice:
        raise DeviceAmbiguous(f"Device {twice} is named twice; name each device once.")
    return tuple(found)


def models() -> Iterator[ModelConfig]:
    """The shipped models, in name order."""
    for path in shipped("model_configs").values():
        yield read_config(path)


def _config(config: ConfigLike) -> ModelConfig:
    return config if isinstance(config, ModelConfig) else load_config(config)


def _profile(profile: ProfileLike) -> DeviceProfile:
    return profile if isinstance(profile, DeviceProfile) else load_profile(profile)


def base_model(config: ConfigLike) -> ModelConfig:
    """A base model; a branched one stands for the base it came from.

    Raises:
        UnknownModel: no such model.
        ConfigError: it has two branches and names no shipped base.
    """
    found = _config(config)
    if found.branch_count == 1:
        return found
    if found.base is None or found.base not in shipped("model_configs"):
        raise ConfigError(f"{found.name}: has two branches and names no shipped base model; give a base model.")
    return load_config(found.base)


def units_of(of: Device, units: Sequence[str] = ()) -> tuple[Unit, Unit]:
    """Two units from their texts, or the device's default ones.

    Raises:
        UnitError: a text that is no unit, or not two of them.
    """
    if not units:
        return of.default_units()
    if len(units) != 2:
        raise UnitError(f"{len(units)} unit given; give --unit twice, the first for branch 0, or not at all.")
    first, second = (Unit.parse(text) for text in units)
    if first == second:
        raise UnitError(f"Both units are {first}; two branches need two different units.")
    return first, second


def profile(
    base: ConfigLike,
    on: Device,
    *,
    out: Path,
    units: Sequence[str] = (),
    settings: experiment.Settings | None = None,
    resume: bool = False,
    force: bool = False,
    on_progress: Callable[[measure.Progress], None] = lambda _: None,
) -> DeviceProfile:
    """Measure a device for a base model and write the profile.

    Finished steps are kept in ``<out>.journal`` until the profile is written; `resume` goes on from there, and gives
    a profile that is finished already as it is.

    Raises:
        OutputExists: the profile, or an unfinished journal without `resume`, is there already.
        JournalMismatch: the journal is of another run.
        BenchError: the device could not measure.
    """
    model = base_model(base)
    chosen = units_of(on, units)
    wanted = settings or experiment.Settings()
    journal = out.with_name(out.name + ".journal")
    if resume and out.exists():
        complete = load_profile(out)
        if not measure.is_of(complete, model, on, chosen, wanted):
            raise OutputExists(f"{out}: is a finished profile of another run; choose another --out.")
        journal.unlink(missing_ok=True)
        return complete
    check_output(out, force=force)
    if journal.exists() and not resume:
        if not force:
            raise OutputExists(
                f"{journal}: an unfinished run is there; give --resume to go on or --force to begin anew."
            )
        journal.unlink()
    with _dropped_if_empty(journal):
        measured = measure.measure(model, on, chosen, wanted, journal, on_progress=on_progress)
    write_profile(out, measured)
    journal.unlink(missing_ok=True)
    return measured


def check_profile(
    profile: ProfileLike, on: Device, *, on_launch: Callable[[int, int], None] = lambda _done, _total: None
) -> Check:
    """Measure a sample of a profile again, to see whether it still holds.

    Raises:
        ProfileMismatch: it is of another device.
        BenchError: the device could not measure.
    """
    measured = _profile(profile)
    return check.check_profile(measured, base_model(measured.base), on, on_launch=on_launch)


def profile_path(base: ConfigLike, device: str, folder: Path = Path()) -> Path:
    """Where a profile goes that is given no name of its own: BASE-DEVICE.profile.json."""
    safe = device.replace(":", "-").replace("/", "-")
    return folder / f"{base_model(base).name}-{safe}.profile.json"


@dataclass(frozen=True)
class Outcome:
    """How measuring one of several devices ended: with a profile, or with an error.

    Attributes:
        path: where the profile is, or would be.
    """

    device: str
    path: Path
    profile: DeviceProfile | None
    error: BaseException | None


def profile_many(
    base: ConfigLike,
    devices: Sequence[str],
    *,
    folder: Path = Path(),
    units: Sequence[str] = (),
    settings: experiment.Settings | None = None,
    resume: bool = False,
    force: bool = False,
    environment: Mapping[str, str] = os.environ,
    on_progress: Callable[[str, measure.Progress], None] = lambda _device, _: None,
) -> tuple[Outcome, ...]:
    """Measure several devices for a base model at once, each in a thread and into a file of its own.

    One device's failure does not stop the others. An interruption ends each after the step that it is in.

    Args:
        devices: names, see `device_names`.
        folder: of the profiles; see `profile_path`.
        units, settings, resume, force: see `profile`.
        on_progress: called with the device's name, from its thread.
    """
    model, interrupted = base_model(base), threading.Event()
    outcomes: dict[str, Outcome] = {}

    def one(name: str, path: Path) -> None:
        def progress(done: measure.Progress) -> None:
            on_progress(name, done)
            if interrupted.is_set():
                raise KeyboardInterrupt

        found, failure = None, None
        try:
            on = device(name, environment)
            found = profile(
                model, on, out=path, units=units, settings=settings, resume=resume, force=force, on_progress=progress
            )
        except BaseException as error:
            failure = error
        outcomes[name] = Outcome(name, path, found, failure)

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


@contextlib.contextmanager
def _dropped_if_empty(journal: Path | None) -> Iterator[None]:
    """Run a block that journals; when it fails before a first row, leave neither journal nor new folder behind."""
    existed = journal is None or journal.exists()
    had_folder = journal is None or journal.parent.exists()
    try:
        yield
    except BaseException:
        if journal is not None and not existed and is_empty_journal(journal):
            journal.unlink(missing_ok=True)
            if not had_folder:
                # Another device's profile may be in it by now.
                with contextlib.suppress(OSError):
                    journal.parent.rmdir()
        raise


def predict(config: ConfigLike, profile: ProfileLike) -> Prediction:
    """What a branched model will take on the profiled device.

    Raises:
        ProfileMismatch: another base, or a missing entry.
    """
    found, measured = _config(config), _profile(profile)
    return predict_network(found, _base_of(found, measured), measured)


def _base_of(config: ModelConfig, profile: DeviceProfile) -> ModelConfig:
    if config.branch_count == 1:
        raise ProfileMismatch(f"{config.name} has one branch; a profile's own base is in it, other models need bench.")
    name = config.base or profile.base
    return base_model(name if name in shipped("model_configs") else profile.base)


def budget_us(text: str, profile: DeviceProfile) -> float:
    """A latency budget: ``1.0x`` of the base on the faster unit, or ``25ms``, or ``900us``; in microseconds.

    Raises:
        InfeasibleBudget: not such a text, or not a positive time.
    """
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)(x|ms|us)", text.strip())
    if match is None or float(match[1]) <= 0:
        raise InfeasibleBudget(f"Budget {text[:40]!r} is not a latency; write 1.0x (of the base model), 25ms or 900us.")
    amount, unit = float(match[1]), match[2]
    if unit == "x":
        return amount * min(profile.table.network_us(unit) for unit in (0, 1))
    return amount * (1000.0 if unit == "ms" else 1.0)


@dataclass(frozen=True)
class FoundNetwork:
    """The best network within one budget.

    Attributes:
        budget: as it was asked for.
        best: what the search says of it.
        config: the network.
        prediction: its latency on the profiled device.
    """

    budget: str
    best: trials_.Best
    config: ModelConfig
    prediction: Prediction


@dataclass(frozen=True)
class Found:
    """What a search found.

    Attributes:
        front: the best by budget, in ascending order of budgets.
        first: the one of the budget that was named first.
        result: all trials.
    """

    front: tuple[FoundNetwork, ...]
    first: FoundNetwork
    result: trials_.SearchResult

    @property
    def config(self) -> ModelConfig:
        """The best network within the budget that was named first."""
        return self.first.config

    @property
    def prediction(self) -> Prediction:
        """Its latency on the profiled device."""
        return self.first.prediction

    @property
    def budget_us(self) -> float:
        """That budget."""
        return self.first.best.budget_us


def search(
    profile: ProfileLike,
    base: ConfigLike,
    *,
    budget: str | Sequence[str] = "1.0x",
    evaluator: str | evaluators.Evaluator = "zen",
    trials: int = 100,
    algorithm: str = DEFAULT_ALGORITHM,
    seed: int = 0,
    workers: int | str = 1,
    worker_resources: Mapping[str, float] | None = None,
    out: Path | None = None,
    resume: bool = False,
    force: bool = False,
    on_progress: Callable[[run.Progress], None] = lambda _: None,
    on_notice: Callable[[str], None] = lambda _: None,
) -> Found:
    """Search sync strategies and widths for one or several latency budgets; writes what it found into `out`.

    Where stem and head run, and whether both units compute the stem, is what the table says is fastest. `workers` are
    1 (this process), a number of processes, or the address of a dask scheduler, whose workers need `worker_resources`.

    Raises:
        ProfileMismatch: the profile is of another base.
        InfeasibleBudget: nothing meets a budget, or a budget is given twice.
        OutputExists: `out` has a search and neither `resume` nor `force` was given.
        UnknownEvaluator, UnknownWorkers, WorkersUnavailable: see `make_evaluator` and `make_workers`.
        EvaluationError: an evaluation failed; what was finished is in the journal.
    """
    measured, model = _profile(profile), base_model(base)
    trunk, twin_stem = place_ends(measured, model)
    costs = ProfileCosts(measured, model, twin_stem=twin_stem)
    texts = [budget] if isinstance(budget, str) else list(budget)
    limits = _ascending(texts, measured)
    judge = evaluators.make_evaluator(evaluator) if isinstance(evaluator, str) else evaluator
    journal = None
    if out is not None:
        journal = out / "search.journal"
        if journal.exists() and not resume:
            if not force:
                raise OutputExists(f"{out}: holds a search already; give --resume to go on or --force to begin anew.")
            journal.unlink()
    with _dropped_if_empty(journal):
        result = run.search(
            model,
            costs,
            [us for us, _ in limits],
            judge,
            trials=trials,
            algorithm=algorithm,
            seed=seed,
            trunk=trunk,
            twin_stem=twin_stem,
            workers=make_workers(workers, worker_resources),
            journal_path=journal,
            on_progress=on_progress,
            on_notice=on_notice,
        )
    front = tuple(
        _found(model, measured, text, best, trunk, twin_stem)
        for (_, text), best in zip(limits, result.front, strict=True)
    )
    found = Found(front, next(network for network in front if network.budget == texts[0].strip()), result)
    if out is not None:
        _write_found(out, found)
    return found


def _ascending(texts: Sequence[str], profile: DeviceProfile) -> list[tuple[float, str]]:
    """Budgets in microseconds with their texts, ascending.

    Raises:
        InfeasibleBudget: not such texts, or two of one latency.
    """
    limits = sorted((budget_us(text, profile), text) for text in texts)
    for (low, first), (high, second) in itertools.pairwise(limits):
        if low == high:
            raise InfeasibleBudget(f"Budgets {first} and {second} are the same latency; give it once.")
    return limits


def _found(
    model: ModelConfig, measured: DeviceProfile, text: str, best: trials_.Best, trunk: int, twin_stem: bool
) -> FoundNetwork:
    config = best.config(model, trunk=trunk, twin_stem=twin_stem, name=f"{model.name}_{best.strategy}")
    return FoundNetwork(text.strip(), best, config, predict_network(config, model, measured))


def _write_found(out: Path, found: Found) -> None:
    """best.json, history.csv and front.csv; with several budgets best-BUDGET.json for each, too."""
    write_config(out / "best.json", found.config)
    trials_.write_history(out / "history.csv", found.result)
    rows = []
    for network in found.front:
        name = f"best-{network.budget}.json" if len(found.front) > 1 else "best.json"
        if name != "best.json":
            write_config(out / name, network.config)
        rows.append((network.budget, network.best, name))
    trials_.write_front(out / "front.csv", rows)


def export(
    config: ConfigLike,
    out: Path,
    *,
    weights: str | Path | None = None,
    seed: int = 0,
    formats: Sequence[str] = ("tflite",),
    force: bool = False,
) -> Bundle:
    """Export a network as a bundle, with weights from a file, from ``timm:NAME``, or seeded random ones.

    Raises:
        WeightsError: the file does not fit the network.
        OutputExists: `out` is there and `force` was not given.
    """
    found = _config(config)
    check_bundle_output(out, force=force)
    if weights is not None:
        values: Mapping[str, object] = load_weights(weights, found)
        source = str(weights) if str(weights).startswith("timm:") else Path(weights).name
    else:
        values, source = random_weights(parameter_shapes(found), seed), f"random, seed {seed}"
    return write_bundle(out, found, values, source=source, formats=formats, seed=seed, force=force)  # type: ignore[arg-type]


def convert_weights(source: str | Path, config: ConfigLike, out: Path, *, force: bool = False) -> int:
    """Write weights of a config as safetensors; returns the number of tensors.

    Raises:
        WeightsError: they do not fit the config.
        OutputError: `out` cannot be written, or exists and `force` is false.
    """
    check_output(out, force=force)
    weights = load_weights(source, _config(config))
    write_safetensors(out, weights, force=force)
    return len(weights)


def inherit_weights(source: str | Path, config: ConfigLike, out: Path, *, seed: int = 0, force: bool = False) -> int:
    """Write initial weights of a branched model, made from its base's; returns the number of tensors.

    Raises:
        WeightsError: the weights are not the base's.
        OutputError: `out` cannot be written, or exists and `force` is false.
    """
    check_output(out, force=force)
    found = _config(config)
    base = base_model(found)
    weights = inherit(found, base, load_weights(source, base), seed)
    write_safetensors(out, weights, force=force)
    return len(weights)


def _baseline_units(on: Device, chosen: Sequence[Unit]) -> list[Unit]:
    """One core, the bench's own units, and all cores."""
    cpus = [info.unit for info in on.units() if info.available and info.unit.kind == "cpu"]
    first = [Unit("cpu", threads=1, cores=unit.cores[:1]) for unit in cpus[:1]]
    return list(dict.fromkeys([*first, *chosen, *cpus]))


def bench(
    bundle: Bundle | Path,
    on: Device,
    *,
    units: Sequence[str] = (),
    samples: int = 100,
    launches: int = 2,
    baselines: Sequence[tuple[Bundle | Path, str | None]] = (),
    out: Path | None = None,
    force: bool = False,
    on_launch: Callable[[int, int], None] = lambda _done, _total: None,
) -> BenchResult:
    """Run a bundle on a device, both branches at once, with baselines in the same rounds.

    A baseline without a unit runs on each of the bench's units, on one core and on all of them.

    Raises:
        BundleError: not a usable bundle.
        BenchError: the device could not run it.
        MeasurementError: its outputs are wrong there.
    """
    opened = bundle if isinstance(bundle, Bundle) else read_bundle(bundle)
    if out is not None:
        check_output(out, force=force)
    chosen: Sequence[Unit]
    if opened.config.branch_count == 1 and len(units) == 1:
        chosen = (Unit.parse(units[0]),)
    else:
        chosen = units_of(on, units)
    others = [
        (b if isinstance(b, Bundle) else read_bundle(b), unit)
        for b, text in baselines
        for unit in ([Unit.parse(text)] if text else _baseline_units(on, chosen))
    ]
    result = run_bench(opened, on, chosen, samples=samples, launches=launches, baselines=others, on_launch=on_launch)
    if out is not None:
        write_json(out, result_to_json(result), force=force)
    return result


def draw(
    config: ConfigLike,
    out: Path,
    *,
    units: Sequence[str] = (),
    profile: ProfileLike | None = None,
    force: bool = False,
) -> str:
    """Draw an architecture into an ``.svg`` or ``.png`` file, with a profile's predicted times where one is given.

    Returns:
        The drawing as SVG, whatever was written.

    Raises:
        OutputError: `out` ends in neither, cannot be written, or a converter failed.
        UnitError: a text that is no unit, or not one a branch.
        ProfileMismatch: the profile does not fit the model or was measured on other units.
        MissingDependency: a PNG and no converter is installed.
    """
    if out.suffix not in (".svg", ".png"):
        raise OutputError(f"{out}: a drawing is .svg or .png; choose such a name.")
    check_output(out, force=force)
    found = _config(config)
    measured = None if profile is None else _profile(profile)
    base = None if measured is None or found.branch_count == 1 else _base_of(found, measured)
    named = tuple(str(Unit.parse(text)) for text in units) or None
    svg = architecture.draw(found, units=named, profile=measured, base=base)
    if out.suffix == ".png":
        render_png(svg, out, force=force)
    else:
        write_text(out, svg, force=force)
    return svg


def _need_torch(what: str) -> None:
    if importlib.util.find_spec("torch") is None:
        raise MissingDependency(f"{what} needs torch; install it with: pip install 'syncnas-deploy[torch]'.")


def evaluate(
    source: ConfigLike | Bundle,
    folder: Path,
    *,
    weights: str | Path | None = None,
    batch: int | None = None,
    workers: int | None = None,
    device: str = "cpu",
    input_size: int | None = None,
    predictions: Path | None = None,
    force: bool = False,
    on_progress: Callable[[EvaluationProgress], None] = lambda _: None,
) -> Accuracy:
    """Accuracy on an image folder: of a network with weights by torch, or of a bundle through LiteRT.

    Args:
        source: a config, a shipped name, or a bundle (or its folder).
        folder: class folders, or a folder with ``val`` that holds them.
        weights: a file or ``timm:NAME``; for a config only, and needed there.
        batch, workers, device, input_size: see `models.evaluation`; a bundle runs on the CPU at its own size.
        predictions: where a CSV with every picture's guess goes.

    Raises:
        WeightsError: none, or they do not fit; or given for a bundle.
        DatasetError: unusable folder, or another number of classes.
        DeviceUnavailable: torch finds no such device.
    """
    _need_torch("Evaluation")
    from syncnas_deploy.bundle_accuracy import evaluate_bundle
    from syncnas_deploy.models.evaluation import DEFAULT_BATCH, evaluate_model, write_guesses

    if predictions is not None:
        check_output(predictions, force=force)
    size = batch or DEFAULT_BATCH
    bundle = source if isinstance(source, Bundle) else None
    if bundle is None and isinstance(source, (str, Path)) and is_bundle(Path(source)):
        bundle = read_bundle(Path(source))
    if bundle is not None:
        if weights is not None:
            raise WeightsError(f"{bundle.folder}: a bundle has its weights; give a config to evaluate others.")
        found = evaluate_bundle(bundle, folder, batch=size, workers=workers, on_progress=on_progress)
    else:
        assert not isinstance(source, Bundle)
        config = _config(source)
        if weights is None:
            raise WeightsError(f"{config.name}: evaluation needs weights; give --weights FILE or timm:NAME.")
        found = evaluate_model(
            config,
            load_weights(weights, config),
            folder,
            batch=size,
            workers=workers,
            device=device,
            input_size=input_size,
            on_progress=on_progress,
        )
    if predictions is not None:
        write_guesses(predictions, found, force=force)
    return found


def train(
    config: ConfigLike,
    folder: Path,
    out: Path,
    recipe: Recipe | None = None,
    *,
    weights: str | Path | None = None,
    new_classifier: bool = False,
    device: str = "cpu",
    workers: int | None = None,
    resume: bool = False,
    force: bool = False,
    tensorboard: Path | None = None,
    on_progress: Callable[[TrainingProgress], None] = lambda _: None,
    on_epoch: Callable[[EpochRow], None] = lambda _: None,
) -> Trained:
    """Train a network on an image folder; see `models.training.train`, whose arguments and errors these are.

    Args:
        weights: a file, or ``timm:NAME``, to start from.

    Raises:
        WeightsError: they cannot be read or do not fit.
    """
    _need_torch("Training")
    from syncnas_deploy.models import training

    found = _config(config)
    start = None
    if weights is not None:
        # A file may be of another number of classes than the config; `training` says what then.
        start = load_weights(weights, found) if str(weights).startswith(TIMM) else read_arrays(Path(weights))
    return training.train(
        found,
        folder,
        out,
        recipe,
        weights=start,
        new_classifier=new_classifier,
        device=device,
        workers=workers,
        resume=resume,
        force=force,
        tensorboard=tensorboard,
        on_progress=on_progress,
        on_epoch=on_epoch,
    )
