"""What a shell hands over: streams that are closed, and a current folder that is gone."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support.program import Program

pytestmark = pytest.mark.needs("POSIX shell")

MAIN = [sys.executable, "-c", "from syncnas_deploy.cli import main; main()"]
WAIT_S = 300.0
SEARCH = ["search", "--profile", "law.json", "--evaluator", "capacity", "--trials", "2", "--out", "found"]


def run_in_shell(*words: str, redirected: str = "", before: str = "") -> subprocess.CompletedProcess[str]:
    """The program as a shell starts it."""
    line = f'{before} exec "$@" {redirected}'
    return subprocess.run(
        ["sh", "-c", line, "sh", *MAIN, *words], capture_output=True, text=True, timeout=WAIT_S, check=False
    )


@pytest.mark.parametrize("redirected", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    "words",
    [["models"], ["models", "--json"], ["devices"], ["report", "law.json"], ["completion", "bash"], SEARCH, ["x"]],
)
def test_a_closed_stream_is_as_dev_null(words: list[str], redirected: str, law: Path) -> None:
    done = run_in_shell(*words, redirected=redirected)
    assert done.returncode == (2 if words == ["x"] else 0), done.stderr
    assert not done.stdout or ">&-" not in redirected.split()
    if words == SEARCH:
        assert {path.name for path in Path("found").iterdir()} >= {"best.json", "search.journal"}


@pytest.mark.parametrize("words", [["models"], ["models", "--json"], ["--version"], ["completion", "zsh"]])
def test_a_stream_that_can_be_read_alone_is_exit_code_8(words: list[str]) -> None:
    done = run_in_shell(*words, redirected="1</dev/null")
    assert done.returncode == 8 and "was opened to be read" in done.stderr, done.stderr


@pytest.mark.parametrize(
    "words",
    [
        SEARCH,
        ["models"],
        ["profile", "--device", "sim:duo", "--base", "mobilenet_v2"],
        ["export", "mobilenet_v2", "--out", "x"],
        ["weights", "convert", "x.npz", "--config", "mobilenet_v2", "--out", "x.safetensors"],
        ["train", "mobilenet_v2", "--path", "x", "--out", "x"],
    ],
)
def test_a_current_folder_that_is_gone_is_one_sentence(words: list[str]) -> None:
    done = run_in_shell(*words, before="mkdir gone && cd gone && rmdir ../gone;")
    told = done.stderr.splitlines()[-1]
    assert done.returncode == 8, done.stderr
    assert told == "syncnas-deploy: The current folder is gone; change to another and run the command again."


def test_help_needs_no_current_folder() -> None:
    assert run_in_shell("search", "--help", before="mkdir gone && cd gone && rmdir ../gone;").returncode == 0


REFUSED = PermissionError(errno.EACCES, os.strerror(errno.EACCES), "x")


def refuse(*_: object, **_more: object) -> NoReturn:
    raise REFUSED


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("report law.json", "law.json: cannot be read (Permission denied); check the path."),
        ("compare law.json law.json", "law.json: cannot be read (Permission denied); check the path."),
        ("predict mobilenet_v2 --profile law.json", "law.json: cannot be read (Permission denied); check the path."),
        (
            "doctor --device sim:duo",
            "syncnas.toml: cannot be read as TOML (Permission denied); correct it or remove it.",
        ),
    ],
)
def test_a_file_that_may_not_be_read_is_exit_code_3(
    words: str, says: str, law: Path, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = Path.open
    monkeypatch.setattr(os, "access", lambda path, mode: str(path) != law.name)
    monkeypatch.setattr(Path, "open", lambda path, *how: (refuse if path.parent == Path() else shipped)(path, *how))
    Path("syncnas.toml").touch()
    done = program(*words.split())
    assert done.code == 3 and done.err.startswith(f"syncnas-deploy: {says}") and done.err.count("\n") == 1
