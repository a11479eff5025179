"""Summary tables with paired bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from trim.errors import TrimError
from trim.evaluation.bootstrap import Estimate, MeasureSettings, estimate, interval, means, resamples, seed_weights
from trim.evaluation.measures import Scale, all_measures
from trim.evaluation.results import COUNTS, PER_PROBLEM, Results
from trim.ledger.units import REGIMES, UNITS, WRITTEN
from trim.setting import BUDGET, Setting

SUMMARY_COLUMNS = [
    "benchmark", "split", "router", "setting", "n", "accuracy", "accuracy_low", "accuracy_high", "strong_tokens",
    "strong_fraction", *COUNTS[:6], "flops", "latency", "pgr", "seed",
    *(unit for unit in UNITS if unit not in ("strong_tokens", "flops", "latency")), *COUNTS[6:],
]  # fmt: skip
MEASURE_COLUMNS = ["benchmark", "router", "measure", "value", "low", "high", "spread", "reached"]
UNIT_MEASURES = ("cpt50", "cpt80", "apgr", "ibc")
# No ratio over a number that may be this small: ΔIBC of a router with a 5 % higher gain per token than always-strong.
NEAR_ZERO = 0.05
_LEAST = 1e-9  # of a denominator, in single resamples


@dataclass(frozen=True)
class Comparison:
    """The routers of one benchmark, over the same problems.

    Attributes:
        routers: results by router, both ends among them.
        weights: bootstrap weights of the problems, shape (resamples, n), rows sum to 1.
        settings: settings of the measures.
    """

    routers: dict[str, Results]
    weights: np.ndarray
    settings: MeasureSettings

    def means(self, values: np.ndarray) -> np.ndarray:
        """Mean over problems, first as observed and then per resample: (k, n) -> (1 + resamples, k)."""
        return means(values, self.weights)

    def interval(self, samples: np.ndarray) -> tuple[float, float]:
        """See `interval`, at the settings' confidence."""
        return interval(samples, self.settings.confidence)

    def estimate(self, samples: np.ndarray) -> Estimate:
        """See `estimate`, at the settings' confidence."""
        return estimate(samples, self.settings.confidence)

    @cached_property
    def measures(self) -> dict[str, pd.DataFrame]:
        """Every measure of each router, a row as observed and then one per resample; means over the seeds drawn."""
        return {
            router: pd.DataFrame(self.over_seeds([frame.to_numpy() for frame in frames]), columns=frames[0].columns)
            for router, frames in self.by_seed.items()
        }

    def over_seeds(self, samples: Sequence[np.ndarray]) -> np.ndarray:
        """Mean of s seeds' results, over those that a resample draws; NaN where one of these is.

        Routers of equally many seeds are compared under the same draws of them.

        Args:
            samples: of each seed, as observed and then per resample, shape (1 + resamples, ...) each.
        """
        stacked = np.stack(samples)
        weights = seed_weights(len(samples), self.settings).T.reshape(*stacked.shape[:2], *[1] * (stacked.ndim - 2))
        return np.where(weights > 0, weights * stacked, 0).sum(axis=0)

    @cached_property
    def by_seed(self) -> dict[str, list[pd.DataFrame]]:
        """As `measures`, of the curve of each seed; one where nothing was trained."""
        settings, scale = self.settings, self.scale()
        found: dict[str, list[pd.DataFrame]] = {}
        for router, result in self.routers.items():
            fractions, accuracies = self.fractions(router, settings.cost), self.means(result.correct)
            found[router] = []
            for mine in by_seed(result.settings):
                columns = all_measures(
                    fractions[:, mine], accuracies[:, mine], scale, settings.levels, settings.budgets, settings.only
                )
                found[router].append(pd.DataFrame(columns))
        return found

    def spread(self, router: str) -> pd.Series:
        """Standard deviation over seeds of each measure as observed; NaN with fewer than two."""
        return pd.DataFrame([frame.iloc[0] for frame in self.by_seed[router]]).std()

    def scale(self) -> Scale:
        """The two ends, as observed and then per resample, shape (1 + resamples,)."""
        weak, strong = self.routers["always_weak"], self.routers["always_strong"]
        unit = self.means(self.cost(strong))[:, 0]
        return Scale(
            self.means(weak.correct)[:, 0],
            self.means(self.cost(weak))[:, 0] / unit,
            self.means(strong.correct)[:, 0],
        )

    def cost(self, result: Results, unit: str | None = None) -> np.ndarray:
        """Cost of solving in the settings' unit or another, shape (k, n).

        Raises:
            TrimError: if the regime is `billed`, and no server billed anything.
        """
        costs = result.costs.get(self.settings.cache) or self._prefix(result)
        return costs[unit or self.settings.cost]

    def _prefix(self, result: Results) -> dict[str, np.ndarray]:
        """The substitute for a missing bill: no other router's calls were billed, or this router made none."""
        if not any(self.settings.cache in other.costs for other in self.routers.values()):
            raise TrimError("evaluation.cache: billed found, but no server billed anything; take none or prefix")
        return result.costs["prefix"]

    def fractions(self, router: str, unit: str) -> np.ndarray:
        """Cost over always-strong's, shape (1 + resamples, k)."""
        strong = self.means(self.cost(self.routers["always_strong"], unit))
        return self.means(self.cost(self.routers[router], unit)) / strong


