"""Beyond the main table: where routers intervene, what a step is, and routers away from home."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trim.config import Params
from trim.evaluation.interventions import RATES
from trim.report.figures import ENDS, first_of_kinds, legend, panels, styles
from trim.report.tables import at_budgets, figure, read_csv, titles


def _interventions(results: Path, params: Params) -> pd.DataFrame:
    folder = results / "studies" / "interventions"
    return pd.concat([read_csv(folder / f"{name}.csv") for name in params.benchmarks])


def interventions_table(results: Path, params: Params) -> pd.DataFrame:
    """Share of drafts handed over, of first wrong steps caught, and of interventions wasted on right steps."""
    benchmarks, routers = titles(params)
    found = _interventions(results, params)
    table = found.assign(benchmark=found["benchmark"].map(benchmarks), router=found["router"].map(routers))
    for name in RATES:
        columns = [name, f"{name}_low", f"{name}_high"]
        cells = ["" if np.isnan(row[0]) else figure(*row) for row in found[columns].itertuples(index=False, name=None)]
        table[name] = cells
    return table[["benchmark", "router", "setting", "by", "bin", "drafts", *RATES]]


def interventions_figure(results: Path, params: Params) -> Figure:
    """On the first benchmark: what is handed over by position, score and difficulty; what that catches and wastes."""
    _, routers = titles(params)
    found = _interventions(results, params)
    found = found[found["benchmark"] == next(iter(params.benchmarks))]
    kinds = [name for name in first_of_kinds(params) if name in set(found["router"])]
    names = [name for name in kinds if params.group(name) in ("trim", "step") or name in ("random", "oracle")]
    labels = {"position": "by step", "score": "by PRM score", "difficulty": "by difficulty", "all": "caught and wasted"}
    picture, axes_of = panels(labels, height=3)
    for router, (colour, marker) in styles(names).items():
        mine = found[found["router"] == router]
        for by in ("position", "score", "difficulty"):
            axes, rows = axes_of[by], mine[mine["by"] == by]
            places = list(dict.fromkeys(found[found["by"] == by]["bin"]))
            at = [places.index(name) for name in rows["bin"]]
            axes.plot(at, rows["handed_over"], marker + "-", color=colour, markersize=3.5, label=routers[router])
            axes.set_xticks(range(len(places)), places, rotation=30, ha="right", fontsize=6)
            axes.set_ylabel("share handed over")
        for row in mine[mine["by"] == "all"].itertuples():
            across = [[row.wasted - row.wasted_low], [row.wasted_high - row.wasted]]
            up = [[row.caught - row.caught_low], [row.caught_high - row.caught]]
            axes_of["all"].errorbar(row.wasted, row.caught, up, across, marker, color=colour, markersize=5, capsize=2)
    axes_of["all"].set_xlabel("share of interventions on right steps")
    axes_of["all"].set_ylabel("share of first wrong steps caught")
    return legend(picture)


def definitions_table(results: Path, params: Params) -> pd.DataFrame:
    """TRIM-Thr and the ends by what a step is."""
    benchmarks, _ = titles(params)
    rows = []
    for name in params.definitions.benchmarks:
        found = read_csv(results / "studies" / "definitions" / f"{name}.csv")
        for definition, group in found.groupby("definition", sort=False):
            ends = {f"{row.router.removeprefix('always_')}": row for row in group.itertuples() if row.router in ENDS}
            cells = {end: figure(row.value, row.low, row.high) for end, row in ends.items()}
            own = group[group["router"] == "trim_thr"]
            cells |= {row.measure: figure(row.value, row.low, row.high) for row in own.itertuples()}
            what = f"{definition} tokens" if str(definition).isdigit() else str(definition)
            steps = f"{group['steps'].iloc[0]:.1f}"
            rows.append({"benchmark": benchmarks[name], "a step is": what, "steps of a solution": steps} | cells)
    return pd.DataFrame(rows)


def definitions_figure(results: Path, params: Params) -> Figure:
    """Accuracy of TRIM-Thr at the budgets, by what a step is."""
    names = {name: title for name, title in titles(params)[0].items() if name in params.definitions.benchmarks}
    picture, axes_of = panels(names)
    shown = {name: 100 * budget for name, budget in zip(at_budgets(params), params.evaluation.budgets, strict=True)}
    for benchmark, axes in axes_of.items():
        found = read_csv(results / "studies" / "definitions" / f"{benchmark}.csv")
        rows = found[found["measure"].isin(list(shown))]
        for definition, (colour, marker) in styles(params.definitions.names()).items():
            own = rows[rows["definition"].astype(str) == definition]
            error = np.abs(own[["low", "high"]].to_numpy().T - own["value"].to_numpy())
            label = f"{definition} tokens" if definition.isdigit() else definition
            axes.errorbar(own["measure"].map(shown), own["value"], error, fmt=marker + "-", color=colour, capsize=2)
            axes.plot([], [], marker + "-", color=colour, label=label)
        axes.set_xlabel("budget: % of always-strong's tokens")
        axes.set_ylabel("accuracy of TRIM-Thr")
    return legend(picture)


def _transfers(results: Path, params: Params) -> pd.DataFrame:
    folder = results / "studies" / "transfer"
    found = pd.concat([read_csv(folder / f"{name}.csv") for name in params.benchmarks])
    return found[found["measure"] == "apgr"]


def transfer_table(results: Path, params: Params) -> pd.DataFrame:
    """APGR by router and benchmark that it was fitted on; below, whether the order of the routers holds."""
    benchmarks, routers = titles(params)
    found, rows = _transfers(results, params), []
    for router in params.transfer.routers:
        for source in benchmarks:
            chosen = found[(found["router"] == router) & (found["source"] == source)]
            cells = {benchmarks[row.benchmark]: figure(row.value, row.low, row.high) for row in chosen.itertuples()}
            rows.append({"router": routers[router], "fitted on": benchmarks[source]} | cells)
    values = found.pivot(index="router", columns=["source", "benchmark"], values="value")
    for source in benchmarks:
        same = {
            title: f"{values[(source, name)].corr(values[(name, name)], method='spearman'):.2f}"
            for name, title in benchmarks.items()
        }
        rows.append({"router": "rank correlation with routers fitted there", "fitted on": benchmarks[source]} | same)
    return pd.DataFrame(rows)


def transfer_figure(results: Path, params: Params) -> Figure:
    """The same, a panel a router: rows are where it was fitted, columns where it is used."""
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
