"""Predicted curves of TRIM-Thr: their errors, by hand, for POMDPs of a single step."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from fakes.results import experiment, one_step, sure, write_episodes

from trim.errors import TrimError
from trim.studies.prediction import STUDY

SINGLE = one_step([0.2, 0.8], [0.9, 0.1])
MODELS = {"single": SINGLE, "rule": one_step([0.2, 0.8], [0.9, 0.1], p_weak=0.5), "classes": SINGLE}
# At the bins' edges nothing is solved without the strong model, and everything with half of the calls.
SWEEP = {"tau=0": (False, [0, 0]), "tau=0.5": (True, [50, 0]), "tau=1": (True, [50, 50])}
OTHERS = {"tau=0.3": (False, [0, 0]), "budget=0.2": (False, [0, 0])}


@pytest.fixture
def params(raw):
    routers = {"trim_thr": {"thresholds": [0, 1]}, "trim_pomdp": {"costs": [1, 2], "only": ["standard"]}}
    return experiment(raw, routers, ["long", "standard"])


def measure(params, folder, settings, models=MODELS):
    for name, model in models.items():
        model.save(folder / f"calibration/standard/{name}.json")
    write_episodes(folder / "episodes/standard/trim_thr.parquet", settings)
    for benchmark in STUDY.measurement.benchmarks(params):
        STUDY.measure(params, benchmark, folder)


def test_thresholds_at_edges_of_bins_are_predicted_and_others_left_out(params, tmp_path):
    measure(params, tmp_path, OTHERS | SWEEP)
    points = pd.read_csv(tmp_path / "studies/prediction/standard.points.csv")
    single = points[points["model"] == "single"]
    assert single["threshold"].tolist() == [0, 0.5, 1]
    # Below 0.5 lie 0.2 of the right drafts and 0.9 of the wrong ones: 0.6 · 0.2 + 0.4 · 0.9 are rewritten.
    assert single["calls"].tolist() == pytest.approx([0, 0.48, 1])
    assert single["accuracy"].tolist() == pytest.approx([0.6, 0.6 * 0.8 + 0.48 * 0.9, 0.9])
    assert single["measured_calls"].tolist() == [0, 0.5, 1]
    assert single["measured_accuracy"].tolist() == [0, 1, 1]
    assert points["model"].value_counts().to_dict() == {"single": 3, "rule": 3, "classes": 3}


def test_calls_are_a_share_of_all_steps(params, tmp_path):
    two = replace(SINGLE, hazard=np.array([[0.0, 1.0]]))
    measure(params, tmp_path, SWEEP, MODELS | {"classes": two})
    points = pd.read_csv(tmp_path / "studies/prediction/standard.points.csv")
    # At the second step 0.912 are right so far, and after an error drafts score as wrong ones do.
    second = 0.912 * 0.48 + 0.088 * 0.9
    assert points.loc[points["model"] == "classes", "calls"].tolist() == pytest.approx([0, (0.48 + second) / 2, 1])


def test_errors_are_means_over_thresholds_and_differ_from_those_of_the_first_model(params, tmp_path):
    measure(params, tmp_path, SWEEP)
    table = STUDY.table(tmp_path, params)
    assert set(table["benchmark"]) == {"Standard"}
    assert list(zip(table["model"], table["vs"])) == [
        ("labelled steps", ""),
        ("threshold rule", ""),
        ("threshold rule", "labelled steps"),
        ("difficulty classes", ""),
        ("difficulty classes", "labelled steps"),
    ]
    single = (0.6 + (1 - 0.912) + 0.1) / 3, 0.02 / 3
    rule = (0.5 + (1 - 0.895) + 0.1) / 3, 0.05 / 3
    for column, number in (("accuracy", 0), ("calls", 1)):
        mine, other = single[number], rule[number]
        assert table[column].tolist() == [sure(v) for v in (mine, other, other - mine, mine, 0)]


def test_the_curve_is_read_at_equal_calls(params, tmp_path):
    measure(params, tmp_path, SWEEP)
    table = STUDY.table(tmp_path, params)
    # At half of the calls, between 0.48 and 1 in the first model, between 0 and 0.55 in the second.
    single = 0.912 + 0.02 / 0.52 * (0.9 - 0.912)
    rule = 0.5 + 0.5 / 0.55 * (0.895 - 0.5)
    expected = [(0.6 + (1 - single) + 0.1) / 3, (0.5 + (1 - rule) + 0.1) / 3]
    assert table["curve"].tolist()[:2] == [sure(value) for value in expected]


def test_a_sweep_without_an_edge_is_refused(params, tmp_path):
    with pytest.raises(TrimError, match=r"no threshold is a multiple of 0\.5"):
        measure(params, tmp_path, OTHERS)
