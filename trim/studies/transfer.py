"""Transfer: routers fitted on one benchmark, run on every other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trim.evaluation.comparison import MEASURE_COLUMNS, comparisons, kept, measures
from trim.evaluation.results import read_results
from trim.experiment.params import Params, measure_settings
from trim.problems import read_problems
from trim.report.figures import panels
from trim.report.tables import format_interval, titles
from trim.routers.fitted import read_fitted
from trim.stages.episodes import write_run
from trim.studies.study import Job, Measurement, Study, read_measured


def _run(job: Job) -> None:
    """Run the experiment's transferred routers, as fitted on every other benchmark, on the test problems of one.

    Writes SOURCE.ROUTER.parquet into the folder `out`.
    """
    params, benchmark = job.params, job.benchmark
    assert job.fitted
    test = read_problems(job.problems, "test")
    for source in params.benchmarks:
        for router in params.transfer.routers if source != benchmark else ():
            fitted = read_fitted(job.fitted / source, router)
            policies = params.router(router, fitted).policies()
            write_run(job.runner, benchmark, "test", router, test, policies, job.out / f"{source}.{router}.parquet")


def _measured_from(params: Params, name: str) -> list[str]:
    """The episodes of the routers fitted on other benchmarks and on this one, and of both ends."""
    routers = ["always_weak", "always_strong", *params.transfer.routers]
    return [f"studies/transfer/{name}/episodes", *(f"episodes/{name}/{router}.parquet" for router in routers)]


def _measure(params: Params, benchmark: str, results: Path) -> dict[str, pd.DataFrame]:
    """Every measure on one benchmark of the routers as fitted on each benchmark, the source.

    `kept` is the APGR over that of the same router fitted on this benchmark, on the same resamples.
    """
    episodes, folder = results / "episodes" / benchmark, results / "studies" / "transfer" / benchmark / "episodes"
    ends = [read_results(episodes / f"{name}.parquet") for name in ("always_weak", "always_strong")]
    compared, tables = {}, []
    for source in params.benchmarks:
        paths = {
            name: episodes / f"{name}.parquet" if source == benchmark else folder / f"{source}.{name}.parquet"
            for name in params.transfer.routers
        }
        (compared[source],) = comparisons([*ends, *map(read_results, paths.values())], measure_settings(params))
    for source, comparison in compared.items():
        table = pd.concat([measures(comparison), kept(comparison, compared[benchmark], "apgr")])
        tables.append(table[table["router"].isin(params.transfer.routers)].assign(source=source))
    return {"": pd.concat(tables)[["source", *MEASURE_COLUMNS]]}


def _transfers(results: Path, params: Params) -> pd.DataFrame:
    found = read_measured(results, "transfer", params.benchmarks)
    return found[found["measure"] == "apgr"]


def _table(results: Path, params: Params) -> pd.DataFrame:
    """APGR by router and source benchmark; then rank correlations, to see if the order of the routers holds."""
    benchmarks, routers = titles(params)
    found, rows = _transfers(results, params), []
    for router in params.transfer.routers:
        for source in benchmarks:
            chosen = found[(found["router"] == router) & (found["source"] == source)]
            cells = {
                benchmarks[row.benchmark]: format_interval(row.value, row.low, row.high, reached=row.reached)
                for row in chosen.itertuples()
            }
            rows.append({"router": routers[router], "fitted on": benchmarks[source]} | cells)
    values = found.pivot(index="router", columns=["source", "benchmark"], values="value")
    for source in benchmarks:
        same = {
            title: f"{values[(source, name)].corr(values[(name, name)], method='spearman'):.2f}"
            for name, title in benchmarks.items()
        }
        rows.append({"router": "rank correlation with routers fitted there", "fitted on": benchmarks[source]} | same)
    return pd.DataFrame(rows)


def _figure(results: Path, params: Params) -> Figure:
    """APGR, a panel per router: rows are the benchmarks that it was fitted on, columns those that it is used on."""
    benchmarks, routers = titles(params)
    found = _transfers(results, params)
    picture, axes_of = panels({name: routers[name] for name in params.transfer.routers}, height=2.6)
    low, high = found["value"].min(), found["value"].max()
    for router, axes in axes_of.items():
        values = found[found["router"] == router].pivot(index="source", columns="benchmark", values="value")
        grid = values.loc[list(benchmarks), list(benchmarks)].to_numpy()
        axes.imshow(grid, cmap="viridis", vmin=low, vmax=high)
        axes.grid(False)
        for (i, j), value in np.ndenumerate(grid):
            colour = "white" if value < (low + high) / 2 else "black"
            axes.text(j, i, f"{value:.2f}", ha="center", va="center", color=colour, fontsize=8)
        names = list(benchmarks.values())
        axes.set_xticks(range(len(names)), names, fontsize=7, rotation=20, ha="right")
        axes.set_yticks(range(len(names)), names, fontsize=7)
        axes.set_xlabel("used on")
        axes.set_ylabel("fitted on")
    return picture


STUDY = Study(
    name="transfer",
    title="Fitted here, used there",
    text=(
        "APGR of routers fitted on one benchmark and used on another; the last rows compare the order of these "
        "routers with the order of routers fitted on the benchmark itself."
    ),
    caption="APGR by the benchmark that a router was fitted on and the one that it is used on.",
    wanted=lambda params: bool(params.transfer.routers) and len(params.benchmarks) > 1,
    table=_table,
    figure=_figure,
    measurement=Measurement(
        benchmarks=lambda params: list(params.benchmarks),
        inputs=_measured_from,
        make=_measure,
    ),
    run=_run,
)
