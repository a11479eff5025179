"""Measures in every unit of cost: a row per router, regime and measure, a column per unit."""

import pytest
from fakes.results import experiment, sure, write_csv

from trim.ledger.units import UNIT_TITLES
from trim.studies.units import STUDY

COLUMNS = "benchmark router measure value low high spread reached unit cache"


@pytest.fixture
def table(raw, tmp_path):
    rows = [
        ("long", "trim_thr", "spent", 0.2, 0.2, 0.2, None, 1, "strong_tokens", "prefix"),
        ("standard", "always_strong", "spent", 1, 1, 1, None, 1, "flops", "prefix"),
        ("standard", "always_weak", "spent", 0.1, 0.1, 0.1, None, 1, "flops", "prefix"),
        ("standard", "random", "spent", 0.3, 0.3, 0.3, None, 1, "strong_tokens", "prefix"),
        ("standard", "trim_thr", "spent", 0.25, 0.2, 0.3, 0.05, 1, "strong_tokens", "prefix"),
        ("standard", "trim_thr", "cpt95", None, None, None, None, 0.4, "strong_tokens", "prefix"),
        ("standard", "trim_thr", "spent", 0.7, 0.7, 0.7, None, 1, "flops", "prefix"),
        ("standard", "trim_thr", "spent", 1.2, 1.2, 1.2, None, 1, "flops", "none"),
    ]
    write_csv(tmp_path / "units.csv", COLUMNS, rows)
    routers = {"random": {"probabilities": [0.5]}, "trim_thr": {"thresholds": [0, 1]}}
    return STUDY.table(tmp_path, experiment(raw, routers, ["standard", "long"]))


def test_rows_are_those_of_the_results_without_the_ends(table):
    assert table[["benchmark", "router", "measure"]].to_numpy().tolist() == [
        ["Long chains", "TRIM-Thr", "spent"],
        ["Standard", "Random", "spent"],
        ["Standard", "TRIM-Thr", "spent"],
        ["Standard", "TRIM-Thr", "cpt95"],
        ["Standard", "TRIM-Thr", "spent"],
    ]
    prefix, none = "each model keeps a prefix cache", "every call reads all again"
    assert table["reading"].tolist() == [prefix] * 4 + [none]


def test_every_unit_has_a_column_and_an_empty_cell_where_it_was_not_measured(table):
    assert list(table) == ["benchmark", "router", "reading", "measure", *UNIT_TITLES.values()]
    assert table["strong tokens written"].tolist() == [
        sure(0.2), sure(0.3), "0.250 [0.200, 0.300] ± 0.050", "not reached (reached in 40 %)", "",
    ]  # fmt: skip
    assert table["FLOPs"].tolist() == ["", "", sure(0.7), "", sure(1.2)]
    assert set(table["money"]) == {""}
