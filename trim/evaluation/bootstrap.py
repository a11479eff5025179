"""The paired bootstrap over problems, and how measures are computed."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

from trim.evaluation.costs import Regime


@dataclass(frozen=True)
class MeasureSettings:
    """How figures are computed.

    Attributes:
        cost: unit of cost, one of `costs.UNITS`.
        cache: what a call reads; see `trim.evaluation.costs`.
        budgets: cost fractions at which accuracy is read off the curves.
        levels: PGR levels of the call-performance thresholds.
        bootstrap: number of resamples of the problems, the same for all routers.
        confidence: coverage of the intervals.
        seed: seed of the resampling.
        only: names of the measures to compute, None for all.
    """

    cost: str
    cache: Regime
    budgets: tuple[float, ...]
    levels: tuple[float, ...]
    bootstrap: int
    confidence: float
    seed: int
    only: tuple[str, ...] | None = None


_libraries = cache(ThreadpoolController)  # looking for them takes milliseconds


def one_thread() -> AbstractContextManager[object]:
    """Sums on one thread, so that they are added up alike wherever they are made again."""
    return _libraries().limit(limits=1, user_api="blas")


def means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over n problems, first as observed and then per resample: (k, n), (resamples, n) -> (1 + resamples, k)."""
    with one_thread():
        return np.vstack([values.mean(axis=1), weights @ values.T])


def interval(samples: np.ndarray, confidence: float) -> tuple[float, float]:
    """Percentile interval of a figure's resamples; NaN where more than the tail is undefined."""
    tail = (1 - confidence) / 2
    if np.isnan(samples).mean() > tail:
        return float("nan"), float("nan")
    low, high = np.nanquantile(samples, [tail, 1 - tail])
    return float(low), float(high)


def resamples(n: int, settings: MeasureSettings) -> np.ndarray:
    """Bootstrap weights of n problems, shape (resamples, n)."""
    rng = np.random.default_rng(settings.seed)
    return rng.multinomial(n, np.full(n, 1 / n), size=settings.bootstrap) / n
