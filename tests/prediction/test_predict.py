"""Prediction: the formula, by hand on a profile that follows a law; and the solver's costs agree with it."""

from __future__ import annotations

import dataclasses

import msgspec
import numpy as np
import pytest

from syncnas_deploy.errors import InfeasibleBudget, ProfileMismatch
from syncnas_deploy.networks.config import ModelConfig, SyncOp, branched
from syncnas_deploy.networks.placement import Placement
from syncnas_deploy.networks.widths import Widths
from syncnas_deploy.pipeline import budget_us
from syncnas_deploy.prediction.predict import ProfileCosts, concurrent_us, later_wait_us, predict
from syncnas_deploy.prediction.rows import NetworkRow, Point
from syncnas_deploy.profiling.fit import slowed
from syncnas_deploy.search.widths.solver import WidthSolver
from tests.support.latency_cases import (
    CONTENTION,
    HEAD_US,
    INVOCATION_US,
    STEM_US,
    WAITED,
    crossing,
    exactly,
    law_profile,
    law_us,
    sync_op_us,
)


def part_us(base: ModelConfig, branch: int, stage: int, letter: str, widths: Widths) -> list[float]:
    """The blocks of a stage on a branch, each as one invocation; the stage ends in `letter`."""
    return [
        law_us(branch, Point("block", stage, i, halved=letter == "c", width=widths[branch, stage, i], expands=True))
        for i in range(base.widths.depths[stage])
    ]


def by_hand_us(base: ModelConfig, strategy: str, widths: Widths, trunk: int) -> tuple[float, dict[int, list[float]]]:
    """The formula of the module's text, written again for the law: makespan, and solo times by phase."""
    fork = crossing(trunk, "fork", -1, SyncOp.NONE)
    released = STEM_US[trunk] * WAITED["stem"][trunk] + fork.downloads_us[trunk] + fork.barrier_us
    begins = [released + fork.uploads_us[branch] for branch in (0, 1)]
    solo: dict[int, list[float]] = {}
    ends = [s for s, letter in enumerate(strategy) if letter != "n"]
    for phase, last in enumerate(ends, start=1):
        begin_stage = ends[phase - 2] + 1 if phase > 1 else 0
        times, loaded = [], []
        for branch in (0, 1):
            parts: list[tuple[float, float]] = []
            if phase > 1:
                before = begin_stage - 1
                parts.append((sync_op_us(branch, before, SyncOp(strategy[before])), CONTENTION[branch][before]))
            for stage in range(begin_stage, last + 1):
                letter = strategy[stage] if stage == last else "n"
                parts += [(us, CONTENTION[branch][stage]) for us in part_us(base, branch, stage, letter, widths)]
            once_us = INVOCATION_US[branch]
            times.append(once_us + sum(us - once_us for us, _ in parts))
            loaded.append(once_us * max(CONTENTION[branch]) + sum((us - once_us) * factor for us, factor in parts))
        solo[phase] = times
        short = loaded.index(min(loaded))
        long = 1 - short
        took = {short: loaded[short], long: loaded[short] + (1 - loaded[short] / loaded[long]) * times[long]}
        arrived = [begins[branch] + took[branch] for branch in (0, 1)]
        row = crossing(trunk, "join" if last == ends[-1] else "sync", last, SyncOp(strategy[last]))
        released = max(arrived[branch] + row.downloads_us[branch] for branch in (0, 1)) + row.barrier_us
        begins = [released + row.uploads_us[branch] for branch in (0, 1)]
    last_op_us = sync_op_us(trunk, ends[-1], SyncOp(strategy[-1]))
    head_us = last_op_us + HEAD_US[trunk] - INVOCATION_US[trunk]
    return begins[trunk] + head_us * WAITED["head"][trunk], solo


