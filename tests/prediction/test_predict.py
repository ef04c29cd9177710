"""Prediction: the formula, by hand on a profile that follows a law; and the solver's costs agree with it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from syncnas_deploy.errors import InfeasibleBudget, ProfileMismatch
from syncnas_deploy.networks.config import ModelConfig, branched
from syncnas_deploy.pipeline import budget_us
from syncnas_deploy.prediction.predict import ProfileCosts, concurrent_us, later_wait_us, predict
from syncnas_deploy.prediction.profile import Point
from syncnas_deploy.profiling.fit import slowed
from syncnas_deploy.search.widths.solver import WidthSolver
from tests.support.latency_cases import (
    CONTENTION,
    HEAD_US,
    INVOCATION_US,
    STEM_US,
    SYNC_OP_US,
    SYNC_US,
    law_profile,
    law_us,
)


def block_us(base: ModelConfig, unit: int, stage: int, index: int, width: int, halved: bool) -> float:
    return law_us(unit, Point("block", stage, index, halved=halved, width=width, expands=True))


def test_the_formula_by_hand(mobilenet: ModelConfig) -> None:
    widths = [[[16], *([max(16, b.expanded_channels // 2) for b in st.branches[0]] for st in mobilenet.stages[1:])]] * 2
    config = branched(mobilenet, "nnanncc", widths, trunk=1)
    found = predict(config, mobilenet, law_profile(mobilenet))
    solo = {}
    for branch in (0, 1):
        for phase, (first, end) in enumerate(((0, 3), (3, 6), (6, 7)), start=1):
            parts = [SYNC_OP_US + branch] if phase > 1 else []
            for s in range(first, end):
                halved = s in (5, 6)
                parts += [block_us(mobilenet, branch, s, i, w, halved) for i, w in enumerate(widths[branch][s])]
            solo[phase, branch] = sum(parts) - (len(parts) - 1) * INVOCATION_US
    total = STEM_US + 1 + SYNC_US["fork"] + 2 * SYNC_US["sync"] + SYNC_US["join"]
    total += HEAD_US + 1 + SYNC_OP_US + 1 - INVOCATION_US
    for phase in (1, 2, 3):
        # Unit 1 is the slower one by this law: it runs on alone once unit 0 has finished.
        both = solo[phase, 0] * CONTENTION[0]
        alone = solo[phase, 1] - both / CONTENTION[1]
        assert alone > 0
        total += both + alone
    assert found.makespan_us == pytest.approx(total)
    assert [segment.solo_us for segment in found.phases[2].segments] == pytest.approx([solo[2, 0], solo[2, 1]])
    assert found.syncs_us == pytest.approx(20.0)


@pytest.mark.parametrize(
    ("solo", "loaded", "wanted"),
    [
        ([100.0], [300.0], [100.0]),
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
    assert max(first, second) + later_wait_us(first, second, a, b) == pytest.approx(drawn, abs=0.03)
    assert later_wait_us(5.0, 3.0, 0.0, 0.0) == 0.0


def test_noisy_units_wait_for_each_other(mobilenet: ModelConfig) -> None:
    quiet = law_profile(mobilenet)
    noisy = dataclasses.replace(quiet, jitter=(0.05, 0.05))
    config = branched(mobilenet, "nnannna")
    longer = predict(config, mobilenet, noisy)
    assert sum(phase.wait_us for phase in longer.phases) > 0
    gained = longer.makespan_us - predict(config, mobilenet, quiet).makespan_us
    assert gained == pytest.approx(sum(phase.wait_us for phase in longer.phases))
    limit = budget_us("1.0x", noisy)
    solved = WidthSolver(mobilenet, ProfileCosts(noisy, mobilenet), limit).solve("nnannna")
    assert predict(branched(mobilenet, "nnannna", solved.expanded), mobilenet, noisy).makespan_us <= limit + 1e-6


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
    plain = predict(config, mobilenet, profile)
    totals = {}
    for unit in (0, 1):
        moved = (50.0, 0.0) if unit == 0 else (0.0, 50.0)
        rows = tuple(dataclasses.replace(r, downloads_us=moved) if r.place == "sync" else r for r in profile.syncs)
        totals[unit] = predict(config, mobilenet, dataclasses.replace(profile, syncs=rows)).makespan_us
    # Unit 1 ends last, by more than 50 us: its own download is waited for, the other's is not.
    assert totals[0] == pytest.approx(plain.makespan_us)
    assert totals[1] == pytest.approx(plain.makespan_us + 50.0)


@pytest.mark.parametrize("strategy", ["nnnnnna", "ccccccc", "annnana", "cancana", "nnnnnnc"])
@pytest.mark.parametrize("trunk", [0, 1])
def test_solved_widths_keep_the_budget_as_predicted(mobilenet: ModelConfig, strategy: str, trunk: int) -> None:
    profile = law_profile(mobilenet)
    limit = budget_us("1.0x", profile)
    assert limit == min(profile.table.network_us(unit) for unit in (0, 1))
    solved = WidthSolver(mobilenet, ProfileCosts(profile, mobilenet), limit, trunk=trunk).solve(strategy)
    config = branched(mobilenet, strategy, solved.expanded, trunk=trunk)
    makespan = predict(config, mobilenet, profile).makespan_us
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
        predict(mobilenet, mobilenet, profile)
    config = branched(mobilenet, "annnana")
    other = dataclasses.replace(
        config, bn_epsilon=1e-3, input_size=224, head=dataclasses.replace(config.head, out_channels=640)
    )
    with pytest.raises(ProfileMismatch, match="more than its widths"):
        predict(other, mobilenet, profile)
