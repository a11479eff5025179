"""Ceilings: what they reach, and how far every router is from each of them."""

import pandas as pd
import pytest
from fakes.results import experiment, sure, write_ends, write_episodes

from trim.studies.ceiling import STUDY

MEASURES = ["acc@10", "acc@20", "acc@30", "apgr"]


@pytest.fixture
def params(raw):
    routers = {"trim_thr": {"thresholds": [0, 1]}}
    return experiment(raw, routers, ["standard", "long"], trees=["standard"], ceiling={"costs": [0.01]})


@pytest.fixture
def results(params, tmp_path):
    """A router and ceilings that solve everything at 40, 20, 10 and 5 % of always-strong's tokens."""
    write_ends(tmp_path / "episodes/standard")
    write_episodes(tmp_path / "episodes/standard/trim_thr.parquet", {"tau=1": (True, 40)})
    for name, tokens in (("features", 20), ("hindsight", 10), ("clairvoyant", 5)):
        write_episodes(tmp_path / f"studies/ceiling/standard/{name}.parquet", {"cost=0.01": (True, tokens)})
    for benchmark in STUDY.measurement.benchmarks(params):
        STUDY.measure(params, benchmark, tmp_path)
    return tmp_path


def test_points_are_those_of_the_ceilings(results):
    points = pd.read_csv(results / "studies/ceiling/standard.points.csv")
    assert points["router"].tolist() == ["features", "hindsight", "clairvoyant"]
    assert points["strong_fraction"].tolist() == [0.2, 0.1, 0.05]
    assert points["pgr"].tolist() == [1, 1, 1]


def test_every_router_and_ceiling_has_a_row_and_every_router_a_distance(params, results):
    table = STUDY.table(results, params)
    assert set(table["benchmark"]) == {"Standard"}
    ceilings = ["five features, fitted", "five features, in hindsight", "clairvoyant"]
    assert list(zip(table["router"], table["vs"])) == [
        ("TRIM-Thr", ""), *((name, "") for name in ceilings), *(("TRIM-Thr", name) for name in ceilings),
    ]  # fmt: skip
    # A curve that reaches 1 at a share s is at b/s below it, and its mean height is 1 - s/2.
    heights = [[0.25, 0.5, 0.75, 0.8], [0.5, 1, 1, 0.9], [1, 1, 1, 0.95], [1, 1, 1, 0.975]]
    expected = heights + [[mine - best for mine, best in zip(heights[0], row)] for row in heights[1:]]
    assert table[MEASURES].to_numpy().tolist() == [[sure(value) for value in row] for row in expected]


def test_seeds_of_a_trained_router_have_a_spread(params, results):
    settings = {"cost=1 seed=0": (True, 40), "cost=1 seed=1": (True, 80)}
    write_episodes(results / "episodes/standard/trim_thr.parquet", settings)
    STUDY.measure(params, "standard", results)
    row = STUDY.table(results, params).iloc[0]
    # 0.5 and 0.25 at a budget of 20 %; either seed may be drawn
    assert row["acc@20"] == "0.375 [0.250, 0.500] ± 0.177"


def test_without_costs_or_trees_there_is_no_such_study(raw):
    routers = {"trim_thr": {"thresholds": [0, 1]}}
    assert not STUDY.made(experiment(raw, routers, trees=["standard"]))
    assert not STUDY.made(experiment(raw, routers, ceiling={"costs": [0.01]}))
    assert STUDY.made(experiment(raw, routers, trees=["standard"], ceiling={"costs": [0.01]}))