@pytest.mark.parametrize("strategy", ["nnanncc", "nnnnnna", "cacacac", "nncnnnc"])
@pytest.mark.parametrize("trunk", [0, 1])
def test_the_formula_by_hand(mobilenet: ModelConfig, strategy: str, trunk: int) -> None:
    nested = [
        [[16 if s == 0 else max(16, w // 2) for w in stage] for s, stage in enumerate(mobilenet.widths.nested[0])]
    ]
    narrow = Widths.of(nested)
    wide = Widths.of([[[4 * (w // 5) if s else w for w in stage] for s, stage in enumerate(narrow.nested[0])]])
    widths = Widths((narrow.nested[0], wide.nested[0]))
    config = branched(mobilenet, strategy, widths, placement=Placement(trunk))
    prediction = predict(config, law_profile(mobilenet))
    makespan_us, solo = by_hand_us(mobilenet, strategy, widths, trunk)
    # Between measured widths a curve finds a straight law to a fraction of a percent.
    assert prediction.makespan_us == pytest.approx(makespan_us, rel=3e-3)
    for phase, times in solo.items():
        assert [s.solo_us for s in prediction.phases[phase].segments] == pytest.approx(times, rel=4e-3)


def test_a_crossing_costs_what_its_trunk_and_units_cost(mobilenet: ModelConfig) -> None:
    profile, last = law_profile(mobilenet), len(mobilenet.stages) - 1
    for trunk in (0, 1):
        costs = ProfileCosts(profile, Placement(trunk))
        assert costs.fork_us() == pytest.approx(crossing(trunk, "fork", -1, SyncOp.NONE).sample.median_us)
        assert costs.stem_us() == STEM_US[trunk] * WAITED["stem"][trunk]
        for op in ("a", "c"):
            assert costs.join_us(op) == pytest.approx(crossing(trunk, "join", last, SyncOp(op)).sample.median_us)
            whole_us = sync_op_us(trunk, last, SyncOp(op)) + HEAD_US[trunk] - INVOCATION_US[trunk]
            assert costs.head_us(op) == pytest.approx(whole_us * WAITED["head"][trunk])
            # The solver does not ask for the trunk of a sync: the more expensive of both counts.
            rows = [crossing(either, "sync", 2, SyncOp(op)) for either in (0, 1)]
            assert costs.sync_us(2, op) == max(max(row.downloads_us) + row.barrier_us for row in rows)
            for branch in (0, 1):
                op_us = sync_op_us(branch, 2, SyncOp(op)) - INVOCATION_US[branch]
                wanted_us = op_us * CONTENTION[branch][2] + max(row.uploads_us[branch] for row in rows)
                assert costs.sync_op_us(branch, 2, op) == pytest.approx(wanted_us)


@pytest.mark.parametrize(
    ("solo", "loaded", "wanted"),
    [
        ([100.0], [300.0], [300.0]),
        ([100.0, 100.0], [100.0, 100.0], [100.0, 100.0]),
        ([100.0, 100.0], [150.0, 150.0], [150.0, 150.0]),
        ([100.0, 300.0], [150.0, 600.0], [150.0, 150.0 + 300.0 - 75.0]),
        ([300.0, 100.0], [600.0, 150.0], [150.0 + 300.0 - 75.0, 150.0]),
    ],
)
def test_contention_ends_with_the_shorter_branch(solo: list[float], loaded: list[float], wanted: list[float]) -> None:
    assert concurrent_us(solo, loaded) == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("first", "second", "a", "b"), [(100, 100, 5, 5), (100, 104, 3, 6), (80, 120, 2, 2), (9, 9, 1, 0)]
)
def test_the_later_of_two_noisy_branches(first: float, second: float, a: float, b: float) -> None:
    rng = np.random.default_rng(0)
    drawn = np.maximum(rng.normal(first, a, 400_000), rng.normal(second, b, 400_000)).mean()
    assert max(first, second) + later_wait_us((first, second), (a, b)) == pytest.approx(drawn, abs=0.03)
    assert later_wait_us((5.0, 3.0), (0.0, 0.0)) == 0.0


def test_noisy_units_wait_for_each_other(mobilenet: ModelConfig) -> None:
    quiet = law_profile(mobilenet)
    noisy = msgspec.structs.replace(quiet, jitter=(0.05, 0.05))
    config = branched(mobilenet, "nnannna")
    longer = predict(config, noisy)
    assert sum(phase.wait_us for phase in longer.phases) > 0
    gained = longer.makespan_us - predict(config, quiet).makespan_us
    assert gained == pytest.approx(sum(phase.wait_us for phase in longer.phases))
    limit = budget_us("1.0x", noisy)
    solved = WidthSolver(mobilenet, ProfileCosts(noisy, Placement()), limit).solve("nnannna")
    assert predict(branched(mobilenet, "nnannna", solved.widths), noisy).makespan_us <= limit + 1e-6


@pytest.mark.parametrize(("factor", "shared"), [(1.0, 1.0), (1.3, 1.0), (1.3, 0.5), (2.0, 0.3), (0.95, 1.0)])
def test_slowness_is_found_though_only_part_of_the_time_is_shared(factor: float, shared: float) -> None:
    alone, together = 100.0, 100.0 * shared * factor
    loaded = together + 100.0 * (1 - shared)
    # Drawn towards 1 by what a measured time is uncertain.
    assert slowed(alone, loaded, together) == pytest.approx(factor, abs=0.1 * abs(factor - 1) / shared + 1e-9)
    assert slowed(alone, 100.0, 0.0) == pytest.approx(1.0)


def test_a_download_hides_behind_the_longer_branch(mobilenet: ModelConfig) -> None:
    config = branched(mobilenet, "nnannna")
    profile = law_profile(mobilenet)
    nothing = tuple(msgspec.structs.replace(r, downloads_us=(0.0, 0.0)) for r in profile.syncs)
    free = msgspec.structs.replace(profile, syncs=nothing)
    plain = predict(config, free)
    totals = {}
    for unit in (0, 1):
        moved = (50.0, 0.0) if unit == 0 else (0.0, 50.0)
        rows = tuple(msgspec.structs.replace(r, downloads_us=moved) if r.place == "sync" else r for r in free.syncs)
        totals[unit] = predict(config, msgspec.structs.replace(free, syncs=rows)).makespan_us
    # Unit 1 ends last, by more than 50 us: its own download is waited for, the other's is not.
    assert totals[0] == pytest.approx(plain.makespan_us)
    assert totals[1] == pytest.approx(plain.makespan_us + 50.0)


@pytest.mark.parametrize("strategy", ["nnnnnna", "ccccccc", "annnana", "cancana", "nnnnnnc"])
@pytest.mark.parametrize("trunk", [0, 1])
def test_solved_widths_keep_the_budget_as_predicted(mobilenet: ModelConfig, strategy: str, trunk: int) -> None:
    profile = law_profile(mobilenet)
    limit = budget_us("1.0x", profile)
    assert limit == min(profile.table.network_us(unit) for unit in (0, 1))
    solved = WidthSolver(mobilenet, ProfileCosts(profile, Placement(trunk)), limit).solve(strategy)
    config = branched(mobilenet, strategy, solved.widths, placement=Placement(trunk))
    makespan = predict(config, profile).makespan_us
    assert makespan <= limit + 1e-6
    assert makespan >= 0.97 * limit
    assert all(block.expanded_channels % 4 == 0 for *_, block in config.blocks())


def test_budgets_are_read(mobilenet: ModelConfig) -> None:
    profile = law_profile(mobilenet)
    assert [budget_us(text, profile) for text in ("25ms", "900us", "1.5ms")] == [25000, 900, 1500]
    assert budget_us("0.5x", profile) == 0.5 * profile.table.network_us(0)
    for text in ("", "25", "x", "-1x", "0x", "0ms", "nanms", "1e3ms", "25 ms ms", "9" * 30 + "ms"):
        with pytest.raises(InfeasibleBudget, match=r"write 1\.0x"):
            budget_us(text, profile)


def test_other_structures_are_refused(mobilenet: ModelConfig) -> None:
    profile = law_profile(mobilenet)
    with pytest.raises(ProfileMismatch, match="one branch"):
        predict(mobilenet, profile)
    config = branched(mobilenet, "annnana")
    other = dataclasses.replace(
        config, bn_epsilon=1e-3, input_size=224, head=dataclasses.replace(config.head, out_channels=640)
    )
    with pytest.raises(ProfileMismatch, match="more than its widths"):
        predict(other, profile)


def test_another_number_of_classes_is_refused(mobilenet: ModelConfig) -> None:
    two = dataclasses.replace(branched(mobilenet, "annnana"), classes=2)
    with pytest.raises(ProfileMismatch, match=r"it has 2 classes instead of 1000;"):
        predict(two, law_profile(mobilenet))


@pytest.mark.parametrize(("saved_us", "found_us"), [(30.0, 30.0), (12.0, 20.0), (60.0, 40.0)])
def test_whole_networks_tell_what_a_part_takes_less_inside_a_graph(
    mobilenet: ModelConfig, saved_us: float, found_us: float
) -> None:
    """On a GPU later operations are submitted while earlier ones run, so trivial graphs alone do not tell."""
    profile = law_profile(mobilenet)
    # A graph of one trivial operation takes 40 us and one of nine 200 us: 20 us at least, 40 us at most.
    trivial_us = {1: 40.0, 9: 200.0}
    points = tuple(
        msgspec.structs.replace(row, sample=exactly(trivial_us[row.point.width]))
        if row.unit == 1 and row.point.part == "invocation"
        else row
        for row in profile.points
    )
    times = {row.point: row.sample.median_us for row in points if row.unit == 1}
    flat = mobilenet.widths.flat()[0]
    parts = [point for point in times if point.part in ("stem", "head")]
    for (_, s, i, block), width in zip(mobilenet.blocks(), flat, strict=True):
        parts.append(Point("block", s, i, width=width, expands=block.expands))
    whole_us = sum(times[point] for point in parts) - (len(parts) - 1) * saved_us
    networks = (*(row for row in profile.networks if row.unit == 0), NetworkRow(1, 0, exactly(whole_us), flat))
    told = msgspec.structs.replace(profile, points=points, networks=networks)
    assert told.table.invocation_us(1) == pytest.approx(found_us)
    assert told.table.invocation_us(0) == profile.table.invocation_us(0)
