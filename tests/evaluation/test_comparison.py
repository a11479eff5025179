"""Tables over seeds: means, and the spread beside the interval."""

from dataclasses import replace

import numpy as np
import pytest

from trim.evaluation.bootstrap import MeasureSettings, seed_weights
from trim.evaluation.comparison import comparisons, differences, measures
from trim.evaluation.results import PER_PROBLEM, Results
from trim.setting import Setting

PROTOCOL = MeasureSettings("strong_tokens", "prefix", (0.2,), (0.5,), 50, 0.95, 0)


def results(router, points, seeds, n=40):
    """One router of points (share of problems solved, strong tokens)."""
    correct = np.array([np.arange(n) < accuracy * n for accuracy, _ in points])
    tokens = np.array([np.full(n, float(paid)) for _, paid in points])
    settings = [Setting("point", i, seed) for i, seed in enumerate(seeds)]
    ids = [f"p{i}" for i in range(n)]
    return Results(
        "b", "test", router, router, False, settings, ids, correct, {"prefix": dict.fromkeys(PER_PROBLEM, tokens)}
    )


@pytest.fixture
def ends():
    return results("always_weak", [(0.25, 0)], [None]), results("always_strong", [(0.75, 10)], [None])


def test_a_measure_is_the_mean_of_the_seeds_curves_not_of_their_points(ends):
    first, second = [(0.5, 2), (0.6, 4)], [(0.4, 2), (0.7, 4)]
    both = results("r", [*first, *second], [0, 0, 1, 1])
    alone = [results("r", points, [None, None]) for points in (first, second)]
    (comparison,) = comparisons([*ends, both], PROTOCOL)
    frames = [comparisons([*ends, one], PROTOCOL)[0].measures["r"] for one in alone]
    drawn = seed_weights(2, PROTOCOL)
    first_only, even = drawn[:, :1] == 1, drawn[:, :1] == 0.5
    expected = np.where(even, (frames[0] + frames[1]) / 2, np.where(first_only, *frames))
    np.testing.assert_allclose(comparison.measures["r"], expected)
    rows = measures(comparison).set_index(["router", "measure"])
    for measure in ("acc@20", "apgr"):
        values = [frame[measure].iloc[0] for frame in frames]
        assert rows.loc[("r", measure), "value"] == pytest.approx(np.mean(values))
        assert rows.loc[("r", measure), "spread"] == pytest.approx(np.std(values, ddof=1))
    assert rows.loc["always_strong", "spread"].isna().all()


def test_a_level_that_one_seed_misses_is_not_reached(ends):
    both = results("r", [(0.7, 2), (0.3, 2)], [0, 1])
    (comparison,) = comparisons([*ends, both], PROTOCOL)
    row = measures(comparison).set_index(["router", "measure"]).loc[("r", "cpt50")]
    assert row[["value", "low", "high"]].isna().all()


def test_equal_seeds_have_no_spread_and_no_difference(ends):
    one = results("one", [(0.5, 2)], [None])
    three = replace(results("three", [(0.5, 2)] * 3, [0, 1, 2]), title="three")
    (comparison,) = comparisons([*ends, one, three], PROTOCOL)
    rows = differences(comparison, "one")
    np.testing.assert_allclose(rows[rows["router"] == "three"]["value"].dropna(), 0, atol=1e-12)
    spread = measures(comparison).set_index(["router", "measure"]).loc["three", "spread"]
    np.testing.assert_allclose(spread.dropna(), 0, atol=1e-12)