def comparisons(results: Sequence[Results], settings: MeasureSettings) -> list[Comparison]:
    """Group results by benchmark, in their order, with one set of resamples each.

    Raises:
        TrimError: if routers of one benchmark were run on different problems.
    """
    grouped: dict[str, dict[str, Results]] = {}
    for result in results:
        grouped.setdefault(result.benchmark, {})[result.router] = result
    made = []
    for benchmark, routers in grouped.items():
        problems = routers["always_strong"].problems
        for name, result in routers.items():
            if result.problems != problems:
                raise TrimError(
                    f"{benchmark}: {name} and always_strong were run on different problems; run Snakemake again"
                )
        made.append(Comparison(routers, resamples(len(problems), settings), settings))
    return made


def summary(comparison: Comparison) -> pd.DataFrame:
    """A row per operating point; token figures are means per problem."""
    rows: list[dict[str, Any]] = []
    scale = Scale(*(np.asarray(end)[0] for end in comparison.scale()))
    for name, result in comparison.routers.items():
        accuracy, fraction = comparison.means(result.correct), comparison.fractions(name, "strong_tokens")
        for k, setting in enumerate(result.settings):
            _, low, high, _ = comparison.estimate(accuracy[:, k])
            rows.append(
                {
                    "benchmark": result.benchmark,
                    "split": result.split,
                    "router": name,
                    "setting": str(setting),
                    "n": len(result.problems),
                    "accuracy": accuracy[0, k],
                    "accuracy_low": low,
                    "accuracy_high": high,
                    "strong_fraction": fraction[0, k],
                    "pgr": float(scale.pgr(accuracy[0, k])),
                    "seed": setting.seed,
                }
                | {column: comparison.cost(result, column)[k].mean() for column in PER_PROBLEM}
            )
    return pd.DataFrame(rows)[SUMMARY_COLUMNS].astype({"seed": "Int64"})


def measures(comparison: Comparison) -> pd.DataFrame:
    """A row per router and measure: value, low, high, spread over seeds, share of resamples that reach it."""
    rows = []
    for name, result in comparison.routers.items():
        samples, spread = comparison.measures[name], comparison.spread(name)
        for measure in samples:
            value, low, high, reached = comparison.estimate(samples[measure].to_numpy())
            rows.append((result.benchmark, name, measure, value, low, high, spread[measure], reached))
    return pd.DataFrame(rows, columns=MEASURE_COLUMNS)


def differences(comparison: Comparison, baseline: str) -> pd.DataFrame:
    """Each router's measures minus the baseline's on the same resamples: value, low, high, share that reach both."""
    base, rows = comparison.measures[baseline], []
    for name, result in comparison.routers.items():
        if name == baseline:
            continue
        samples = comparison.measures[name] - base
        for measure in samples:
            rows.append((result.benchmark, name, baseline, measure, *comparison.estimate(samples[measure].to_numpy())))
    return pd.DataFrame(rows, columns=["benchmark", "router", "baseline", "measure", "value", "low", "high", "reached"])


def ratios(comparison: Comparison, routers: Sequence[str], rivals: Sequence[str]) -> pd.DataFrame:
    """Cost-efficiency of routers over that of rivals, on the same resamples: value, low, high, at_zero.

    `ibc` is the ratio of the incremental benefits per cost over always-strong's (the paper's measure), `slope` that of
    the accuracies gained per cost. If the rival's own interval reaches down to `NEAR_ZERO`, the row is `at_zero`:
    it has no ratio, since any value would be possible.
    """
    rows, benchmark = [], comparison.routers["always_strong"].benchmark
    for name in routers:
        for rival in rivals:
            one, other = (comparison.measures[r]["ibc"].to_numpy() for r in (name, rival))
            for measure, base in (("ibc", 0.0), ("slope", 1.0)):
                ratio, at_zero = paired_ratio(base + one, base + other, comparison.settings.confidence)
                rows.append((benchmark, name, rival, measure, *ratio[:3], at_zero))
    return pd.DataFrame(rows, columns=["benchmark", "router", "baseline", "measure", "value", "low", "high", "at_zero"])


