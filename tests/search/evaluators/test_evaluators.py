"""Evaluators: names, tables with faults, and what they tell apart."""

from __future__ import annotations

import importlib.metadata
import math
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from syncnas_deploy import pipeline
from syncnas_deploy.errors import EvaluationError, MissingDependency, RewardTableError, UnknownEvaluator
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.networks.widths import Widths
from syncnas_deploy.search.evaluators import Capacity, Evaluation, RewardTable, Zen, make_evaluator, rate
from syncnas_deploy.search.evaluators import zen as zen_module
from syncnas_deploy.search.loop import SearchSettings
from tests.support.synthetic import resized_input, toy_base

BASE = resized_input(toy_base((1, 2)), 32)


def two_branches(strategy: str = "aa", width: int = 16) -> ModelConfig:
    return branched(BASE, strategy, Widths.of([[[width], [width, width]]] * 2))


def test_names(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("strategy,reward\naa,0.7\n")
    assert make_evaluator("capacity").name == "capacity"
    assert make_evaluator(f"table:{table}").name == f"table:{table}"
    pytest.importorskip("torch")
    assert make_evaluator("zen").name == "zen:64"
    assert make_evaluator("zen:96").name == "zen:96"
    assert "1.1 s" in make_evaluator("zen:96").cost


@pytest.mark.parametrize("text", ["", "zeno", "zen:", "zen:x", "zen:31", "zen:1025", "zen:-64", "table:", "capacity:3"])
def test_unknown_names_are_answered_with_the_known_ones(text: str) -> None:
    with pytest.raises(UnknownEvaluator, match=r"use zen, zen:PIXELS .* capacity or table:FILE"):
        make_evaluator(text)


def test_capacity_is_the_logarithm_of_macs() -> None:
    narrow, wide = two_branches(width=8), two_branches(width=24)
    assert Capacity().evaluate(wide, 0).reward == math.log(wide.macs())
    assert wide.macs() > narrow.macs()


def test_table_gives_its_rewards_and_infeasible_ones(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        'note,reward,strategy\r\n"a, b",0.5,aa\r\n,,na\r\n\r\nx,0,ca\r\ny,-1e-3,cc\r\n', encoding="utf-8-sig"
    )
    table = RewardTable(path)
    rewards = [table.evaluate(two_branches(s), 0).reward for s in ("aa", "na", "ca", "cc")]
    assert rewards == [0.5, None, None, -1e-3]
    with pytest.raises(RewardTableError, match=r"t\.csv: no row for strategy nc"):
        table.evaluate(two_branches("nc"), 0)


def test_table_is_known_by_its_content(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in "abc"]
    for path, reward in zip(paths, (0.5, 0.5, 0.6), strict=True):
        path.write_text(f"strategy,reward\naa,{reward}\n")
    keys = [RewardTable(path).key for path in paths]
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "has no rows"),
        ("strategy,reward\n", "has no rows"),
        ("strategy,accuracy\naa,0.7\n", "line 1 must name the column 'reward' once"),
        ("strategy,reward,reward\naa,0.7,1\n", "line 1 must name the column 'reward' once"),
        ("strategy,reward\naa,0.7\nac,nan\n", "line 3, column 'reward': 'nan' is not a finite number"),
        ("strategy,reward\naa,inf\n", "line 2, column 'reward': 'inf'"),
        ("strategy,reward\naa,good\n", "line 2, column 'reward': 'good'"),
        ("strategy,reward\naa,0.7\n\naa,0.8\n", "line 4 repeats strategy aa"),
        ("strategy,reward\nax,0.7\n", "line 2, column 'strategy': .*'x'"),
        ("strategy,reward\naa,0.7\naaa,0.7\n", "line 3, column 'strategy': .*3 letters"),
        ("strategy,reward\nan,0.7\n", "line 2, column 'strategy': .*ends in n"),
        ("strategy,reward\n,0.7\n", "line 2, column 'strategy'"),
        ("strategy,reward\naa\n", "line 2 has 1 columns, the header 2"),
        ('strategy,reward\n"aa"x,1\n', "not CSV"),
        (b"strategy,reward\n\xff\xfe,1\n", "not UTF-8"),
    ],
)
def test_faulty_tables_are_named_by_file_line_and_column(tmp_path: Path, content: str | bytes, says: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(RewardTableError, match=rf"t\.csv: .*{says}" if says[0] != "l" else rf"t\.csv: {says}"):
        RewardTable(path)


def test_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(RewardTableError, match=r"none\.csv: cannot be read \(No such file"):
        make_evaluator(f"table:{tmp_path / 'none.csv'}")


def test_zen_without_torch_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(zen_module.importlib.metadata, "version", absent)
    with pytest.raises(MissingDependency, match=r"install 'syncnas-deploy\[torch\]'"):
        make_evaluator("zen")


def test_zen_is_the_same_for_a_seed_and_leaves_torchs_own_alone() -> None:
    torch = pytest.importorskip("torch")
    zen, config = Zen(input_size=32, repeats=2), two_branches()
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first = zen.evaluate(config, 1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert zen.evaluate(config, 1).reward == first.reward
    assert zen.evaluate(config, 2).reward != first.reward


def test_zen_tells_wide_from_narrow_and_strategies_apart() -> None:
    pytest.importorskip("torch")
    zen = Zen(input_size=32, repeats=8)
    narrow = zen.evaluate(two_branches(width=8), 0)
    wide = zen.evaluate(two_branches(width=40), 0)
    other = zen.evaluate(two_branches("nc", width=8), 0)
    assert narrow.reward is not None and wide.reward is not None and other.reward is not None
    error = 3 * max(e.details["score_sd"] for e in (narrow, wide, other)) / math.sqrt(8)
    assert wide.reward > narrow.reward + error
    assert abs(narrow.reward - other.reward) > error


def test_zen_gives_back_the_scale_that_batch_norm_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights twice as large change nothing after the batch norms; the score sees each of them all the same."""
    torch = pytest.importorskip("torch")
    zen, config = Zen(input_size=32, repeats=1), two_branches()
    plain = zen.evaluate(config, 3).reward
    drawn = torch.Tensor.normal_
    monkeypatch.setattr(torch.Tensor, "normal_", lambda self, **kwargs: drawn(self, **kwargs).mul_(2))
    scaled = zen.evaluate(config, 3).reward
    assert plain is not None
    assert scaled is not None
    # Stem, head, and three for each of three blocks on two branches.
    assert scaled - plain == pytest.approx(20 * math.log(2), rel=1e-3)


@pytest.mark.parametrize("kwargs", [{"batch": 1}, {"repeats": 0}, {"input_size": 0}, {"perturbation": 0.0}])
def test_zen_refuses_parameters_that_mean_nothing(kwargs: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="zen needs"):
        Zen(**kwargs)  # type: ignore[arg-type]


class Own:
    """An evaluator of a user's."""

    name, cost, spread = "own", "nothing", 0.0
    key: ClassVar = {"name": "own", "version": 1}
    gives: object = Evaluation(0.5, 0.1)

    def evaluate(self, config: ModelConfig, seed: int) -> object:
        return self.gives


def own(**others: object) -> object:
    """An object of a class like `Own` with other attributes; those that are `...` are missing."""
    kept = {name: value for name, value in vars(Own).items() if not name.startswith("__")} | others
    return type("E0", (), {name: value for name, value in kept.items() if value is not ...})()


@pytest.mark.parametrize(
    ("found", "says"),
    [
        (own(spread=...), "an object of E0: has no spread;"),
        (own(spread=..., cost=..., key=...), "an object of E0: has no key, cost, spread;"),
        (own(spread=..., key={1: 2}), "has no spread, and its key is not a dictionary of plain JSON;"),
        (own(key={"of": {1, 2}}), "E0: its key is not a dictionary of plain JSON;"),
        (own(key="own"), "E0: its key is not a dictionary of plain JSON;"),
        (own(spread="0"), "E0: its spread is not a number of 0 or more, or None;"),
        (own(spread=-1, name=3), "its name is not a text, and its spread is not a number of 0 or more"),
        (own(evaluate=lambda self, config: 1), "its evaluate is not a method that takes (config, seed);"),
        (own(evaluate=0.5), "its evaluate is not a method that takes (config, seed);"),
        (Own, "the class Own in place of an object: has no name, key, cost, spread, evaluate;"),
        (own, "the function own in place of an object: has no name, key, cost, spread, evaluate;"),
        (0.5, "an object of float: has no name, key, cost, spread, evaluate;"),
    ],
)
def test_what_an_evaluator_lacks_is_said_in_one_sentence(found: Any, says: str) -> None:
    with pytest.raises(UnknownEvaluator) as caught:
        pipeline.search("mobilenet_v2-sim-phone", evaluator=found)
    assert says in str(caught.value) and str(caught.value).endswith(" has a class to begin with.")


@pytest.mark.parametrize(
    ("gives", "says"),
    [
        (0.7, "The evaluator own returned 0.7 for "),
        (None, "The evaluator own returned None for "),
        ({"reward": 0.7}, "The evaluator own returned {'reward': 0.7} for "),
        (Evaluation("good", 1.0), "the reward 'good'; it must be a number."),  # type: ignore[arg-type]
        (Evaluation(0.5, 1.0, {"loss": [1]}), "the loss [1]; it must be a number."),  # type: ignore[dict-item]
        (Evaluation(0.5, 1.0, spread=[1]), "the spread [1]; it must be a number."),  # type: ignore[arg-type]
    ],
)
def test_what_an_evaluator_returns_wrongly_is_said_in_one_sentence(gives: object, says: str) -> None:
    evaluator = make_evaluator(own(gives=gives))  # type: ignore[arg-type]
    with pytest.raises(EvaluationError) as caught:
        pipeline.search("mobilenet_v2-sim-phone", evaluator=evaluator, settings=SearchSettings(trials=1))
    assert says in str(caught.value) and str(caught.value).endswith(".")
    with pytest.raises(EvaluationError):
        rate(evaluator, BASE)


@pytest.mark.parametrize("reward", [1, 0.5, np.float32(0.5), np.int64(1)])
def test_numbers_of_any_kind_are_rewards(reward: Any) -> None:
    evaluator = make_evaluator(own(gives=Evaluation(reward, 1)))  # type: ignore[arg-type]
    settings = SearchSettings(trials=1)
    assert (
        pipeline.search("mobilenet_v2-sim-phone", evaluator=evaluator, settings=settings).result.best.reward == reward
    )
