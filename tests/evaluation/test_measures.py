"""The measures against independent computations and laws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.spatial import ConvexHull

from trim.evaluation.measures import Curve, Scale, aiq, apgr, cpt, front, hull, ibc, ibc_front

SCALE = Scale(0.4, 0.0, 0.8)
points = st.lists(
    st.tuples(st.floats(0.01, 1.2), st.floats(0, 1)), min_size=1, max_size=8, unique_by=lambda p: round(p[0], 3)
)


def curve_of(chosen):
    x, y = map(np.array, zip(*chosen, strict=True))
    return Curve.through(x, y, SCALE)


@given(points)
def test_apgr_is_the_integral_of_pgr(chosen):
    curve = curve_of(chosen)
    integral, _ = quad(
        lambda x: (np.interp(x, curve.fraction, curve.accuracy) - 0.4) / 0.4,
        0, 1, points=[*curve.fraction[(curve.fraction > 0) & (curve.fraction < 1)], 0.5], limit=200,
    )  # fmt: skip
    assert apgr(curve, SCALE) == pytest.approx(integral, abs=1e-6)


@given(points, st.floats(0.05, 1))
def test_cpt_is_the_first_crossing(chosen, level):
    curve = curve_of(chosen)
    found = cpt(curve, SCALE, level)
    grid = np.linspace(0, curve.fraction[-1], 20_001)
    pgr = SCALE.pgr(np.interp(grid, curve.fraction, curve.accuracy))
    if np.isnan(found):
        assert pgr.max() < level + 1e-9
    else:
        assert SCALE.pgr(np.interp(found, curve.fraction, curve.accuracy)) == pytest.approx(level, abs=1e-6)
        assert not (pgr[grid < found - 1e-9] > level + 1e-9).any()


@given(points)
def test_hull_lies_on_or_above_the_curve_and_is_concave(chosen):
    curve = curve_of(chosen)
    upper = hull(curve)
    heights = np.interp(curve.fraction, upper.fraction, upper.accuracy)
    assert (heights >= curve.accuracy - 1e-9).all()
    apart = np.diff(upper.fraction, prepend=-1) > 0  # the last corner may be repeated
    slopes = np.diff(upper.accuracy[apart]) / np.diff(upper.fraction[apart])
    assert (slopes >= -1e-9).all()
    assert (np.diff(slopes) <= 1e-9).all()
    assert aiq(curve, SCALE) >= 0.4 - 1e-9


@given(points)
def test_ibc_on_the_front_does_not_depend_on_points_below_it(chosen):
    curve = curve_of(chosen)
    best = front(curve)
    kept = np.diff(best.accuracy, prepend=-np.inf) > 0
    alone = Curve.through(best.fraction[kept][1:], best.accuracy[kept][1:], SCALE) if kept.sum() > 1 else None
    found = ibc_front(curve, SCALE)
    if alone is None or SCALE.pgr(best.accuracy[-1]) < 0.01:
        assert found == 0
        return
    assert found == pytest.approx(float(ibc_front(alone, SCALE)))
    levels = np.arange(1, 101) / 100
    reached = levels[levels <= SCALE.pgr(best.accuracy[-1]) + 1e-9]
    costs = np.array([cpt(alone, SCALE, min(level, SCALE.pgr(best.accuracy[-1]))) for level in reached])
    assert found == pytest.approx((reached / costs - 1).sum() / 100, rel=1e-6)


def test_hull_matches_scipy():
    rng = np.random.default_rng(0)
    x, y = np.sort(rng.random(30)), rng.random(30)
    curve = Curve(np.r_[0, x], np.r_[0.0, y])
    best = np.maximum.accumulate(curve.accuracy)
    corners = np.c_[curve.fraction, best]
    below = np.array([[0, -9.0], [x[-1], -9.0]])
    vertices = ConvexHull(np.vstack([corners, below])).vertices
    expected = {tuple(corners[i]) for i in vertices if i < len(corners)}
    assert expected == set(zip(*hull(curve), strict=True))


def test_the_straight_line_is_the_zero_of_ibc_and_half_of_apgr():
    x = np.linspace(0.1, 1, 10)
    curve = Curve.through(x, 0.4 + 0.4 * x, SCALE)
    assert ibc(curve, SCALE) == pytest.approx(0)
    assert apgr(curve, SCALE) == pytest.approx(0.5)
    assert cpt(curve, SCALE, 0.8) == pytest.approx(0.8)
    assert curve.at(0.25) == pytest.approx(0.5)


def test_the_published_sweep():
    """TRIM-Thr on MATH-500: figures of the paper's reference code (design, section 1)."""
    scale = Scale(0.364, 0.0, 0.730)
    fraction = np.array([70.684, 135.9, 163.8, 219.1]) / 494.8
    curve = Curve.through(fraction, np.array([0.508, 0.604, 0.674, 0.714]), scale)
    assert cpt(curve, scale, 0.5) == pytest.approx((70.684 + (0.547 - 0.508) / 0.096 * (135.9 - 70.684)) / 494.8)
    assert cpt(curve, scale, 0.8) == pytest.approx((135.9 + (0.6568 - 0.604) / 0.07 * (163.8 - 135.9)) / 494.8)
    assert np.isnan(cpt(curve, scale, 0.99))
    assert 0.7 < apgr(curve, scale) < 1


def test_no_gap_has_no_measure():
    scale = Scale(0.5, 0.0, 0.5)
    curve = Curve.through(np.array([0.5]), np.array([0.5]), scale)
    assert np.isnan(apgr(curve, scale))
    assert np.isnan(cpt(curve, scale, 0.5))
    assert np.isnan(ibc(curve, scale))
