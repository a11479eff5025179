"""The embedded twin beside the published calibration: figures of steps and solutions, densities, curves."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fakes.results import experiment, write_csv
from hypothesis import given
from hypothesis import strategies as st

from trim.evaluation.published import published_points
from trim.experiment.params import Benchmark
from trim.pomdp.calibration import Solution, density, observations
from trim.problems import Problem
from trim.studies import twin
from trim.studies.twin import SHARES, STUDY, _auc, _densities, _figures, _recovered, published_figures

PROBLEM = Problem(
    "a", "Start with 1, add 2, add 3, add 4.", "10", "test", ("1 + 2 = 3", "3 + 3 = 6", "6 + 4 = 10, \\boxed{10}")
)
ROUTERS = {"trim_thr": {"thresholds": [0, 1]}, "trim_pomdp": {"costs": [1, 2]}}


def solved(*steps, correct):
    return SimpleNamespace(problem=PROBLEM, steps=[SimpleNamespace(text=text) for text in steps], correct=correct)


RIGHT = solved(*PROBLEM.reference, correct=True)
WRONG = [
    solved("1 + 2 = 3", "3 + 3 = 7", "7 + 4 = 11, \\boxed{11}", correct=False),
    solved("1 + 2 = 4", correct=False),
]
STEPS = {
    "problem": np.array([0, 0, 0, 1, 1, 1, 2]),
    "state": np.array([0, 0, 0, 0, 2, 1, 2]),
    "score": np.array([0.9, 0.8, 0.7, 0.6, 0.65, 0.75, 0.2]),
    "log": np.array([-1, -2, -3, -4, -5, -1.5, -3]),
}


def test_figures_of_problems_and_of_steps():
    """As observed, every problem counts alike; the only two resamples leave the last one out."""
    found = {"weak": [RIGHT, *WRONG], "strong": [RIGHT, RIGHT, WRONG[1]]}
    rows = _figures(found, STEPS, np.array([[0.5, 0.5, 0], [0.5, 0.5, 0]]), 0.95)
    figures = {name: (value, low) for name, value, low, high in rows if low == high}
    assert len(figures) == len(rows)
    expected = {
        # Steps that are right, of those whose predecessors are.
        "p_weak": ((3 + 1 + 0) / (3 + 2 + 1), 4 / 5),
        "p_strong": (6 / 7, 1),
        "solved, weak": (1 / 3, 1 / 2),
        "solved, strong": (2 / 3, 1),
        "steps, mean": (7 / 3, 3),
        "steps, sd": (np.sqrt(8) / 3, 0),
        # Pairs of a right and a wrong step of which the right one lies above; a tie counts half.
        "AUC of the PRM, S0 against S2": ((3 + 4) / 8, 3 / 4),
        "AUC of the PRM, S0 against S1": (2 / 4, 2 / 4),
        "AUC of the weak log-probability, S0 against S2": ((4 + 2.5) / 8, 1),
        "mean score, S0": (3 / 4, 3 / 4),
        "mean score, S1": (3 / 4, 3 / 4),
        "mean score, S2": (0.85 / 2, 0.65),
    }
    assert set(figures) == set(expected)
    for name, values in expected.items():
        assert figures[name] == pytest.approx(values), name


def test_densities_are_compared_state_by_state(monkeypatch):
    rng = np.random.default_rng(0)
    solutions = [Solution(rng.beta(*shape, 4), error) for shape in ((8, 2), (2, 8)) for error in (1, 2, 3) * 10]
    points, states = observations(solutions)
    masses = np.stack([density(points[states == state]) for state in range(3)])
    monkeypatch.setattr(twin, "published_model", lambda: SimpleNamespace(observation=masses))
    same = _densities(solutions)
    assert [name for name, *_ in same] == [f"total variation of the score, S{state}" for state in range(3)]
    assert [value for _, value, *_ in same] == pytest.approx([0, 0, 0], abs=1e-12)
    # All mass in the lowest bin: what the density has elsewhere is the distance.
    lowest = np.zeros_like(masses)
    lowest[:, 0, 0] = 1
    monkeypatch.setattr(twin, "published_model", lambda: SimpleNamespace(observation=lowest))
    assert [value for _, value, *_ in _densities(solutions)] == pytest.approx(1 - masses.sum(axis=1)[:, 0])


@given(st.integers(0, 10**6), st.integers(2, 8))
def test_the_area_under_histograms_is_that_of_pairs(seed, bins):
    right, wrong = np.random.default_rng(seed).integers(1, 9, (2, bins))
    pairs = [(a > b) + (a == b) / 2 for a in np.repeat(range(bins), right) for b in np.repeat(range(bins), wrong)]
    assert _auc(right.astype(float), wrong.astype(float)) == pytest.approx(np.mean(pairs))


def test_published_figures_follow_from_what_was_released():
    model, figures = twin.published_model(), published_figures()
    assert (figures["solved, weak"], figures["solved, strong"]) == (0.364, 0.73)
    rng, alive, lengths = np.random.default_rng(0), np.ones(20_000, dtype=bool), np.zeros(20_000)
    for hazard in model.hazard[0]:
        lengths += alive
        alive &= rng.random(len(alive)) >= hazard
    assert figures["steps, mean"] == pytest.approx(lengths.mean(), rel=0.02)
    assert figures["steps, sd"] == pytest.approx(lengths.std(), rel=0.03)
    right, *wrong = model.observation.sum(axis=1)
    for state, other in enumerate(wrong, 1):
        pairs = np.sign(np.subtract.outer(np.arange(20), np.arange(20))) / 2 + 0.5
        assert figures[f"AUC of the PRM, S0 against S{state}"] == pytest.approx(right @ pairs @ other)
    means = [figures[f"mean score, S{state}"] for state in range(3)]
    scores = (np.arange(20) + 0.5) / 20
    assert means == pytest.approx([(mass.sum(axis=0) * scores).sum() for mass in model.observation])


def test_a_curve_begins_at_always_weak_and_ends_with_its_last_point():
    points = pd.DataFrame({"strong_fraction": [0.2, 0.1], "pgr": [0.9, 0.5]})
    assert _recovered(points) == pytest.approx([0.25, 0.5, 0.7, 0.9, 0.9, 0.9])


@pytest.fixture
def results(tmp_path):
    """Curves on the released ones, but for TRIM-Thr's on one benchmark: 0.1 below at two shares, above at four."""
    released = {router: _recovered(published_points(router)) for router in ROUTERS}
    apart = {("standard", "trim_thr"): np.repeat([-0.1, 0.1], [2, 4])}
    rows = [
        (benchmark, router, share, pgr)
        for benchmark in ("standard", "long")
        for router, curve in released.items()
        for share, pgr in zip(SHARES, curve + apart.get((benchmark, router), 0))
    ]
    write_csv(tmp_path / "summary.csv", "benchmark router strong_fraction pgr", rows)
    numbers = [("p_weak", 0.8, 0.7, 0.9), ("mine", 0.5, None, None), ("solved, weak", 0.3, 0.2, 0.4)]
    for benchmark in ("standard", "long"):
        write_csv(tmp_path / f"studies/twin/{benchmark}.csv", "figure value low high", numbers)
    return tmp_path


