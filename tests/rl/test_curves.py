"""The curves of all trainings in one table, from folders as DVCLive writes them."""

import json

import pandas as pd
import pytest

from trim.errors import TrimError
from trim.progress import Tracker
from trim.rl.logs import curves
from trim.stages.curves import COLUMNS, make_curves


@pytest.fixture
def trainings(tmp_path):
    """Two trainings of three updates, and a router that was fitted without any."""
    folders = [tmp_path / "training/standard" / name for name in ("one", "two", "fitted")]
    for folder in folders:
        with curves(folder, Tracker.silent()) as log:
            for update in range(0 if folder.name == "fitted" else 3):
                log(update, 3, {f"{name}/mean": update + len(folder.name) for name in COLUMNS} | {"return/cost=1": 7})
    return folders


def test_a_row_for_each_update_and_the_last_values(trainings, tmp_path):
    make_curves(tmp_path, trainings)
    table = pd.read_csv(tmp_path / "curves.csv")
    assert table["router"].tolist() == ["one"] * 3 + ["two"] * 3
    assert table["update"].tolist() == [0, 1, 2] * 2
    assert all(table[name].tolist() == [3, 4, 5] * 2 for name in COLUMNS)
    metrics = json.loads((tmp_path / "metrics.json").read_text())["standard"]
    assert set(metrics) == {"one", "two"} and metrics["one"]["return"] == {"mean": 5, "cost=1": 7}


def test_without_trainings_the_table_is_empty(tmp_path):
    make_curves(tmp_path)
    assert list(pd.read_csv(tmp_path / "curves.csv")) == ["benchmark", "router", "update", *COLUMNS]
    assert json.loads((tmp_path / "metrics.json").read_text()) == {}


def test_a_damaged_curve_is_named(trainings, tmp_path):
    (trainings[0] / "plots/metrics/kl/mean.tsv").write_text("nothing")
    with pytest.raises(TrimError, match=r"one/plots/metrics/kl/mean.tsv: no curve of a training"):
        make_curves(tmp_path, trainings)
