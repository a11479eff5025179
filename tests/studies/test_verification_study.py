"""Verification as an action: shares of the gap in each currency, places, verdicts and bounds."""

from types import SimpleNamespace

import numpy as np
import pytest
from fakes.results import experiment, sure, write_csv, write_ends, write_episodes

from trim.studies.verification import STUDY, _checked, _foreseen

OPTIONS = {"fit_on": "standard", "prices": [0.1, 0.2], "evidence": ["weak"]}
READING = {
    "trim_verify": OPTIONS,
    "verify_flops": OPTIONS | {"type": "trim_verify", "title": "For FLOPs", "currency": "flops"},
}
COLUMNS = "benchmark currency router share value low high reached"


@pytest.fixture
def params(raw):
    thr = {"type": "trim_thr", "thresholds": [0, 1]}
    others = {name: thr | {"title": name.title()} for name in ("one", "two", "three", "four", "five")}
    return experiment(raw, READING | others, trees=["standard"])


def test_shares_of_the_gap_are_measured_in_every_currency_at_its_own_cost(raw, tmp_path):
    params = experiment(raw, READING | {"oracle": {}}, trees=["standard"])
    write_ends(tmp_path / "episodes/standard")
    for router, tokens in (("trim_verify", 40), ("verify_flops", [40, 0]), ("oracle", 1)):
        write_episodes(tmp_path / f"episodes/standard/{router}.parquet", {"price=1": (True, tokens)})
    found = STUDY.measurement.make(params, "standard", tmp_path)[""]
    assert set(found["router"]) == {"always_weak", "always_strong", *READING}  # the oracle is no router
    values = found.set_index(["currency", "router", "share"])
    assert values.loc[("strong_tokens", "trim_verify", 0.2), ["value", "low", "high"]].tolist() == [0.5] * 3
    assert values.loc[("strong_tokens", "trim_verify", 0.65), "value"] == 1
    # Always-weak spends a tenth. For the second router 40 and 10 tokens are written; the weak model reads the 40, too.
    assert values.loc[("money", "trim_verify", 0.2), "value"] == pytest.approx((0.2 - 0.1) / (0.4 - 0.1))
    assert values.loc[("money", "verify_flops", 0.3), "value"] == pytest.approx((0.3 - 0.1) / (0.5 - 0.1))
    assert values.loc[("flops", "verify_flops", 0.3), "value"] == pytest.approx((0.3 - 0.1) / (0.9 - 0.1))


@pytest.fixture
def shown(params, tmp_path):
    """The table by what every router reaches at a fifth of the strong tokens, and the points of bounds."""
    ends = [("standard", "always_weak", 0.4), ("standard", "always_strong", 0.8), ("long", "always_weak", 0.0)]
    write_csv(tmp_path / "summary.csv", "benchmark router accuracy", ends)

    def table(reached, bounds=()):
        rows = [("standard", "strong_tokens", router, 0.2, *values, 1) for router, values in reached.items()]
        rows += [("standard", "strong_tokens", router, 0.3, 1, 1, 1, 1) for router in reached]
        write_csv(tmp_path / "studies/verification/standard.csv", COLUMNS, rows)
        path = tmp_path / "studies/verification/standard.bounds.csv"
        write_csv(path, "currency bound spent accuracy", [("strong_tokens", *bound) for bound in bounds])
        return STUDY.table(tmp_path, params)

    return table


def test_shown_are_the_best_four_and_those_fitted_for_the_currency_with_their_place(shown):
    values = {"five": 0.5, "one": 0.9, "trim_verify": 0.4, "two": 0.8, "verify_flops": 0.3, "three": 0.7, "four": 0.6}
    reached = {router: (value, value, value) for router, value in values.items()} | {"random": (None,) * 3}
    table = shown(reached)
    assert table["policy"].tolist() == ["One", "Two", "Three", "Four", "TRIM-Verify"]
    assert table["place"].tolist() == ["1 of 7", "2 of 7", "3 of 7", "4 of 7", "6 of 7"]
    assert table["PGR"].tolist() == [sure(value) for value in (0.9, 0.8, 0.7, 0.6, 0.4)]
    assert set(table["asked"]) == {"95% of the gap at 0.2 of the strong tokens written"}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.95, 1, "holds"), (0.9, 0.95, "inconclusive"), (0.949, 0.951, "inconclusive"), (0.9, 0.9499, "does not hold")],
)
def test_a_router_reaches_what_is_asked_if_its_whole_interval_does(shown, low, high, verdict):
    assert shown({"one": ((low + high) / 2, low, high)})["reached"].tolist() == [verdict]


def test_a_number_that_some_resamples_lack_is_inconclusive(shown):
    assert shown({"one": (0.99, None, None)})["reached"].tolist() == ["inconclusive"]


@pytest.mark.parametrize(("accuracy", "verdict"), [(0.78, "holds"), (0.7799, "does not hold")])
def test_a_bound_is_the_best_that_is_reached_up_to_the_target(shown, accuracy, verdict):
    points = [("clairvoyant", 0.3, 0.5), ("clairvoyant", 0.1, accuracy), ("other", 0.3, 0.8), ("other", 0.1, 0.4)]
    table = shown({"one": (0.5, 0.4, 0.6)}, points).tail(2)
    # 0.38 of a gap of 0.4; a point that costs more and reaches less takes nothing away. Of the other, half the gap.
    assert table["policy"].tolist() == ["bound: clairvoyant", "bound: other"]
    assert table["PGR"].tolist() == [f"{(accuracy - 0.4) / 0.4:.3f}", "0.500"]
    assert table["reached"].tolist() == [f"{verdict}, no interval", "does not hold, no interval"]
    assert set(table["place"]) == {""}


def test_the_clairvoyant_router_spends_what_its_value_falls_by():
    def worth(price):
        best = max(right - price * spent for right, spent in ((0.9, 0.5), (0.5, 0.1)))
        return SimpleNamespace(value=np.array([best, 7.0]))

    situations = SimpleNamespace(roots=np.array([0]), worth=worth)
    assert _foreseen(situations, 0.5) == pytest.approx((0.5, 0.9))
    assert _foreseen(situations, 2) == pytest.approx((0.1, 0.5))


def test_exact_checks_take_the_place_of_scores():
    class Tree:
        score = np.full(4, 0.7)

        def __len__(self):
            return 4

        def states(self, points, actions):
            return np.array([0, 1, 2, 0])[points]

    tree = Tree()
    assert _checked(tree).score.tolist() == [1, 0, 0.5, 1]
    assert tree.score.tolist() == [0.7] * 4


def test_it_is_made_of_the_first_benchmark_if_its_trees_are_expanded(raw):
    priced = {"trim_verify": OPTIONS | {"fit_on": "long", "only": ["standard"]}}
    benchmarks = ["standard", "long"]
    assert not STUDY.made(experiment(raw, priced, benchmarks, trees=["long"]))
    assert STUDY.made(experiment(raw, priced, benchmarks, trees=["long", "standard"]))
    assert not STUDY.made(experiment(raw, {"random": {"probabilities": [0.5]}}, trees=["standard"]))
