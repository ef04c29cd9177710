"""Nothing of a document, a file's name or a device reaches the terminal but printable lines; `--json` stays JSON."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.shell_completion import get_completion_class

from syncnas_deploy import pipeline
from syncnas_deploy.cli import cli
from syncnas_deploy.cli.fitting import fitted
from syncnas_deploy.files.one_line import one_line
from syncnas_deploy.networks.config import branched
from syncnas_deploy.networks.formats import config_to_json, load_config, write_config
from syncnas_deploy.prediction.profile_files import profile_to_json
from syncnas_deploy.report.page import Page, Table, reward_text
from tests.support.latency_cases import law_profile
from tests.support.picture_cases import small_branched
from tests.support.program import Program

HOSTILE = {
    "a title and a colour": "\x1b]0;owned\x07\x1b[31mred",
    "C1 and a lone CR": "\x9b31mred\x9d0;owned\x9c\rforged",
    "forged lines": "x\nsyncnas-deploy: all is well\r\n\x85\u2028forged",
    "another direction": "\u202egnp.exe\u2066\u200f\x7f\x00",
}
SEARCH = ["search", "--profile", "p.json", "--evaluator", "capacity", "--trials", "2", "--out", "found"]


def profile(**changes: object) -> list[object]:
    value = {**profile_to_json(law_profile(load_config("mobilenet_v2"))), **changes}
    Path("p.json").write_text(json.dumps(value))
    return ["report", "p.json"]


def journal(**changes: object) -> list[object]:
    profile()
    Path("found").mkdir()
    header = {"journal": 1, "kind": "search", "key": {}, **changes}
    Path("found/search.journal").write_text(json.dumps(header) + "\n")
    return [*SEARCH, "--resume"]


def bundle(change: Callable[[dict], None]) -> list[object]:  # type: ignore[type-arg]
    Path("b").mkdir()
    config = config_to_json(load_config("mobilenet_v2"))
    value = {"schema": "syncnas-deploy/bundle/1", "config": config, "weights": "w", "files": {}, "made_by": "x"}
    change(value)
    Path("b/manifest.json").write_text(json.dumps(value))
    return ["bench", "b", "--device", "sim:phone"]


def lock(**changes: object) -> list[object]:
    library = {"name": "libLiteRt.so", "sha256": "0" * 64, "bytes": 1, "needed": []}
    entry = {"version": "2.3.0", "abi": "aarch64-android", "origin": "x", "libraries": [library], **changes}
    Path("store").mkdir()
    Path("store/runtimes.lock.json").write_text(json.dumps({"schema": 1, "runtimes": [entry]}))
    return ["runtime", "list"]


def found(note: str) -> list[object]:
    write_config(Path("found/best.json"), branched(load_config("mobilenet_v2"), "nnnnnna"))
    head = "trial,strategy,feasible,predicted_us,reward,seconds,budget_us,repeat,outcome,note,energy_mj"
    Path("found/history.csv").write_text(f'{head}\n1,"{note}",true,9.0,0.5,1.0,10.0,0,evaluated,,\n', newline="")
    Path("found/front.csv").write_text("budget,reward\n", newline="")
    return ["report", "found"]


CASES: dict[str, Callable[[str], list[object]]] = {
    "a field of a manifest": lambda e: bundle(lambda m: m.update({e: 1})),
    "a profile's warning": lambda e: profile(warnings=[e]),
    "a profile's device": lambda e: profile(device={"name": e}),
    "a profile's unit": lambda e: profile(units=[e, "gpu"]),
    "a profile's settings": lambda e: profile(settings={"launches": e, "rounds": e, "repeats": e}),
    "a journal's kind": lambda e: journal(kind=e),
    "a name in a journal's key": lambda e: journal(key={e: 1}),
    "where a runtime is from": lambda e: lock(origin=e),
    "a runtime's library": lambda e: lock(libraries=[{"name": e, "sha256": "0" * 64, "bytes": 1, "needed": [e]}]),
    "a search's history": lambda e: found(e.replace("\x00", "")),
    "a file's name": lambda e: ["report", e.replace("\x00", "").replace("/", "")],
    "an option's value": lambda e: ["export", "mobilenet_v2", "--format", e, "--out", "b"],
    "a command": lambda e: [e],
}


@pytest.mark.parametrize("hostile", list(HOSTILE))
@pytest.mark.parametrize("name", list(CASES))
def test_only_printable_lines_are_shown(program: Program, name: str, hostile: str) -> None:
    done = program(*CASES[name](HOSTILE[hostile]))
    lines = (done.out + done.err).split("\n")
    assert done.code != 1 and [line for line in lines if not line.isprintable()] == []
    assert not any(line.startswith(("forged", "syncnas-deploy: all")) for line in lines)


def test_a_bundle_that_names_a_hostile_file(program: Program) -> None:
    pipeline.export(small_branched(8), Path("b"))
    value = json.loads(Path("b/manifest.json").read_text())
    for hostile in HOSTILE.values():
        value["files"] = {hostile.replace("\x00", "").replace(".", ""): "0" * 64, **value["files"]}
        Path("b/manifest.json").write_text(json.dumps(value))
        done = program("bench", "b", "--device", "sim:phone")
        assert done.code == 3 and done.err.count("\n") == 1 and done.err.rstrip("\n").isprintable()


@pytest.mark.parametrize("hostile", list(HOSTILE))
def test_json_says_all_of_it_in_ascii(program: Program, hostile: str) -> None:
    done = program(*profile(warnings=[HOSTILE[hostile]]), "--json")
    assert all(" " <= c <= "~" for line in done.out.split("\n") for c in line)
    assert json.loads(done.out)["profiles"][0]["warnings"] == [HOSTILE[hostile]]


@pytest.mark.parametrize("hostile", list(HOSTILE))
def test_a_page_that_is_fitted_is_printable(hostile: str) -> None:
    text = HOSTILE[hostile] * 9
    lines = fitted(Page(text, Table(["name", "us"], [[text, 1.5]])), 40, colour=False)
    assert [line for line in lines if not line.isprintable() or len(line) > 40] == []


def test_what_is_printable_stays_as_it_is() -> None:
    assert one_line("Größe 3 µs · 幅") == "Größe 3 µs · 幅"
    assert one_line("a\x1b\n\x9b\u202e\udc80b") == r"a\x1b\n\x9b\u202e\udc80b"
    assert str(Page("a\nb", "c")) == "a\\nb\nc"
    assert Table(["x"], [["a\nb"], ["c"]]).lines() == ["x", "----", "a\\nb", "c"]


def test_a_completion_script_is_whole(program: Program) -> None:
    for shell in ("bash", "zsh", "fish"):
        kind = get_completion_class(shell)
        assert kind is not None
        assert (
            program("completion", shell).out
            == kind(cli, {}, "syncnas-deploy", "_SYNCNAS_DEPLOY_COMPLETE").source() + "\n"
        )


def test_a_traceback_for_developers_is_printable(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError(HOSTILE["a title and a colour"])

    monkeypatch.setattr(pipeline, "models", broken)
    monkeypatch.setenv("SYNCNAS_DEBUG", "1")
    done = program("models")
    assert done.code == 1 and "Traceback" in done.err and "\x1b" not in done.err and r"\x1b[31mred" in done.err


@pytest.mark.parametrize("value", [1e300, -1e300, 99999.99999, -99999.99999, 123456.789, -5e-324, 0.71, 1e5, -1e17])
def test_a_reward_has_12_characters_at_most(value: float) -> None:
    assert len(reward_text(value)) <= 12
    assert float(reward_text(value)) == pytest.approx(value, rel=1e-4, abs=1e-4)


def test_rewards_of_any_size_are_short_wherever_they_are_shown(program: Program) -> None:
    profile()
    Path("p.py").write_text('print(\'{"reward": -1e300, "spread": 1e299}\')')
    search = [*SEARCH[:4], f"command:{sys.executable} p.py", *SEARCH[5:]]
    for done in (program(*search), program("report", "found")):
        assert done.code == 0 and max(len(word) for word in (done.out + done.err).split()) < 120
        assert "e+300" in done.out and not any(len(w) > 12 for w in done.out.split() if w.lstrip("-")[:1].isdigit())


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "iso8859-7"])
def test_a_pipe_of_any_encoding_takes_any_text(tmp_path: Path, encoding: str) -> None:
    own = dataclasses.replace(load_config("mobilenet_v2"), name="net-\u4e2d\u6587", source="")
    write_config(tmp_path / "own.json", own)
    done = subprocess.run(
        [sys.executable, "-c", "from syncnas_deploy.cli import main; main()", "models", "own.json"],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert b"net-\\u4e2d\\u6587" in done.stdout