def test_figures_are_shown_beside_the_published_ones(raw, results):
    params = experiment(raw, {"trim_thr": ROUTERS["trim_thr"]}, ["standard", "long"])
    others = {"math": Benchmark(title="MATH-500", hub="math500")}
    table = STUDY.table(results, params.model_copy(update={"benchmarks": others | params.benchmarks}))
    assert list(table) == ["figure", "published", "Standard", "Long chains"]
    rows = table.set_index("figure")
    assert rows.index.tolist()[:3] == ["p_weak", "mine", "solved, weak"]
    assert rows.loc["solved, weak"].tolist() == ["0.364", "0.300 [0.200, 0.400]", "0.300 [0.200, 0.400]"]
    assert rows.loc["mine", "published"] == ""
    assert rows.loc["p_strong", "Standard"] == ""
    assert not any("curve" in name or "minus" in name for name in rows.index)  # only one of the two routers is here


def test_curves_are_compared_at_equal_shares(raw, results):
    rows = STUDY.table(results, experiment(raw, ROUTERS, ["standard", "long"])).set_index("figure")
    distance = "mean distance of PGR from the released curve"
    assert rows.loc[f"TRIM-Thr: {distance}"].tolist() == ["", "0.100", "0.000"]
    assert rows.loc["TRIM-Thr: mean of PGR minus the released curve's"].tolist() == ["", "+0.033", "+0.000"]
    assert rows.loc[f"TRIM-POMDP: {distance}", "Standard"] == "0.000"
    for share, apart in ((5, -0.1), (30, 0.1)):
        published, here, _ = rows.loc[f"PGR of TRIM-POMDP minus TRIM-Thr at {share} %"].astype(float)
        assert here - published == pytest.approx(-apart, abs=0.0011)
    # At 20 % of always-strong's tokens; see the tests of the claims for the accuracies.
    assert rows.loc["PGR of TRIM-POMDP minus TRIM-Thr at 20 %", "published"] == f"{0.040032 / 0.366:+.3f}"
