"""A search that knows what networks take in energy: it tells it, and leaves out what takes too much."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from msgspec import structs

from syncnas_deploy import pipeline
from syncnas_deploy.errors import InfeasibleBudget, JournalMismatch, ProfileMismatch
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.prediction.energy import PowerRow
from syncnas_deploy.prediction.predict import predict
from syncnas_deploy.report.comparison import read_all
from syncnas_deploy.report.searches import search_page
from syncnas_deploy.search.algorithms.searcher import Candidate
from syncnas_deploy.search.candidates import CandidateSpace
from syncnas_deploy.search.evaluators import Evaluation
from syncnas_deploy.search.loop import SearchSettings, search
from syncnas_deploy.search.results import SearchResult, write_history
from syncnas_deploy.search.widths.solver import WidthSolver
from tests.support.latency_cases import law_profile
from tests.support.synthetic import SyntheticTable, toy_base

BASE = toy_base((1, 2, 1))
TABLE = SyntheticTable(BASE, 1)
AMPLE_US = 2 * max(WidthSolver(BASE, TABLE, 1e6).minimum_us(s) for s in all_strategies(3))
POWER = (
    PowerRow("idle", 1.1, (0.05, 0.0)),
    PowerRow("unit_0", 2.8, (0.9, 0.0)),
    PowerRow("unit_1", 3.4, (0.0, 0.8)),
    PowerRow("both", 4.9, (0.9, 0.7)),
)


class Macs:
    """More work is better, and takes more energy."""

    name, cost, spread = "macs", "instant", 0.0
    key = {"name": "macs"}  # noqa: RUF012

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        return Evaluation(float(config.macs()), 0.0)


def millijoules(config: ModelConfig) -> float:
    return config.macs() / 1e6


def forecast(config: ModelConfig) -> tuple[float, float]:
    return AMPLE_US / 3, millijoules(config)


def run(max_energy_mj: float | None, path: Path | None = None) -> SearchResult:
    return search(
        BASE,
        TABLE,
        [AMPLE_US],
        Macs(),
        SearchSettings(max_energy_mj=max_energy_mj),
        forecast=forecast,
        journal_path=path,
    )


def test_what_takes_too_much_is_left_out_before_it_is_evaluated(tmp_path: Path) -> None:
    candidates = CandidateSpace(BASE, TABLE, [AMPLE_US], forecast=forecast)
    energies = sorted(millijoules(candidates.config(c)) for c in map(Candidate, all_strategies(3)))
    limit_mj = energies[len(energies) // 2]
    free, limited = run(None), run(limit_mj)
    assert free.infeasible == {}
    assert free.best.energy_mj == energies[-1]
    assert limited.best.energy_mj == max(mj for mj in energies if mj <= limit_mj)
    assert {reason.energy_mj for reason in limited.infeasible.values()} == {mj for mj in energies if mj > limit_mj}
    told_us = {one.predicted_us for one in (*limited.infeasible.values(), *limited.trials, *free.front)}
    assert told_us == {AMPLE_US / 3}, "what is forecast, not the table's sum"
    assert len(limited.trials) + len(limited.infeasible) == len(free.trials) == 18
    write_history(tmp_path / "h.csv", limited)
    with (tmp_path / "h.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    history_mj = [float(row["energy_mj"]) for row in rows]
    assert sorted(history_mj) == pytest.approx(energies, abs=1e-4)
    assert {row["note"] for row in rows if float(row["energy_mj"]) > limit_mj + 1e-3} == {"takes too much energy"}
    assert f"{limited.best.energy_mj:.3f}" in str(search_page(limited, ["1.0x"]))
    with pytest.raises(InfeasibleBudget, match=rf"the least is {energies[0]:.3f} mJ, so raise --max-energy"):
        run(energies[0] / 2)


def test_a_search_of_another_limit_is_another_search(tmp_path: Path) -> None:
    first = run(None, tmp_path / "j")
    limit_mj = first.best.energy_mj
    assert limit_mj is not None
    with pytest.raises(JournalMismatch):
        run(0.9 * limit_mj, tmp_path / "j")
    assert run(None, tmp_path / "j") == first


def test_from_a_profile_to_the_report(mobilenet: ModelConfig, tmp_path: Path) -> None:
    profile = law_profile(mobilenet)
    with pytest.raises(ProfileMismatch, match="has no power"):
        pipeline.search(profile, evaluator="capacity", settings=SearchSettings(trials=2, max_energy_mj=5.0))
    powered = structs.replace(profile, power=POWER)
    plain = pipeline.search(powered, evaluator="capacity", settings=SearchSettings(trials=3))
    assert plain.main.best.energy_mj == predict(plain.config, powered).energy_mj
    limit_mj = 0.995 * plain.main.best.energy_mj  # type: ignore[operator]
    limited = SearchSettings(trials=3, max_energy_mj=limit_mj)
    within_limit = pipeline.search(powered, evaluator="capacity", settings=limited, out=tmp_path / "found")
    assert within_limit.main.best.energy_mj <= limit_mj  # type: ignore[operator]
    with (tmp_path / "found" / "front.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["energy_mj"]) == pytest.approx(within_limit.main.best.energy_mj, abs=1e-4)
    assert f"{float(row['energy_mj']):.3f}" in read_all([tmp_path / "found"]).to_text()
    journal = (tmp_path / "found" / "search.journal").read_text().splitlines()
    assert "infeasible_sha256" in json.loads(journal[0])["key"]
