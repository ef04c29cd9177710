"""Which rule selects a GPU's work groups is found from the times alone, and none is where none explains them."""

from __future__ import annotations

from collections.abc import Callable
from unittest import mock

import numpy as np
import pytest

from syncnas_bench.work_groups import WorkGroupRule
from syncnas_deploy.networks.config import ModelConfig
from syncnas_deploy.prediction import dispatch
from syncnas_deploy.prediction.curve_model import CurveModel
from syncnas_deploy.prediction.curves import CurveShape, curves_of
from syncnas_deploy.prediction.dispatch import BlockGrid, grids_of

ADRENO, MALI = WorkGroupRule("adreno", 64, 2), WorkGroupRule("mali", 16, 10)
WRONG = WorkGroupRule("adreno", 32, 5)
NOISE = 0.005
Law = Callable[[BlockGrid, int], float]


def by_rule(rule: WorkGroupRule) -> Law:
    """Blocks of 20 to 120 us at the base's width: 20 us whatever the width, 70 % of the rest by what is dispatched."""

    def law_us(grid: BlockGrid, width: int) -> float:
        x = width / grid.base_width
        expansion, depthwise = (
            share * float(rule.waste(kind, size, np.array([width]))[0])  # type: ignore[arg-type]
            for share, kind, size in (
                (grid.expansion, "conv", grid.input_size),
                (grid.depthwise, "depthwise", grid.output_size),
            )
        )
        rest = 1 - grid.expansion - grid.depthwise
        return 20 + grid.base_width**0.5 * 3 * x * (0.3 + 0.7 * (rest + expansion + depthwise))

    return law_us


def stepped_us(grid: BlockGrid, width: int) -> float:
    """A unit that computes 32 channels at a time and has no work groups."""
    return 12 + 0.2 * grid.output_size / 7 * (-(-width // 32) * 32)


def measured(base: ModelConfig, law: Law, seed: int = 0) -> dict[tuple[int, int], float]:
    rng, found = np.random.default_rng(seed), {}
    for i, grid in enumerate(grids_of(base)):
        for ratio in (0.15, 0.4, 0.6, 0.8, 1.0, 1.4):
            width = max(4, 4 * round((ratio * grid.base_width + rng.integers(-16, 17)) / 4))
            found[i, width] = law(grid, width) * (1 + NOISE * rng.normal())
    return found


def rms(base: ModelConfig, model: CurveModel, law: Law) -> float:
    """Relative error over all widths that are multiples of 4, from 0.2 to 1.3 times the base's."""
    errors = []
    for i, grid in enumerate(grids_of(base)):
        widths = np.arange(4 * (grid.base_width // 20), 1.3 * grid.base_width, 4, dtype=np.int64)[1:]
        us, _ = model.predict(i, widths)
        errors.append(us / np.array([law(grid, int(width)) for width in widths]) - 1)
    return float(np.sqrt(np.mean(np.concatenate(errors) ** 2)))


def fitted(base: ModelConfig, law: Law, candidates: tuple[WorkGroupRule, ...]) -> CurveModel:
    model = CurveModel(curves_of(base), measured(base, law), None, grids_of(base))
    with mock.patch.object(dispatch, "CANDIDATES", candidates):
        return model.with_shape(model.tuned())


@pytest.mark.parametrize("rule", [ADRENO, WorkGroupRule("adreno", 128, 6), MALI])
def test_the_rule_is_found_and_the_curves_with_it(mobilenet: ModelConfig, rule: WorkGroupRule) -> None:
    law = by_rule(rule)
    without, found = (fitted(mobilenet, law, candidates) for candidates in ((), dispatch.CANDIDATES))
    assert without.shape.rule is None
    assert found.shape.rule is not None and found.shape.rule.family == rule.family
    assert rms(mobilenet, found, law) < 0.5 * rms(mobilenet, without, law)


@pytest.mark.parametrize("law", [stepped_us, lambda grid, width: 10 + 0.3 * width * grid.output_size / 14])
def test_where_no_rule_explains_the_times_there_is_none(mobilenet: ModelConfig, law: Law) -> None:
    found = fitted(mobilenet, law, dispatch.CANDIDATES)
    assert found.shape == fitted(mobilenet, law, ()).shape and found.shape.rule is None


@pytest.mark.parametrize("rule", [ADRENO, MALI])
def test_a_wrong_rule_costs_nothing(mobilenet: ModelConfig, rule: WorkGroupRule) -> None:
    law = by_rule(rule)
    without, wrong = (rms(mobilenet, fitted(mobilenet, law, candidates), law) for candidates in ((), (WRONG,)))
    assert wrong < 1.05 * without


def test_a_shape_with_a_rule_is_what_its_numbers_say() -> None:
    shape = CurveShape(noise=0.02, rule=ADRENO, waste=(0.2, 0.6))
    assert CurveShape.of(list(shape.numbers()), ADRENO) == shape
    plain = CurveShape(noise=0.02)
    assert CurveShape.of(list(plain.numbers())) == plain and len(plain.numbers()) + 2 == len(shape.numbers())


def test_rules_are_apart_where_divisors_are_few(mobilenet: ModelConfig) -> None:
    grids = [grids_of(mobilenet)[-1]] * 2
    apart = dispatch.disagreement(grids, np.array([704, 708]))
    assert apart[1] > 2 * apart[0]
    with mock.patch.object(dispatch, "CANDIDATES", ()):
        assert dispatch.disagreement(grids, np.array([704, 708])).tolist() == [0, 0]
