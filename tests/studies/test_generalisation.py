"""Routers that were fitted on one benchmark and used on all: cells with ranks, and how far the order holds."""

import pytest
from fakes.results import experiment, write_csv

from trim.studies.generalisation import STUDY

COLUMNS = "benchmark router measure value low high spread reached"
THR = {"type": "trim_thr", "thresholds": [0, 1]}
ROUTERS = {
    "carried": THR | {"title": "Carried", "fit_on": "standard"},
    "one": THR | {"title": "One", "only": ["standard"], "fit_on": "standard"},
    "each": THR | {"title": "Each"},
    "other": THR | {"title": "Other", "only": ["standard", "hard"]},
    "last": THR | {"title": "Last", "fit_on": "standard"},
}
VALUES = {
    "standard": {"carried": 0.9, "one": 0.95, "each": 0.7, "other": 0.8, "last": 0.6},
    "long": {"carried": 0.4, "each": 0.5, "last": 0.6},
    "hard": {"carried": 0.3, "each": 0.1, "other": 0.2, "last": None},
}


@pytest.fixture
def table(raw, tmp_path):
    rows = [
        (benchmark, router, measure, value, *((value, value) if value else (None, None)), None, 1 if value else 0.0)
        for benchmark, values in VALUES.items()
        for router, value in values.items()
        for measure in ("acc@20", "apgr", "acc@10")
    ]
    rows[0] = ("standard", "carried", "acc@20", 0.9, 0.8, 1.0, 0.02, 1)
    write_csv(tmp_path / "measures.csv", COLUMNS, rows)
    params = experiment(raw, ROUTERS, list(VALUES), evaluation={"baselines": ["each", "other"]})
    return STUDY.table(tmp_path, params).set_index(["measure", "router"])


def test_shown_are_routers_that_were_carried_over_and_baselines(table):
    names = ["Carried", "Each", "Other", "Last", "rank correlation with the first benchmark"]
    assert table.index.tolist() == [(measure, name) for measure in ("acc@20", "apgr") for name in names]
    assert list(table) == ["Standard", "Long chains", "Hard operations"]


def test_ranks_are_among_the_routers_of_a_benchmark_best_first(table):
    apgr = table.loc["apgr"]
    assert apgr["Standard"].tolist()[:4] == [
        "0.900 [0.900, 0.900] (1)", "0.700 [0.700, 0.700] (3)", "0.800 [0.800, 0.800] (2)", "0.600 [0.600, 0.600] (4)",
    ]  # fmt: skip
    assert apgr["Long chains"].tolist()[:4] == [
        "0.400 [0.400, 0.400] (3)", "0.500 [0.500, 0.500] (2)", "", "0.600 [0.600, 0.600] (1)",
    ]  # fmt: skip


def test_a_number_that_is_not_reached_has_no_rank(table):
    assert table.loc[("apgr", "Last"), "Hard operations"] == "not reached"


def test_intervals_and_the_spread_over_seeds_come_before_the_rank(table):
    assert table.loc[("acc@20", "Carried"), "Standard"] == "0.900 [0.800, 1.000] ± 0.020 (1)"


def test_the_order_is_compared_with_that_on_the_first_benchmark(table):
    same = table.loc[("apgr", "rank correlation with the first benchmark")]
    # Reversed on long chains; on hard ones the three that are ranked there are in the order 1, 3, 2.
    assert same.tolist() == ["1.00", "-1.00", "1.00"]


def test_an_experiment_that_fits_everything_everywhere_has_no_such_study(raw):
    assert not STUDY.made(experiment(raw, {"each": THR}, ["standard", "long"]))
    assert STUDY.made(experiment(raw, {"carried": THR | {"fit_on": "standard"}}, ["standard", "long"]))
