"""A run's numbers against a reference's: those without an interval decide nothing."""

import pandas as pd
import pytest

from trim.audit.recompute import against

COLUMNS = ["benchmark", "router", "measure", "value", "low", "high", "reached"]


@pytest.mark.parametrize(
    ("reference", "found", "outcome"),
    [
        ((0.3, 0.2, 0.4, 1.0), 0.25, "pass"),
        ((0.3, 0.2, 0.4, 1.0), 0.45, "fail"),
        ((0.3, 0.2, 0.4, 1.0), None, "fail"),
        ((0.3, None, None, 0.84), 0.3, "pass"),
        ((0.3, None, None, 0.84), 0.5, "not recorded"),
        ((0.3, None, None, 0.84), None, "not recorded"),
        ((None, None, None, 0.1), 0.5, "not recorded"),
        ((None, None, None, 0.0), 0.5, "fail"),
        ((None, None, None, 0.0), None, "pass"),
    ],
)
def test_a_number_is_held_against_its_interval(tmp_path, reference, found, outcome):
    pd.DataFrame([("b", "r", "cpt80", *reference)], columns=COLUMNS).to_csv(tmp_path / "reference.csv", index=False)
    row = pd.DataFrame([("b", "r", "cpt80", found, None, None, 0.5)], columns=COLUMNS)
    row.to_csv(tmp_path / "measures.csv", index=False)
    (check,) = against(tmp_path / "reference.csv", tmp_path)
    assert check.outcome == outcome
