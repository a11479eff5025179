"""Effects of selection: the gain from choices on the test problems, and the differences that these can show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

from trim.evaluation.comparison import Comparison, comparisons, differences
from trim.evaluation.published import PROBLEMS, RELEASED, RELEASED_TITLES, published_points
from trim.evaluation.results import Results, read_results
from trim.experiment.choosing import validation_path
from trim.experiment.params import Params, measure_settings
from trim.files import read_sealed
from trim.setting import BUDGET, Setting

_POWER = 0.8


class Choice(NamedTuple):
    """A choice, and the value of the best alternative.

    Attributes:
        benchmark: title of the benchmark.
        what: the object of the choice: a setting, a seed, a router; or a difference that the problems can show.
        of: title of the router concerned.
        chosen: accuracy with the choice on validation; NaN if none was made.
        on_test: accuracy with the choice that the test problems would have given.
        note: a remark for the reader.
    """

    benchmark: str
    what: str
    of: str
    chosen: float
    on_test: float
    note: str

    @property
    def gain(self) -> float:
        """The gain from choosing on the test problems, or a difference."""
        return self.on_test - self.chosen if np.isfinite(self.chosen) else self.on_test


def choices(params: Params, results: Path) -> Iterator[Choice]:
    """Every choice behind the numbers at the middle budget, benchmark by benchmark, and those of the published run.

    Raises:
        TrimError: if a file of the run is missing or damaged.
    """
    for benchmark in params.benchmarks:
        title = params.benchmark_title(benchmark)
        paths = [results / path for path in params.episodes(benchmark)]
        found = [read_results(path) for path in paths]
        (comparison,) = comparisons(found, measure_settings(params))
        mine = [result for result in found if not result.reference]
        for result in mine:
            yield from _settings(params, comparison, result, title)
            yield from _seeds(params, comparison, result, title)
        yield from _router(params, comparison, validation_path(results / "routers", benchmark), title)
        yield from _smallest(params, comparison, title)
    yield from _published()


def _measure(params: Params) -> str:
    return f"acc@{100 * params.evaluation.headline_budget:g}"


def _settings(params: Params, comparison: Comparison, result: Results, title: str) -> Iterator[Choice]:
    """The setting fitted for the middle budget, and the best on the test problems that spends no more."""
    wanted = Setting(BUDGET, params.evaluation.headline_budget)
    accuracy = result.correct.mean(axis=1)
    spent = comparison.fractions(result.router, "strong_tokens")[0]
    fitted = [i for i, s in enumerate(result.settings) if s.unseeded == wanted]
    if not fitted:
        return
    gains = [accuracy[(spent <= spent[i]) & _same_seed(result, i)].max() for i in fitted]
    note = f"of {len(result.settings)}, at {spent[fitted].mean():.3f} of the strong tokens"
    yield Choice(title, "setting", result.title, float(accuracy[fitted].mean()), float(np.mean(gains)), note)


def _same_seed(result: Results, index: int) -> np.ndarray:
    return np.array([setting.seed == result.settings[index].seed for setting in result.settings])


def _seeds(params: Params, comparison: Comparison, result: Results, title: str) -> Iterator[Choice]:
    """The mean over the seeds of a training, as in tables, and the best of them, which test would have chosen."""
    values = [frame[_measure(params)].iloc[0] for frame in comparison.by_seed[result.router]]
    if len(values) > 1:
        note = f"the mean of {len(values)}, and the best"
        yield Choice(title, "seed", result.title, float(np.mean(values)), float(np.max(values)), note)


def _router(params: Params, comparison: Comparison, validation: Path, title: str) -> Iterator[Choice]:
    """The best router on validation at the middle budget, and the best on test."""
    if not validation.is_file():
        return
    test = {r: frame[_measure(params)].iloc[0] for r, frame in comparison.measures.items()}
    reached = {
        router: np.interp(params.evaluation.headline_budget, *_curve(settings))
        for router, settings in read_sealed(validation).items()
        if router in test and not comparison.routers[router].reference
    }
    best, on_test = max(reached, key=lambda r: reached[r]), max(reached, key=lambda r: test[r])
    note = f"of {len(reached)}, on test {params.title(on_test)}"
    yield Choice(title, "router", params.title(best), float(test[best]), float(test[on_test]), note)


def _curve(settings: dict[str, dict[str, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Spending and accuracy of a router's settings on validation, by rising spending."""
    points = sorted((row["strong_fraction"], row["accuracy"]) for row in settings.values())
    spent, accuracy = np.array(points).T
    return spent, accuracy


def _smallest(params: Params, comparison: Comparison, title: str) -> Iterator[Choice]:
    """The smallest difference from each baseline that this many problems show with a probability of 80 %."""
    settings, measure = comparison.settings, _measure(params)
    factor = (norm.ppf((1 + settings.confidence) / 2) + norm.ppf(_POWER)) / (
        2 * norm.ppf((1 + settings.confidence) / 2)
    )
    count = comparison.weights.shape[1]
    for baseline in (name for name in params.evaluation.baselines if name in comparison.routers):
        rows = differences(comparison, baseline)
        rows = rows[(rows["measure"] == measure) & rows["router"].isin([r for r in params.routers if r != baseline])]
        widths = (rows["high"] - rows["low"]).to_numpy(float)
        widths = widths[np.isfinite(widths) & (widths > 0)]
        if len(widths):
            note = f"median of {len(widths)} routers, {count} problems"
            of = f"from {params.title(baseline)}"
            yield Choice(title, "smallest difference", of, np.nan, float(factor * np.median(widths)), note)


def _published() -> Iterator[Choice]:
    """Choices of the released run: it has one set of problems, so every choice was made on it."""
    for router in RELEASED:
        points = published_points(router)
        inside = points[points["strong_fraction"].between(0, 1, inclusive="neither")]
        deviation = float(np.sqrt((inside["accuracy"] * (1 - inside["accuracy"])).mean() / PROBLEMS))
        best = deviation * _largest(len(inside))
        note = f"at most, of {len(inside)} with independent errors"
        yield Choice("MATH-500 (released)", "setting", RELEASED_TITLES[router], np.nan, best, note)
        factor = np.sqrt(2) * (norm.ppf(0.975) + norm.ppf(_POWER))
        note = f"unpaired: no answers were released; {PROBLEMS} problems"
        what = "smallest difference"
        yield Choice("MATH-500 (released)", what, RELEASED_TITLES[router], np.nan, float(factor * deviation), note)


def _largest(count: int) -> float:
    """Expected maximum of `count` standard normal numbers."""
    grid = np.linspace(-6, 6, 4001)
    return float(np.trapezoid(grid * np.gradient(norm.cdf(grid) ** count, grid), grid))
