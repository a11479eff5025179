"""The paired bootstrap over problems and training seeds, and the measures' settings."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from trim.ledger.units import Regime


@dataclass(frozen=True)
class MeasureSettings:
    """Settings of the measures.

    Attributes:
        cost: unit of cost, one of `costs.UNITS`.
        cache: the regime of caches; see `trim.ledger.units`.
        budgets: cost fractions at which accuracy is read off the curves.
        levels: PGR levels of the call-performance thresholds.
        bootstrap: number of resamples of problems and seeds, the same for all routers.
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
    """Run sums on one thread, so that they are added in the same order on every machine."""
    return _libraries().limit(limits=1, user_api="blas")


def means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Mean over n problems, first as observed and then per resample: (k, n), (resamples, n) -> (1 + resamples, k)."""
    with one_thread():
        return np.vstack([values.mean(axis=1), weights @ values.T])


def interval(samples: np.ndarray, confidence: float) -> tuple[float, float]:
    """Percentile interval of a number's resamples; NaN where more than the tail is undefined."""
    tail = (1 - confidence) / 2
    if np.isnan(samples).mean() > tail:
        return float("nan"), float("nan")
    low, high = np.nanquantile(samples, [tail, 1 - tail])
    return float(low), float(high)


class Estimate(NamedTuple):
    """A number with its interval.

    Attributes:
        value: as observed, NaN where it is not reached.
        low, high: ends of the interval; NaN where the number is not reached in every resample.
        reached: share of the resamples in which it is reached.
    """

    value: float
    low: float
    high: float
    reached: float


def estimate(samples: np.ndarray, confidence: float) -> Estimate:
    """A number as observed, first of the samples, with the percentile interval of its resamples, the others.

    A number that some resamples do not reach has no interval: quantiles of those that reach it would cover the truth
    far less often than stated.
    """
    value, drawn = float(samples[0]), samples[1:]
    reached = float(1 - np.isnan(drawn).mean())
    if reached < 1 or np.isnan(value):
        return Estimate(value, np.nan, np.nan, reached)
    return Estimate(value, *interval(drawn, confidence), reached)


def resamples(n: int, settings: MeasureSettings) -> np.ndarray:
    """Bootstrap weights of n problems, shape (resamples, n)."""
    rng = np.random.default_rng(settings.seed)
    return rng.multinomial(n, np.full(n, 1 / n), size=settings.bootstrap) / n


def seed_weights(seeds: int, settings: MeasureSettings) -> np.ndarray:
    """Weights of s training seeds, as observed and then per resample, shape (1 + resamples, s).

    One fewer is drawn than there are, with replacement: the variance of a mean over such draws is that of the mean
    over the seeds, without the bias that draws of s have (McCarthy and Snowden, 1985). A single seed is kept as it is.
    """
    even = np.full((1, seeds), 1 / seeds)
    drawn = max(1, seeds - 1)
    rng = np.random.default_rng([settings.seed, seeds])  # independent of the resampling of the problems
    return np.vstack([even, rng.multinomial(drawn, even[0], size=settings.bootstrap) / drawn])
