"""The run released with the paper and the numbers reported in it, beside TRIM-Thr and TRIM-POMDP here."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from trim.evaluation.published import (
    ADVANCED_TITLES,
    RELEASED_FOR,
    RELEASED_TITLES,
    published_budgets,
    published_points,
    reported_for,
    reported_values,
)
from trim.experiment.params import Params, measure_settings
from trim.report.figures import ENDS, legend, panels, styles
from trim.report.tables import at_budgets, format_interval, read_csv, titles
from trim.studies.study import Study


def _table(results: Path, params: Params) -> pd.DataFrame:
    """The released and the reported numbers, and TRIM-Thr's and TRIM-POMDP's here."""
    measures = [
        *(f"cpt{round(100 * level)}" for level in params.evaluation.levels), "apgr", "aiq", "ibc", "ibc_front",
        *at_budgets(params),
    ]  # fmt: skip
    budgets, rows = read_csv(results / "measures.csv"), []
    for router, title in RELEASED_TITLES.items():
        if router not in params.routers:
            continue
        tables = {RELEASED_FOR: published_budgets(measure_settings(params), router)}
        for benchmark, name in titles(params)[0].items():
            tables[f"here: {name}"] = budgets[(budgets["benchmark"] == benchmark) & (budgets["router"] == router)]
        for where, table in tables.items():
            cells = {
                row.measure: format_interval(row.value, row.low, row.high, reached=row.reached)
                for row in table.itertuples()
            }
            rows.append({"router": title, "run": where} | {measure: cells.get(measure, "") for measure in measures})
    for router in dict.fromkeys(reported_values("ibc") | reported_values("cpt95")):
        cells = {
            name: f"{reported_values(name)[router]:g}" for name in ("cpt95", "ibc") if router in reported_values(name)
        }
        name = (ADVANCED_TITLES | RELEASED_TITLES | {"automix_prm": "AutoMix-PRM"}).get(router, router)
        rows.append({"router": name, "run": f"MATH-500, {reported_for()}"} | {m: cells.get(m, "") for m in measures})
    return pd.DataFrame(rows)


def _figure(results: Path, params: Params) -> Figure:
    """The share of the gap that TRIM-Thr and TRIM-POMDP recover over strong tokens, released and here."""
    summary, benchmarks = read_csv(results / "summary.csv"), titles(params)[0]
    shown = {router: title for router, title in RELEASED_TITLES.items() if router in params.routers}
    picture, axes_of = panels(shown, height=4)
    for router, axes in axes_of.items():
        points = published_points(router).sort_values("strong_fraction")
        axes.plot(points["strong_fraction"], points["pgr"], "k*--", linewidth=1.4, label=RELEASED_FOR)
        for benchmark, (colour, marker) in styles(benchmarks).items():
            mine = summary[(summary["benchmark"] == benchmark) & (summary["router"].isin([router, ENDS[0]]))]
            mine = mine.sort_values(["strong_fraction", "pgr"])
            label = f"here: {benchmarks[benchmark]}"
            axes.plot(mine["strong_fraction"], mine["pgr"], marker + "-", color=colour, markersize=3, label=label)
        axes.axhline(1, color="0.4", linewidth=0.8)
        axes.axvline(0.2, color="0.4", linewidth=0.8, linestyle=":")
        axes.set_xlim(-0.02, 1.1)
        axes.set_xlabel("strong tokens / always-strong's")
        axes.set_ylabel("share of the accuracy gap recovered")
    return legend(picture)


STUDY = Study(
    name="paper",
    title="The published run",
    text=(
        "TRIM-Thr's measures as published for MATH-500, and here. The published intervals assume independent "
        "binomial counts, since only sums were released. `ibc_front` is ΔIBC on the front: the mean over 1 to 100 % of "
        "the gap, in which shares that a router does not reach count as always-strong's, 0."
    ),
    caption="The share of the gap that TRIM-Thr recovers: published for MATH-500, and here.",
    wanted=lambda params: "trim_thr" in params.routers,
    table=_table,
    figure=_figure,
    inputs=lambda params: ["summary.csv", "measures.csv"],
    prose=True,
)
