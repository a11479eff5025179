"""The total cost of a solution in every unit, and the routers that still save in it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from trim.evaluation.published import RELEASED, published_costs
from trim.experiment.params import Params
from trim.ledger.units import REGIME_TITLES, UNIT_TITLES, UNITS, WRITTEN
from trim.report.figures import ENDS, first_of_kinds, legend, panels, styles
from trim.report.tables import format_interval, read_csv, titles
from trim.studies.study import Study

_SHOWN = ("strong_tokens", "flops")


def _table(results: Path, params: Params) -> pd.DataFrame:
    """Cost in every unit at the setting for the middle budget, the units in which it saves, and the released runs."""
    benchmarks, routers = titles(params)
    costs, rows = read_csv(results / "units.csv"), []
    costs = costs[(costs["measure"] == "spent") & (costs["router"] != "always_strong")]
    for benchmark, title in benchmarks.items():
        of_all = costs[costs["benchmark"] == benchmark]
        written = of_all[of_all["unit"].isin(WRITTEN)]
        for router in dict.fromkeys(of_all["router"]):
            for cache in dict.fromkeys(of_all["cache"]):
                mine = pd.concat([written, of_all[of_all["cache"] == cache]]).drop_duplicates(["router", "unit"])
                mine = mine[mine["router"] == router].set_index("unit").loc[list(UNITS)]
                cells = {
                    UNIT_TITLES[str(u)]: format_interval(r["value"], r["low"], r["high"], reached=r["reached"])
                    for u, r in mine.iterrows()
                }
                saves = [UNIT_TITLES[str(unit)] for unit in mine.index[mine["high"] < 1]]
                keys = {"benchmark": title, "router": routers[router], "reading": REGIME_TITLES[str(cache)]}
                rows.append(keys | cells | {"saves in": "; ".join(saves) or "nothing"})
    return pd.concat([pd.DataFrame(rows), _released(params)], ignore_index=True).fillna("")


def _released(params: Params) -> pd.DataFrame:
    """The released run nearest to the middle budget, with upper bounds on its costs."""
    rows = []
    for router in RELEASED:
        points = published_costs(router)
        nearest = points.loc[(points["strong_tokens"] - params.evaluation.headline_budget).abs().idxmin()]
        costs = nearest.drop("setting")
        cells = {UNIT_TITLES[str(unit)]: f"{value:.3f}" for unit, value in costs.items()}
        saves = [UNIT_TITLES[str(unit)] for unit, value in costs.items() if value < 1]
        name = f"{params.title(router) if router in params.routers else router}, released, {nearest['setting']}"
        keys = {"benchmark": "MATH-500 (released)", "router": name, "reading": f"at most: {REGIME_TITLES['prefix']}"}
        rows.append(keys | cells | {"saves in": "; ".join(saves)})
    return pd.DataFrame(rows)


def _figure(results: Path, params: Params) -> Figure:
    """On the first benchmark: accuracy over strong tokens written, and over all operations."""
    benchmark, title = next(iter(titles(params)[0].items()))
    rows = read_csv(results / "summary.csv")
    rows = rows[rows["benchmark"] == benchmark]
    strong = rows[rows["router"] == "always_strong"].iloc[0]
    names = [name for name in first_of_kinds(params) if params.group(name) in ("trim", "step", "query", "cascade")]
    picture, axes_of = panels({unit: f"{title}: {UNIT_TITLES[unit]}" for unit in _SHOWN})
    for unit, axes in axes_of.items():
        for router, (colour, marker) in styles(names).items():
            points = rows[rows["router"] == router].groupby("setting", sort=False)[[unit, "accuracy"]].mean()
            points = points.sort_values(unit)
            spent = points[unit] / strong[unit]
            axes.plot(spent, points["accuracy"], marker + "-", color=colour, markersize=3, label=params.title(router))
        for end, marker in zip(ENDS, "v^", strict=True):
            row = rows[rows["router"] == end].iloc[0]
            axes.plot(row[unit] / strong[unit], row["accuracy"], "k" + marker, label=params.title(end))
        axes.axvline(1, color="0.4", linewidth=0.8)
        axes.set_xlabel(f"{UNIT_TITLES[unit]}, always-strong's is 1")
        axes.set_ylabel("accuracy")
    axes_of["flops"].set_xlim(0, max(1.1, float(np.ceil(10 * axes_of["flops"].dataLim.x1) / 10)))
    return legend(picture)


STUDY = Study(
    name="spent",
    title="The total cost of a solution",
    text=(
        "At the setting for the middle budget of strong tokens; always-strong's cost is 1. The two models share no "
        "cache: before the strong model rewrites a step, it must read the weak model's text. `saves in`: the units "
        "whose whole interval lies below 1. For the released runs, upper bounds on the cost, without the questions."
    ),
    caption="Accuracy over strong tokens written, and over floating-point operations in all.",
    wanted=lambda params: True,
    table=_table,
    figure=_figure,
    inputs=lambda params: ["summary.csv", "units.csv"],
)
