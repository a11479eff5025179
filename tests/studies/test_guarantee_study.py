"""Settings with a guarantee: which is chosen on validation, what it reaches on test, and how both are shown."""

import numpy as np
import pytest
from fakes.results import experiment, write_csv, write_ends, write_episodes

from trim.files import write_arrays, write_sealed
from trim.studies import guarantee
from trim.studies.guarantee import STUDY

THR = {"type": "trim_thr", "thresholds": [0, 1]}
ROUTERS = {
    "thr": THR | {"title": "Where measured"},
    "elsewhere": THR | {"only": ["long"]},
    "carried": THR | {"fit_on": "long"},
    "oracle": {},
}
# What settings reach on validation: their share of the problems and of the strong tokens, in the order of their cost.
VALIDATION = {"tau=0": (0.5, 0.0), "tau=0.5": (1.0, 0.5), "tau=1": (1.0, 1.0), "budget=0.2": (1.0, 0.2)}
TEST = {"budget=0.2": (True, 20), "tau=1": (True, 100), "tau=0.5": ([True, True, True, False], 40), "tau=0": (False, 0)}
COLUMNS = "router setting needed accuracy spent broken benchmark"


@pytest.fixture
def params(raw):
    return experiment(raw, ROUTERS, ["standard", "long"])


@pytest.fixture
def measure(params, tmp_path, monkeypatch):
    """What the study measures on a benchmark, by so many validation problems."""
    monkeypatch.setattr(guarantee, "_DRAWS", 20)

    def measured(problems, benchmark="standard"):
        correct = np.array([np.arange(problems) < solved * problems for solved, _ in VALIDATION.values()])
        tokens = np.array([np.full(problems, 100 * spent) for _, spent in VALIDATION.values()])
        arrays = {"thr.correct": correct, "thr.tokens": tokens}
        arrays |= {"always_strong.correct": np.ones((1, problems)), "always_strong.tokens": tokens[2:3]}
        path = tmp_path / "validation/standard.json"
        write_arrays(path.with_suffix(".safetensors"), {name: a.astype(np.int32) for name, a in arrays.items()})
        reached = {name: {"accuracy": right, "strong_fraction": share} for name, (right, share) in VALIDATION.items()}
        write_sealed(path, {"thr": reached})
        write_ends(tmp_path / "episodes" / benchmark, benchmark)
        write_episodes(tmp_path / f"episodes/{benchmark}/thr.parquet", TEST, benchmark)
        return STUDY.measurement.make(params, benchmark, tmp_path)[""]

    return measured


def test_the_cheapest_certified_setting_is_looked_at_on_test_problems(measure):
    (row,) = measure(200).to_dict("records")
    # Values that were fitted for a budget on these very problems are left out.
    assert (row["router"], row["setting"], row["benchmark"]) == ("thr", "tau=0.5", "standard")
    assert (row["accuracy"], row["spent"], row["broken"]) == (0.75, 0.4, 0)


def test_accuracy_is_over_that_of_always_strong(measure, params, tmp_path):
    measure(200)
    write_episodes(tmp_path / "episodes/standard/always_strong.parquet", {"-": ([True, True, False, False], 80)})
    (row,) = STUDY.measurement.make(params, "standard", tmp_path)[""].to_dict("records")
    assert (row["accuracy"], row["spent"]) == (1.5, 0.5)


def test_too_few_problems_certify_none_and_the_number_needed_is_given(measure):
    (row,) = measure(100).to_dict("records")
    assert row["setting"] == "" and np.isnan(row["accuracy"]) and np.isnan(row["spent"])
    # The largest bet grows by log(1 + 0.9 / 0.95 · 0.05) a problem, up to log(16 / 0.05).
    assert row["needed"] == np.ceil(np.log(16 / 0.05) / np.log1p(0.9 / 0.95 * 0.05)) == 125


def test_draws_are_made_on_the_first_benchmark_alone(measure):
    (row,) = measure(200, "long").to_dict("records")
    assert row["setting"] == "tau=0.5" and np.isnan(row["broken"])


def test_a_promise_is_kept_from_the_level_on(params, tmp_path):
    write_csv(
        tmp_path / "studies/guarantee/standard.csv",
        COLUMNS,
        [
            ("thr", "tau=1", None, 0.95, 0.4, 0.012, "standard"),
            ("carried", "tau=0.5", None, 0.94, 0.3, 0.05, "standard"),
        ],
    )
    rows = [("thr", "tau=1", None, 0.9499, 0.5, None, "long")]
    write_csv(tmp_path / "studies/guarantee/long.csv", COLUMNS, rows)
    assert STUDY.table(tmp_path, params).to_dict("records") == [
        {
            "router": "Where measured",
            "setting": "tau=1",
            "Standard": "0.950 at 0.400, kept",
            "Long chains": "0.950 at 0.500, broken",
            "broken in draws": "0.012",
        },
        {
            "router": params.title("carried"),
            "setting": "tau=0.5",
            "Standard": "0.940 at 0.300, broken",
            "Long chains": "",
            "broken in draws": "0.050",
        },
    ]


@pytest.mark.parametrize(("needed", "text"), [(None, "none keeps it"), (1234.4, "needs about 1,234 problems")])
def test_a_router_without_a_certified_setting_says_why(params, tmp_path, needed, text):
    rows = [("thr", "", needed, None, None, 0.0, "standard"), ("carried", "tau=1", None, 1, 1, 0.0, "standard")]
    write_csv(tmp_path / "studies/guarantee/standard.csv", COLUMNS, rows)
    write_csv(tmp_path / "studies/guarantee/long.csv", COLUMNS, [])
    row = STUDY.table(tmp_path, params).iloc[0]
    assert row.tolist() == ["Where measured", f"none: {text}", "", "", "0.000"]
    (cells,) = STUDY.columns.values()
    assert cells(tmp_path, "standard") == {"carried": "tau=1: 1.000 at 1.000"}
