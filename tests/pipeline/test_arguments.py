"""What Python hands over where a path, a name or a number belongs: one sentence, and nothing is written."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import syncnas_deploy as sd
from syncnas_deploy.cli.exit_codes import exit_code
from syncnas_deploy.errors import ArgumentError, UnknownEvaluator
from syncnas_deploy.search.evaluators.capacity import Capacity

PROFILE = "mobilenet_v2-sim-phone"
TWO = sd.SearchSettings(trials=2)
NO_PATHS = (3, None, True, b"found", {}, "", "a\0b", "\ud800")
PATHS: dict[str, Callable[[Any], object]] = {
    "as_profile": sd.as_profile,
    "as_config": sd.as_config,
    "as_bundle": sd.as_bundle,
    "export": lambda path: sd.export("mobilenet_v2", path),
    "convert": lambda path: sd.convert_weights(path, "mobilenet_v2", "o.safetensors"),
    "convert to": lambda path: sd.convert_weights("w.npz", "mobilenet_v2", path),
    "inherit to": lambda path: sd.inherit_weights("w.npz", "mobilenet_v2", path),
    "train": lambda path: sd.train("mobilenet_v2", path, "run"),
    "train to": lambda path: sd.train("mobilenet_v2", ".", path),
    "evaluate": lambda path: sd.evaluate("mobilenet_v2", path),
    "assess to": lambda path: sd.assess("mobilenet_v2", sd.device("sim:duo"), out=path),
}
OR_NONE: dict[str, Callable[[Any], object]] = {
    "search to": lambda path: sd.search(PROFILE, evaluator="capacity", settings=TWO, out=path),
    "profile to": lambda path: sd.profile("mobilenet_v2", sd.device("sim:duo"), out=path),
    "draw to": lambda path: sd.draw("mobilenet_v2", out=path),
}


@pytest.mark.parametrize("value", NO_PATHS, ids=ascii)
@pytest.mark.parametrize("function", [*PATHS, *OR_NONE])
def test_what_is_no_path_is_one_sentence(function: str, value: object) -> None:
    if value is None and function in OR_NONE:
        return
    with pytest.raises(ArgumentError) as told:
        {**PATHS, **OR_NONE}[function](value)
    assert str(told.value).endswith("is neither a path nor a name; give a text or a pathlib.Path.")
    assert exit_code(told.value) == 2 and list(Path().iterdir()) == []


@pytest.mark.parametrize("name", [3, 0, b"host", "", Path("host"), []], ids=ascii)
def test_what_is_no_device_is_one_sentence(name: Any) -> None:
    with pytest.raises(ArgumentError, match="is no name; give a text, such as 'host'"):
        sd.device(name)


@pytest.mark.parametrize("width", [float("nan"), float("inf"), "2", -1, 0, 21.0, None, True, 1 + 1j])
def test_what_is_no_width_multiplier_is_one_sentence(width: Any) -> None:
    with pytest.raises(ArgumentError, match=r"A width multiplier is a number from 0\.05 to 20, found "):
        sd.variant("mobilenet_v2", width=width)


def test_networks_are_varied_and_branched_by_name() -> None:
    assert sd.variant("mobilenet_v2", classes=10) == sd.variant(sd.as_config("mobilenet_v2"), classes=10)
    assert sd.branched("mobilenet_v2", "nnnnnna") == sd.branched(sd.as_config("mobilenet_v2"), "nnnnnna")


def evaluators() -> list[Capacity]:
    class Local(Capacity):
        """Of a function."""

    own, locked = Capacity(), Capacity()
    own.__dict__["rate"] = lambda _: 1.0
    locked.__dict__["lock"] = threading.Lock()
    return [Local(), own, locked]


@pytest.mark.parametrize("judge", evaluators(), ids=["local class", "lambda", "lock"])
def test_an_evaluator_that_cannot_be_sent_is_one_sentence(judge: Capacity, tmp_path: Path) -> None:
    with pytest.raises(UnknownEvaluator, match=r"cannot be sent to a worker process .*; define its class"):
        sd.search(PROFILE, evaluator=judge, settings=TWO, workers=2, out=tmp_path / "found")
    assert list(tmp_path.iterdir()) == []
