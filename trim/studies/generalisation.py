"""Generalisation: routers fitted on one benchmark, used unchanged on all benchmarks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from trim.experiment.params import Params
from trim.report.figures import panels, styles
from trim.report.tables import format_interval, headline_measure, read_csv, titles
from trim.studies.study import Study


def _carried(results: Path, params: Params) -> tuple[pd.DataFrame, str]:
    """Measures of the routers with `fit_on` and of the baselines, and the name of the headline measure."""
    carried = [n for n, section in params.routers.items() if section.get("fit_on") and not section.get("only")]
    shown = [name for name in params.routers if name in carried or name in params.evaluation.baselines]
    rows = read_csv(results / "measures.csv")
    return rows[rows["router"].isin(shown)], headline_measure(params)


def _table(results: Path, params: Params) -> pd.DataFrame:
    """Accuracy at the middle budget and APGR on every benchmark, with each router's rank."""
    rows, middle = _carried(results, params)
    benchmarks, routers = titles(params)
    made = []
    for measure in (middle, "apgr"):
        values = rows[rows["measure"] == measure].copy()
        values["rank"] = values.groupby("benchmark")["value"].rank(ascending=False)
        values["cell"] = [
            format_interval(row.value, row.low, row.high, row.spread, row.reached)
            + ("" if pd.isna(row.rank) else f" ({row.rank:.0f})")
            for row in values.itertuples()
        ]
        cells = values.pivot(index="router", columns="benchmark", values="cell")
        ranks = values.pivot(index="router", columns="benchmark", values="rank")
        order = [name for name in routers if name in cells.index]
        table = cells.reindex(index=order, columns=list(benchmarks)).fillna("")
        table = table.rename(index=routers, columns=benchmarks).reset_index()
        first = ranks.iloc[:, ranks.columns.get_loc(next(iter(benchmarks)))]
        same = {benchmarks[b]: f"{ranks[b].corr(first, method='spearman'):.2f}" for b in benchmarks}
        table.loc[len(table)] = {"router": "rank correlation with the first benchmark"} | same
        table.insert(0, "measure", measure)
        made.append(table)
    return pd.concat(made)


def _figure(results: Path, params: Params) -> Figure:
    """Accuracy at the middle budget by router, a panel per benchmark."""
    rows, middle = _carried(results, params)
    benchmarks, routers = titles(params)
    values = rows[rows["measure"] == middle]
    picture, axes_of = panels(benchmarks, height=2.4)
    looks = styles(name for name in routers if name in set(values["router"]))
    for benchmark, axes in axes_of.items():
        found = values[values["benchmark"] == benchmark].set_index("router")
        for place, (router, (colour, marker)) in enumerate(looks.items()):
            if router not in found.index:
                continue
            row = found.loc[router]
            error = [[row["value"] - row["low"]], [row["high"] - row["value"]]]
            axes.errorbar(row["value"], -place, xerr=error, fmt=marker, color=colour, capsize=2)
        axes.set_yticks([-place for place in range(len(looks))], [routers[name] for name in looks])
        axes.set_xlabel(f"accuracy at {middle.removeprefix('acc@')} % of always-strong's cost")
    return picture


STUDY = Study(
    name="generalisation",
    title="On other benchmarks",
    text=(
        "Routers fitted on one benchmark and used unchanged on all, beside baselines fitted on each benchmark; the "
        "rank is in parentheses. Intervals cover problems and training seeds; ±: standard deviation between seeds."
    ),
    caption="Routers fitted on one benchmark and used on all, beside the baselines.",
    wanted=lambda params: any(section.get("fit_on") for section in params.routers.values()),
    table=_table,
    figure=_figure,
    inputs=lambda params: ["measures.csv"],
)
