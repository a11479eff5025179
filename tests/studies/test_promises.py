"""How often a promise is broken, where it is known which settings break it."""

import numpy as np
import pytest

from trim.evaluation.guarantee import Outcomes
from trim.experiment.choosing import RISK
from trim.studies.guarantee import _broken


def solving(shares, n=600):
    """Settings that solve shares of what the strong model solves, which is 80 % of the problems."""
    strong = np.arange(n) < 0.8 * n
    solved = np.stack([np.arange(n) < share * 0.8 * n for share in shares])
    return Outcomes(solved, np.ones(solved.shape, dtype=int), strong, np.full(n, 10))


@pytest.mark.parametrize("shares", [[1.0, 0.99, 0.97], [1.0, 0.5], [0.5, 0.4]])
def test_a_promise_that_is_kept_by_far_or_seen_to_fail_is_never_broken(shares):
    assert _broken(solving(shares), 500) == 0


@pytest.mark.parametrize("size", [500, 2000])
def test_settings_at_the_edge_break_it_no_more_often_than_the_risk(size):
    share = _broken(solving([1.0, 0.947]), size)
    assert 0 < share <= RISK + 3 * np.sqrt(RISK * (1 - RISK) / 1000)
