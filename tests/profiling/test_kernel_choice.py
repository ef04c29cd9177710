"""Default units split large kernels where a measurement says so; what was chosen stays with the profile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from syncnas_bench import Device, HostDevice, Unit
from syncnas_deploy import pipeline
from syncnas_deploy.files.journal import journal_key
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.pipeline import profiles
from syncnas_deploy.profiling.kernel_choice import KernelTimes, kernel_times, with_faster_kernels
from syncnas_deploy.progress import Progress
from tests.support.picture_cases import small_config
from tests.support.precision_cases import QUICK, with_large_kernels

PAIR = Unit("cpu"), Unit("cpu", threads=2)


class Pair(HostDevice):
    """A host whose default units every machine has."""

    def default_units(self) -> tuple[Unit, Unit]:
        return PAIR


def once_done(progress: Progress) -> None:
    """Interrupts after a step."""
    if progress.done:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ({PAIR[0]: (100.0, 40.0)}, "cpu:1:split"),
        ({PAIR[0]: (100.0, 96.0)}, "cpu:1"),
        ({PAIR[0]: (100.0, 300.0)}, "cpu:1"),
        ({PAIR[1]: (100.0, 40.0)}, "cpu:1"),
        ({}, "cpu:1"),
    ],
)
def test_kernels_are_split_where_that_is_clearly_faster(times: KernelTimes, chosen: str) -> None:
    assert str(with_faster_kernels(PAIR[0], times)) == chosen


@pytest.mark.needs("host units")
def test_both_ways_are_measured_on_cpus_with_whole_kernels_alone() -> None:
    large, units = with_large_kernels(small_config(8)), (Unit("cpu", precision="int8"), Unit("cpu", threads=2))
    found = kernel_times(large, HostDevice(), units)
    assert set(found) == set(units) and all(us > 0 for pair in found.values() for us in pair)
    for others in ((Unit("gpu"), Unit.parse("sim:cpu")), (Unit.parse("cpu:1:split"),), ()):
        assert kernel_times(large, HostDevice(), others) == {}
    assert kernel_times(small_config(8), HostDevice(), units) == {}


@pytest.mark.needs("host units")
def test_what_was_chosen_is_in_the_profile_and_stays_when_it_is_resumed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[Unit]] = []

    def measured(_base: ModelConfig, _device: Device, units: Sequence[Unit]) -> KernelTimes:
        asked.append(units)
        faster = 40.0 if len(asked) == 1 else 400.0
        return {units[0]: (100.0, faster), units[1]: (100.0, 200.0)}

    monkeypatch.setattr(profiles, "kernel_times", measured)
    base, out, told = with_large_kernels(small_config(8)), tmp_path / "p.json", list[str]()
    with pytest.raises(KeyboardInterrupt):
        pipeline.profile(base, Pair(), out=out, settings=QUICK, on_progress=once_done, on_notice=told.append)
    assert journal_key(tmp_path / "p.json.journal")["units"][:2] == ["cpu:1:split", "cpu:2"]
    for _ in range(2):
        found = pipeline.profile(base, Pair(), out=out, settings=QUICK, resume=True)
        assert found.units == ("cpu:1:split", "cpu:2") and len(asked) == 1
    sentence = "unit cpu:1: kernels over 5x5 are split, by measurement: the base takes 0.10 ms with whole and 0.04 ms"
    assert [text.startswith(sentence) for text in told if "kernels" in text] == [True, False]
    named = pipeline.profile(base, Pair(), out=tmp_path / "named.json", units=("cpu:1", "cpu:2"), settings=QUICK)
    assert named.units == ("cpu:1", "cpu:2") and len(asked) == 1


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"key": 1}', '{"key": [], "journal": 1}', "[" * 100_000])
def test_a_journal_that_is_none_has_no_key(text: str, tmp_path: Path) -> None:
    (tmp_path / "j").write_text(text)
    assert journal_key(tmp_path / "j") == journal_key(tmp_path) == journal_key(tmp_path / "none") == {}
