"""What is measured of a budget over a stream, and how it is shown."""

import numpy as np
import pytest
from fakes.results import experiment, write_csv

from trim.studies.stream import _GRID, STUDY, _best_fixed, _Outcomes, _overspent, _stream_of


def test_a_stream_grows_harder_and_easier_again():
    asked = _stream_of(np.arange(500.0), 0)
    first, middle, last = (asked[part].mean() for part in (slice(100), slice(450, 550), slice(-100, None)))
    assert len(asked) == 1000
    assert max(first, last) < 150 < 350 < middle


def test_windows_that_take_too_much_are_counted():
    unit = np.full(300, 10.0)
    assert _overspent(np.full(300, 2.0), unit, 0.2) == 0
    assert _overspent(np.full(300, 3.0), unit, 0.2) == 1
    half = np.repeat([1.0, 4.0], 150)
    assert 0.4 < _overspent(half, unit, 0.2) < 0.7


def test_the_best_price_keeps_the_budget():
    known = _Outcomes([], [], 1 + len(_GRID))
    known.strong = np.full((4, 1 + len(_GRID)), 100.0)
    known.strong[:, 1:] = 100 * _GRID
    known.right = np.tile(np.concatenate([[0.9], _GRID]) >= np.linspace(0, 0.75, 4)[:, None], 1)
    asked = np.arange(4)
    assert _best_fixed(known, asked, 0.0) == pytest.approx(0.25)
    assert _best_fixed(known, asked, 0.3) == pytest.approx(0.5)
    assert _best_fixed(known, asked, 0.79) == pytest.approx(1)


def test_the_table_has_means_over_streams_and_what_is_lost_to_the_best_price(raw, tmp_path):
    rows = [
        (1, 0.3, "steered", 0.3, 0.0, 0.9, 0.8),
        (0, 0.1, "steered", 0.1, 0.2, 0.5, 0.7),
        (1, 0.1, "steered", 0.12, 0.4, 0.6, 0.8),
        (0, 0.1, "fitted price", 0.15, 0.5, 0.6, 0.7),
        (1, 0.1, "fitted price", 0.05, 0.1, 0.7, 0.8),
    ]
    columns = "seed budget controller share overspent accuracy best_fixed"
    write_csv(tmp_path / "studies/stream/standard.csv", columns, rows)
    write_csv(tmp_path / "studies/stream/long.csv", columns, rows[:1])
    params = experiment(raw, {"random": {"probabilities": [0.5]}}, ["long", "standard"])
    table = STUDY.table(tmp_path, params)
    assert table.to_numpy().tolist() == [
        ["Long chains", "0.3", "steered", "0.300", "0.000", "0.900", "0.800", "-0.100"],
        ["Standard", "0.1", "fitted price", "0.100", "0.300", "0.650", "0.750", "+0.100"],
        ["Standard", "0.1", "steered", "0.110", "0.300", "0.550", "0.750", "+0.200"],
        ["Standard", "0.3", "steered", "0.300", "0.000", "0.900", "0.800", "-0.100"],
    ]
