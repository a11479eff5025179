"""The published calibration: simulated points keep to the bound and the closed form, released ones to their counts."""

import numpy as np
import pytest
from fakes.results import experiment, write_csv

from trim.evaluation.published import published_model
from trim.pomdp.planner import plan
from trim.studies.published import COLUMNS, OBSERVATION, RELEASED, STUDY, VARIANTS

SOLUTIONS, COSTS = 1000, [0.2, 100]
DEVIATIONS = 1.959964  # of a normal distribution, to each side of 95 %


@pytest.fixture(scope="module")
def params(raw):
    simulation = {"solutions": SOLUTIONS, "costs": COSTS}
    return experiment(raw, {"trim_pomdp": {"costs": [1, 2]}}, simulation=simulation)


@pytest.fixture(scope="module")
def points(params, tmp_path_factory):
    return STUDY.measurement.make(params, OBSERVATION, tmp_path_factory.mktemp("published"))[""]


def alone(right):
    """The share of solutions that end with all steps right, where each is with a probability, and their mean length."""
    reached, solved, steps = 1.0, 0.0, 0.0
    for step, hazard in enumerate(published_model().hazard[0], 1):
        solved += reached * hazard * right**step
        steps += reached
        reached *= 1 - hazard
    return solved, steps


WEAK, STRONG = (alone(rates[0]) for rates in (published_model().p_weak, published_model().p_strong))


def test_every_variant_is_simulated_at_every_cost(points):
    simulated = points[points["router"].isin(list(VARIANTS))]
    expected = [(name, f"cost={cost:g}") for name in VARIANTS for cost in COSTS]
    assert list(zip(simulated["router"], simulated["setting"])) == expected


def test_no_variant_is_worth_more_than_the_bound(points):
    simulated = points[points["router"].isin(list(VARIANTS))]
    assert (simulated["value_low"] <= simulated["bound"]).all()
    # In all of them the bound is that from above for a policy that sees all scores.
    upper = plan(published_model(), COSTS).start[:, 1].tolist()
    assert simulated["bound"].tolist() == pytest.approx(upper * len(VARIANTS))
    # The paper's rule acts under a restriction; the plan's own policy comes near to what is possible.
    best = simulated.set_index(["router", "setting"]).loc[("POMDP, pair filter", "cost=0.2")]
    assert best["value_high"] > 0.99 * best["bound"]


def test_the_value_is_what_right_solutions_are_worth_less_what_is_paid(points):
    simulated = points[points["router"].isin(list(VARIANTS))]
    cost = simulated["setting"].str.removeprefix("cost=").astype(float)
    assert simulated["value"].to_numpy() == pytest.approx(100 * simulated["accuracy"] - 60 * cost * simulated["calls"])


def test_where_a_step_costs_more_than_a_solution_none_is_handed_over(points):
    costly = points[points["setting"] == "cost=100"]
    assert (costly["calls"] == 0).all()
    assert costly["bound"].to_numpy() == pytest.approx(100 * WEAK[0], abs=0.1)
    spread = DEVIATIONS * np.sqrt(costly["accuracy"] * (1 - costly["accuracy"]) / SOLUTIONS)
    assert (np.abs(costly["accuracy"] - WEAK[0]) < 2 * spread).all()
    assert (costly["high"] - costly["accuracy"]).to_numpy() == pytest.approx(spread, abs=1e-6)
    assert (costly["accuracy"] - costly["low"]).to_numpy() == pytest.approx(spread, abs=1e-6)


def test_thresholds_are_predicted_without_an_interval_or_a_value(points):
    predicted = points[points["router"] == "TRIM-Thr, predicted"].set_index("setting")
    assert len(predicted) == 21
    assert predicted.loc["tau=0", ["accuracy", "calls"]].tolist() == pytest.approx([WEAK[0], 0])
    assert predicted.loc["tau=1", ["accuracy", "calls"]].tolist() == pytest.approx(STRONG)
    assert predicted["calls"].is_monotonic_increasing
    assert predicted[["low", "high", "value", "value_low", "value_high", "bound"]].isna().all(axis=None)


def test_released_points_have_the_intervals_of_their_counts(points):
    released = points[points["router"] == RELEASED["trim_thr"]].set_index("setting")
    spread = DEVIATIONS * np.sqrt(0.364 * 0.636 / 500)
    assert released.loc["tau=0", ["accuracy", "low", "high"]].tolist() == pytest.approx(
        [0.364, 0.364 - spread, 0.364 + spread], abs=1e-6
    )
    assert (points["router"] == RELEASED["trim_pomdp"]).sum() == 8


def test_what_a_point_lacks_is_an_empty_cell(params, tmp_path):
    rows = [
        ("TRIM-POMDP", "cost=0.2", 0.9, 0.85, 0.95, 1.23456, 75, 70, 80, 71.71168),
        ("TRIM-Thr, predicted", "tau=0", 0.4, None, None, 0, None, None, None, None),
    ]
    write_csv(tmp_path / f"studies/published/{OBSERVATION}.csv", " ".join(COLUMNS), rows)
    table = STUDY.table(tmp_path, params)
    assert list(table) == ["router", "setting", "accuracy", "calls", "value", "bound"]
    first, second = table.to_numpy().tolist()
    assert first[2:] == ["0.900 [0.850, 0.950]", 1.2346, "75.000 [70.000, 80.000]", 71.7117]
    assert second[2:5] == ["0.400", 0, ""] and np.isnan(second[5])
