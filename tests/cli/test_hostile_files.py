"""Small files that ask for a lot of memory end in a sentence before they get it.

`benchmarks.break_in.memory` gives them to processes of their own and measures.
"""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path

import pytest

from syncnas_deploy.cli import main
from tests.support.hostile_files import CASES

ASKED_BYTES = 160 << 20


@pytest.mark.needs("/proc")
@pytest.mark.parametrize("case", [case for case in CASES if "as may be" not in case])
def test_a_small_file_gets_little_memory_and_one_sentence(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = CASES[case](tmp_path, ASKED_BYTES)
    monkeypatch.setattr(sys, "argv", ["syncnas-deploy", *command])
    tracemalloc.start()
    try:
        with pytest.raises(SystemExit) as left:
            main()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    said = capsys.readouterr().err
    assert (left.value.code, said.count("\n"), said[:16]) == (3, 1, "syncnas-deploy: "), said
    assert peak < 150e6
