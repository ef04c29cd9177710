"""Predictions from a profile, and the search for the best network within a budget."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncnas_deploy.errors import InfeasibleBudget, OutputExists, ProfileMismatch
from syncnas_deploy.files.journal import dropped_if_empty
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import write_config
from syncnas_deploy.pipeline.inputs import (
    ConfigLike,
    ProfileLike,
    as_config,
    as_profile,
    base_model,
    base_of,
    budget_us,
)
from syncnas_deploy.prediction.predict import Prediction, ProfileCosts, place_ends
from syncnas_deploy.prediction.predict import predict as predict_network
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.search import evaluators
from syncnas_deploy.search import loop as run
from syncnas_deploy.search import results as trials_
from syncnas_deploy.search.algorithms import DEFAULT_ALGORITHM
from syncnas_deploy.search.candidates import EnergyOf
from syncnas_deploy.search.workers import make_workers


def predict(config: ConfigLike, profile: ProfileLike) -> Prediction:
    """What a branched model will take on the profiled device.

    Raises:
        ProfileMismatch: another base, or a missing entry.
    """
    found, measured = as_config(config), as_profile(profile)
    return predict_network(found, base_of(found, measured), measured)


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
    max_energy_mj: float | None = None,
    out: Path | None = None,
    resume: bool = False,
    force: bool = False,
    on_progress: Callable[[run.Progress], None] = lambda _: None,
    on_notice: Callable[[str], None] = lambda _: None,
) -> Found:
    """Search sync strategies and widths for one or several latency budgets; writes what it found into `out`.

    Where stem and head run, and whether both units compute the stem, is what the table says is fastest. `workers` are
    1 (this process), a number of processes, or the address of a dask scheduler, whose workers need `worker_resources`.
    What takes more than `max_energy_mj` millijoules an inference, by the profile's power, is infeasible.

    Raises:
        ProfileMismatch: the profile is of another base, or energy is limited and it tells no power.
        InfeasibleBudget: nothing meets a budget or the energy, or a budget is given twice.
        OutputExists: `out` has a search and neither `resume` nor `force` was given.
        UnknownEvaluator, UnknownWorkers, WorkersUnavailable: see `make_evaluator` and `make_workers`.
        EvaluationError: an evaluation failed; what was finished is in the journal.
    """
    measured, model = as_profile(profile), base_model(base)
    if max_energy_mj is not None and measured.power_model is None:
        raise ProfileMismatch(
            "The profile tells no power, so energy cannot be limited; measure the device again where `doctor` finds a "
            "power meter, or search without --max-energy."
        )
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
    with dropped_if_empty(journal):
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
            energy_of=_energy_of(model, measured),
            max_energy_mj=max_energy_mj,
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


def _energy_of(model: ModelConfig, measured: DeviceProfile) -> EnergyOf | None:
    if measured.power_model is None:
        return None

    def energy_of(config: ModelConfig) -> float:
        energy_mj = predict_network(config, model, measured).energy_mj
        assert energy_mj is not None
        return energy_mj

    return energy_of


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
