"""The measures of a router's cost-accuracy curve (design, section 2), for any number of curves at once.

A curve is given by its operating points: `fraction`, the cost over always-strong's, and
`accuracy`, both of shape (..., k), one curve a row; it starts at always-weak, is linear between
points sorted by cost, and is held constant past the last. Measures have the shape of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import NamedTuple

import numpy as np

_TARGETS = np.arange(1, 101) / 100  # shares of the accuracy gap
_SAME = 1e-9  # costs that differ by rounding only


class Scale(NamedTuple):
    """The two ends, shape (...): always-weak's accuracy and cost fraction, always-strong's accuracy (at fraction 1)."""

    weak: np.ndarray | float
    weak_fraction: np.ndarray | float
    strong: np.ndarray | float

    def pgr(self, accuracy: np.ndarray | float) -> np.ndarray:
        """Performance gap recovered, shape (..., k): 0 at always-weak, 1 at always-strong; NaN without a gap."""
        accuracy = np.asarray(accuracy, dtype=float)
        weak, gap = (np.expand_dims(a, -1) if accuracy.ndim else a for a in (self.weak, self.gap))
        return (accuracy - weak) / gap

    @property
    def gap(self) -> np.ndarray:
        """Accuracy between the ends; NaN where there is none."""
        gap = np.subtract(self.strong, self.weak)
        return np.where(gap > 0, gap, np.nan)

    @property
    def room(self) -> np.ndarray:
        """Cost between the ends; NaN where always-strong costs no more than always-weak."""
        room = np.subtract(1.0, self.weak_fraction)
        return np.where(room > 0, room, np.nan)


class Curve(NamedTuple):
    """Points sorted by cost, the start first; shape (..., k + 1) each."""

    fraction: np.ndarray
    accuracy: np.ndarray

    @classmethod
    def through(cls, fraction: np.ndarray, accuracy: np.ndarray, scale: Scale) -> Curve:
        """The curve of a router's operating points."""
        fraction, accuracy = np.asarray(fraction, dtype=float), np.asarray(accuracy, dtype=float)
        order = np.lexsort((accuracy, fraction), axis=-1)
        start = np.expand_dims(scale.weak_fraction, -1), np.expand_dims(scale.weak, -1)
        return cls(
            np.concatenate([start[0], np.take_along_axis(fraction, order, -1)], axis=-1),
            np.concatenate([start[1], np.take_along_axis(accuracy, order, -1)], axis=-1),
        )

    def at(self, budget: float) -> np.ndarray:
        """Accuracy at a cost fraction, shape (...); NaN below the start."""
        return _interpolate(self.fraction, self.accuracy, np.array([budget]))[..., 0]


