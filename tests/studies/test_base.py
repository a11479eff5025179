"""The tables of a study over several benchmarks."""

import pandas as pd

from trim.studies.base import measured_path, read_measured


def test_rows_of_several_benchmarks_can_be_picked_one_by_one(tmp_path):
    for benchmark, values in (("a", [0.5, 0.9]), ("b", [0.7, 0.2])):
        path = tmp_path / measured_path("transfer", benchmark)
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"benchmark": benchmark, "value": values}).to_csv(path, index=False)
    table = read_measured(tmp_path, "transfer", ["a", "b"])
    least = table.loc[table["value"].idxmin()]
    assert (least["benchmark"], least["value"]) == ("b", 0.2)
