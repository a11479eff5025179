"""Routers that were fitted elsewhere: their measures, what they keep, and whether their order holds."""

import pandas as pd
import pytest
from fakes.results import experiment, sure, write_csv, write_ends, write_episodes

from trim.studies.transfer import STUDY

ROUTERS = ("trim_thr", "uncertainty")
# Tokens with which a router, as fitted on a source, solves everything on a benchmark.
TOKENS = {
    ("trim_thr", "standard", "standard"): 40,
    ("trim_thr", "long", "standard"): 80,
    ("trim_thr", "long", "long"): 20,
    ("trim_thr", "standard", "long"): 80,
    ("uncertainty", "standard", "standard"): 20,
    ("uncertainty", "long", "standard"): 20,
    ("uncertainty", "long", "long"): 40,
    ("uncertainty", "standard", "long"): 60,
}


@pytest.fixture(scope="module")
def params(raw):
    routers = {"trim_thr": {"thresholds": [0, 1]}, "uncertainty": {}}
    return experiment(raw, routers, ["standard", "long"], transfer={"routers": list(ROUTERS)})


@pytest.fixture(scope="module")
def results(params, tmp_path_factory):
    folder = tmp_path_factory.mktemp("transfer")
    for benchmark in params.benchmarks:
        write_ends(folder / "episodes" / benchmark, benchmark)
    for (router, source, benchmark), tokens in TOKENS.items():
        name = f"episodes/{benchmark}/{router}.parquet"
        if source != benchmark:
            name = f"studies/transfer/{benchmark}/episodes/{source}.{router}.parquet"
        write_episodes(folder / name, {"-": (True, tokens)}, benchmark)
    for benchmark in STUDY.measurement.benchmarks(params):
        STUDY.measure(params, benchmark, folder)
    return folder


def test_every_router_is_shown_as_fitted_on_every_benchmark(params, results):
    table = STUDY.table(results, params).head(4)
    assert table["router"].tolist() == ["TRIM-Thr"] * 2 + ["Weak log-probability"] * 2
    assert table["fitted on"].tolist() == ["Standard", "Long chains"] * 2
    # The mean height of a curve that reaches 1 at a share s is 1 - s/2.
    assert table["Standard"].tolist() == [sure(0.8), sure(0.6), sure(0.9), sure(0.9)]
    assert table["Long chains"].tolist() == [sure(0.6), sure(0.9), sure(0.7), sure(0.8)]


def test_the_order_of_routers_is_compared_with_that_of_those_fitted_where_they_are_used(params, results):
    table = STUDY.table(results, params).tail(2)
    assert table["router"].tolist() == ["rank correlation with routers fitted there"] * 2
    assert table["fitted on"].tolist() == ["Standard", "Long chains"]
    # On long chains those from the first benchmark come in the other order.
    assert table["Standard"].tolist() == ["1.00", "1.00"]
    assert table["Long chains"].tolist() == ["-1.00", "1.00"]


def test_the_order_alone_is_compared_and_a_number_that_is_not_reached_is_shown_as_such(raw, tmp_path):
    names = [*ROUTERS, "hybridllm"]
    routers = {"trim_thr": {"thresholds": [0, 1]}, "uncertainty": {}, "hybridllm": {}}
    params = experiment(raw, routers, ["standard", "long"], transfer={"routers": names})
    values = {("standard", "standard"): [0.1, 0.2, 0.3], ("long", "standard"): [0.1, 0.11, 0.9]}
    values |= {("standard", "long"): [0.1, 0.2, 0.3], ("long", "long"): [0.3, 0.1, None]}
    for used in ("standard", "long"):
        rows = [
            (source, used, name, "apgr", value, None, None, None, 0.0)
            for source in ("standard", "long")
            for name, value in zip(names, values[source, used])
        ]
        columns = "source benchmark router measure value low high spread reached"
        write_csv(tmp_path / f"studies/transfer/{used}.csv", columns, rows)
    table = STUDY.table(tmp_path, params)
    assert table["Standard"].tolist()[-2:] == ["1.00", "1.00"]
    assert table["Long chains"].tolist()[-2:] == ["-1.00", "1.00"]  # of the two that are reached
    assert table["Long chains"].tolist()[5] == "not reached"


def test_what_is_kept_is_the_apgr_over_that_of_the_router_fitted_there(results):
    for benchmark in ("standard", "long"):
        measured = pd.read_csv(results / f"studies/transfer/{benchmark}.csv")
        assert set(measured["router"]) == set(ROUTERS)
        kept = measured[measured["measure"] == "kept"].set_index(["router", "source"])
        for (router, source, used), tokens in TOKENS.items():
            if used == benchmark:
                share = (1 - tokens / 200) / (1 - TOKENS[router, benchmark, benchmark] / 200)
                row = kept.loc[(router, source)]
                assert row[["value", "low", "high"]].tolist() == pytest.approx([share] * 3, abs=1e-6)


def test_a_router_that_gains_nothing_where_it_was_fitted_has_nothing_to_keep(params, results):
    path = results / "episodes/standard/trim_thr.parquet"
    write_episodes(path, {"-": (False, 40)})
    measured = STUDY.measurement.make(params, "standard", results)[""]
    kept = measured[measured["measure"] == "kept"].set_index(["router", "source"])["value"]
    assert kept["trim_thr"].isna().all() and kept["uncertainty"].notna().all()
    write_episodes(path, {"-": (True, TOKENS["trim_thr", "standard", "standard"])})


def test_one_benchmark_is_not_enough(raw):
    routers = {"trim_thr": {"thresholds": [0, 1]}}
    assert not STUDY.made(experiment(raw, routers, transfer={"routers": ["trim_thr"]}))
    assert not STUDY.made(experiment(raw, routers, ["standard", "long"]))