def _pick(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """One entry of each row."""
    return np.take_along_axis(values, index[..., None], axis=-1)[..., 0]


def _interpolate(x: np.ndarray, y: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The heights of piecewise linear functions at k places, (..., n) and (k,) -> (..., k).

    NaN before a function's beginning, constant past its end.
    """
    left = np.full((*x.shape[:-1], len(at)), -1)
    for point in np.moveaxis(x, -1, 0):
        left += point[..., None] <= at
    right, before, left = np.minimum(left + 1, x.shape[-1] - 1), left < 0, np.maximum(left, 0)
    x0, x1, y0, y1 = (np.take_along_axis(values, index, -1) for values in (x, y) for index in (left, right))
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(x1 > x0, (at - x0) / (x1 - x0), 0.0)
    return np.where(before, np.nan, y0 + share * (y1 - y0))


def cpt(curve: Curve, scale: Scale, level: float) -> np.ndarray:
    """Call-performance threshold: least cost fraction with PGR = `level`; NaN if not reached."""
    pgr = scale.pgr(curve.accuracy)
    reached = pgr >= level - _SAME
    here = reached.argmax(axis=-1)
    before = np.maximum(here - 1, 0)
    x0, x1, y0, y1 = _pick(curve.fraction, before), _pick(curve.fraction, here), _pick(pgr, before), _pick(pgr, here)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(y1 > y0, (level - y0) / (y1 - y0), 1.0)
    return np.where(reached.any(axis=-1), x0 + share * (x1 - x0), np.nan)


def _mean_height(x: np.ndarray, y: np.ndarray, scale: Scale) -> np.ndarray:
    """Mean height of piecewise linear functions from always-weak's cost to always-strong's."""
    start = np.expand_dims(scale.weak_fraction, -1)
    x = np.maximum(x, start)
    x = np.concatenate([x, np.maximum(x[..., -1:], 1.0)], axis=-1)
    y = np.concatenate([y, y[..., -1:]], axis=-1)
    width, inside = np.diff(x), np.diff(np.minimum(x, 1.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        cut = np.where(width > 0, inside / width, 0.0)
    middle = y[..., :-1] + cut * np.diff(y) / 2
    return np.sum(inside * middle, axis=-1) / scale.room


def apgr(curve: Curve, scale: Scale) -> np.ndarray:
    """Mean PGR over cost fractions up to 1."""
    return _mean_height(curve.fraction, scale.pgr(curve.accuracy), scale)


def hull(curve: Curve) -> Curve:
    """The non-decreasing concave hull from above (RouterBench's non-decreasing convex hull).

    Rows with fewer corners than others repeat their last one. Andrew's monotone chain, all rows in step.
    """
    x, y = curve.fraction.reshape(-1, curve.fraction.shape[-1]), np.maximum.accumulate(curve.accuracy, axis=-1)
    y = y.reshape(x.shape)
    rows, size = np.arange(len(x)), np.zeros(len(x), dtype=int)
    xs, ys = np.empty_like(x), np.empty_like(y)
    for j in range(x.shape[1]):
        same = (size > 0) & (xs[rows, size - 1] == x[:, j])
        size -= same
        while True:
            x0, y0, x1, y1 = xs[rows, size - 2], ys[rows, size - 2], xs[rows, size - 1], ys[rows, size - 1]
            # Entries past `size` are leftovers, hence the first condition.
            flat = (size > 1) & ((y1 - y0) * (x[:, j] - x0) <= (y[:, j] - y0) * (x1 - x0))
            if not flat.any():
                break
            size -= flat
        xs[rows, size], ys[rows, size] = x[:, j], y[:, j]
        size += 1
    last = np.minimum(np.arange(x.shape[1]), size[:, None] - 1)[:, : size.max()]
    shape = *curve.fraction.shape[:-1], last.shape[1]
    return Curve(np.take_along_axis(xs, last, 1).reshape(shape), np.take_along_axis(ys, last, 1).reshape(shape))


def aiq(curve: Curve, scale: Scale) -> np.ndarray:
    """Average improvement in quality (RouterBench): mean height of the hull over fractions up to 1."""
    upper = hull(curve)
    return _mean_height(upper.fraction, upper.accuracy, scale)


def ibc(curve: Curve, scale: Scale) -> np.ndarray:
    """Incremental benefit per cost over always-strong's, as a relative difference (AutoMix).

    The mean over operating points that cost more than always-weak; NaN if there is none.
    """
    start = np.expand_dims(scale.weak_fraction, -1)
    costly = curve.fraction > start + _SAME
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (curve.accuracy - np.expand_dims(scale.weak, -1)) / (curve.fraction - start)
        relative = slope / np.expand_dims(scale.gap / scale.room, -1) - 1
        return np.where(costly, relative, 0.0).sum(axis=-1) / costly.sum(axis=-1)


def front(curve: Curve) -> Curve:
    """The curve through the points that no cheaper one equals; other points repeat the one before."""
    best = np.maximum.accumulate(curve.accuracy, axis=-1)
    better = np.diff(best, axis=-1, prepend=-np.inf) > 0
    at = np.maximum.accumulate(np.where(better, np.arange(best.shape[-1]), 0), axis=-1)
    return Curve(np.take_along_axis(curve.fraction, at, -1), np.take_along_axis(curve.accuracy, at, -1))


def ibc_front(curve: Curve, scale: Scale) -> np.ndarray:
    """As `ibc`, but the mean over shares 0.01, 0.02 ... 1 of the accuracy gap, read off the front.

    This makes routers with different lists of settings comparable. A share that is not reached counts as 0
    (always-strong's slope), so that a list that ends early gains nothing; shares that cost no more than always-weak
    have no slope and are left out.
    """
    best = front(curve)
    pgr = scale.pgr(best.accuracy)
    spent = _interpolate(pgr, best.fraction - np.expand_dims(scale.weak_fraction, -1), _TARGETS)
    reached = pgr[..., -1:] + _SAME >= _TARGETS
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = _TARGETS * np.expand_dims(scale.room, -1) / spent - 1
        total = np.where(reached & (spent > _SAME), relative, 0.0).sum(axis=-1)
        return total / (~reached | (spent > _SAME)).sum(axis=-1) + 0 * scale.gap


def all_measures(
    fraction: np.ndarray,
    accuracy: np.ndarray,
    scale: Scale,
    levels: tuple[float, ...],
    budgets: tuple[float, ...],
    only: Collection[str] | None = None,
) -> dict[str, np.ndarray]:
    """Every measure (or those in `only`), by its name in measures.csv."""
    curve = Curve.through(fraction, accuracy, scale)
    known: dict[str, Callable[[], np.ndarray]] = {
        **{f"cpt{round(100 * level):d}": partial(cpt, curve, scale, level) for level in levels},
        **{measure.__name__: partial(measure, curve, scale) for measure in (apgr, aiq, ibc, ibc_front)},
        **{f"acc@{100 * budget:g}": partial(curve.at, budget) for budget in budgets},
    }
    return {name: measure() for name, measure in known.items() if only is None or name in only}
