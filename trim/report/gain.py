"""What there is to gain, and whether it carries over: distances to the ceiling, and order on other benchmarks."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from trim.config import Params
from trim.report.figures import ENDS, curves, panels, styles
from trim.report.tables import at_budgets, at_middle, figure, read_csv, titles
from trim.rl.settings import CEILINGS


def _files(results: Path, params: Params, name: str) -> pd.DataFrame:
    folder = results / "studies" / "ceiling"
    return pd.concat([read_csv(folder / f"{benchmark}.{name}.csv") for benchmark in params.ceiling.benchmarks])


def ceiling_table(results: Path, params: Params) -> pd.DataFrame:
    """Accuracy at budgets of every router and ceiling, and what each router lacks of a ceiling."""
    benchmarks, routers = titles(params)
    names, rows = routers | CEILINGS | {"": ""}, []
    measures = [*at_budgets(params), "apgr"]
    found = _files(results, params, "distances").fillna({"baseline": ""})
    found = found[~found["router"].isin(ENDS) & ~(found["router"].isin(list(CEILINGS)) & (found["baseline"] != ""))]
    for (benchmark, router, baseline), group in found.groupby(["benchmark", "router", "baseline"], sort=False):
        cells = {row.measure: figure(row.value, row.low, row.high, row.spread) for row in group.itertuples()}
        keys = {"benchmark": benchmarks[benchmark], "router": names[router], "minus": names[baseline]}
        rows.append(keys | {name: cells[name] for name in measures})
    return pd.DataFrame(rows)


def ceiling_figure(results: Path, params: Params) -> Figure:
    """Curves of the ceilings and of the fitted routers below them."""
    shown = [name for name in params.routers if params.kind(name).fits and "kind" not in params.routers[name]]
    names = {name: params.title(name) for name in shown} | CEILINGS
    rows = pd.concat([read_csv(results / "summary.csv"), _files(results, params, "points")])
    chosen = {name: title for name, title in titles(params)[0].items() if name in params.ceiling.benchmarks}
    return curves(rows, chosen, names)


def _carried(results: Path, params: Params) -> tuple[pd.DataFrame, str]:
    """Measures of the routers that a benchmark was fitted for elsewhere, and of the baselines beside them."""
    carried = [name for name, section in params.routers.items() if section.get("fit_on")]
    shown = [name for name in params.routers if name in carried or name in params.evaluation.baselines]
    rows = read_csv(results / "budgets.csv")
    return rows[rows["router"].isin(shown)], at_middle(params)


def generalisation_table(results: Path, params: Params) -> pd.DataFrame:
    """Accuracy at the middle budget and APGR on every benchmark, with each router's rank there."""
    rows, middle = _carried(results, params)
    benchmarks, routers = titles(params)
    made = []
    for measure in (middle, "apgr"):
        values = rows[rows["measure"] == measure].copy()
        values["rank"] = values.groupby("benchmark")["value"].rank(ascending=False)
        values["cell"] = [
            f"{figure(row.value, row.low, row.high, row.spread)} ({row.rank:.0f})" for row in values.itertuples()
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


def generalisation_figure(results: Path, params: Params) -> Figure:
    """Accuracy at the middle budget by router, a panel a benchmark."""
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
