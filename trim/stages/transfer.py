"""Transfer: routers that were fitted on one benchmark, run on every other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from trim.config import Params
from trim.evaluation.records import read_results
from trim.evaluation.summary import budgets, studies
from trim.fits import read_fits
from trim.problems import read_problems
from trim.progress import Tracker
from trim.stages.episodes import write_run
from trim.stages.evaluate import protocol
from trim.tables import write_text
from trim.workspace import Workspace


def make_transfer(
    params: Params,
    benchmark: str,
    problems: Path,
    layers: Sequence[Path],
    fits: Path,
    out: Path,
    draws_out: Path | None,
    journal: Path,
    tracker: Tracker,
) -> None:
    """Run the experiment's transferred routers, as fitted on every other benchmark, on the test problems of one.

    Writes SOURCE.ROUTER.parquet into the folder `out`, and the draws made for them.
    """
    workspace = Workspace.over(params, layers, journal, tracker)
    test = read_problems(problems, "test")
    for source in params.benchmarks:
        for router in params.transfer.routers if source != benchmark else ():
            fitted = read_fits(fits / source, params.kind(router).name, router)
            policies = params.router(router, fitted).policies()
            write_run(workspace, benchmark, "test", router, test, policies, out / f"{source}.{router}.parquet")
    if draws_out:
        workspace.draws.export(draws_out)


def make_transfer_table(params: Params, benchmark: str, results: Path, out: Path) -> None:
    """Write every measure on one benchmark of the routers as they were fitted on each: the source."""
    episodes, folder = results / "episodes" / benchmark, results / "studies" / "transfer" / benchmark / "episodes"
    ends = [read_results(episodes / f"{name}.parquet") for name in ("always_weak", "always_strong")]
    tables = []
    for source in params.benchmarks:
        paths = {
            name: episodes / f"{name}.parquet" if source == benchmark else folder / f"{source}.{name}.parquet"
            for name in params.transfer.routers
        }
        (study,) = studies([*ends, *map(read_results, paths.values())], protocol(params))
        table = budgets(study)
        tables.append(table[table["router"].isin(list(paths))].assign(source=source))
    columns = ["benchmark", "source", "router", "measure", "value", "low", "high", "spread"]
    write_text(out, pd.concat(tables)[columns].to_csv(index=False, float_format="%.6g"))
