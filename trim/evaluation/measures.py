"""The measures of a router's cost-accuracy curve (design, section 2).

A curve is given by its operating points: `fraction`, the cost over always-strong's, and
`accuracy`, both of shape (k,); it starts at always-weak, `start` = (fraction, accuracy), is
linear between points sorted by cost, and is held constant past the last.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Scale(NamedTuple):
    """The two ends: always-weak's accuracy and cost fraction, always-strong's accuracy (at fraction 1)."""

    weak: float
    weak_fraction: float
    strong: float

    def pgr(self, accuracy: np.ndarray | float) -> np.ndarray:
        """Performance gap recovered: 0 at always-weak, 1 at always-strong; NaN without a gap."""
        gap = self.strong - self.weak
        return (np.asarray(accuracy, dtype=float) - self.weak) / gap if gap > 0 else np.asarray(accuracy) * np.nan


class Curve(NamedTuple):
    """Points sorted by cost, the start first."""

    fraction: np.ndarray
    accuracy: np.ndarray

    @classmethod
    def through(cls, fraction: np.ndarray, accuracy: np.ndarray, scale: Scale) -> Curve:
        """The curve of a router's operating points."""
        order = np.lexsort((accuracy, fraction))
        return cls(
            np.concatenate([[scale.weak_fraction], np.asarray(fraction)[order]]),
            np.concatenate([[scale.weak], np.asarray(accuracy)[order]]),
        )

    def at(self, budget: float) -> float:
        """Accuracy at a cost fraction; NaN below the start."""
        return float(np.interp(budget, self.fraction, self.accuracy, left=np.nan))


def cpt(curve: Curve, scale: Scale, level: float) -> float:
    """Call-performance threshold: least cost fraction with PGR = `level`; NaN if not reached."""
    pgr = scale.pgr(curve.accuracy)
    reached = np.flatnonzero(pgr >= level)
    if not len(reached):
        return float("nan")
    i = reached[0]
    if i == 0 or pgr[i] == pgr[i - 1]:
        return float(curve.fraction[i])
    share = (level - pgr[i - 1]) / (pgr[i] - pgr[i - 1])
    return float(curve.fraction[i - 1] + share * (curve.fraction[i] - curve.fraction[i - 1]))


def _mean_height(fraction: np.ndarray, height: np.ndarray, start: float) -> float:
    """Mean height of a piecewise linear function over `start`...1."""
    inside = (fraction > start) & (fraction < 1)
    x = np.concatenate([[start], fraction[inside], [1.0]])
    y = np.concatenate([[height[0]], height[inside], [np.interp(1.0, fraction, height)]])
    return float(np.sum(np.diff(x) * (y[1:] + y[:-1]) / 2) / (1 - start))


def apgr(curve: Curve, scale: Scale) -> float:
    """Mean PGR over cost fractions up to 1."""
    return _mean_height(curve.fraction, scale.pgr(curve.accuracy), scale.weak_fraction)


def hull(curve: Curve) -> Curve:
    """The non-decreasing concave hull from above (RouterBench's non-decreasing convex hull)."""
    points: list[tuple[float, float]] = []
    for x, y in zip(curve.fraction, np.maximum.accumulate(curve.accuracy), strict=True):
        if points and points[-1][0] == x:
            points.pop()
        while len(points) > 1:
            (x0, y0), (x1, y1) = points[-2:]
            if (y1 - y0) * (x - x0) > (y - y0) * (x1 - x0):
                break
            points.pop()
        points.append((float(x), float(y)))
    return Curve(*map(np.array, zip(*points, strict=True)))


def aiq(curve: Curve, scale: Scale) -> float:
    """Average improvement in quality (RouterBench): mean height of the hull over fractions up to 1."""
    upper = hull(curve)
    return _mean_height(upper.fraction, upper.accuracy, scale.weak_fraction)


def ibc(curve: Curve, scale: Scale) -> float:
    """Incremental benefit per cost over always-strong's, as a relative difference (AutoMix).

    The mean over operating points that cost more than always-weak; NaN if there are none.
    """
    base = (scale.strong - scale.weak) / (1 - scale.weak_fraction)
    dearer = curve.fraction > scale.weak_fraction
    if base <= 0 or not dearer.any():
        return float("nan")
    slope = (curve.accuracy[dearer] - scale.weak) / (curve.fraction[dearer] - scale.weak_fraction)
    return float(np.mean(slope / base - 1))


def all_measures(
    fraction: np.ndarray, accuracy: np.ndarray, scale: Scale, levels: tuple[float, ...], budgets: tuple[float, ...]
) -> dict[str, float]:
    """Every measure by its name in budgets.csv."""
    curve = Curve.through(fraction, accuracy, scale)
    return (
        {f"cpt{round(100 * level):d}": cpt(curve, scale, level) for level in levels}
        | {"apgr": apgr(curve, scale), "aiq": aiq(curve, scale), "ibc": ibc(curve, scale)}
        | {f"acc@{100 * budget:g}": curve.at(budget) for budget in budgets}
    )