def paired_ratio(one: np.ndarray, other: np.ndarray, confidence: float) -> tuple[Estimate, bool]:
    """The ratio of two numbers on the same resamples, and a flag: no ratio, since the denominator may be near 0.

    Args:
        one, other: as observed and then per resample, shape (1 + resamples,) each.
        confidence: coverage of the interval.
    """
    at_zero = not estimate(other, confidence).low > NEAR_ZERO
    with np.errstate(divide="ignore", invalid="ignore"):
        # The few resamples of a denominator below 0 belong to the largest ratios, not to the smallest.
        ratio = np.where(np.isnan(other), np.nan, one / np.maximum(other, _LEAST))
    return estimate(np.full_like(ratio, np.nan) if at_zero else ratio, confidence), at_zero


def kept(comparison: Comparison, whole: Comparison, measure: str) -> pd.DataFrame:
    """The share of a measure in another comparison that each router keeps, on the same resamples.

    Rows as in `measures`, with `kept` for the measure; no value where the measure may be near zero in the other.
    """
    rows = []
    for name, result in comparison.routers.items():
        one, other = (c.measures[name][measure].to_numpy() for c in (comparison, whole))
        (value, low, high, reached), _ = paired_ratio(one, other, comparison.settings.confidence)
        rows.append((result.benchmark, name, "kept", value, low, high, np.nan, reached))
    return pd.DataFrame(rows, columns=MEASURE_COLUMNS)


def units(comparison: Comparison, budget: float) -> pd.DataFrame:
    """Each router's cost in every unit.

    Rows of unit, regime and router: the middle measures in that unit, and `spent`, always-strong's cost being 1, at
    the setting nearest to a share `budget` of its tokens, of each seed; with low and high. Units of written tokens
    only are the same in every regime, and are listed under `prefix`.
    """
    tables, chosen = [], {name: _at_budget(comparison, name, budget) for name in comparison.routers}
    regimes = [regime for regime in REGIMES if any(regime in result.costs for result in comparison.routers.values())]
    for unit, cache in (
        (unit, cache) for unit in UNITS for cache in regimes if unit not in WRITTEN or cache == "prefix"
    ):
        settings = replace(comparison.settings, cost=unit, cache=cache, only=UNIT_MEASURES)
        other = replace(comparison, settings=settings)
        table = measures(other)
        tables.append(table.assign(unit=unit, cache=cache))
        rows = []
        for name, result in comparison.routers.items():
            spent = other.fractions(name, unit)[:, chosen[name]].T
            value, low, high, reached = comparison.estimate(comparison.over_seeds(list(spent)))
            spread = spent[:, 0].std(ddof=1) if len(spent) > 1 else np.nan
            rows.append((result.benchmark, name, "spent", value, low, high, spread, reached))
        tables.append(pd.DataFrame(rows, columns=list(table.columns)).assign(unit=unit, cache=cache))
    return pd.concat(tables)


def by_seed(settings: Sequence[Setting]) -> list[list[int]]:
    """Indices of the settings of each seed."""
    seeds = dict.fromkeys(setting.seed for setting in settings)
    return [[k for k, setting in enumerate(settings) if setting.seed == seed] for seed in seeds]


def _at_budget(comparison: Comparison, router: str, budget: float) -> list[int]:
    """See `nearest_setting`, of each seed."""
    result, spent = comparison.routers[router], comparison.fractions(router, "strong_tokens")[0]
    return [
        mine[nearest_setting([result.settings[k] for k in mine], spent[mine], budget)]
        for mine in by_seed(result.settings)
    ]


def nearest_setting(settings: Sequence[Setting], spent: np.ndarray, budget: float) -> int:
    """Index of the setting that was fitted for a budget, or else of the one nearest to it, of the first seed.

    Args:
        settings: k settings.
        spent: strong tokens of each over always-strong's, shape (k,).
        budget: budget in the same unit.
    """
    fitted = [k for k, setting in enumerate(settings) if setting.unseeded == Setting(BUDGET, budget)]
    return fitted[0] if fitted else int(np.abs(spent - budget).argmin())


def headline(table: pd.DataFrame) -> dict[str, dict[str, dict[str, float | None]]]:
    """Benchmark -> router -> measure -> value, for `dvc metrics`; and MEASURE_reached, where not all resamples do."""
    nested: dict[str, dict[str, dict[str, float | None]]] = {}
    for row in table.itertuples():
        numbers = nested.setdefault(row.benchmark, {}).setdefault(row.router, {})
        numbers[row.measure] = None if np.isnan(row.value) else round(float(row.value), 6)
        if 0 < row.reached < 1:
            numbers[f"{row.measure}_reached"] = round(float(row.reached), 6)
    return nested
