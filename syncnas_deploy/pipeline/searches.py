"""Predictions from a profile, and the search for the best network within a budget."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from syncnas_bench import Unit
from syncnas_deploy.errors import BudgetError, ProfileMismatch
from syncnas_deploy.files.places import as_path
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.pipeline.inputs import (
    BudgetLike,
    ConfigLike,
    ProfileLike,
    as_config,
    as_profile,
    base_model,
    budget_texts,
    budget_us,
)
from syncnas_deploy.pipeline.rivals import verdict_on_search
from syncnas_deploy.pipeline.search_folder import check_search_output, files_of, how_it_went, write_found
from syncnas_deploy.precision import FileFormat
from syncnas_deploy.prediction.predict import Prediction, ProfileCosts, fastest_placement
from syncnas_deploy.prediction.predict import predict as predict_network
from syncnas_deploy.prediction.profile import DeviceProfile
from syncnas_deploy.report.comparison import JOURNAL
from syncnas_deploy.report.html.document import document
from syncnas_deploy.report.html.searches import result_charts
from syncnas_deploy.report.judgement import verdict_lines
from syncnas_deploy.report.notebook import charts, html, page_html, picture, show_progress
from syncnas_deploy.report.page import Page
from syncnas_deploy.report.searches import search_page
from syncnas_deploy.resources import shipped
from syncnas_deploy.search import evaluators, loop, results
from syncnas_deploy.search.candidates import Forecast
from syncnas_deploy.search.loop import SearchProgress, SearchSettings
from syncnas_deploy.search.rivals import Rival
from syncnas_deploy.search.workers import caution, make_workers
from syncnas_deploy.shown import Drawn, Tabled, brief, ms_text
from syncnas_deploy.spawning import check_guarded
from syncnas_deploy.verdict import Verdict


def predict(config: ConfigLike, profile: ProfileLike) -> Prediction:
    """The predicted latency of a branched model on the profiled device.

    Raises:
        ProfileMismatch: another base, or a missing entry.
    """
    return predict_network(as_config(config), as_profile(profile))


@dataclass(frozen=True, repr=False)
class FoundNetwork(Drawn):
    """The best network within one budget.

    Attributes:
        budget: as it was asked for.
        best: its strategy, widths and reward.
        config: the network.
        prediction: its latency on the profiled device.
        verdict: whether it pays, beside its rivals.
        rivals: what one would run otherwise within its latency, by unit.
    """

    budget: str
    best: results.Best
    config: ModelConfig
    prediction: Prediction
    verdict: Verdict
    rivals: tuple[Rival, ...]

    def __repr__(self) -> str:
        return brief("FoundNetwork", *self._words())

    def _words(self) -> tuple[str, ...]:
        macs = f"{self.config.macs() / 1e6:.1f} M MACs"
        latency = f"{ms_text(self.prediction.makespan_us)} ms within {self.budget}"
        return self.config.name, macs, latency, self.verdict.answer


@dataclass(frozen=True, repr=False)
class Found(Tabled):
    """What a search found.

    Attributes:
        front: the best by budget, in ascending order of budgets.
        main: the one of the budget that was named before the others.
        result: all trials.
    """

    front: tuple[FoundNetwork, ...]
    main: FoundNetwork
    result: results.SearchResult

    def __repr__(self) -> str:
        others = f"{len(self.front) - 1} other budgets" if len(self.front) > 1 else ""
        return brief("Found", *self.main._words(), f"{len(self.result.trials)} trials", others)

    def rows(self) -> list[dict[str, object]]:
        """The history, a row for each trial; see `SearchResult.rows`."""
        return self.result.rows()

    @property
    def config(self) -> ModelConfig:
        """The best network within the budget that was named first."""
        return self.main.config

    @property
    def verdict(self) -> Verdict:
        """Whether it pays."""
        return self.main.verdict

    @property
    def prediction(self) -> Prediction:
        """Its latency on the profiled device."""
        return self.main.prediction

    @property
    def budget_us(self) -> float:
        """The latency budget that was named first, microseconds."""
        return self.main.best.budget_us


@html.register
def _(found: Found) -> str:
    several = len(found.front) > 1
    answers = [
        f"{one.budget}: {line}" if several else line for one in found.front for line in verdict_lines(one.verdict)
    ]
    best = search_page(found.result, [one.budget for one in found.front]).parts[:2]
    tried = result_charts(found.result, [rival.predicted_us for one in found.front for rival in one.rivals])
    shown = charts(document(found.config.name, [("search", "", tried)], {}))
    return page_html(Page(*best, *answers)) + picture(found) + shown


def search(
    profile: ProfileLike,
    base: ConfigLike | None = None,
    *,
    budget: BudgetLike | Sequence[BudgetLike] = "1.0x",
    evaluator: str | evaluators.Evaluator | None = None,
    settings: SearchSettings = SearchSettings(),
    workers: int | str = 1,
    worker_resources: Mapping[str, float] | None = None,
    out: str | Path | None = None,
    resume: bool = False,
    force: bool = False,
    on_progress: Callable[[SearchProgress], None] = show_progress,
    on_notice: Callable[[str], None] = lambda _: None,
) -> Found:
    """Search sync strategies and widths for one or several latency budgets, and write the results into `out`.

    Stem and head run where the table says that it is fastest.

    Args:
        profile: of the device; its base is searched.
        base: checked against the profile's base, where it is given.
        budget: one latency or several, such as 1.0, ``1.0x`` or ``25ms``; see `budget_us`.
        evaluator: gives the rewards; see `make_evaluator`. Where None, ``zen``, or ``capacity`` without torch.
        settings: how many trials, by which algorithm, and so on, see `SearchSettings`. With `max_energy_mj`, networks
            that take more by the profile's power are infeasible.
        workers: 1 (this process), a number of processes, or the address of a dask scheduler.
        worker_resources: what an evaluation needs of a dask worker, by name.
        out: the folder of the results and of the journal; without it nothing is written.
        resume: go on from the journal in `out`.
        force: replace a search in `out`.
        on_progress: called after each evaluation.
        on_notice: called with sentences for the user.

    Raises:
        ProfileMismatch: the profile is of another base, or energy is limited and it has no power.
        InfeasibleBudget: nothing meets a budget or the energy.
        BudgetError: a budget is none, or is given twice.
        OutputExists: `out` has a search and neither `resume` nor `force` was given.
        UnknownEvaluator, UnknownWorkers, WorkersUnavailable: see `make_evaluator` and `make_workers`.
        EvaluationError: an evaluation failed; what was finished is in the journal.
    """
    if str(workers) != "1":
        check_guarded("search")
    measured = as_profile(profile)
    if base is not None and not _names(base, measured.base):
        measured.check_base(base_model(base))
    if settings.max_energy_mj is not None and measured.power_model is None:
        raise ProfileMismatch(
            "The profile has no power, so energy cannot be limited; measure the device again where `doctor` finds a "
            "power meter, or search without --max-energy."
        )
    costs = ProfileCosts(measured, fastest_placement(measured), settings.width_step)
    texts = budget_texts(budget)
    limits = _ascending(texts, measured)
    chosen = evaluators.default_evaluator(on_notice) if evaluator is None else evaluator
    judge = evaluators.make_evaluator(chosen)
    out = None if out is None else as_path(out)
    held = frozenset() if out is None else check_search_output(out, files_of(texts), resume=resume, force=force)

    def found_of(result: results.SearchResult) -> Found:
        front = tuple(_found(measured, judge, text, best) for (_, text), best in zip(limits, result.front, strict=True))
        return Found(front, next(network for network in front if network.budget == texts[0]), result)

    kept: list[Found] = []

    def keep(result: results.SearchResult) -> None:
        assert out is not None
        kept.append(found_of(result))
        write_found(out, kept[0], how_it_went(measured, texts, rates, settings, len(result.trials)), held)

    rates = evaluators.as_it_runs(judge, [FileFormat.exported(Unit.parse(text)).precision for text in measured.units])
    if warning := caution(workers):
        on_notice(warning)
    result = loop.search(
        measured.base,
        costs,
        [us for us, _ in limits],
        rates,
        settings,
        forecast=_forecast(measured),
        workers=make_workers(workers, worker_resources),
        journal_path=None if out is None else out / JOURNAL,
        anew=force and not resume,
        fresh=not (resume or force),
        on_progress=on_progress,
        on_notice=on_notice,
        keep=keep,
    )
    return kept[0] if kept else found_of(result)


def _names(text: ConfigLike, base: ModelConfig) -> bool:
    """Whether a text is the name of a profile's own base, which is neither shipped nor a file here."""
    return text == base.name and text not in shipped("model_configs") and not Path(base.name).exists()


def _ascending(texts: Sequence[str], profile: DeviceProfile) -> list[tuple[float, str]]:
    """Budgets in microseconds with their texts, ascending.

    Raises:
        BudgetError: not such texts, or two of one latency.
    """
    limits = sorted((budget_us(text, profile), text) for text in texts)
    for (low, text), (high, other) in itertools.pairwise(limits):
        if low == high:
            raise BudgetError(f"Budgets {text} and {other} are the same latency; give it once.")
    return limits


def _forecast(measured: DeviceProfile) -> Forecast:
    def forecast(config: ModelConfig) -> tuple[float, float | None]:
        prediction = predict_network(config, measured)
        return prediction.makespan_us, prediction.energy_mj

    return forecast


def _found(measured: DeviceProfile, judge: evaluators.Evaluator, text: str, best: results.Best) -> FoundNetwork:
    config = best.config(measured.base)
    prediction = predict_network(config, measured)
    verdict, found = verdict_on_search(config, prediction, measured, judge, best.reward, best.standard_error)
    return FoundNetwork(text, best, config, prediction, verdict, found)
