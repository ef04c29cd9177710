"""The program, run in this process: the fixture `program` of the conftest."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from syncnas_deploy.cli import main


class Outcome(NamedTuple):
    """What a run of the program gave."""

    code: int
    out: str
    err: str


Program = Callable[..., Outcome]


def run_program(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], *words: object) -> Outcome:
    """Run the program with these words."""
    monkeypatch.setattr(sys, "argv", ["syncnas-deploy", *map(str, words)])
    capfd.readouterr()
    code, ending = 0, signal.getsignal(signal.SIGINT)
    try:
        main()
    except SystemExit as e:
        code = int(e.code or 0)
    finally:
        signal.signal(signal.SIGINT, ending)  # this process goes on
    return Outcome(code, *capfd.readouterr())
