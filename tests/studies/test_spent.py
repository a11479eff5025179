"""What a solution costs in all: the units in which a router saves, under each regime, and the released runs."""

import pytest
from fakes.results import experiment, sure, write_csv

from trim.ledger.units import UNITS, WRITTEN
from trim.studies.spent import STUDY

COLUMNS = "benchmark router measure value low high spread reached unit cache"
ROUTERS = {"trim_thr": {"thresholds": [0, 1]}, "random": {"probabilities": [0.5]}}


def spent(router, cache, value, low, high, benchmark="standard", **others):
    """A row for each unit of a regime; `others` are the numbers of single units."""
    return [
        (benchmark, router, "spent", *others.get(unit, (value, low, high)), None, 1, unit, cache)
        for unit in UNITS
        if cache == "prefix" or unit not in WRITTEN
    ]


@pytest.fixture
def made(raw, tmp_path):
    def table(rows, budget=0.2, routers=ROUTERS):
        write_csv(tmp_path / "units.csv", COLUMNS, rows)
        evaluation = {"budgets": [0.1, budget, 0.5]}
        return STUDY.table(tmp_path, experiment(raw, routers, ["standard", "long"], evaluation=evaluation))

    return table


def test_a_unit_is_saved_where_the_whole_interval_lies_below_one(made):
    table = made(
        spent(
            "trim_thr", "prefix", 1.2, 1.1, 1.3, strong_tokens=(0.2, 0.1, 0.3), flops=(0.9, 0.8, 0.999),
            money=(0.9, 0.8, 1.0), latency=(0.9, None, None),
        )
    )  # fmt: skip
    assert table.loc[0, "saves in"] == "strong tokens written; FLOPs"


def test_a_router_that_saves_nothing_is_labelled_so(made):
    table = made(spent("trim_thr", "prefix", 1.2, 1.0, 1.3))
    assert table.loc[0, "saves in"] == "nothing"


def test_what_is_written_costs_the_same_in_every_regime(made):
    rows = spent("trim_thr", "prefix", 0.5, 0.5, 0.5, strong_tokens=(0.2, 0.2, 0.2))
    table = made([*rows, *spent("trim_thr", "none", 1.5, 1.5, 1.5)])
    assert table["reading"].tolist()[:2] == ["each model keeps a prefix cache", "every call reads all again"]
    assert table["strong tokens written"].tolist()[:2] == [sure(0.2)] * 2
    assert table["latency, writing"].tolist()[:2] == [sure(0.5)] * 2
    assert table["FLOPs"].tolist()[:2] == [sure(0.5), sure(1.5)]
    assert table.loc[1, "saves in"] == "strong tokens written; latency, writing"


def test_rows_are_by_benchmark_and_router_and_always_strong_is_the_unit(made):
    ones = [
        [("standard", "random", "cpt50", 0.7, 0.7, 0.7, None, 1, "flops", "prefix")],
        spent("always_strong", "prefix", 1, 1, 1),
        spent("trim_thr", "prefix", 0.5, 0.5, 0.5, benchmark="long"),
        spent("random", "prefix", 0.4, 0.4, 0.4),
        spent("always_weak", "prefix", 0.1, 0.1, 0.1),
    ]
    table = made([row for rows in ones for row in rows])
    assert table[["benchmark", "router", "FLOPs"]].to_numpy().tolist()[:-2] == [
        ["Standard", "Random", sure(0.4)],
        ["Standard", "Always weak", sure(0.1)],
        ["Long chains", "TRIM-Thr", sure(0.5)],
    ]


# Always-strong wrote 494.8 tokens. Nearest to 99 and 198 of them are 98.2 and 204.8 by thresholds, and 95.1 and 172.4.
@pytest.mark.parametrize(("budget", "threshold", "cost"), [(0.2, "0.1", "0.45"), (0.4, "0.85", "0.15")])
def test_the_released_point_nearest_to_the_middle_budget_is_shown(made, budget, threshold, cost):
    table = made(spent("trim_thr", "prefix", 1, 1, 1), budget).tail(2)
    assert table["benchmark"].tolist() == ["MATH-500 (released)"] * 2
    # The second is no router of this experiment, and so has no title.
    names = [f"TRIM-Thr, released, tau={threshold}", f"trim_pomdp, released, cost={cost}"]
    assert table["router"].tolist() == names
    assert set(table["reading"]) == {"at most: each model keeps a prefix cache"}


def test_the_released_run_saves_the_units_that_are_below_one(made):
    row = made(spent("trim_thr", "prefix", 1, 1, 1)).iloc[-2]
    # 98.218 tokens written, beside 381.99 drafted ones that stand and 109.234 that were thrown away, of 494.84.
    assert row["strong tokens written"] == f"{98.218 / 494.84:.3f}"
    assert row["strong passes"] == f"{(98.218 + 381.99) / 494.84:.3f}"
    assert float(row["FLOPs without PRM"]) > 1
    assert row["saves in"] == "strong tokens written; strong passes"
    assert row["money"] == ""  # which was not released
