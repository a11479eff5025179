"""Where routers intervene, other units of cost, ratios, the published run and the paper's claims."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trim.evaluation.bootstrap import MeasureSettings
from trim.evaluation.comparison import NEAR_ZERO, comparisons, nearest_setting, ratios, units
from trim.evaluation.published import published_budgets, published_costs, published_points
from trim.evaluation.results import PER_PROBLEM, Results
from trim.ledger.units import UNITS
from trim.problems import Problem
from trim.report.finding import FAILS, HOLDS, OPEN, Finding
from trim.setting import Setting
from trim.studies.interventions import decisions, rates

PROTOCOL = MeasureSettings("strong_tokens", "prefix", (0.1, 0.2, 0.3), (0.5, 0.8, 0.95), 200, 0.95, 0)
PROBLEM = Problem(
    "a", "Start with 1, add 2, add 3, add 4.", "10", "test", ("1 + 2 = 3", "3 + 3 = 6", "6 + 4 = 10, \\boxed{10}")
)
NO_TRUTH = Problem("b", "Why?", "because", "test")


def step(problem, index, decision, text, draft=None, score=0.5):
    shown = draft if decision == "rewrite" else None
    return {
        "problem": problem, "step": index, "decision": decision, "text": text, "draft": shown, "score_prm": score,
        "draft_tokens": 0 if decision == "delegate" else 3,
    }  # fmt: skip


STEPS = pd.DataFrame(
    [
        step("a", 0, "rewrite", "1 + 2 = 3", "1 + 2 = 4", 0.1),  # caught
        step("a", 1, "rewrite", "3 + 3 = 7", "3 + 3 = 6", 0.6),  # wasted, and spoilt by it
        step("a", 2, "accept", "7 + 4 = 12", score=0.9),  # after an error the truth is moot
        step("b", 0, "rewrite", "x", "y", 0.3),
        step("b", 1, "delegate", "z", score=np.nan),
        step("b", 2, "discard", "", "w"),
    ]
)


def test_decisions_know_the_first_wrong_step():
    found = decisions(STEPS, {"a": PROBLEM, "b": NO_TRUTH}, {"a": "easy", "b": "hard"})
    assert found["handed"].tolist() == [True, True, False, True]
    assert found["first"].tolist() == [True, False, False, False]
    assert found["known"].tolist() == [True, True, False, False]
    assert found["position"].tolist() == [0, 1, 2, 0]
    weights = np.full((5, 2), 0.5)
    table = rates(found, ["a", "b"], weights, lambda s: (s.min(), s.max())).set_index(["by", "bin"])
    everything = table.loc[("all", "all")]
    assert everything["drafts"] == 4
    assert everything["handed_over"] == pytest.approx(3 / 4)
    assert everything["caught"] == 1
    assert everything["wasted"] == pytest.approx(1 / 3)
    assert table.loc[("difficulty", "hard"), "handed_over"] == 1
    assert table.loc["position", "drafts"].sum() == table.loc["score", "drafts"].sum() == 4
    untold = rates(found[found["problem"] == "b"], ["a", "b"], weights, lambda s: (s.min(), s.max()))
    assert untold["wasted"].isna().all()


def results(name, correct, tokens, **others):
    n = correct.shape[1]
    totals = dict.fromkeys(PER_PROBLEM, tokens.astype(float)) | others
    return Results(
        "b",
        "test",
        name,
        name,
        False,
        [Setting()],
        list(range(n)),
        correct,
        {"prefix": totals},
    )


@pytest.fixture
def study():
    rng = np.random.default_rng(0)
    weak, strong = rng.random((1, 400)) < 0.4, rng.random((1, 400)) < 0.9
    tokens = rng.integers(50, 150, (1, 400))
    good = np.where(tokens[0] > 100, strong, weak)
    made = [
        results("always_weak", weak, 0 * tokens, all_tokens=1.2 * tokens),
        results("always_strong", strong, tokens),
        results("thrifty", strong, tokens * 0.2),
        results("dear", good, np.where(tokens > 100, tokens, 0)),
    ]
    return comparisons(made, PROTOCOL)[0]


def test_ratios_are_those_of_the_measures(study):
    table = ratios(study, ["thrifty"], ["dear"]).set_index("measure")
    one, other = (study.measures[name]["ibc"].iloc[0] for name in ("thrifty", "dear"))
    assert table.loc["slope", "value"] == pytest.approx((1 + one) / (1 + other))
    assert table.loc["slope", "low"] < table.loc["slope", "value"] < table.loc["slope", "high"]
    backwards = ratios(study, ["dear"], ["thrifty"]).set_index("measure")
    assert backwards.loc["ibc", "value"] == pytest.approx(other / one)
    assert table.loc["slope", "low"] == pytest.approx(1 / backwards.loc["slope", "high"], rel=1e-3)


def test_there_is_no_ratio_to_a_rival_at_zero(study):
    table = ratios(study, ["thrifty"], ["dear"]).set_index("measure")
    low, _ = study.interval(study.measures["dear"]["ibc"].to_numpy()[1:])
    assert table.loc["ibc", "at_zero"] == (low <= NEAR_ZERO)
    assert np.isnan(table.loc["ibc", "value"]) == (low <= NEAR_ZERO)
    assert not table.loc["slope", "at_zero"]


def test_a_unit_in_which_the_weak_model_is_dearer_has_no_measure(study):
    table = units(study, 0.2).set_index(["router", "measure", "unit"])["value"]
    assert set(table.index.get_level_values("unit")) == set(UNITS)
    assert np.isnan(table[("thrifty", "apgr", "all_tokens")])
    assert table[("thrifty", "spent", "strong_tokens")] == pytest.approx(0.2)
    assert table[("always_weak", "spent", "all_tokens")] == pytest.approx(1.2)
    assert table[("thrifty", "apgr", "flops")] > 0.7


def test_the_setting_that_was_fitted_comes_before_the_nearest():
    spent = np.array([0.1, 0.2, 0.5])
    settings = [Setting("tau", tau) for tau in spent]
    assert nearest_setting(settings, spent, 0.2) == 1
    assert nearest_setting([*settings[:2], Setting("budget", 0.2, seed=1)], spent, 0.2) == 2


def test_the_published_run_misses_what_is_claimed_of_it():
    """0.364 alone, 0.730 at 494.8 tokens (design, section 1); 95 % of the gap is reached between two thresholds."""
    points = published_points()
    assert points["accuracy"].iloc[[0, -1]].tolist() == [0.364, 0.73]
    table = published_budgets(PROTOCOL).set_index("measure")
    before, after = (points.set_index("setting").loc[f"tau={tau}"] for tau in (0.75, 0.9))
    share = (0.364 + 0.95 * 0.366 - before["accuracy"]) / (after["accuracy"] - before["accuracy"])
    expected = before["strong_fraction"] + share * (after["strong_fraction"] - before["strong_fraction"])
    assert table.loc["cpt95", "value"] == pytest.approx(expected)
    assert Finding.of_row(table.loc["cpt95"]).at_most(0.2) == FAILS
    assert (table["low"] <= table["value"]).all() and (table["value"] <= table["high"]).all()


@pytest.mark.parametrize(
    ("router", "expected"),
    [
        ("trim_thr", {"cpt50": 0.197, "cpt80": 0.328, "cpt95": 0.442, "apgr": 0.787, "ibc": 1.30, "ibc_front": 1.66}),
        (
            "trim_pomdp",
            {"cpt50": 0.149, "cpt80": 0.253, "cpt95": np.nan, "apgr": 0.758, "ibc": 2.62, "ibc_front": 0.87 * 3.0},
        ),
    ],
)
def test_the_released_runs_have_the_measures_that_others_found(router, expected):
    """Others leave shares that are not reached out of the mean on the front: TRIM-POMDP reaches 87 of 100."""
    table = published_budgets(PROTOCOL, router).set_index("measure")["value"]
    for measure, value in expected.items():
        assert table[measure] == pytest.approx(value, abs=0.005, nan_ok=True), measure


def test_the_released_runs_save_hardly_any_pass_of_the_strong_model():
    costs = published_costs("trim_thr")
    spent = costs[costs["strong_tokens"].between(0.26, 0.44)]
    assert (spent["strong_passes"] > 0.92).all()
    assert (spent["flops_without_prm"] > 1).all()
    # By hand: what stands is read or written by the strong model.
    row = costs.set_index("setting").loc["tau=0.05"]
    assert row["strong_passes"] == pytest.approx((375.468 + 70.684) / 494.8, abs=0.001)


@given(st.floats(-1, 1), st.floats(0, 0.3), st.floats(0, 0.3), st.floats(-1, 1))
def test_verdicts_follow_the_interval(value, below, above, bound):
    found = Finding(value, value - below, value + above)
    verdict = found.at_most(bound)
    assert (verdict == HOLDS) == (found.high <= bound)
    assert (verdict == FAILS) == (found.low > bound)
    opposite = {HOLDS: FAILS, FAILS: HOLDS, OPEN: OPEN}
    if found.low < bound < found.high or found.high < bound or found.low > bound:
        assert found.at_least(bound) == opposite[verdict]


def test_what_is_not_reached_does_not_hold():
    assert Finding(np.nan, np.nan, np.nan).at_most(0.2) == FAILS
    assert str(Finding(np.nan, np.nan, np.nan)) == "not reached"


@pytest.mark.parametrize(
    ("value", "reached", "text"),
    [
        (0.308, 0.84, "0.308 (reached in 84 %)"),
        (0.308, 0.9996, "0.308 (reached in 99 %)"),
        (np.nan, 0.3, "not reached (reached in 30 %)"),
        (np.nan, 0.0, "not reached"),
    ],
)
def test_what_is_reached_now_and_then_is_inconclusive(value, reached, text):
    found = Finding(value, np.nan, np.nan, reached=reached)
    assert str(found) == text
    assert found.at_most(0.2) == (OPEN if reached else FAILS)
