"""Definitions of a step: TRIM-Thr where a step is a paragraph, a sentence or a number of tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from trim.config import Params
from trim.evaluation.records import read_results
from trim.evaluation.summary import budgets, studies, summary
from trim.problems import read_problems
from trim.progress import Tracker
from trim.routers.always import AlwaysStrong, AlwaysWeak
from trim.routers.trim_thr import TrimThr
from trim.stages.episodes import write_run
from trim.stages.evaluate import protocol
from trim.tables import write_text
from trim.workspace import Workspace


def make_definition(
    params: Params,
    benchmark: str,
    definition: str,
    problems: Path,
    layers: Sequence[Path],
    out: Path,
    draws_out: Path | None,
    journal: Path,
    tracker: Tracker,
) -> None:
    """Run both ends and TRIM-Thr's sweep on the test problems, with steps that are cut in one way.

    Writes ROUTER.parquet into the folder `out`, and the new draws.
    """
    known = {str(step): step for step in ("paragraph", *params.definitions.steps)}
    workspace = Workspace.over(params, layers, journal, tracker).cut(known[definition])
    test, thresholds = read_problems(problems, "test"), TrimThr.Params(thresholds=params.definitions.thresholds)
    for router in (AlwaysWeak(None), AlwaysStrong(None), TrimThr(thresholds)):
        path = out / f"{router.name}.parquet"
        write_run(workspace, benchmark, "test", router.name, test, router.policies(), path, router.title)
    if draws_out:
        workspace.draws.export(draws_out)


def make_definitions_table(params: Params, benchmark: str, results: Path, out: Path) -> None:
    """Write the measures of TRIM-Thr, and of the ends their accuracy, by definition."""
    tables = []
    for definition in params.definitions.names():
        folder = results / "studies" / "definitions" / benchmark / definition
        (study,) = studies(list(map(read_results, sorted(folder.glob("*.parquet")))), protocol(params))
        points = summary(study)
        ends = points[points["router"] != "trim_thr"].rename(
            columns={"accuracy": "value", "accuracy_low": "low", "accuracy_high": "high"}
        )
        measured = budgets(study)
        found = [ends.assign(measure="accuracy"), measured[measured["router"] == "trim_thr"]]
        steps = points.loc[points["router"] == "always_strong", "steps"].iloc[0]
        columns = ["benchmark", "router", "measure", "value", "low", "high"]
        tables.append(pd.concat([table[columns] for table in found]).assign(definition=definition, steps=steps))
    write_text(out, pd.concat(tables).to_csv(index=False, float_format="%.6g"))
