"""A search's folder says what decided its results, and nothing of where the user's files are."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import syncnas_deploy as sd
from syncnas_deploy.errors import DocumentError
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.networks.strategy import all_strategies
from syncnas_deploy.prediction.profile_files import write_profile
from syncnas_deploy.report.comparison import read_all
from syncnas_deploy.search.evaluators import Evaluation
from tests.support.latency_cases import law_profile
from tests.support.picture_cases import draw_set

SECRET = "private-place"


class Own:
    """An evaluator of one's own, whose key has a path in it."""

    name, cost, spread, key = "mine", "none", 0.0, {"name": "mine", "data": f"/home/{SECRET}"}

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        return Evaluation(float(config.macs()), 0.0)


def searched(mobilenet: ModelConfig, out: Path, evaluator: Any, **how: Any) -> dict[str, Any]:
    """A search's file, after it was written."""
    settings = sd.SearchSettings(**{"trials": 2, **how})
    sd.search(law_profile(mobilenet), budget=[1.5, "30ms"], evaluator=evaluator, settings=settings, out=out)
    found: dict[str, Any] = json.loads((out / "search.json").read_text())
    return found


def test_a_search_says_what_decided_it(mobilenet: ModelConfig, tmp_path: Path) -> None:
    found = searched(mobilenet, tmp_path / "s", "capacity", algorithm="uct", seed=5, trials=3, width_step=8)
    write_profile(tmp_path / "p.json", law_profile(mobilenet))
    assert found.pop("versions") == {
        "syncnas-deploy": sd.__version__, "python": platform.python_version(), "numpy": version("numpy"),
    }  # fmt: skip
    assert found == {
        "schema": "syncnas-deploy/search/1", "base": "mobilenet_v2", "budgets": ["1.5x", "30ms"],
        "profile": {"device": "law", "sha256": hashlib.sha256((tmp_path / "p.json").read_bytes()).hexdigest()},
        "evaluator": {"name": "capacity"}, "algorithm": "uct", "seed": 5, "trials": 3, "done": 3,
        "max_energy_mj": None, "width_step": 8,
    }  # fmt: skip
    page = read_all([tmp_path / "s"])
    assert "rated by capacity, proposed by uct, 3 of at most 3 trials, seed 5; syncnas-deploy" in page.to_text()
    assert page.to_json()["searches"][0]["how"]["seed"] == 5


def same_but_seconds(first: Path, second: Path) -> list[str]:
    """Names of files that differ, but for the column `seconds`; none may be missing."""
    assert {path.name for path in first.iterdir()} == {path.name for path in second.iterdir()}
    texts = [
        {
            path.name: re.sub(r"(?<=,)[0-9]+\.[0-9]{3}(?=,)", "", path.read_text())
            for path in sorted(each.glob("*.*[vn]"))
        }
        for each in (first, second)
    ]
    return [name for name in texts[0] if texts[0][name] != texts[1][name]]


class Timed(Own):
    """It takes another time in each evaluation."""

    taken = 0.0

    def evaluate(self, config: ModelConfig, seed: int) -> Evaluation:
        type(self).taken += 1.25
        return Evaluation(float(config.macs()), self.taken)


def test_what_the_reference_calls_equal_is(mobilenet: ModelConfig, tmp_path: Path) -> None:
    for name in ("a", "b"):
        searched(mobilenet, tmp_path / name, Timed(), trials=8)
    searched(mobilenet, tmp_path / "more", Timed(), trials=5)
    sd.search(
        law_profile(mobilenet), budget=[1.5, "30ms"], evaluator=Timed(), settings=sd.SearchSettings(trials=8),
        out=tmp_path / "more", resume=True,
    )  # fmt: skip
    for other in ("b", "more"):
        assert (tmp_path / "a/history.csv").read_bytes() != (tmp_path / other / "history.csv").read_bytes()
        assert same_but_seconds(tmp_path / "a", tmp_path / other) == []


def test_a_search_of_before_has_none_and_is_read(mobilenet: ModelConfig, tmp_path: Path) -> None:
    searched(mobilenet, tmp_path / "s", "capacity")
    (tmp_path / "s" / "search.json").unlink()
    assert read_all([tmp_path / "s"]).to_json()["searches"][0]["how"] is None


@pytest.mark.parametrize("kind", ["table", "command", "train", "own"])
def test_a_search_says_nothing_of_where_the_users_files_are(mobilenet: ModelConfig, tmp_path: Path, kind: str) -> None:
    place = tmp_path / SECRET
    draw_set(place / "pictures", 3, 0)
    (place / "table.csv").write_text("strategy,reward\n" + "".join(f"{s},1\n" for s in all_strategies(7)))
    (place / "rate.py").write_text("print('{\"reward\": 1}')")
    evaluator = {
        "table": f"table:{place}/table.csv",
        "command": f"command:{sys.executable} {place}/rate.py --token {SECRET}",
        "train": f"train:{place}/pictures,epochs=1,size=32,batch=4,width=0.05",
        "own": Own(),
    }[kind]
    found = searched(mobilenet, tmp_path / "s", evaluator)
    assert found["evaluator"]["name"] == {"own": "mine"}.get(kind, kind)
    assert SECRET not in (tmp_path / "s" / "search.json").read_text()
    assert not any(SECRET in str(value) or "words" in name for name, value in found["evaluator"].items())
    assert ("torch" in found["versions"]) >= (kind == "train")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"base": "mnasnet_a1"}, "is of base 'mnasnet_a1', not of 'mobilenet_v2'; search again"),
        ({"done": 4}, "There are more evaluations done than were asked for"),
        ({"done": 10**9, "trials": 3}, "There are more evaluations done than were asked for"),
    ],
)
def test_what_another_search_says_is_refused(
    change: dict[str, object], says: str, mobilenet: ModelConfig, tmp_path: Path
) -> None:
    told = searched(mobilenet, tmp_path / "s", "capacity")
    (tmp_path / "s" / "search.json").write_text(json.dumps(told | change))
    with pytest.raises(DocumentError, match=says):
        read_all([tmp_path / "s"])
