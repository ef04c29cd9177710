"""Curves over width: steps are found from few points, and the algebra is that of direct formulas."""

from __future__ import annotations

import numpy as np
import pytest

from syncnas_deploy.prediction.certainty import Certainty
from syncnas_deploy.prediction.covariance import Grams, WidthPlaces
from syncnas_deploy.prediction.curve_model import CurveModel
from syncnas_deploy.prediction.curves import ALIGNMENT_PERIODS, STEP_PERIODS, Curve, CurveShape

CURVES = tuple(Curve(s, i, halved, 96 * (s + 1), 56 >> s) for s in range(3) for i in (0, 1) for halved in (False, True))
MEASURED = (0.2, 0.45, 0.7, 1.0, 1.4)


def stepped_us(curve: Curve, width: int) -> float:
    """A unit that computes 32 channels at a time, and for which 1 in 4 multiply-accumulates is not in tiles."""
    tiles = -(-width // 32) * 32
    return 12.0 + (0.2 if curve.halved else 0.35) * (0.75 * tiles + 0.25 * width) * curve.output_size / 28


def straight_us(curve: Curve, width: int) -> float:
    return 12.0 + 0.3 * width * curve.output_size / 28


def widths_of(curve: Curve, index: int) -> list[int]:
    """Five widths, with other remainders modulo 32 for each curve."""
    return sorted({int(ratio * curve.base_width / 4 + 3 * index + n) * 4 for n, ratio in enumerate(MEASURED)})


def model_of(law: object, shape: CurveShape | None = None) -> CurveModel:
    assert callable(law)
    measured = {(i, width): law(curve, width) for i, curve in enumerate(CURVES) for width in widths_of(curve, i)}
    return CurveModel(CURVES, measured, shape)


def unseen(index: int) -> np.ndarray:
    taken = widths_of(CURVES[index], index)
    return np.array([w for w in range(taken[0], taken[-1], 4) if w not in taken], dtype=np.int64)


def errors_of(model: CurveModel, law: object) -> np.ndarray:
    assert callable(law)
    parts = []
    for i, curve in enumerate(CURVES):
        us, _ = model.predict(i, unseen(i))
        parts.append(us / np.array([law(curve, int(w)) for w in unseen(i)]) - 1)
    return np.concatenate(parts)


def test_steps_are_found_and_not_smoothed_over() -> None:
    model = model_of(stepped_us)
    model = model.with_shape(model.tuned())
    lines = []
    for i, curve in enumerate(CURVES):
        taken = widths_of(curve, i)
        line = np.interp(unseen(i), taken, [stepped_us(curve, w) for w in taken])
        lines.append(line / np.array([stepped_us(curve, int(w)) for w in unseen(i)]) - 1)
    found, straight = np.abs(errors_of(model, stepped_us)), np.abs(np.concatenate(lines))
    assert np.sqrt(np.mean(found**2)) < 0.5 * np.sqrt(np.mean(straight**2))
    # Most of what is found is in tiles of 32.
    assert model.shape.steps[STEP_PERIODS.index(32)] == max(model.shape.steps)


def test_what_is_straight_stays_straight() -> None:
    model = model_of(straight_us)
    model = model.with_shape(model.tuned())
    assert np.abs(errors_of(model, straight_us)).max() < 0.02


def test_tuning_makes_what_was_measured_likelier() -> None:
    model = model_of(stepped_us)
    tuned = model.with_shape(model.tuned())
    assert np.sqrt(np.mean(errors_of(tuned, stepped_us) ** 2)) < np.sqrt(np.mean(errors_of(model, stepped_us) ** 2))
    assert tuned.shape == model.tuned()
    assert CurveShape.of(list(tuned.shape.numbers())) == tuned.shape
    assert len(tuned.shape.alignment) == len(ALIGNMENT_PERIODS)


def test_prediction_is_the_direct_formula() -> None:
    shape = CurveShape(noise=0.02)
    model = model_of(stepped_us, shape)
    pairs = [(i, width) for i, curve in enumerate(CURVES) for width in widths_of(curve, i)]
    places = WidthPlaces.of(CURVES, pairs)
    us = np.array([stepped_us(CURVES[i], w) for i, w in pairs])
    scale = np.array([np.interp(1.0, places.x[places.curve == i], us[places.curve == i]) for i in range(len(CURVES))])
    y = us / scale[places.curve]
    noisy = Grams(places, places).covariance(shape) + np.diag(shape.noise**2 * y**2 + 1e-9)
    there = WidthPlaces.of(CURVES, [(4, 100), (4, 132)])
    cross = Grams(there, places).covariance(shape)
    mean = there.x + cross @ np.linalg.solve(noisy, y - places.x)
    covariance = Grams(there, there).covariance(shape) - cross @ np.linalg.solve(noisy, cross.T)
    found, deviation = model.predict(4, np.array([100, 132]))
    assert found == pytest.approx(mean * scale[4])
    assert deviation * mean == pytest.approx(np.sqrt(np.diag(covariance)), rel=1e-6)


def test_a_gain_is_the_variance_that_goes_away() -> None:
    shape, known = CurveShape(), [(0, 40), (0, 128), (1, 96)]
    widths = np.arange(20, 140, 12, dtype=np.int64)
    weights = np.linspace(0.2, 1.0, len(widths))
    gains = Certainty(CURVES, known, shape).gains(0, widths, weights)

    def variance(pairs: list[tuple[int, int]]) -> np.ndarray:
        there, places = WidthPlaces.of(CURVES, [(0, int(w)) for w in widths]), WidthPlaces.of(CURVES, pairs)
        gram = Grams(places, places).covariance(shape) + np.diag(shape.noise**2 * places.x**2 + 1e-9)
        cross = Grams(there, places).covariance(shape)
        own = Grams(there, there).covariance(shape) - cross @ np.linalg.solve(gram, cross.T)
        return np.asarray(np.diag(own) / there.x**2)

    before = variance(known)
    wanted = [float(weights @ (before - variance([*known, (0, int(width))]))) for width in widths]
    assert gains == pytest.approx(wanted, rel=1e-6, abs=1e-12)
    more = Certainty(CURVES, known, shape)
    more.add(0, 80)
    assert more.gains(0, widths, weights).max() < gains.max()


def test_counting_widths_one_by_one_is_as_knowing_them_from_the_start() -> None:
    shape, widths, weights = CurveShape(), np.arange(20, 121, 4), np.ones(26)
    known = [(0, 48), (0, 96), (1, 64), (3, 200)]
    one_by_one = Certainty(CURVES, [], shape)
    for curve, width in known:
        one_by_one.add(curve, width)
    expected = Certainty(CURVES, known, shape).gains(0, widths, weights)
    assert one_by_one.gains(0, widths, weights) == pytest.approx(expected, rel=1e-6)
