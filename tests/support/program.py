"""The program in this process, and what a run of it gave."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from syncnas_deploy.cli import main


class Outcome:
    """What a run of the program gave."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err


Program = Callable[..., Outcome]


def in_process(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Program:
    """Runs the program in this process."""

    def run(*arguments: object) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["syncnas-deploy", *map(str, arguments)])
        code = 0
        capfd.readouterr()
        try:
            main()
        except SystemExit as e:
            code = int(e.code or 0)
        out, err = capfd.readouterr()
        return Outcome(code, out, err)

    return run
