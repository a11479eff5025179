"""Rollouts and scores over several jobs."""

import yaml
from project import shrink
from project import make_project, run


def test_shards_change_no_byte_of_a_table(raw, tmp_path):
    given = shrink(raw)
    given["routers"] = {n: given["routers"][n] for n in ("always_weak", "always_strong", "random", "trim_thr")}
    given |= {"trees": [], "ceiling": {}, "robustness": {}}
    given |= {"transfer": {}, "granularity": {}}
    given["evaluation"]["baselines"] = ["random"]
    copy, tables = make_project(tmp_path, given), []
    for shards in (1, 2):
        (copy / "params.yaml").write_text(yaml.safe_dump(given | {"shards": shards}))
        run(copy, "snakemake", "--cores", "2", "--quiet", "all", "--", "results/tables/main.md")
        tables.append([(copy / "results" / n).read_bytes() for n in ("summary.csv", "measures.csv", "tables/main.md")])
    assert len(list((copy / "results/rollouts/standard/test").glob("weak.*.parquet"))) == 2
    assert tables[0] == tables[1]
