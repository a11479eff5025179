"""The released runs and the paper's figures beside the same routers here."""

import pytest
from fakes.results import experiment, write_csv

from trim.evaluation.published import RELEASED_FOR, reported_for
from trim.studies.paper import STUDY

MEASURES = ["cpt50", "cpt95", "apgr", "aiq", "ibc", "ibc_front", "acc@10", "acc@20", "acc@30"]
HERE = ["here: Standard", "here: Long chains"]


@pytest.fixture
def made(raw, tmp_path):
    def table(*names):
        rows = [
            ("standard", "trim_thr", "cpt50", 0.25, 0.2, 0.3, 1),
            ("standard", "trim_thr", "cpt95", None, None, None, 0),
            ("standard", "trim_thr", "latency", 9, 9, 9, 1),
            ("standard", "random", "apgr", 0.1, 0.1, 0.1, 1),
            ("long", "trim_thr", "cpt50", 0.4, None, None, 0.6),
        ]
        write_csv(tmp_path / "measures.csv", "benchmark router measure value low high reached", rows)
        known = {"trim_thr": {"thresholds": [0, 1]}, "trim_pomdp": {"costs": [1, 2]}}
        known |= {"random": {"probabilities": [0.5]}}
        params = experiment(raw, {name: known[name] for name in names}, ["standard", "long"])
        return STUDY.table(tmp_path, params)

    return table


def test_released_runs_come_first_then_this_experiment_then_what_is_reported(made):
    table = made("trim_thr", "trim_pomdp", "random")
    assert list(table) == ["router", "run", *MEASURES]
    assert table["run"].tolist() == [RELEASED_FOR, *HERE] * 2 + [f"MATH-500, {reported_for()}"] * 4
    assert table["router"].tolist()[:6] == ["TRIM-Thr"] * 3 + ["TRIM-POMDP"] * 3
    assert set(table["router"].tolist()[6:]) == {"TRIM-Thr", "TRIM-POMDP", "TRIM-Agg", "AutoMix-PRM"}


def test_a_router_that_this_experiment_lacks_is_left_out_but_what_is_reported_stays(made):
    table = made("trim_thr", "random")
    assert table["run"].tolist() == [RELEASED_FOR, *HERE] + [f"MATH-500, {reported_for()}"] * 4


def test_cells_are_those_of_the_measures_and_empty_where_there_is_none(made):
    standard, long = made("trim_thr", "random")[["cpt50", "cpt95", "apgr"]].to_numpy().tolist()[1:3]
    assert standard == ["0.250 [0.200, 0.300]", "not reached", ""]
    assert long == ["0.400 (reached in 60 %)", "", ""]


def test_the_released_run_has_the_measures_of_this_experiment(made):
    row = made("trim_thr", "random").iloc[0]
    assert row["cpt50"].startswith("0.197 [") and row["cpt95"].startswith("0.442 [")
    assert all("[" in row[measure] for measure in MEASURES)


def test_what_is_reported_has_no_interval(made):
    table = made("trim_thr", "random").tail(4).set_index("router")
    assert table["cpt95"].to_dict() == {
        "TRIM-Thr": "", "TRIM-POMDP": "0.1798", "TRIM-Agg": "0.1721", "AutoMix-PRM": "0.5396",
    }  # fmt: skip
    assert table["ibc"].to_dict() == {
        "TRIM-Thr": "4.75", "TRIM-POMDP": "5.86", "TRIM-Agg": "5.67", "AutoMix-PRM": "0.95",
    }  # fmt: skip
    assert set(table["apgr"]) == {""}


def test_it_needs_trim_thr(raw):
    assert not STUDY.made(experiment(raw, {"trim_pomdp": {"costs": [1, 2]}}))
