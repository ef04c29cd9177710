"""Several latency budgets in one search: the best within each, nothing evaluated twice, and the files that hold it."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from syncnas_deploy import pipeline
from syncnas_deploy.errors import InfeasibleBudget
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.formats import read_config
from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.search.algorithms import ALGORITHMS
from syncnas_deploy.search.algorithms.searcher import Candidate
from syncnas_deploy.search.candidates import CandidateSpace
from syncnas_deploy.search.evaluators import Evaluation
from syncnas_deploy.search.loop import SearchSettings, search
from syncnas_deploy.search.results import SearchResult
from syncnas_deploy.search.widths.solver import WidthSolver
from tests.support.latency_cases import law_profile
from tests.support.synthetic import SyntheticTable, toy_base

BASE = toy_base((1, 2, 1))
TABLE = SyntheticTable(BASE, 1)
LEAST_US = min(WidthSolver(BASE, TABLE, 1e6).minimum_us(s) for s in all_strategies(3))
BUDGETS_US = (1.05 * LEAST_US, 1.3 * LEAST_US, 2e5, 3e5)
"""Little, some, and twice more than any network needs."""


@dataclass
class Macs:
    """More work is better, but one strategy is best of all as soon as it fits."""

    favourite: str = ""
    calls: list[tuple[str, int]] = field(default_factory=list)
    name: str = "macs"
    cost: str = "instant"
    spread: float | None = 0.0

    @property
    def key(self) -> dict[str, object]:
        return {"name": self.name, "favourite": self.favourite}

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        self.calls.append((config.strategy or "", config.macs()))
        return Evaluation(1e9 if config.strategy == self.favourite else float(config.macs()), 1.0)


def run(evaluator: Macs, *, algorithm: str = "uct", trials: int = 10_000, path: Path | None = None) -> SearchResult:
    settings = SearchSettings(trials=trials, algorithm=algorithm)
    return search(BASE, TABLE, BUDGETS_US, evaluator, settings, journal_path=path)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_best_within_each_budget_is_found_and_no_network_evaluated_twice(algorithm: str) -> None:
    evaluator = Macs()
    result = run(evaluator, algorithm=algorithm)
    assert len(set(evaluator.calls)) == len(evaluator.calls) == len(result.trials)
    candidates = CandidateSpace(BASE, TABLE, BUDGETS_US)
    feasible = [
        Candidate(s, b) for b in range(4) for s in all_strategies(3) if Candidate(s, b) not in candidates.infeasible
    ]
    assert len(result.trials) == len({(candidates.widths(c).widths, c.strategy) for c in feasible})
    for b, best in enumerate(result.front):
        rewards = [candidates.config(c).macs() for c in feasible if c.budget <= b]
        assert best.reward == max(rewards)
        assert best.predicted_us <= best.budget_us == BUDGETS_US[b]
    # Nothing gets wider than the third budget allows.
    assert result.front[3].strategy == result.front[2].strategy
    assert result.best == result.front[-1]


def test_what_is_best_within_a_smaller_budget_is_so_within_larger_ones() -> None:
    candidates = CandidateSpace(BASE, TABLE, BUDGETS_US)
    favourite = next(s for s in all_strategies(3) if Candidate(s) not in candidates.infeasible)
    result = run(Macs(favourite))
    assert {best.strategy for best in result.front} == {favourite}
    assert {best.reward for best in result.front} == {1e9}


def test_resumed_at_every_row_ends_the_same(tmp_path: Path) -> None:
    path = tmp_path / "j"
    whole = run(Macs(), path=path, trials=25)
    lines = path.read_bytes().splitlines(keepends=True)
    for kept in range(1, len(lines), 3):
        path.write_bytes(b"".join(lines[:kept]))
        evaluator = Macs()
        assert run(evaluator, path=path, trials=25) == whole
        assert len(evaluator.calls) == len(lines) - kept
        assert path.read_bytes() == b"".join(lines)


def test_budgets_ascend_and_the_smallest_can_be_met() -> None:
    with pytest.raises(ValueError, match="ascending order"):
        search(BASE, TABLE, [2e5, 1e5], Macs(), SearchSettings(trials=3))
    with pytest.raises(InfeasibleBudget, match=r"meets a budget of .* raise --budget"):
        search(BASE, TABLE, [0.5 * LEAST_US, 1e5], Macs(), SearchSettings(trials=3))


def test_the_front_is_written_with_a_file_a_budget(mobilenet: ModelConfig, tmp_path: Path) -> None:
    out = tmp_path / "found"
    networks = pipeline.search(
        law_profile(mobilenet),
        budget=["1.0x", "0.8x", "1.25x"],
        evaluator="capacity",
        settings=SearchSettings(trials=12),
        out=out,
    )
    assert [network.budget for network in networks.front] == ["0.8x", "1.0x", "1.25x"]
    assert networks.main.budget == "1.0x" and networks.config == read_config(out / "best.json")
    with (out / "front.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["config"] for row in rows] == ["best-0.8x.json", "best-1.0x.json", "best-1.25x.json"]
    for row, network in zip(rows, networks.front, strict=True):
        assert read_config(out / row["config"]) == network.config
        assert network.prediction.makespan_us <= network.best.budget_us * (1 + 1e-9)
        assert float(row["reward"]) == network.best.reward
        assert (row["sure"], row["evaluations"], row["standard_error"]) == ("true", "1", "0.0")
    rewards = [network.best.reward for network in networks.front]
    assert rewards == sorted(rewards)
    with (out / "history.csv").open(newline="") as file:
        assert len({row["budget_us"] for row in csv.DictReader(file)}) == 3
    with pytest.raises(InfeasibleBudget, match="are the same latency; give it once"):
        pipeline.search(law_profile(mobilenet), budget=["1x", "1.0x"], evaluator="capacity")
    assert json.loads((out / "search.journal").read_bytes().splitlines()[0])["key"]["budgets_us"] == [
        network.best.budget_us for network in networks.front
    ]
