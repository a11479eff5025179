"""Intervals: of numbers that are not always reached, over problems and training seeds, and of ratios."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trim.evaluation.bootstrap import MeasureSettings, estimate, seed_weights
from trim.evaluation.comparison import (
    NEAR_ZERO,
    comparisons,
    differences,
    headline,
    kept,
    measures,
    paired_ratio,
    units,
)
from trim.evaluation.results import PER_PROBLEM, Results
from trim.setting import Setting

PROTOCOL = MeasureSettings("strong_tokens", "prefix", (0.2,), (0.5, 0.95), 4000, 0.95, 0)


def results(router, correct, tokens, seeds):
    """One router of k settings: correct and tokens of shape (k, n)."""
    settings = [Setting("point", i, seed) for i, seed in enumerate(seeds)]
    ids = [f"p{i}" for i in range(len(correct[0]))]
    costs = {"prefix": dict.fromkeys(PER_PROBLEM, np.asarray(tokens, dtype=float))}
    return Results("b", "test", router, router, False, settings, ids, np.asarray(correct, dtype=bool), costs)


def ends(n):
    """The weak model solves no problem, the strong one solves all, for ten tokens each."""
    return (
        results("always_weak", np.zeros((1, n)), np.zeros((1, n)), [None]),
        results("always_strong", np.ones((1, n)), np.full((1, n), 10), [None]),
    )


def solving(router, shares, n=200, seeds=None, tokens=2):
    correct = [np.arange(n) < round(share * n) for share in shares]
    return results(router, correct, np.full((len(shares), n), tokens), seeds or list(range(len(shares))))


@given(st.lists(st.floats(0, 1), min_size=8, max_size=40), st.integers(0, 40))
def test_a_number_that_some_resamples_miss_has_no_interval(drawn, missed):
    samples = np.array([0.5, *drawn])
    samples[1 : 1 + min(missed, len(drawn))] = np.nan
    found = estimate(samples, 0.95)
    assert found.value == 0.5
    assert found.reached == pytest.approx(1 - min(missed, len(drawn)) / len(drawn))
    assert np.isnan([found.low, found.high]).all() == (found.reached < 1)


def test_a_number_that_is_not_reached_has_no_interval_but_how_often_it_is():
    found = estimate(np.array([np.nan, 0.1, 0.2, np.nan, 0.3]), 0.95)
    assert np.isnan([found.value, found.low, found.high]).all()
    assert found.reached == 0.75


def test_a_level_at_the_edge_is_reached_in_half_of_the_resamples():
    (comparison,) = comparisons([*ends(200), solving("r", [0.5])], PROTOCOL)
    row = measures(comparison).set_index(["router", "measure"]).loc[("r", "cpt50")]
    assert row["value"] == pytest.approx(0.2)
    assert np.isnan([row["low"], row["high"]]).all()
    assert row["reached"] == pytest.approx(0.53, abs=0.03)  # ties count


@pytest.mark.parametrize("shares", [[0.3, 0.5], [0.2, 0.4, 0.9], [0.1, 0.2, 0.3, 0.4, 0.8]])
def test_the_variance_over_seeds_is_that_of_their_mean(shares):
    weights = seed_weights(len(shares), PROTOCOL)
    assert weights[0] == pytest.approx(np.full(len(shares), 1 / len(shares)))
    drawn = weights[1:] @ shares
    assert drawn.mean() == pytest.approx(np.mean(shares), abs=0.02)
    assert drawn.std() == pytest.approx(np.std(shares, ddof=1) / len(shares) ** 0.5, rel=0.05)


def test_intervals_hold_the_variance_of_problems_and_of_seeds():
    shares = [0.3, 0.5, 0.7]
    (comparison,) = comparisons([*ends(200), solving("r", shares), solving("one", [0.5])], PROTOCOL)
    problems = comparison.measures["one"]["acc@20"][1:].var()
    seeds = np.var(shares, ddof=1) / 3
    assert problems == pytest.approx(0.5 * 0.5 / 200, rel=0.1)
    assert comparison.measures["r"]["acc@20"][1:].var() == pytest.approx(problems + seeds, rel=0.1)


def test_routers_are_compared_under_the_same_draws_of_seeds():
    shares = np.array([0.3, 0.5, 0.7])
    (comparison,) = comparisons([*ends(200), solving("r", shares), solving("s", shares - 0.1)], PROTOCOL)
    row = differences(comparison, "s").set_index(["router", "measure"]).loc[("r", "acc@20")]
    assert row["value"] == pytest.approx(0.1)
    assert row["high"] - row["low"] < 0.1  # of problems alone: the seeds' 0.2 cancel


def test_what_is_spent_is_a_mean_over_seeds():
    correct, tokens = np.ones((4, 50)), np.array([1, 4, 3, 9])[:, None] * np.ones((1, 50))
    trained = results("r", correct, tokens, [0, 0, 1, 1])
    (comparison,) = comparisons([*ends(50), trained], PROTOCOL)
    table = units(comparison, 0.2)
    row = table[(table["router"] == "r") & (table["measure"] == "spent") & (table["unit"] == "strong_tokens")].iloc[0]
    assert row["value"] == pytest.approx((0.1 + 0.3) / 2)
    assert (row["low"], row["high"]) == (pytest.approx(0.1), pytest.approx(0.3))


@given(st.floats(0.5, 2), st.integers(0, 100))
def test_what_the_parts_of_a_ratio_share_cancels(factor, seed):
    part = np.random.default_rng(seed).normal(1, 0.1, 500)
    ratio, at_zero = paired_ratio(factor * part, part, 0.95)
    assert not at_zero
    assert ratio == pytest.approx((factor, factor, factor, 1))


@given(st.floats(-3, 3), st.integers(0, 100))
def test_a_ratio_over_what_may_be_zero_is_none(mean, seed):
    other = np.r_[mean, np.random.default_rng(seed).normal(mean, 1, 500)]
    ratio, at_zero = paired_ratio(np.ones(501), other, 0.95)
    assert at_zero == (np.quantile(other[1:], 0.025) <= NEAR_ZERO)
    assert np.isnan(ratio.value) == at_zero
    assert at_zero or 0 < ratio.low <= ratio.high < np.inf


def test_what_is_kept_pairs_the_resamples():
    whole, part = (comparisons([*ends(200), solving("r", [share])], PROTOCOL)[0] for share in (0.5, 0.45))
    row = kept(part, whole, "acc@20").set_index("router").loc["r"]
    assert row["value"] == pytest.approx(0.9)
    unpaired = measures(part).set_index(["router", "measure"]).loc[("r", "acc@20")]
    assert row["high"] - row["low"] < (unpaired["high"] - unpaired["low"]) / 0.5 / 2


def test_metrics_say_how_often_a_number_is_reached():
    (comparison,) = comparisons([*ends(200), solving("r", [0.5])], PROTOCOL)
    numbers = headline(measures(comparison))["b"]["r"]
    assert numbers["cpt50"] == pytest.approx(0.2)
    assert 0.4 < numbers["cpt50_reached"] < 0.6
    assert "acc@20_reached" not in numbers and "cpt95_reached" not in numbers


def test_one_seed_is_kept_as_it_is():
    assert (seed_weights(1, replace(PROTOCOL, bootstrap=5)) == 1).all()
