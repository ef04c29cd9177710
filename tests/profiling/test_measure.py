"""Measuring, on simulated units of known times with the real native runner: the table must find the law."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from syncnas_bench import SimDevice
from syncnas_bench.simulated.work import read_works
from syncnas_deploy import pipeline
from syncnas_deploy.errors import JournalMismatch, OutputExists
from syncnas_deploy.networks.config import ModelConfig, SyncOp
from syncnas_deploy.networks.resizing import at_widths, ratio_widths, width_at
from syncnas_deploy.networks.widths import BlockKey
from syncnas_deploy.prediction.profile_files import read_profile
from syncnas_deploy.prediction.rows import ContentionRow
from syncnas_deploy.profiling.experiment import CHAIN_OPS, ProfileSettings
from syncnas_deploy.profiling.fit import MOST_SLOWED, _warnings, slowed
from syncnas_deploy.profiling.measure import ProfileProgress
from syncnas_deploy.profiling.parts import chain
from syncnas_deploy.profiling.width_design import RANGE, first_pairs, next_pair
from syncnas_exporters.tflite import write_tflite
from tests.support.killed_profiles import kill_and_compare

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
    assert all(work.macs == sum(macs for macs, _ in work.kernels) for work in works)


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

    def stop(progress: ProfileProgress) -> None:
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
    steps: list[str] = []
    profile = pipeline.profile(
        mobilenet, SimDevice("duo"), out=out, settings=FAST, resume=True, on_progress=lambda p: steps.append(p.step)
    )
    assert steps == ["pair_2", "pair_3", "networks", "held_out"]
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
    (text,) = _warnings((), (), rows)
    assert text.startswith("unit 1: it is slowed tenfold")
    assert slowed(100.0, 150.0, 1.0) == pytest.approx(MOST_SLOWED)
