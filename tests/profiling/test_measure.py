"""Measuring, on simulated units of known times with the real native runner: the table must find the law."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from syncnas_bench import SimDevice
from syncnas_bench.simulated.work import read_works
from syncnas_deploy import pipeline
from syncnas_deploy.errors import JournalMismatch, OutputExists
from syncnas_deploy.networks.config import ModelConfig, SyncOp
from syncnas_deploy.networks.resizing import at_widths, ratio_widths, width_at
from syncnas_deploy.networks.widths import BlockKey
from syncnas_deploy.prediction.profile_files import read_profile
from syncnas_deploy.prediction.rows import ContentionRow, LaunchSample, NetworkRow
from syncnas_deploy.profiling.experiment import CHAIN_OPS, ProfileSettings
from syncnas_deploy.profiling.fit import MOST_SLOWED, _warnings, slowed
from syncnas_deploy.profiling.parts import chain
from syncnas_deploy.profiling.width_design import RANGE, first_pairs, next_pair
from syncnas_deploy.progress import Progress
from syncnas_exporters.tflite import write_tflite
from tests.support.killed_profiles import kill_and_compare
from tests.support.latency_cases import quick
from tests.support.picture_cases import small_config

FAST = ProfileSettings(launches=1, rounds=3, discard=1, repeats=1, networks=2)
CHECKOUT = Path(__file__).resolve().parents[2]


def test_chains_run_through_every_part_once(mobilenet: ModelConfig) -> None:
    for op in CHAIN_OPS:
        parts = chain(mobilenet, ratio_widths(mobilenet, 0.7), op, 0, "x_")
        kinds = [part.point.part for part in parts]
        assert kinds[:3] == ["invocation", "invocation", "stem"] and kinds[-1] == "head"
        assert kinds.count("block") == 17 and kinds.count("sync") == 7
        for before, after in pairwise(parts[2:]):
            out = before.graph.tensors[before.graph.outputs[0]].shape
            assert after.graph.tensors[after.graph.inputs[0]].shape == out


def test_widths_are_multiples_of_four_off_the_input(mobilenet: ModelConfig) -> None:
    for *_, block in mobilenet.blocks():
        for ratio in (0.15, 0.4, 0.7, 1.4):
            width = width_at(block, ratio)
            assert width % 4 == 0 and width != block.in_channels
        assert width_at(block, 1.0) == block.expanded_channels
    assert at_widths(mobilenet, mobilenet.widths).stages == mobilenet.stages


def test_work_counts_what_the_config_counts(mobilenet: ModelConfig) -> None:
    parts = chain(mobilenet, mobilenet.widths, SyncOp.ADD, 0, "")
    works = read_works(write_tflite([part.graph for part in parts])).values()
    assert sum(work.macs for work in works) == mobilenet.macs()
    assert all(work.macs == sum(kernel.macs for kernel in work.kernels) for work in works)


def test_pairs_cover_the_range_and_measure_nothing_twice(mobilenet: ModelConfig) -> None:
    pairs = list(first_pairs(mobilenet))
    for _ in range(3):
        pairs.append(next_pair(mobilenet, pairs))
    for s, i, block in ((s, i, b) for _, s, i, b in mobilenet.blocks()):
        low, high = (width_at(block, ratio) for ratio in RANGE)
        for halved in (False, True):
            widths = [pair.width(BlockKey(s, i, halved)) for pair in pairs]
            assert len(set(widths)) == len(widths)
            assert all(low <= width <= high and width % 4 == 0 for width in widths)
            # Tiles of kernels: a design at multiples of one number would not see them.
            assert len({width % 32 for width in widths}) >= 3


def test_an_interrupted_profile_goes_on_where_it_ended(mobilenet: ModelConfig, tmp_path: Path) -> None:
    out = tmp_path / "p.json"

    def stop(progress: Progress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.profile(mobilenet, SimDevice("duo"), out=out, settings=FAST, on_progress=stop)
    assert not out.exists()
    kept = (tmp_path / "p.json.journal").read_text().splitlines()
    assert len(kept) == 3
    with pytest.raises(OutputExists, match="--resume"):
        pipeline.profile(mobilenet, SimDevice("duo"), out=out, settings=FAST)
    with pytest.raises(JournalMismatch):
        pipeline.profile(mobilenet, SimDevice("phone"), out=out, settings=FAST, resume=True)
    seen: list[Progress] = []
    profile = pipeline.profile(
        mobilenet, SimDevice("duo"), out=out, settings=FAST, resume=True, on_progress=seen.append
    )
    assert [p.doing.removeprefix("launch 1 of 1: ") for p in seen] == [
        "channel widths, set 2",
        "channel widths, set 3",
        "crossings between the units",
        "test networks",
        "launch 1 is done",
    ]
    assert [p.done for p in seen] == [2, 3, 4, 5, 6] and {p.total for p in seen} == {6} and seen[-1].eta_s == 0.0
    assert read_profile(out) == profile
    assert not (tmp_path / "p.json.journal").exists()
    before = out.read_bytes()
    assert pipeline.profile(mobilenet, SimDevice("duo"), out=out, settings=FAST, resume=True) == profile
    assert out.read_bytes() == before
    with pytest.raises(OutputExists, match="another run"):
        pipeline.profile(mobilenet, SimDevice("phone"), out=out, settings=FAST, resume=True)


def test_kills_lose_no_finished_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CHECKOUT)
    report = kill_and_compare(6, 7, tmp_path)
    assert report.kept > 0 and report.sound, report


def test_contention_at_its_limit_is_a_warning() -> None:
    rows = [ContentionRow(0, 0, 1.1), ContentionRow(1, 0, MOST_SLOWED)]
    (text,) = _warnings(("cpu:1@0", "gpu:fp16", "cpu:4"), (), (), rows)
    assert text.startswith("gpu:fp16: it is slowed tenfold while cpu:1@0 works")
    sample = LaunchSample((100.0, 160.0), 100.0, 160.0, 2)
    networks = [NetworkRow(2, pair, sample) for pair in (0, 3)]
    base, widths = _warnings(("cpu:1@0", "gpu:fp16", "cpu:4"), (), networks, ())
    assert base.startswith("cpu:4: the base as a whole") and widths.startswith("cpu:4: set 3 of channel widths")
    assert slowed(100.0, 150.0, 1.0) == pytest.approx(MOST_SLOWED)
    for alone_us in (1_500.0, 5_000.0, 1e6):  # interrupted while it ran alone: a file with less could not be read
        assert slowed(alone_us, 100.0, 100.0) == pytest.approx(1 / MOST_SLOWED)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"error": 1e-9}, ()),  # width pairs are added in each launch that may
        ({"error": 9.0}, ()),  # none is
        ({"error": 1e-9, "points": 90}, ()),  # the points are soon spent
        ({"error": 1e-9}, (1,)),  # a launch is measured again
        ({"error": 9.0, "networks": 0}, (0, 2)),
    ],
)
def test_a_profiles_total_stays(change: dict[str, Any], wrong: tuple[int, ...], tmp_path: Path) -> None:
    def pace(launch: int, unit: int, elapsed_s: float) -> float:
        return 1.3 if launch in wrong else 1.0

    seen: list[Progress] = []
    settings = dataclasses.replace(ProfileSettings(launches=5, rounds=1, networks=1), **change)
    device = SimDevice("battery", quick("battery", 0.02), pace=pace)  # in slow loops are few runs
    pipeline.profile(small_config(8), device, out=tmp_path / "p.json", settings=settings, on_progress=seen.append)
    assert len({p.total for p in seen}) == 1 and [p.done for p in seen] == sorted(p.done for p in seen)
    assert seen[0].done == 0 and seen[-1].done == seen[-1].total and seen[-1].eta_s == 0.0
    assert any("one launch more" in p.doing for p in seen) == bool(wrong)
    assert seen[-1].doing == "power" and not any("pair_" in p.doing or "held_out" in p.doing for p in seen)
