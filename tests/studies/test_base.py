"""The tables of a study over several benchmarks, and in every form."""

import pandas as pd

from trim.report.tables import write
from trim.studies.study import measured_path, read_measured


def test_rows_of_several_benchmarks_can_be_picked_one_by_one(tmp_path):
    for benchmark, values in (("a", [0.5, 0.9]), ("b", [0.7, 0.2])):
        path = tmp_path / measured_path("transfer", benchmark)
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"benchmark": benchmark, "value": values}).to_csv(path, index=False)
    table = read_measured(tmp_path, "transfer", ["a", "b"])
    least = table.loc[table["value"].idxmin()]
    assert (least["benchmark"], least["value"]) == ("b", 0.2)


def test_a_missing_number_is_an_empty_cell_in_every_form(tmp_path):
    table = pd.DataFrame({"router": ["one", "two"], "steps": [1, 2], "bound": [None, 0.25]})
    texts = [path.read_text().splitlines() for path in write(tmp_path, "bounds", table)]
    assert texts[0][2:] == ["| one | 1 |  |", "| two | 2 | 0.25 |"]
    assert texts[1][1:] == ["one,1,", "two,2,0.25"]
    assert texts[2][4:6] == ["one & 1 &  \\\\", "two & 2 & 0.25 \\\\"]
