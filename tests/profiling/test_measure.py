"""Measuring, on simulated units of known times with the real native runner: the table must find the law."""

from __future__ import annotations

import dataclasses
from itertools import pairwise
from pathlib import Path

import pytest

from syncnas_bench import BenchPlan, Call, Job, Run, SimDevice, Spend, Step
from syncnas_bench.simulated.work import Work, read_works
from syncnas_deploy import pipeline
from syncnas_deploy.errors import JournalMismatch, OutputExists
from syncnas_deploy.networks.config import ModelConfig, SyncOp
from syncnas_deploy.networks.resizing import at_widths, ratio_widths, width_at
from syncnas_deploy.networks.widths import BlockKey, Widths
from syncnas_deploy.prediction.profile_files import read_profile
from syncnas_deploy.prediction.rows import ContentionRow, Point, SyncRow
from syncnas_deploy.profiling.experiment import CHAIN_OPS, NETWORKS, ProfileSettings, pair_step, whole_job
from syncnas_deploy.profiling.fit import MOST_SLOWED, _changes, _warnings, slowed
from syncnas_deploy.profiling.measure import ProfileProgress
from syncnas_deploy.profiling.parts import chain
from syncnas_deploy.profiling.width_design import RANGE, first_pairs, next_pair
from syncnas_exporters.tflite import write_tflite
from tests.support.killed_profiles import kill_and_compare
from tests.support.latency_cases import quick

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


def test_the_table_finds_the_law(mobilenet: ModelConfig, tmp_path: Path) -> None:
    laws = quick("phone")
    settings = ProfileSettings(launches=2, rounds=5, discard=1, repeats=1, networks=2)
    profile = pipeline.profile(mobilenet, SimDevice("phone", laws), out=tmp_path / "p.json", settings=settings)
    assert profile.kind == "simulated"
    errors = []
    for row in profile.points:
        truth = laws[row.unit].run_us(work_of(mobilenet, row.point))
        errors.append(abs(row.sample.median_us - truth) / max(truth, 100.0))
    # A busy machine takes the processor from a simulated unit now and then; most points are undisturbed.
    assert sorted(errors)[len(errors) // 2] < 0.05
    for unit in (0, 1):
        factors = [row.factor for row in profile.contention if row.unit == unit]
        assert sorted(factors)[len(factors) // 2] == pytest.approx(laws[unit].vices.slowdown, abs=0.06)
    # Only the GPU-like unit moves features: its own down, its partner's up. What a busy machine disturbs is few.
    right = [crossing_is_right(row, laws[1].move_us(row.bytes)) for row in profile.syncs]
    assert sum(right) >= 0.7 * len(right), [row for row, ok in zip(profile.syncs, right, strict=True) if not ok]


def test_a_unit_that_changes_within_each_launch_is_told() -> None:
    # All launches agree on it, so nothing else tells.
    def launch(later_us: float) -> dict[str, Run]:
        steps = []
        for name, us in ((pair_step(0), 2000.0), (NETWORKS, later_us)):
            calls = (Call(0, 0, "c", spend=Spend(us)), Call(0, 0, "c", spend=Spend(2000.0)))
            jobs = tuple(Job.solo(whole_job(unit), unit, call) for unit, call in enumerate(calls))
            steps.append(Step(name, jobs, rounds=20))
        device, runs = SimDevice("duo"), []
        device.run(BenchPlan(device.default_units(), (), tuple(steps)), on_run=runs.append)
        return {run.step: run for run in runs}

    same, hotter = ({(n, step): run for n in range(3) for step, run in launch(us).items()} for us in (2000.0, 2500.0))
    assert _changes(same) == ()
    (text,) = _changes(hotter)
    assert text.startswith("unit 0: at the end of a launch the base network's time had changed by +2")


def test_a_profile_without_held_out_networks_claims_no_error(mobilenet: ModelConfig, tmp_path: Path) -> None:
    settings = dataclasses.replace(FAST, networks=0)
    device = SimDevice("phone", quick("phone"))
    profile = pipeline.profile(mobilenet, device, out=tmp_path / "p.json", settings=settings)
    assert profile.held_out == () and profile.expected_error is None


def work_of(base: ModelConfig, point: Point) -> Work:
    """What a point computes; every block at the point's width, which is right for the one that it is."""
    op = SyncOp.CONCAT if point.halved else SyncOp.ADD
    nested = [[list(stage) for stage in branch] for branch in base.widths.nested]
    if point.part == "block":
        nested[0][point.stage][point.block] = point.width
    widths = Widths.of(nested)
    graph = next(part.graph for part in chain(base, widths, op, 0, "") if part.point == point)
    return read_works(write_tflite([graph]))[graph.name]


def crossing_is_right(row: SyncRow, move_us: float) -> bool:
    """Whether a crossing's parts are what unit 1 moves; unit 0 works in the host's memory."""
    if row.place == "sync":
        wanted = (move_us, move_us)
    else:
        down = row.trunk == (1 if row.place == "fork" else 0)
        wanted = (move_us, 0.0) if down else (0.0, move_us)
    found = (row.downloads_us[1], row.uploads_us[1])
    near = all(abs(f - w) <= max(20.0, 0.05 * w) for f, w in zip(found, wanted, strict=True))
    return near and max(row.downloads_us[0], row.uploads_us[0], row.barrier_us) < 5.0


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
