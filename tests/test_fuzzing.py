"""Whatever is wrong with what comes from others: it is read rightly, or refused in one sentence.

The same cases every time, about a minute of them; `benchmarks.break_in.fuzz` goes on for as long as one likes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from syncnas_deploy.bundle import Bundle
from tests.support import tflite_fuzz
from tests.support.fuzz_targets import TARGETS
from tests.support.fuzzing import Fuzzer, Target, spoiled_bytes

CASES = {"HTTP answer": 80, "bench result": 150, "profile": 150}


@pytest.mark.parametrize("name", list(TARGETS))
def test_it_is_read_or_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "case").mkdir()
    fuzzer = Fuzzer(name, TARGETS[name](tmp_path / "good"), tmp_path / "case", tmp_path / "kept")
    outcomes = [fuzzer.case(seed) for seed in range(CASES.get(name, 300))]
    assert fuzzer.findings == []
    assert "refused" in outcomes


def test_good_inputs_are_read(tmp_path: Path) -> None:
    for name, make in TARGETS.items():
        if name == "HTTP answer":  # its seed is the body; a spoiled answer makes it one
            continue
        for folder in (good := tmp_path / name / "good", scratch := tmp_path / name / "case"):
            folder.mkdir(parents=True)
        target = make(good)
        for seed in target.seeds:
            assert Fuzzer(name, Target([seed], lambda raw, _: raw, target.read), scratch, tmp_path).case(0) == "read"


def test_a_fuzzer_notices_what_it_is_there_for(tmp_path: Path) -> None:
    def fails(content: bytes, scratch: Path) -> object:
        raise KeyError("x")

    (tmp_path / "case").mkdir()
    fuzzer = Fuzzer("x", Target([b"abc"], spoiled_bytes, fails), tmp_path / "case", tmp_path / "kept")
    assert fuzzer.case(0) == "TRACEBACK KeyError: \"'x'\""
    assert fuzzer.findings and (tmp_path / "kept" / "x-0").is_file()


@pytest.mark.needs("native code")
def test_the_native_check_reads_no_byte_outside_of_a_tflite_file(bundle: Bundle, tmp_path: Path) -> None:
    program = tflite_fuzz.built()
    if program is None:
        pytest.skip("there is no C compiler with AddressSanitizer and UBSan (cc)")
    read, refused = tflite_fuzz.check(program, bundle.tflite(1), tmp_path / "spoiled", count=20_000, seed=1)
    assert read + refused == 20_000 and read > 1000 and refused > 1000
