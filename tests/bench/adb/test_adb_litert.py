"""Eight ways in which LiteRT fails in the wild, over ADB: told in one sentence, no row accepted, and then on.

Source: issues of google-ai-edge/LiteRT, 2025 and 2026. The device's LiteRT is a library of our own that does each of
them (see `litert_stub`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from syncnas_bench import BenchError, RunnerCrashed, RunnerHung, UnitUnavailable
from syncnas_deploy.errors import WrongOutput
from tests.support.adb_cases import new_phone
from tests.support.adb_fault_cases import LITERT_FAULTS, Bench, LitertFault

WANTED: dict[str, tuple[type[Exception], str]] = {
    "second GPU model": (UnitUnavailable, "no buffer for .*; several models are on it, and some drivers take one"),
    "silent CPU": (UnitUnavailable, "runs on the CPU although LiteRT calls it fully accelerated"),
    "no reason": (UnitUnavailable, r"the GPU cannot take model .* \(status 3\)"),
    "fp16 overflow": (WrongOutput, "gave NaN or infinity; .* take unit gpu instead of gpu:fp16"),
    "read hangs": (RunnerHung, "for one step and was killed"),
    "second output": (WrongOutput, "differ from this host's"),
    "kernel": (UnitUnavailable, r"the GPU cannot take model .* \(status 3\)"),
    "restart": (RunnerCrashed, "restarted 2 times while step 'net' was measured"),
}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with new_phone() as phone:
        bench = Bench(phone, tmp_path)
        yield bench
        bench.close()
        assert bench.is_clean()


@pytest.mark.parametrize("name", list(LITERT_FAULTS))
def test_it_is_told_in_a_sentence_no_row_is_accepted_and_the_next_job_is_right(bench: Bench, name: str) -> None:
    fault: LitertFault = LITERT_FAULTS[name]
    error, says = WANTED[name]
    with pytest.raises(error, match=f"(?s){says}") as caught:
        fault.run(bench, bench.lying(fault.lie))
    assert fault.accepted == [] and str(caught.value).count("\n") == 0
    if name == "kernel":
        assert isinstance(caught.value, BenchError) and "expected ';' after expression" in caught.value.log
    assert fault.next_job(bench) == "right"
