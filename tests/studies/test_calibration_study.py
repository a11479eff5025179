"""The table of calibrated POMDPs: parameters, distances and the threshold rule's errors, by hand."""

from dataclasses import replace

import numpy as np
import pytest
from fakes.results import experiment, one_step

from trim.files import write_json
from trim.studies.calibration import STUDY

SINGLE = one_step([0.2, 0.8], [0.9, 0.1])
MODELS = {
    "single": SINGLE,
    "rule": one_step([0.4, 0.6], [0.9, 0.1], p_weak=0.5),
    "classes": replace(
        SINGLE,
        prior=np.array([0.25, 0.75]),
        p_weak=np.array([0.5, 0.9]),
        p_strong=np.array([0.7, 0.95]),
        hazard=np.ones((2, 1)),
        observation=np.array([[[0.2, 0.8]], [[0.7, 0.3]], [[0.5, 0.5]]]),
    ),
}
RULE = {"solutions": 9, "wrong": 0.5, "wrong_by_rule": 0.4, "exact": 0.7, "earlier": 0.2, "later": 0.1}


@pytest.fixture
def table(raw, tmp_path):
    planner = {"trim_pomdp": {"costs": [1, 2], "only": ["standard"]}, "random": {"probabilities": [0.5]}}
    params = experiment(raw, planner, ["long", "standard"])
    folder = tmp_path / "calibration/standard"
    for name, model in MODELS.items():
        model.save(folder / f"{name}.json")
    strong = {"wrong": 0.1, "wrong_by_rule": 0.05, "exact": 1.0, "earlier": 0.0, "later": 0.0}
    write_json(folder / "agreement.json", {"weak": RULE, "strong": strong})
    return STUDY.table(tmp_path, params)


def test_only_benchmarks_with_a_planner_have_rows(table):
    assert table["benchmark"].tolist() == ["Standard"] * 3
    assert table["labels"].tolist() == ["labelled steps", "threshold rule", "difficulty classes"]


def test_parameters_of_all_classes_are_listed(table):
    assert table["p_weak"].tolist() == ["0.600", "0.500", "0.500, 0.900"]
    assert table["p_strong"].tolist() == ["0.900", "0.900", "0.700, 0.950"]
    assert table["prior"].tolist() == ["1.000", "1.000", "0.250, 0.750"]
    assert table["mean tokens"].tolist() == ["12.50"] * 3


def test_auc_is_of_right_steps_against_first_wrong_ones(table):
    # 0.2 · 0.9/2 + 0.8 · (0.9 + 0.1/2), and so on
    assert table["AUC"].tolist() == ["0.850", "0.750", "0.650"]


def test_distances_are_total_variation_from_the_labelled_density_of_the_same_state(table):
    assert table["apart S0"].tolist() == ["0.000", "0.200", "0.000"]
    assert table["apart S1"].tolist() == ["0.000", "0.000", "0.200"]
    assert table["apart S2"].tolist() == ["0.000", "0.000", "0.400"]


def test_the_rule_has_its_own_share_of_wrong_solutions_and_alone_has_errors(table):
    assert table["weak wrong"].tolist() == ["0.500", "0.400", "0.500"]
    assert table["strong wrong"].tolist() == ["0.100", "0.050", "0.100"]
    assert table[["exact", "earlier", "later"]].to_numpy().tolist() == [[""] * 3, ["0.700", "0.200", "0.100"], [""] * 3]
