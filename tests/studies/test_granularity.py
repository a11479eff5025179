"""What a step is: both ends and TRIM-Thr's measures, by each definition."""

import pandas as pd
import pytest
from fakes.results import experiment, sure, write_ends, write_episodes

from trim.studies.granularity import STUDY

HALF = [True, True, False, False]


@pytest.fixture(scope="module")
def params(raw):
    section = {"benchmarks": ["standard"], "steps": [6, "sentence"], "thresholds": [0.5]}
    return experiment(raw, {"random": {"probabilities": [0.5]}}, ["long", "standard"], granularity=section)


@pytest.fixture(scope="module")
def results(params, tmp_path_factory):
    """Paragraphs, of which half the tokens suffice; six tokens, where the router changes nothing; and sentences."""
    made = tmp_path_factory.mktemp("granularity")
    folder = made / "studies/granularity/standard"
    cases = {"paragraph": ([50, 50], True, [50, 0]), "6": ([25] * 4, HALF, 20), "sentence": ([40, 40, 20], True, 10)}
    for case, (strong, solved, tokens) in cases.items():
        write_ends(folder / case)
        write_episodes(folder / case / "always_strong.parquet", {"-": (True, strong)})
        write_episodes(folder / case / "trim_thr.parquet", {"tau=0.5": (solved, tokens)})
    assert STUDY.measurement.benchmarks(params) == ["standard"]
    write_episodes(folder / "6" / "always_weak.parquet", {"-": (HALF, 0)})
    STUDY.measure(params, "standard", made)
    return made


def test_a_row_per_definition_in_the_order_of_the_experiment(params, results):
    table = STUDY.table(results, params)
    assert table["a step is"].tolist() == ["paragraph", "6 tokens", "sentence"]
    assert set(table["benchmark"]) == {"Standard"}
    assert table["steps of a solution"].tolist() == ["2.0", "4.0", "3.0"]  # always-strong's


def test_the_ends_have_their_accuracy_and_the_router_its_measures(params, results):
    table = STUDY.table(results, params)
    half = table.loc[1, "weak"]
    low, high = map(float, half.removeprefix("0.500 [").removesuffix("]").split(", "))
    assert low < 0.5 < high
    assert table["weak"].tolist() == [sure(0), half, sure(0)]
    assert set(table["strong"]) == {sure(1)}
    # Half the tokens reach 1, so that 20 % of them reach 0.4, and half the gap takes a quarter of them.
    assert table["acc@20"].tolist() == [sure(0.4), half, sure(1)]
    assert table["cpt50"].tolist() == [sure(0.25), "not reached", sure(0.05)]
    assert "accuracy" not in table


def test_what_is_measured_of_the_ends_is_their_accuracy(results):
    measured = pd.read_csv(results / "studies/granularity/standard.csv")
    of_ends = measured["measure"] == "accuracy"
    assert set(measured.loc[of_ends, "router"]) == {"always_weak", "always_strong"} and of_ends.sum() == 6
    assert set(measured.loc[~of_ends, "router"]) == {"trim_thr"}
