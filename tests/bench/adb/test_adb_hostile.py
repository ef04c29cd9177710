"""Hostile names, files, texts, packets and rows: refused in one sentence or taken as plain text, and nothing else."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from syncnas_bench import RunFailed
from syncnas_bench.adb.probe import parse_condition, parse_probe
from tests.support.hostile import CASES, Sandbox, sandbox


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with sandbox() as box:
        yield box


@pytest.mark.parametrize("name", list(CASES))
def test_it_ends_in_a_refusal_or_in_plain_text(box: Sandbox, name: str) -> None:
    for seed in range(6):
        outcome = box.provoke(CASES[name], random.Random(f"{name} {seed}"))
        assert outcome in ("refused", "taken as it is"), (name, seed, outcome)


def test_the_sandbox_notices_what_it_is_there_for(box: Sandbox) -> None:
    def writes(box: Sandbox, rng: random.Random) -> None:
        (box.outside / "x").write_text("here")

    def fails(box: Sandbox, rng: random.Random) -> None:
        raise KeyError("x")

    assert box.provoke(fails, random.Random(0)) == "TRACEBACK KeyError: 'x'"
    assert box.provoke(writes, random.Random(0)) == "WROTE OUTSIDE"
    (box.outside / "x").unlink()


def test_a_message_is_one_printable_line() -> None:
    assert str(RunFailed("a\x1b[2J\nb\x00")) == "a [2J b "


def test_numbers_that_are_none_are_not_told() -> None:
    condition = parse_condition("@@uptime\ninf 3\n@@load\nnan\n@@thermal\nThermal Status: " + "9" * 500)
    assert (condition.monotonic_ns, condition.load_1min, condition.thermal_status) == (0, "absent", "absent")
    probe = parse_probe(
        "@@memory\nMemTotal: " + "9" * 5000 + " kB\n@@page\n²\n@@allowed\nCpus: 0-9999\n@@scratch\n/a b\n"
    )
    assert (probe.memory_bytes, probe.page_bytes, probe.scratch) == (0, 0, "")
    assert probe.cores == tuple(range(1024))
