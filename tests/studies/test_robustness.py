"""Distorted scores: measures, what is kept of the accuracy, differences between routers, and the scores' AUC."""

import pandas as pd
import pytest
from fakes.results import experiment, one_step, sure, write_ends, write_episodes

from trim.studies.robustness import STUDY

# Tokens with which both routers solve everything, and the masses of right and first wrong drafts' scores.
CASES = {
    "": ((40, 20), ([0.2, 0.8], [0.9, 0.1])),
    "noise-1": ((80, 40), ([0.4, 0.6], [0.9, 0.1])),
    "temperature-2": ((40, 10), ([0.5, 0.5], [0.5, 0.5])),
}


@pytest.fixture(scope="module")
def params(raw):
    thr = {"type": "trim_thr", "thresholds": [0, 1]}
    routers = {
        "trim_thr": thr,
        "thr_small": thr | {"title": "Small", "reward_model": "small"},
        "random": {"probabilities": [0.5]},
    }
    section = {
        "benchmarks": ["standard"], "routers": ["trim_thr", "thr_small"], "noise": [1], "temperature": [2],
    }  # fmt: skip
    trained = {"small": {"start": "weak", "labels": "steps"}}
    return experiment(raw, routers, ["long", "standard"], robustness=section, reward_models=trained)


@pytest.fixture(scope="module")
def results(params, tmp_path_factory):
    folder = tmp_path_factory.mktemp("robustness")
    write_ends(folder / "episodes/standard")
    for case, (tokens, masses) in CASES.items():
        place = folder / ("studies/robustness/standard/" + case if case else "episodes/standard")
        for router, spent in zip(("trim_thr", "thr_small"), tokens):
            write_episodes(place / f"{router}.parquet", {"-": (True, spent)})
        model = place if case else folder / "calibration/standard"
        one_step(*masses).save(model / "single.json")
    assert STUDY.measurement.benchmarks(params) == ["standard"]
    STUDY.measure(params, "standard", folder)
    return folder


@pytest.fixture(scope="module")
def table(params, results):
    return STUDY.table(results, params)


def test_undistorted_scores_come_first_and_differences_last(table):
    rows = [("TRIM-Thr", ""), ("Small", ""), ("Small", "TRIM-Thr")]
    assert list(zip(table["router"], table["vs"])) == rows * 3
    assert table["distortion"].tolist() == ["none"] * 3 + ["noise"] * 3 + ["temperature"] * 3
    assert table["strength"].tolist() == [0] * 3 + [1] * 3 + [2] * 3
    assert set(table["benchmark"]) == {"Standard"}


def test_accuracies_and_their_differences(table):
    # Who reaches 1 at a share s of the tokens is at 0.2/s, at most 1, for a fifth of them.
    expected = [0.5, 1, 0.5, 0.25, 0.5, 0.25, 0.5, 1, 0.5]
    assert table["acc@20"].tolist() == [sure(value) for value in expected]
    assert table["apgr"].tolist() == [sure(v) for v in (0.8, 0.9, 0.1, 0.6, 0.8, 0.2, 0.8, 0.95, 0.15)]


def test_what_is_kept_is_over_the_same_router_on_undistorted_scores(table):
    whole, half = sure(1), sure(0.5)
    assert table["kept"].tolist() == [whole, whole, "", half, half, "", whole, whole, ""]


def test_auc_is_shown_of_routers_that_read_the_calibrated_scores(table):
    own = table[table["router"] == "TRIM-Thr"]
    assert own["auc"].tolist() == [0.85, 0.75, 0.5]
    assert table.loc[table["router"] == "Small", "auc"].isna().all()


def test_only_the_studied_routers_are_measured(results):
    measured = pd.read_csv(results / "studies/robustness/standard.csv")
    assert set(measured["router"]) == {"trim_thr", "thr_small"}
    assert set(measured["baseline"].dropna()) == {"trim_thr"}
