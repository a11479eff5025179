"""Guaranteed settings: the promise is broken no more often than the risk, at any number of problems."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trim.evaluation.guarantee import Outcomes, choose, p_values, problems_needed


def drawn(rng, accuracies, strong, n):
    """Outcomes of settings of some accuracies: a problem that is solved at one is mostly solved at others."""
    hard = rng.random(n)
    noise = rng.random((len(accuracies), n)) < 0.1
    solved = np.where(noise, rng.random((len(accuracies), n)), hard) < np.asarray(accuracies)[:, None]
    tokens = rng.integers(20, 100, n)
    shares = np.linspace(1, 0.05, len(accuracies))[:, None]
    return Outcomes(solved, (shares * tokens).astype(int), hard < strong, tokens)


@pytest.mark.parametrize("n", [30, 300])
def test_the_promise_is_broken_no_more_often_than_the_risk(n):
    rng, accuracies, strong, risk = np.random.default_rng(0), [0.8, 0.79, 0.755, 0.74, 0.6], 0.8, 0.1
    chosen = [choose(*drawn(rng, accuracies, strong, n).margins("accuracy", 0.95), risk) for _ in range(600)]
    broken = sum(index is not None and accuracies[index] < 0.95 * strong for index in chosen)
    assert broken / 600 <= risk + 3 * np.sqrt(risk * (1 - risk) / 600)


def test_enough_problems_find_the_cheapest_setting_that_keeps_the_promise():
    outcomes = drawn(np.random.default_rng(1), [0.8, 0.79, 0.78, 0.6], 0.8, 20_000)
    assert choose(*outcomes.margins("accuracy", 0.95), 0.05) == 2
    assert choose(*outcomes.margins("spend", 0.8), 0.05) is None  # the safest comes first, and spends all
    few = Outcomes(*(part[::-1] if part.ndim == 2 else part for part in outcomes))
    assert choose(*few.margins("spend", 0.8), 0.05) == 2


@given(st.integers(2, 200), st.floats(0.3, 0.99), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_p_values_are_probabilities_and_fall_with_what_is_to_spare(n, level, seed):
    outcomes = drawn(np.random.default_rng(seed), [0.9, 0.5], 0.8, n)
    margins, least = outcomes.margins("accuracy", level)
    found = p_values(margins, least)
    assert ((found > 0) & (found <= 1)).all()
    assert (p_values(np.minimum(margins + 0.1, 1), least) <= found + 1e-12).all()


def test_an_honest_null_is_rejected_at_most_as_often_as_its_level():
    rng = np.random.default_rng(2)
    coins = np.where(rng.random((4000, 100)) < 0.5, 1.0, -1.0)
    found = p_values(coins, -1.0)
    for level in (0.01, 0.05, 0.2):
        assert (found <= level).mean() <= level


def test_the_number_of_problems_that_would_tell_is_about_right():
    rng = np.random.default_rng(3)
    margins = lambda n: np.where(rng.random(n) < 0.6, 1.0, -1.0)  # noqa: E731
    needed = problems_needed(margins(5000), -1.0, 0.05)
    assert np.mean([p_values(margins(needed)[None], -1.0)[0] <= 0.05 for _ in range(200)]) > 0.5
    assert np.mean([p_values(margins(needed // 5)[None], -1.0)[0] <= 0.05 for _ in range(200)]) < 0.5
    assert problems_needed(-np.ones(10), -1.0, 0.05) is None
